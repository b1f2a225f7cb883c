"""How well the forecast foretells, against what everybody has.

    python benchmarks/forecast/evaluate.py --cache DIR [--data-root DIR] [--seeds 10 11 12] [--fit]
    python benchmarks/forecast/evaluate.py --lists --cache DIR [--data-root DIR] [--fit]

Trainings without intervention: seeds x {cats and dogs, Fashion-MNIST} x {0, 10 % of the labels
flipped}, 12 epochs; forecasts at the ends of epochs 3 to 8, truth 4 epochs later from passes in
eval mode. Where the cache lacks runs, they are made first (about a minute of one processor
each). The weights that the model starts from are, for each data set, fitted on the other one;
``--fit`` prints the ones fitted on both, which `coflect_widget/forecast/prior.py` holds, and
``--shipped`` starts from these. ECE is the mean over the forecasts from epoch 6 on, each with its
own; "pooled" is that of all of them together. Of ONSET and PERSIST it is that among the samples
that they can befall, those that are right, or wrong, now; that among all samples, most of which
are known to be safe from it, is printed below. ``--lists`` prints something else, how the lists
fare that a person is shown: `forecast_lists`.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from itertools import product
from math import comb
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # measures this checkout

from benchmarks.forecast import lists, runs
from benchmarks.forecast.prior import CALIBRATED_FROM, prior
from benchmarks.forecast.replay import (
    PROBES,
    WINDOWS,
    Window,
    auroc,
    average_precision,
    ece,
    precision_at,
    probe_cost,
    replay,
)
from benchmarks.machine import describe
from coflect_widget.forecast.logistic import fit_line, logistic

TARGETS = ("STATE", "ONSET", "PERSIST")
#: Flipped labels that a queue of ten should not exceed.
FEW_FLIPPED = 2

Cell = tuple[str, float]
Windows = dict[int, list[Window]]  # by seed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--data-root", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=list(runs.SEEDS))
    parser.add_argument("--only", help="make one run, such as 'Fashion-MNIST,0.1,3', and end")
    parser.add_argument("--fit", action="store_true", help="print the weights to start from")
    parser.add_argument("--shipped", action="store_true",
                        help="start from the package's own weights in place of those")  # fmt: skip
    parser.add_argument("--probes", type=float, default=PROBES, help="share probed each epoch")
    parser.add_argument("--lists", action="store_true", help="how the lists shown fare, instead")
    args = parser.parse_args()
    if args.lists:
        lists.report(args.cache, args.data_root, args.seeds, fit=args.fit)
        return
    if args.only:
        data, noise, seed = args.only.split(",")
        runs.record(args.data_root, args.cache, data, float(noise), int(seed))
        return
    for data, noise, seed in product(runs.DATA, runs.NOISE, args.seeds):
        if args.data_root and not runs.path_of(args.cache, data, noise, seed).exists():
            runs.record(args.data_root, args.cache, data, noise, seed)
    found: dict[Cell, dict[int, runs.Recorded]] = defaultdict(dict)
    for data, noise, seed in product(runs.DATA, runs.NOISE, args.seeds):
        if runs.path_of(args.cache, data, noise, seed).exists():
            found[data, noise][seed] = runs.load(args.cache, data, noise, seed)
    print(describe())
    by_data = {data: [run for (name, _), of_seed in found.items() if name == data
                      for run in of_seed.values()] for data in runs.DATA}  # fmt: skip
    priors: dict[str, dict[str, Any]] = {data: {} for data in runs.DATA}
    if not args.shipped:
        for data in runs.DATA:
            others = [run for d in runs.DATA if d != data for run in by_data[d]]
            priors[data] = prior(others, args.probes)
            print(
                f"{data} start from", {n: np.round(w, 3).tolist() for n, w in priors[data].items()}
            )
    if args.fit:
        for name, value in prior([r for d in by_data.values() for r in d], args.probes).items():
            print(name.upper(), "=", np.round(value, 3).tolist())
    lifts = []
    for (data, noise), of_seed in found.items():
        windows = {s: list(replay(run, priors[data], args.probes)) for s, run in of_seed.items()}
        lifts.append(table(data, noise, windows))
        labels(of_seed, windows)
        cost = np.mean([probe_cost(run) for run in of_seed.values()])
        print(f"probes: {args.probes:.0%} of the samples an epoch, {cost:.2f} processor seconds")
    print(f"\nmean over cells of ONSET AP, ours / EMA of the loss: {np.mean(lifts):.2f}")


def population(target: str, window: Window) -> np.ndarray:
    """Whom the target is about: ONSET those right now, PERSIST those wrong now."""
    if target == "ONSET":
        return ~window.now
    return window.now if target == "PERSIST" else np.ones(len(window.now), bool)


def filled(values: np.ndarray, who: np.ndarray) -> np.ndarray:
    """`values` (K,) of those in `who` (N,), 0 of all others."""
    everyone = np.zeros(len(who), values.dtype)
    everyone[who] = values
    return everyone


def table(data: str, noise: float, windows: Windows) -> float:
    """Print one cell; returns ONSET AP over that of the EMA of the loss."""
    names = list(windows[min(windows)][0].scores)
    print(f"\n{data}, {noise:.0%} flipped, {len(windows)} seeds x {len(WINDOWS)} windows")
    print(f"{'':18s} {'':8s} {'P@10':>5s} {'lift':>5s} {'AP':>6s} {'AUROC':>6s} {'Brier':>6s} "
          f"{'ECE':>6s} {'pooled':>6s}  ours - it [95 %]")  # fmt: skip
    ratio = 0.0
    for target in TARGETS:
        aps: dict[str, np.ndarray] = {}
        ours: list[tuple[np.ndarray, np.ndarray]] = []
        whole: list[tuple[np.ndarray, np.ndarray]] = []
        for name in reversed(names):
            rows, pooled = [], []
            for of_run in windows.values():
                for w in of_run:
                    who = population(target, w)
                    score, chance, y = w.scores[name][who], w.chances[name][who], w.then[who]
                    if name == "ours" and target != "STATE":
                        chance = w.given[target == "ONSET"][who]
                    p10 = precision_at(score, y)
                    late = w.epoch >= CALIBRATED_FROM
                    if late:
                        pooled.append((chance, y))
                    if late and name == "ours":
                        whole.append((filled(chance, who), filled(y, who)))
                    rows.append((p10, p10 / max(y.mean(), 1e-9), average_precision(score, y),
                                 auroc(score, y), float(((chance - y) ** 2).mean()),
                                 ece(chance, y) if late else np.nan))  # fmt: skip
            values = np.array(rows).reshape(len(windows), -1, 6)
            aps[name] = values[:, :, 2]
            mean = np.nanmean(values, axis=(0, 1))
            if name == "ours":
                ours = pooled
            together = ece(*(np.concatenate(part) for part in zip(*pooled, strict=True)))
            line = "" if name == "ours" else "{:+.3f} [{:+.3f}, {:+.3f}]".format(
                *paired(aps["ours"] - aps[name]))  # fmt: skip
            print(f"{name:18s} {target:8s} {mean[0]:5.2f} {mean[1]:5.1f} {mean[2]:6.3f} "
                  f"{mean[3]:6.3f} {mean[4]:6.3f} {mean[5]:6.3f} "
                  f"{together:6.3f}  {line}")  # fmt: skip
        print(f"{'':18s} {target:8s} ECE of ours, shift and stretch fitted on the outcomes: of all "
              "together {:.3f}, of each {:.3f}".format(*fitted(ours)))  # fmt: skip
        each = np.mean([ece(*one) for one in whole])
        together = ece(*(np.concatenate(part) for part in zip(*whole, strict=True)))
        print(
            f"{'':18s} {target:8s} ECE of ours among all samples {each:.3f}, pooled {together:.3f}"
        )
        if target == "ONSET":
            ratio = float((aps["ours"].mean()) / aps["EMA of the loss"].mean())
            fast = float((aps["ours"].mean()) / aps["EMA, fast (.7)"].mean())
            print(f"ONSET AP, ours / EMA of the loss: {ratio:.2f} (/ the fast one: {fast:.2f})")
    return ratio


def fitted(forecasts: list[tuple[np.ndarray, np.ndarray]]) -> tuple[float, float]:
    """Mean ECE that is left where the outcomes of all forecasts, or of each, set the probability.

    The former is what nobody could foretell of the snapshot to come; the latter is chance.
    """
    chances = [np.clip(chance, 1e-6, 1 - 1e-6) for chance, _ in forecasts]
    scores = [np.log(chance / (1 - chance)) for chance in chances]
    of_all = fit_line(
        np.concatenate(scores), np.concatenate([y for _, y in forecasts]), (0.0, 1.0), (0.01, 0.01)
    )
    left: tuple[list[float], list[float]] = ([], [])
    for score, (_, y) in zip(scores, forecasts, strict=True):
        of_each = fit_line(score, y, (0.0, 1.0), (0.01, 0.01))
        for kept, (shift, stretch) in zip(left, (of_all, of_each), strict=True):
            kept.append(ece(logistic(shift + stretch * score), y))
    return float(np.mean(left[0])), float(np.mean(left[1]))


def paired(difference: np.ndarray, draws: int = 2000) -> tuple[float, float, float]:
    """Mean of (seeds, windows) and its 95 % interval, both drawn anew with replacement."""
    rng = np.random.default_rng(0)
    seeds, times = difference.shape
    s = rng.integers(0, seeds, (draws, seeds, 1))
    t = rng.integers(0, times, (draws, seeds, times))
    means = difference[s, t].mean(axis=(1, 2))
    low, high = np.quantile(means, [0.025, 0.975])
    return float(difference.mean()), float(low), float(high)


def labels(of_seed: dict[int, runs.Recorded], windows: Windows) -> None:
    """Print what queue and list of suspects held of the flipped labels."""
    in_queue, failed, rows = [], [], defaultdict(list)
    for seed, run in of_seed.items():
        for w in windows[seed]:
            in_queue.append(run.flipped[w.queue].sum())
            failed.append(w.then[w.queue].sum())
            hits = run.flipped[w.suspects].sum()
            flips = max(1, run.flipped.sum())
            same = np.argsort(-w.aum)[: len(w.suspects)]
            rows["listed"].append(len(w.suspects))
            rows["precision"].append(hits / max(1, len(w.suspects)))
            rows["recall"].append(hits / flips)
            rows["AUM recall"].append(run.flipped[same].sum() / flips)
            rows["AP"].append(average_precision(w.doubt, run.flipped))
            rows["AUM AP"].append(average_precision(w.aum, run.flipped))
    shown = ", ".join(f"{name} {np.mean(values):.2f}" for name, values in rows.items())
    few = np.mean(np.array(in_queue) <= FEW_FLIPPED)
    by_chance = np.mean([drawn_at_most(FEW_FLIPPED, run.flipped) for run in of_seed.values()])
    print(f"queue of 10: {np.mean(failed):.1f} failed, {np.mean(in_queue):.1f} flipped (most "
          f"{np.max(in_queue)}; at most {FEW_FLIPPED} in {few:.0%} of the queues, in "
          f"{by_chance:.0%} of ten drawn at random); suspects: {shown}")  # fmt: skip


def drawn_at_most(most: int, flipped: np.ndarray, drawn: int = 10) -> float:
    """Chance that of so many samples, drawn at random, at most `most` are flipped ones."""
    n, k = len(flipped), int(flipped.sum())
    ways = sum(comb(k, i) * comb(n - k, drawn - i) for i in range(most + 1))
    return ways / comb(n, drawn)


if __name__ == "__main__":
    main()
