"""Keras: a compiled model under a session, and the same model under `fit`, from a script.

    python run_keras.py [--epochs 8]

The notebook 03_keras_quickstart.ipynb does the same under a dashboard.
"""

from __future__ import annotations

import argparse
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from keras import layers

import coflect_widget as coflect


def network(seed: int = 0) -> keras.Model:
    keras.utils.set_random_seed(seed)
    model = keras.Sequential([
        keras.Input((32, 32, 3)),
        layers.Conv2D(16, 3, padding="same", activation="relu"), layers.MaxPooling2D(2),
        layers.Conv2D(32, 3, padding="same", activation="relu"), layers.MaxPooling2D(2),
        layers.Conv2D(64, 3, padding="same", activation="relu"),
        layers.GlobalAveragePooling2D(), layers.Dense(10, activation="softmax"),
    ])  # fmt: skip
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--run-dir", default="runs")
    options = parser.parse_args()
    train = coflect.data.decoy_digits("train")
    test = coflect.data.decoy_digits("test", square="none")

    with coflect.Session(
        network(), train, test, classes=train.classes, run_dir=options.run_dir
    ) as session:
        session.train(epochs=options.epochs)
        for sample in (0, 100, 200, 300, 400):
            told = session.feedback(sample=sample, ignore=tuple(train.squares[sample]))
        session.wait()
        print("understood:", told.understood, "->", told.record.loss)
        print("test accuracy:", round(session.metrics["val_accuracy"], 3))
        looked = session.explain(0)
        print("looks at", looked.focus_bbox, "for class", looked.top_classes[0])

    model = network()
    images = np.moveaxis(train.images, 1, -1)  # Keras has the channels last
    with coflect.Session(model, (images, train.labels), run_dir=options.run_dir) as session:
        model.fit(
            images, train.labels, sample_weight=np.arange(len(images)), batch_size=64, epochs=2,
            verbose=0, callbacks=[session.keras_callback()],
        )  # fmt: skip
        print("fit:", session.state, session.metrics["step"], "steps")
        print("will fail next:", [candidate.index for candidate in session.candidates])


if __name__ == "__main__":
    main()
