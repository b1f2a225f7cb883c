"""Regions that are one artefact, and whether enough samples have it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from coflect_widget.modalities.base import BoolArray


def groups(same: BoolArray, labels: Sequence[int]) -> list[list[int]]:
    """Numbers of the regions of each artefact, the largest artefact first.

    Regions that look alike are one. So are groups of which each has classes of its own: a mark
    whose colour tells the class looks alike in no two classes.

    Parameters
    ----------
    same : ndarray (n, n) of bool, symmetric
    labels : sequence of int (n,)
    """
    left = set(range(len(same)))
    alike: list[list[int]] = []
    while left:
        reached: set[int] = set()
        new = {min(left)}
        while new:
            reached |= new
            new = {int(k) for k in np.flatnonzero(same[sorted(new)].any(0))} - reached
        left -= reached
        alike.append(sorted(reached))
    found: list[list[int]] = []
    for group in sorted(alike, key=len, reverse=True):
        classes = {labels[k] for k in group}
        for other in found:
            if not classes & {labels[k] for k in other}:
                other += group
                break
        else:
            found.append(group)
    return sorted(found, key=len, reverse=True)


def interval(values: NDArray[np.floating], seed: int) -> tuple[float, float]:
    """95 % interval of the mean of values (n,), by drawing them anew."""
    rng = np.random.default_rng(seed)
    means = rng.choice(values, (2000, len(values))).mean(1)
    low, high = np.quantile(means, (0.025, 0.975))
    return round(float(low), 3), round(float(high), 3)
