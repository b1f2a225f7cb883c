"""A table with a column that gives the class away, and one word that cures it, from a script.

    python run_table.py [--epochs 20]

The notebook 07_table.ipynb does the same under a dashboard.
"""

from __future__ import annotations

import argparse

import torch
from torch import nn

import coflect_widget as coflect


def network(columns: int) -> nn.Module:
    """One layer between the columns and the two classes."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(columns, 32), nn.ReLU(), nn.Linear(32, 2))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--run-dir", default="runs")
    options = parser.parse_args()
    train, val = coflect.data.patients(), coflect.data.patients(600, invoice="random", seed=1)
    model = network(train.rows.shape[1])

    with coflect.Session(
        model,
        train,
        val,
        classes=train.classes,
        optimizer=torch.optim.Adam(model.parameters(), 0.01),
        run_dir=options.run_dir,
    ) as session:
        session.train(epochs=6)
        session.wait()
        print("validation accuracy:", round(session.metrics["val_accuracy"], 3))
        weights = session.explain(3).map
        print("looks at column", int(weights.argmax()), "of", len(weights))
        print("understood:", session.feedback(instruction="ignore invoice").understood)
        session.train(epochs=options.epochs - 6)
        session.wait()
        print("validation accuracy:", round(session.metrics["val_accuracy"], 3))


if __name__ == "__main__":
    main()
