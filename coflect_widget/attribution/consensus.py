"""Numbers over maps of any extent, in numpy: normalising, blending, agreement."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from coflect_widget.modalities.base import Map, is_flat
from coflect_widget.native import kernels

#: Share of a map's units whose overlap counts in `agreement`.
TOP_SHARE = 0.10
#: Noisy copies that SmoothGrad computes at once; after each such batch it may stop ...
NOISE_BATCH = 8
#: ... if its map's standard error is below this share of the map's own contrast.
TOLERANCE = 0.3


def normalise(values: NDArray[np.floating]) -> Map:
    """Scale a map to [0, 1] with largest value 1; negative values become 0.

    A map without positive values becomes all 0.

    Raises
    ------
    FloatingPointError
        If a value is NaN or infinite.
    """
    if not np.isfinite(values).all():
        raise FloatingPointError("the map has NaN or infinite values")
    positive = np.maximum(np.asarray(values, dtype=np.float32), 0)
    top = float(positive.max(initial=0.0))
    # Below the smallest normal number the division would give noise or overflow.
    if top < np.finfo(np.float32).tiny:
        return np.zeros_like(positive)
    return np.minimum(positive / top, 1).astype(np.float32)


def consensus(livecam: Map, smoothgrad: Map, smooth: Callable[[Map], Map]) -> Map:
    """Blend of two maps (E) in [0, 1]: LiveCAM ** 1.5 times smoothed SmoothGrad ** 0.5.

    `smooth` is `Modality.smooth`. A unit counts where both look, and LiveCAM, which knows the
    region, counts for more than SmoothGrad, which knows its edges. Of the rules that were compared
    where the right region is known, it is the one that pointed best and still gathered more than
    either map alone; see docs/maps.md.
    """
    return normalise(livecam**1.5 * np.sqrt(normalise(smooth(smoothgrad))))


def agreement(a: NDArray[np.floating], b: NDArray[np.floating]) -> float | None:
    """How far two maps of equal shape say the same, in [0, 1].

    The geometric mean of Spearman's rank correlation and the overlap of the strongest 10 % of
    the units, corrected for chance; negative ones count as 0. Identical maps give 1. Unrelated
    ones give less than 0.1 in the mean, also smooth ones, of which either number alone is often
    larger by chance.

    Returns
    -------
    float or None
        None, "not defined", where a map is flat.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    if a.shape != b.shape:
        raise ValueError(f"maps of shapes {a.shape} and {b.shape} cannot be compared")
    x, y = np.ravel(a).astype(np.float64), np.ravel(b).astype(np.float64)
    if is_flat(x) or is_flat(y):
        return None
    alike = _compiled(a, b) or (_spearman(x, y), _overlap(x, y))
    score = np.sqrt(max(0.0, alike[0]) * max(0.0, alike[1]))
    return float(min(1.0, score))


def _compiled(a: NDArray[np.floating], b: NDArray[np.floating]) -> tuple[float, float] | None:
    """Rank correlation and overlap by the compiled kernel; None where numpy has to find them."""
    module = kernels().module
    if module is None or not a.dtype == b.dtype == np.float32:
        return None
    x, y = (np.ascontiguousarray(values).ravel() for values in (a, b))
    found: tuple[float, float] | None = module.agreement(x, y, _strongest(x.size))
    return found


def _strongest(size: int) -> int:
    return max(1, round(TOP_SHARE * size))


def relative_error(maps: NDArray[np.floating]) -> float:
    """Standard error of the mean of `maps` (B, E), B at least 2, as a share of its contrast.

    Both are root mean squares over the units; infinite where there is no contrast.
    """
    mean = maps.mean(0)
    # The contrast that is seen has the error in it too; what remains is the map's own.
    error = float(maps.var(0, ddof=1).sum()) / len(maps)
    own = float(((mean - mean.mean()) ** 2).sum()) - error
    return float(np.sqrt(error / own)) if own > 0 else float("inf")


def _spearman(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    ranks_x, ranks_y = _ranks(x), _ranks(y)
    ranks_x -= ranks_x.mean()
    ranks_y -= ranks_y.mean()
    return float(ranks_x @ ranks_y / np.sqrt((ranks_x @ ranks_x) * (ranks_y @ ranks_y)))


def _ranks(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ranks from 1, ties averaged: a class-activation map is 0 in many places."""
    _, place, counts = np.unique(x, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    mean_rank: NDArray[np.float64] = (last - (counts - 1) / 2)[place]
    return mean_rank


def _overlap(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    top_x, top_y = _top(x), _top(y)
    larger = max(int(top_x.sum()), int(top_y.sum()))
    shared = float((top_x & top_y).sum()) / larger
    by_chance = min(int(top_x.sum()), int(top_y.sum())) / x.size
    return (shared - by_chance) / (1 - by_chance)


def _top(x: NDArray[np.float64]) -> NDArray[np.bool_]:
    """The strongest units; never those at the minimum, of which a sparse map is full."""
    count = _strongest(x.size)
    edge = np.partition(x, -count)[-count]
    top: NDArray[np.bool_] = (x >= edge) & (x > x.min())
    return top
