"""Series with a burst that gives the class away, found everywhere in time, from a script.

    python run_series.py [--epochs 16]

The notebook 06_series.ipynb does the same under a dashboard.
"""

from __future__ import annotations

import argparse

import torch
from torch import nn

import coflect_widget as coflect


def network(channels: int, classes: int) -> nn.Module:
    """Two convolutions along time."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv1d(channels, 16, 7, padding=3), nn.BatchNorm1d(16), nn.ReLU(),
        nn.Conv1d(16, 32, 5, padding=2), nn.BatchNorm1d(32), nn.ReLU(),
        nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(32, classes),
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=16)
    parser.add_argument("--run-dir", default="runs")
    options = parser.parse_args()
    train = coflect.data.signals(800)
    val = coflect.data.signals(400, decoy="random", seed=1)
    length = train.series.shape[2]
    model = network(train.series.shape[1], len(train.classes))

    with coflect.Session(
        model,
        train,
        val,
        classes=train.classes,
        optimizer=torch.optim.Adam(model.parameters(), 0.005),
        run_dir=options.run_dir,
    ) as session:
        session.train(epochs=4)
        session.wait()
        print("validation accuracy:", round(session.metrics["val_accuracy"], 3))
        for sample in range(len(train.classes)):  # one of each class
            start, stop = (round(float(edge) * length) for edge in train.decoys[sample])
            told = session.feedback(
                sample=sample, ignore={"steps": [start, stop], "channel": 0}, strength=0.6
            )
            hits = session.similar(told)
            session.confirm(told)
            print(f"understood: {told.understood}; the same in {len(hits)} other series")
        session.train(epochs=options.epochs - 4)
        session.wait()
        print("validation accuracy:", round(session.metrics["val_accuracy"], 3))


if __name__ == "__main__":
    main()
