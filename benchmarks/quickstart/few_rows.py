"""Which network for tables learns few rows of numbers best, on rows that no test part holds.

    python benchmarks/quickstart/few_rows.py [--seeds 6]

Three sets of about 400 rows: `diabetes` of scikit-learn without the test part that quickstart's
seed 0 makes, Friedman's first function with noise, and a linear function with much noise. Each seed
divides the rows into 60 % to train on, 20 % to choose the epoch by and 20 % kept apart; what is
printed is R squared on those, of the epoch that was chosen and of the last one. The networks are
wide ones without a linear part, as they were, and those that `TableNet` makes of so few rows.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_diabetes, make_friedman1
from sklearn.linear_model import Ridge

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # measures this checkout

from benchmarks.machine import describe
from coflect_widget.projects.quickstart.networks.made import make, optimizer
from coflect_widget.projects.quickstart.splitting import divide

EPOCHS, BATCH = 60, 16


def sets() -> dict[str, tuple[NDArray[Any], NDArray[Any]]]:
    """Rows (N, columns) and values (N,) by name."""
    found = load_diabetes()
    parts = divide(found.target, np.arange(len(found.target)), classes=False, seed=0)
    kept = np.concatenate([parts.train, parts.validation])
    rng = np.random.default_rng(9)
    x = rng.normal(size=(400, 8))
    noisy = x @ rng.normal(size=8) + 3 * rng.normal(size=400)
    return {
        "diabetes": (found.data[kept], found.target[kept]),
        "friedman": make_friedman1(400, 10, noise=1.5, random_state=0),
        "linear": (x, noisy),
    }


def measured(
    x: NDArray[Any], y: NDArray[Any], seed: int, *, before: bool
) -> tuple[float, float, float]:
    """R squared apart: of the chosen epoch, of the last one, and of ridge regression."""
    order = np.random.default_rng(seed).permutation(len(y))
    first, second = int(0.6 * len(y)), int(0.8 * len(y))
    train, choose, apart = order[:first], order[first:second], order[second:]
    x = ((x - x[train].mean(0)) / x[train].std(0)).astype(np.float32)
    y = ((y - y[train].mean()) / y[train].std()).astype(np.float32)[:, None]
    columns = x.shape[1]
    facts: dict[str, Any] = {"net": "table", "columns": columns, "numbers": list(range(columns))}
    facts |= {"outputs": 1} if before else {"outputs": 1, "rows": len(train)}
    torch.manual_seed(seed)
    net = make(facts, seed, x[train], y[train])
    steps, inputs, wanted = optimizer()(net.parameters()), torch.from_numpy(x), torch.from_numpy(y)

    def skill(rows: NDArray[Any]) -> float:
        with torch.no_grad():
            off = ((net(inputs[rows]) - wanted[rows]) ** 2).mean()
        return 1 - float(off / wanted[rows].var(correction=0))

    best, chosen = -np.inf, np.nan
    for _ in range(EPOCHS):
        net.train()
        for batch in torch.from_numpy(train)[torch.randperm(len(train))].split(BATCH):
            steps.zero_grad()
            ((net(inputs[batch]) - wanted[batch]) ** 2).mean().backward()
            steps.step()
        net.eval()
        if (now := skill(choose)) > best:
            best, chosen = now, skill(apart)
    told = Ridge().fit(x[train], y[train, 0]).predict(x[apart])
    ridge = 1 - float(((told - y[apart, 0]) ** 2).mean() / y[apart].var())
    return chosen, skill(apart), ridge


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=6)
    given = parser.parse_args()
    torch.set_num_threads(1)
    print(describe())
    for name, (x, y) in sets().items():
        for before in (True, False):
            found = [measured(x, y, seed, before=before) for seed in range(given.seeds)]
            chosen, last, ridge = np.mean(found, 0)
            which = "as it was" if before else "as it is"
            print(f"{name}, {which}: chosen {chosen:.3f}, last {last:.3f}; ridge {ridge:.3f}")


if __name__ == "__main__":
    main()
