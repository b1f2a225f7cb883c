"""What the forecast's model starts from, fitted on recorded trainings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.forecast.replay import HORIZON, WINDOWS, replay
from benchmarks.forecast.runs import Recorded
from coflect_widget.forecast.foresight import FEATURES
from coflect_widget.forecast.logistic import fit

#: Where weights start that nothing is known of: the margin counts, and nothing else.
BARE = {"failure": (0.0, -1.0, *([0.0] * (len(FEATURES) - 2)))}
#: Epochs from which on two windows have passed.
CALIBRATED_FROM = 6
#: What is tried for `own` and for `swing`.
OWNS = np.arange(0.6, 2.7, 0.2)
SWINGS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.6)


def prior(runs: Sequence[Recorded], probes: float) -> dict[str, Any]:
    """Arguments of a `Foresight` that fit these runs: `failure`, `trend`, `own`, `swing`."""
    found: dict[str, Any] = {"failure": tuple(_failure(runs, probes).tolist())}
    found["trend"] = _trend(runs)
    losses = {swing: _losses(runs, {**found, "swing": swing}, probes) for swing in SWINGS}
    found["swing"] = min(losses, key=lambda swing: losses[swing].min())
    found["own"] = float(OWNS[losses[found["swing"]].argmin()])
    return found


def _failure(runs: Sequence[Recorded], probes: float) -> np.ndarray:
    parts = []
    for run in runs:
        some = np.random.default_rng(run.seed).permutation(len(run.target))[:2000]
        parts.extend((w.x[some], w.then[some]) for w in replay(run, BARE, probes))
    x, y = (np.concatenate(part) for part in zip(*parts, strict=True))
    return fit(x, y, np.zeros(len(FEATURES)), np.full(len(FEATURES), 10.0))


def _trend(runs: Sequence[Recorded]) -> float:
    """Least squares, through the origin: the errors' way in a horizon on that in half of one."""
    was, came = [], []
    for run in runs:
        wrong = (run.seen.argmax(2) != run.target).mean(1)
        log_odds = np.log(wrong / (1 - wrong))
        for epoch in WINDOWS:
            if epoch < CALIBRATED_FROM:
                continue
            then = run.wrong[epoch - 1 + HORIZON].mean()
            was.append(log_odds[epoch - 1] - log_odds[epoch - 1 - HORIZON // 2])
            came.append(np.log(then / (1 - then)) - log_odds[epoch - 1])
    return float(np.dot(was, came) / np.dot(was, was))


def _losses(runs: Sequence[Recorded], start: Mapping[str, Any], probes: float) -> np.ndarray:
    """Mean surprise, for each of `OWNS`, at what became of samples known to be right, or wrong."""
    losses = []
    for run in runs:
        everyone = np.arange(len(run.target))
        for window in replay(run, start, probes):
            if window.epoch < CALIBRATED_FROM:
                continue
            losses.append([])
            for own in OWNS:
                window.model.calibration.own = own
                wrong, right = (window.model.probability(everyone, right=r) for r in (False, True))
                chance = np.where(window.now, wrong, right)
                said = np.where(window.then, chance, 1 - chance)
                losses[-1].append(-np.log(np.clip(said, 1e-6, 1)).mean())
    return np.mean(losses, axis=0)
