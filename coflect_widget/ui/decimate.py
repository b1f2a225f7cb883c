"""Fewer points, same picture: the lowest and the highest point of each stretch are kept."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def decimate(points: NDArray[np.float64], limit: int) -> NDArray[np.float64]:
    """Reduce (N, 2) points, ordered by their first column, to at most `limit` of them.

    The first and the last point stay; of each stretch between, the minimum and the maximum,
    in their order, so that no spike is lost. A stretch without a finite value keeps its first.
    """
    if len(points) <= limit:
        return points
    if limit < 4:
        raise ValueError(f"limit = {limit}; at least 4 points are needed")
    inner = points[1:-1]
    stretches = (limit - 2) // 2
    edges = np.linspace(0, len(inner), stretches + 1).astype(np.int64)
    values = inner[:, 1]
    starts = edges[:-1]
    # reduceat gives each stretch's extremes; the positions come from one comparison of all.
    low = np.minimum.reduceat(np.where(np.isfinite(values), values, np.inf), starts)
    high = np.maximum.reduceat(np.where(np.isfinite(values), values, -np.inf), starts)
    lengths = np.diff(edges)
    position = np.arange(len(values))
    far = len(values)
    at_low = np.minimum.reduceat(np.where(values == np.repeat(low, lengths), position, far), starts)
    at_high = np.minimum.reduceat(
        np.where(values == np.repeat(high, lengths), position, far), starts
    )
    at_low = np.where(at_low == far, starts, at_low)
    at_high = np.where(at_high == far, starts, at_high)
    keep = np.unique(np.concatenate([at_low, at_high]))
    return np.concatenate([points[:1], inner[keep], points[-1:]])
