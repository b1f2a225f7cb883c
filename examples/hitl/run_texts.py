"""Texts with a word that gives the class away, and one sentence that cures it, from a script.

    python run_texts.py [--epochs 12]

The notebook 05_text.ipynb does the same under a dashboard.
"""

from __future__ import annotations

import argparse

import torch
from torch import nn

import coflect_widget as coflect


class Reader(nn.Module):
    """Looks the words up, slides over three of them, keeps the strongest."""

    def __init__(self, words: int, classes: int) -> None:
        super().__init__()
        self.embed = nn.Embedding(words, 32, padding_idx=0)
        self.slide = nn.Conv1d(32, 32, 3, padding=1)
        self.decide = nn.Linear(32, classes)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Logits (B, classes) of ids (B, L)."""
        seen = torch.relu(self.slide(self.embed(ids).transpose(1, 2)))
        logits: torch.Tensor = self.decide(seen.amax(2))
        return logits


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--run-dir", default="runs")
    options = parser.parse_args()
    train, val = coflect.data.reviews(2000, leak=0.97), coflect.data.reviews(500, seed=1)
    torch.manual_seed(0)
    model = Reader(len(train.words), 2)

    with coflect.Session(
        model,
        (train.ids, train.labels),
        (val.ids, val.labels),
        classes=train.classes,
        tokenizer=train.words,
        optimizer=torch.optim.Adam(model.parameters(), 0.003),
        run_dir=options.run_dir,
    ) as session:
        session.train(epochs=4)
        session.wait()
        print("validation accuracy:", round(session.metrics["val_accuracy"], 3))
        sample = next(k for k in range(len(train)) if train.decoy[k] >= 0)
        strongest = int(session.explain(sample).map.argmax())
        print(f"looks at {train.words[train.ids[sample, strongest]]!r} in: {train.text(sample)}")
        for word in train.decoys:
            print("understood:", session.feedback(instruction=f'ignore "{word}"').understood)
        session.train(epochs=options.epochs - 4)
        session.wait()
        print("validation accuracy:", round(session.metrics["val_accuracy"], 3))


if __name__ == "__main__":
    main()
