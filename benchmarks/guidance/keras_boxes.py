"""Decoy-Fashion-MNIST with a Keras model: what a box on each of five samples does, as for Torch.

    python benchmarks/guidance/keras_boxes.py --data-root DIR [--seeds 0 1 2] [--arms ...]

The data, the decoy, the boxes and the schedule are those of `decoys.py fashion`; the network
is the same in Keras (convolutions of 20 and 50 maps, 256 hidden units), channels last, AdamW,
8 epochs. Arms: "none", "ceiling" (no decoy in training), "fill" and "gradient" with 5 boxes.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import sys

import keras
import numpy as np
from keras import layers

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # measures this checkout

import coflect_widget as coflect
from benchmarks.guidance.decoys import Decoyed, decoyed, drawn, fashion
from benchmarks.machine import describe

COLOURS = ((255 - 25 * np.arange(10))[:, None] / 255).astype(np.float32)
SIDE, EPOCHS, BOXES = 4, 8, 5
LOSSES = {"fill": "fill", "gradient": "input_gradient"}


def network(seed: int) -> keras.Model:
    """The network of `guidance.lenet`."""
    keras.utils.set_random_seed(seed)
    model = keras.Sequential([
        keras.Input((28, 28, 1)),
        layers.Conv2D(20, 5, activation="relu"), layers.MaxPooling2D(2),
        layers.Conv2D(50, 5, activation="relu"), layers.MaxPooling2D(2),
        layers.Flatten(), layers.Dense(256, activation="relu"), layers.Dense(10),
    ])  # fmt: skip
    model.compile(
        keras.optimizers.AdamW(1e-3, weight_decay=0.01),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    return model


def accuracy(model: keras.Model, data: Decoyed) -> float:
    """Share of the images that are classified right."""
    images = np.moveaxis(data.images, 1, -1)
    return float((model.predict(images, batch_size=500, verbose=0).argmax(1) == data.labels).mean())


def train(root: Path, arm: str, seed: int) -> tuple[float, float, float]:
    """Accuracy with squares of a random class's gray and without any; seconds."""
    images, labels = fashion(root, "train")
    data = decoyed(images, labels, SIDE, None if arm == "ceiling" else COLOURS, seed)
    model = network(seed)
    began = time.monotonic()
    guidance = {"ignore_loss": LOSSES[arm]} if arm in LOSSES else {}
    with tempfile.TemporaryDirectory() as folder, coflect.Session(
        model, (np.moveaxis(data.images, 1, -1), data.labels), run_dir=folder,
        scheduler=lambda epoch, rate: rate * 0.3 if epoch == EPOCHS * 3 // 4 else rate,
        config={"seed": seed, "guidance": guidance, "xai_every": 10**6,
                "forecast_every": 10**6, "attribution": {"budget": 0}},
    ) as session:  # fmt: skip
        session.train(epochs=EPOCHS)
        while session.metrics["epoch"] < 1:
            time.sleep(0.02)
        session.pause()
        if arm in LOSSES:
            for index, box in drawn(data, "", BOXES, SIDE, seed):
                session.feedback(sample=index, ignore=box)
        session.resume()
        session.wait()
    tests = fashion(root, "test")
    lying = decoyed(*tests, SIDE, COLOURS, 10_000, lie=True)
    plain = decoyed(*tests, SIDE, None, 10_000)
    return accuracy(model, lying), accuracy(model, plain), time.monotonic() - began


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--arms", nargs="+", default=["none", "ceiling", "fill", "gradient"])
    given = parser.parse_args()
    print(f"Decoy-Fashion-MNIST, keras {keras.__version__}: {describe()}")
    print(f"{'':<10}{'random decoy':>13}{'no decoy':>10}{'seconds':>9}   each seed", flush=True)
    for arm in given.arms:
        found = [train(given.data_root, arm, seed) for seed in given.seeds]
        lying, plain, seconds = np.mean(found, 0)
        each = "  ".join(f"{a:.3f}/{b:.3f}" for a, b, _ in found)
        print(f"{arm:<10}{lying:>13.3f}{plain:>10.3f}{seconds:>9.0f}   {each}", flush=True)


if __name__ == "__main__":
    main()
