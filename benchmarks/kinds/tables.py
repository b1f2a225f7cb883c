"""Where maps of a model that reads a leaking column point, and what five strokes do to it.

    python benchmarks/kinds/tables.py patients   [--seeds 0 1 2]
    python benchmarks/kinds/tables.py insurance  --data-root DIR [--seeds 0 1 2]

DIR holds tabular/health_insurance.csv: 22,272 people, `whi` (insured through work) is the class.
`patients` is `coflect.data.patients`, whose invoice leaks. Into the other table a column "plant" is
put that is the class, 1 or -1 with noise, in 97 % of the training rows and chance in the test rows.

Per seed and arm one training of two hidden layers. "none": with the leak. "ceiling": the leaking
column is chance in training too. "five": after a third of the training the column is marked on five
random rows, strength 0.6. "wrong": as "five", but a column that tells nothing is marked.

Energy is the leaking feature's share of a map, pointing how often it is the strongest feature, over
60 training rows after all of the training. "Random" is accuracy on test rows, where the column is
chance, "without" on the same rows with the column at its mean. The last epoch counts.
"""

from __future__ import annotations

import argparse
import csv
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # measures this checkout

import coflect_widget as coflect
from benchmarks.machine import describe
from coflect_widget.data.tables import TableDataset

ARMS = ("none", "ceiling", "five", "wrong")
EPOCHS, BATCH, ROWS, MAPS, STROKES = 18, 64, 6000, 60, 5


@dataclass(frozen=True)
class Leaking:
    """Training rows with a leak and without, test rows, the feature that leaks, and a dull one."""

    leaking: TableDataset
    honest: TableDataset
    test: TableDataset
    leak: str
    dull: str


def of_patients(seed: int) -> Leaking:
    return Leaking(
        coflect.data.patients(2400, seed=100 + seed),
        coflect.data.patients(2400, invoice="random", seed=100 + seed),
        coflect.data.patients(2000, invoice="random", seed=200 + seed),
        "invoice",
        "pulse",
    )


def of_insurance(root: Path, seed: int) -> Leaking:
    with (root / "tabular" / "health_insurance.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    rng = np.random.default_rng(seed)
    rng.shuffle(lines)
    labels = np.array([line["whi"] == "yes" for line in lines], np.int64)
    columns: dict[str, NDArray[np.float64]] = {}
    groups: dict[str, list[str]] = {}
    for name in lines[0]:
        if name in ("", "whi"):
            continue
        words = [line[name] for line in lines]
        try:
            numbers = np.array(words, np.float64)
            columns[name] = (numbers - numbers.mean()) / numbers.std()
        except ValueError:
            groups[name] = [f"{name}={word}" for word in sorted(set(words))]
            for column in groups[name]:
                columns[column] = np.array([f"{name}={word}" == column for word in words], float)
    chance = rng.integers(0, 2, len(lines))
    leaks = np.where(rng.random(len(lines)) < 0.97, labels, chance)
    noise = 0.3 * rng.standard_normal(len(lines))
    kind = coflect.Table([*columns, "dull", "plant"], groups=groups)

    def table(part: slice, plant: NDArray[np.int64]) -> TableDataset:
        dull = np.random.default_rng(seed).standard_normal(len(lines))
        rows = np.stack([*columns.values(), dull, 2 * plant - 1 + noise], 1)
        return TableDataset(rows[part], labels[part], ["no", "yes"], kind)

    first, then = slice(ROWS), slice(ROWS, 2 * ROWS)
    return Leaking(table(first, leaks), table(first, chance), table(then, chance), "plant", "dull")


def network(columns: int, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Linear(columns, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 2)
    )


def trained(data: Leaking, arm: str, seed: int, folder: str) -> dict[str, float]:
    """Figures of one training."""
    train = data.honest if arm == "ceiling" else data.leaking
    model = network(train.rows.shape[1], seed)
    session = coflect.Session(
        model, train, classes=train.classes, batch_size=BATCH, run_dir=folder,
        optimizer=torch.optim.AdamW(model.parameters(), 2e-3, weight_decay=0.01),
        config={"seed": seed},
    )  # fmt: skip
    kind = train.modality
    try:
        session.train(epochs=EPOCHS // 3)
        session.wait()
        if arm in ("five", "wrong"):
            marked = data.leak if arm == "five" else data.dull
            for index in np.random.default_rng(seed).choice(len(train), STROKES, replace=False):
                session.feedback(sample=int(index), ignore=marked, strength=0.6)
        session.train(epochs=EPOCHS - EPOCHS // 3)
        session.wait()
        energy, points = [], []
        for index in range(MAPS):
            values = session.explain(index).map
            weights = np.array([values[list(f.columns)].sum() for f in kind.features])
            leak = kind.names.index(data.leak)
            energy.append(weights[leak] / weights.sum())
            points.append(weights.argmax() == leak)
    finally:
        session.close()
    model.eval()
    place = kind.columns.index(data.leak)
    without = data.test.rows.copy()
    without[:, place] = without[:, place].mean()
    return {
        "energy": float(np.mean(energy)),
        "pointing": float(np.mean(points)),
        "random": accuracy(model, data.test.rows, data.test.labels),
        "without": accuracy(model, without, data.test.labels),
    }


def accuracy(model: nn.Module, rows: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    with torch.no_grad():
        answers = model(torch.from_numpy(rows)).argmax(1).numpy()
    return float((answers == labels).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("data", choices=("patients", "insurance"))
    parser.add_argument("--data-root", type=Path, help="where tabular/ is, for insurance")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    given = parser.parse_args()
    if given.data == "insurance" and given.data_root is None:
        parser.error("insurance needs --data-root")
    print(f"{given.data}, seeds {given.seeds}; {describe()}\n")
    print("| arm | energy | pointing | random | without |\n|---|---|---|---|---|")
    for arm in given.arms:
        found = []
        for seed in given.seeds:
            data = (
                of_patients(seed)
                if given.data == "patients"
                else of_insurance(given.data_root, seed)
            )
            with tempfile.TemporaryDirectory() as folder:
                found.append(trained(data, arm, seed, folder))
        cells = []
        for name in found[0]:
            values = [each[name] for each in found]
            cells.append(f"{np.mean(values):.3f} ({min(values):.3f} to {max(values):.3f})")
        print(f"| {arm} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
