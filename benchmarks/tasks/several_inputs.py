"""Which of two inputs decides: the measured share of a question beside a picture.

    python benchmarks/tasks/several_inputs.py --seeds 0 1 2 --frameworks torch keras

Pictures of a red or blue shape, each with a question in ids (`coflect.data.shapes_and_questions`).
What decides the label is the question, the picture, or both together. Printed for each: accuracy on
the training data, mean share of the question over 24 samples and the least and the largest, and how
often the strongest word of its map is the one that is asked for.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # measures this checkout

import coflect_widget as coflect
from benchmarks.machine import describe

SAMPLES, LOOKED_AT = 400, 24
EPOCHS = {"question": 6, "picture": 6, "both": 24}


class Answers(nn.Module):
    """Colours of a picture, words of a question, and what the two mean together."""

    def __init__(self, words: int) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.ReLU())
        self.words = nn.Embedding(words, 8, padding_idx=0)
        self.head = nn.Sequential(nn.Linear(24, 32), nn.ReLU(), nn.Linear(32, 2))

    def forward(self, image: torch.Tensor, question: torch.Tensor) -> Any:
        seen = self.features(image).amax((2, 3))
        return self.head(torch.cat([seen, self.words(question).sum(1)], 1))


def in_torch(words: int, seed: int) -> tuple[Any, dict[str, Any]]:
    """Model, and what a session is told of it."""
    torch.manual_seed(seed)
    model = Answers(words)
    return model, {"optimizer": torch.optim.Adam(model.parameters(), 0.01)}


def in_keras(words: int, seed: int) -> tuple[Any, dict[str, Any]]:
    """Nearly the same in Keras: half as many convolutions, and the mean of the words."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import keras

    keras.utils.set_random_seed(seed)
    layers = keras.layers
    image = keras.Input((24, 24, 3), name="image")
    question = keras.Input((8,), dtype="int32", name="question")
    seen = layers.Conv2D(8, 3, padding="same", activation="relu")(image)
    seen = layers.GlobalMaxPooling2D()(seen)
    asked = layers.GlobalAveragePooling1D()(layers.Embedding(words, 8)(question))
    both = layers.Dense(32, activation="relu")(layers.Concatenate()([seen, asked]))
    model = keras.Model({"image": image, "question": question}, layers.Dense(2)(both))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.01), loss)
    return model, {}


MAKES = {"torch": in_torch, "keras": in_keras}


def measured(framework: str, decides: Any, seed: int) -> tuple[float, list[float], float]:
    """Accuracy, the question's shares, and how often its strongest word is the one asked for."""
    data = coflect.data.shapes_and_questions(SAMPLES, decides, seed=seed)
    model, more = MAKES[framework](len(data.words), seed)
    with tempfile.TemporaryDirectory() as folder:
        session = coflect.Session(
            model, data.arrays, batch_size=32, tokenizer=data.words, run_dir=folder, **more
        )
        with session:
            session.train(epochs=EPOCHS[decides])
            session.wait()
            found = [session.explain(k) for k in range(LOOKED_AT)]
            accuracy = session.metrics["accuracy"]
    shares = [(one.modality_focus or {}).get("question", float("nan")) for one in found]
    hits = [one.parts["question"].argmax() == data.asked[one.index] for one in found]
    return accuracy, shares, float(np.mean(hits))


def main() -> None:
    """See above."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--frameworks", nargs="+", choices=list(MAKES), default=list(MAKES))
    parser.add_argument("--decides", nargs="+", choices=list(EPOCHS), default=list(EPOCHS))
    given = parser.parse_args()
    print(describe())
    print("| framework | decides | seed | accuracy | question's share | least | largest | word |")
    print("|---|---|---|---|---|---|---|---|")
    for framework in given.frameworks:
        for decides in given.decides:
            for seed in given.seeds:
                accuracy, shares, hits = measured(framework, decides, seed)
                word = "-" if decides == "picture" else f"{hits:.2f}"
                print(
                    f"| {framework} | {decides} | {seed} | {accuracy:.2f} | {np.mean(shares):.3f} "
                    f"| {min(shares):.3f} | {max(shares):.3f} | {word} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
