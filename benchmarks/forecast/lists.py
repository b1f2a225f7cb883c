"""How the lists fare that a person is shown: who of them fails, and how sure they were said to.

What ``evaluate.py --lists`` prints. Trainings by `runs.SHORT`, as a session does where
nothing is said: a constant learning rate, batches of 64; 5,000 samples, 8 epochs. The lists of
epoch 5 against an evaluation of all samples at epoch 8 (a horizon of 3). "As it was" are the ten
of the queue before it had two lists, which left out every sample with a doubt above .2.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import product
from pathlib import Path

import numpy as np

from benchmarks.forecast import runs
from benchmarks.forecast.replay import play
from benchmarks.machine import describe
from coflect_widget.forecast.logistic import fit_line, logistic
from coflect_widget.forecast.queue import Queue

EPOCH, DUE = 5, 8
#: (epoch, horizon) of lists that shift and stretch are fitted on.
FITTED_ON = ((4, 2), (5, 2), (6, 2), (4, 3), (5, 3), (4, 4))
#: How firmly they are held to 0 and 1 then: no training among these errs so seldom that its list
#: is of samples with hardly a risk, where a stretch far below 1 would make much of nothing.
FIRMNESS = (1.0, 300.0)

#: Of a list: shares that failed, mean risk that was shown, rows, flipped labels among them.
Fared = tuple[float, float, int, int]


def report(cache: Path, root: Path | None, seeds: list[int], *, fit: bool) -> None:
    """Record what is missing and print one table a data set and share of flipped labels."""
    cells = list(product(runs.DATA, runs.NOISE))
    for (data, noise), seed in product(cells, seeds):
        if root and not runs.path_of(cache, data, noise, seed, runs.SHORT).exists():
            runs.record(root, cache, data, noise, seed, runs.SHORT)
    found: dict[tuple[str, float], list[runs.Recorded]] = defaultdict(list)
    for (data, noise), seed in product(cells, seeds):
        if runs.path_of(cache, data, noise, seed, runs.SHORT).exists():
            found[data, noise].append(runs.load(cache, data, noise, seed, runs.SHORT))
    print(describe())
    if fit:
        fitted([run for of_cell in found.values() for run in of_cell])
    for (data, noise), of_cell in found.items():
        fared: dict[str, list[Fared]] = defaultdict(list)
        rates = []
        for run in of_cell:
            queue = at(run, EPOCH, DUE - EPOCH)
            rates.append(queue.noise.rate)
            for name, one in lists(run, queue).items():
                fared[name].append(one)
        seeds_of = ", ".join(str(run.seed) for run in of_cell)
        print(f"\n{data}, {noise:.0%} flipped, seeds {seeds_of}; said of the labels: "
              + ", ".join(f"{rate:.0%}" for rate in rates))  # fmt: skip
        print(f"{'':16s} {'rows':>5s} {'fail':>5s} {'shown':>6s} {'apart':>6s} {'flipped':>8s}"
              "  of ten, by seed")  # fmt: skip
        for name, rows in fared.items():
            failed, shown, count, flipped = np.array(rows).mean(axis=0)
            each = " ".join(f"{10 * row[0]:.0f}" for row in rows)
            said = "" if np.isnan(shown) else f"{shown:6.2f} {abs(shown - failed):6.2f}"
            print(f"{name:16s} {count:5.1f} {failed:5.2f} {said:13s} {flipped:8.1f}  {each}")


def at(run: runs.Recorded, epoch: int, horizon: int) -> Queue:
    """The queue as it is at the end of `epoch`."""
    return next(queue for e, queue in play(run, horizon, {}) if e == epoch)


def lists(run: runs.Recorded, queue: Queue) -> dict[str, Fared]:
    """Each list, and the ten that other ways would have named, by name."""
    store = queue.foresight.store
    wrong = run.wrong[DUE - 1]

    def fared(rows: np.ndarray, shown: np.ndarray | None = None) -> Fared:
        mean = float("nan") if shown is None else float(shown.mean())
        return float(wrong[rows].mean()), mean, len(rows), int(run.flipped[rows].sum())

    both = queue.listed(True, False)
    certain = np.where(store.doubt > 0.2, -np.inf, store.score)
    return {
        "will be wrong": fared(both.rows[:10], both.risk[:10]),
        "at risk": fared(*queue.listed(True)),
        "wrong now": fared(*queue.listed(False)),
        "score alone": fared(np.argsort(-store.score)[:10]),
        "EMA, fast (.7)": fared(np.argsort(-store.loss_fast)[:10]),
        "as it was": fared(np.argsort(-certain)[:10]),
    }


def fitted(recorded: list[runs.Recorded]) -> None:
    """Print the shift and stretch that `coflect_widget/forecast/prior.py` holds for lists."""
    for right, name in ((False, "LISTED_WRONG"), (True, "LISTED_RIGHT")):
        odds, outcomes = [], []
        for run, (epoch, horizon) in product(recorded, FITTED_ON):
            rows, _, log_odds = at(run, epoch, horizon).ranked(right)
            odds.append(log_odds)
            outcomes.append(run.wrong[epoch + horizon - 1][rows])
        x, y = np.concatenate(odds), np.concatenate(outcomes)
        shift, stretch = fit_line(x, y, (0.0, 1.0), FIRMNESS)
        print(f"{name} = ({shift:.2f}, {stretch:.2f})  # of {len(y)} that were said to fail at "
              f"{logistic(x).mean():.2f}, {y.mean():.2f} did")  # fmt: skip
