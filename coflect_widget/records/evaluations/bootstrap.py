"""How far a figure could be another one with other samples of the same kind: the bootstrap.

B. Efron, "Bootstrap methods: another look at the jackknife", Annals of Statistics 7, 1979; the
interval is that of the percentiles, widened to the figure where that lies outside.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Of the interval, in percent.
COVERAGE = 95
_TAILS = ((100 - COVERAGE) / 2, (100 + COVERAGE) / 2)
#: Numbers drawn at once for the mean of a group.
_ROOM = 4_000_000
#: Seconds that resamples of all figures may take, as long as there are this many.
_SECONDS, _FEWEST = 60.0, 20


def intervals(
    figures: Callable[[NDArray[Any], NDArray[Any]], dict[str, float]],
    scores: NDArray[Any],
    targets: NDArray[Any],
    resamples: int,
    rng: np.random.Generator,
) -> tuple[dict[str, dict[str, float | None]], int]:
    """Each figure of all samples with its interval: ``value``, ``low``, ``high``; and resamples.

    None where a figure is not defined; resamples on which it is not are left out. Where many
    samples and classes would take more than a minute, fewer are drawn.
    """
    count, start = len(targets), time.monotonic()
    found = figures(scores, targets)
    drawn: dict[str, list[float]] = {name: [] for name in found}
    made = 0
    while made < resamples and (made < _FEWEST or time.monotonic() - start < _SECONDS):
        made += 1
        rows = rng.integers(0, count, count)
        for name, value in figures(scores[rows], targets[rows]).items():
            if math.isfinite(value):
                drawn[name].append(value)
    return {name: _interval(value, np.array(drawn[name])) for name, value in found.items()}, made


def of_mean(
    values: NDArray[np.float64], resamples: int, rng: np.random.Generator
) -> dict[str, float | None]:
    """The mean of a group (N,) with its interval, and ``n``."""
    count = len(values)
    at_once = max(1, _ROOM // count)
    means = [
        values[rng.integers(0, count, (min(at_once, resamples - done), count))].mean(1)
        for done in range(0, resamples, at_once)
    ]
    drawn = np.concatenate(means) if means else np.zeros(0)
    return {"n": count, **_interval(float(values.mean()), drawn)}


def _interval(value: float, drawn: NDArray[np.float64]) -> dict[str, float | None]:
    if not math.isfinite(value):
        return {"value": None, "low": None, "high": None}
    if not len(drawn):
        return {"value": value, "low": None, "high": None}
    low, high = np.percentile(drawn, _TAILS)
    # Resamples of a calibration error lie above it: a figure belongs to its own interval.
    return {"value": value, "low": min(float(low), value), "high": max(float(high), value)}
