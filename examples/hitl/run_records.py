"""Three runs compared, measured, reported and exported, from a script.

    python run_records.py [--epochs 6]

The notebook 09_records.ipynb does the same under a dashboard. Charts and export need
``pip install 'coflect-widget[export,evaluate]'``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from torch import nn

import coflect_widget as coflect


def network(columns: int, width: int) -> nn.Module:
    """One layer between the columns and the two classes."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(columns, width), nn.ReLU(), nn.Linear(width, 2))


def train(width: int, goal: str, options: argparse.Namespace, ignored: str | None = None) -> None:
    """One run, which says what it is for."""
    data = coflect.data.patients(2000)
    val = coflect.data.patients(800, invoice="random", seed=1)
    model = network(data.rows.shape[1], width)
    with coflect.Session(
        model,
        data,
        val,
        classes=data.classes,
        batch_size=32,
        optimizer=torch.optim.Adam(model.parameters(), 3e-3),
        run_dir=options.run_dir,
    ) as session:
        session.run.tag(notebook="09_records", goal=goal, width=width)
        if ignored is not None:
            print("understood:", session.feedback(ignore=ignored).understood)
        session.train(epochs=options.epochs)
        session.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--run-dir", default="runs")
    options = parser.parse_args()
    train(8, "narrow", options)
    train(64, "wide", options)
    train(64, "told", options, ignored="invoice")

    table = coflect.runs(options.run_dir).filter(notebook="09_records")[-3:]
    print(table)
    compared = coflect.compare(table)
    for name in ("tags.goal", "best.accuracy", "interventions"):
        print(name, compared.differs.get(name))
    test = coflect.data.patients(800, invoice="random", seed=2)
    groups = ["younger" if age < 0 else "older" for age in test.rows[:, 0]]
    for run in table:
        model = network(test.rows.shape[1], run.labels.tags["width"])
        found = run.evaluate(test, model, slices={"age": groups}, plots=False)
        print(run.labels.tags["goal"], f"{found.metrics['accuracy']:.3f}", found.worst)
    print("report:", coflect.report(table, "patients", options.run_dir))
    made = table[2].export("onnx", network(test.rows.shape[1], 64), test)
    print(made)
    print("promoted:", made.promote("patients", root=Path(options.run_dir) / "exports"))


if __name__ == "__main__":
    main()
