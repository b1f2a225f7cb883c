"""Fewer points, same picture: the lowest and the highest point of each stretch are kept."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def decimate(points: NDArray[np.float64], limit: int) -> NDArray[np.float64]:
    """Reduce (N, 2) points, ordered by their first column, to at most `limit` of them.

    The first and the last point stay; of each stretch between, the minimum and the maximum,
    in their order, so that no spike is lost, and one that is no number, where there is any.
    """
    if len(points) <= limit:
        return points
    if limit < 5:
        raise ValueError(f"limit = {limit}; at least 5 points are needed")
    inner = points[1:-1]
    values = inner[:, 1]
    unknown = ~np.isfinite(values)
    stretches = (limit - 2) // (3 if unknown.any() else 2)
    edges = np.linspace(0, len(inner), stretches + 1).astype(np.int64)
    starts = edges[:-1]
    # reduceat gives each stretch's extremes; the positions come from one comparison of all.
    low = np.minimum.reduceat(np.where(unknown, np.inf, values), starts)
    high = np.maximum.reduceat(np.where(unknown, -np.inf, values), starts)
    lengths = np.diff(edges)
    position = np.arange(len(values))
    far = len(values)
    at = [
        np.minimum.reduceat(np.where(wanted, position, far), starts)
        for wanted in (
            values == np.repeat(low, lengths), values == np.repeat(high, lengths), unknown
        )
    ]  # fmt: skip
    keep = np.unique(np.concatenate(at))
    return np.concatenate([points[:1], inner[keep[keep < far]], points[-1:]])
