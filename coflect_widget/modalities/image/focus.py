"""Maps of pictures: without their grain, and where the focus lies."""

from __future__ import annotations

import functools

import numpy as np

from coflect_widget.modalities.base import Map, is_flat
from coflect_widget.modalities.strongest import strongest

Box = tuple[float, float, float, float]


def smoothed(values: Map) -> Map:
    """A map (H, W) without its grain: a Gaussian of 1/16 of the longer side."""
    sigma = max(values.shape) / 16
    height, width = values.shape
    smooth: Map = np.asarray(
        _gaussian(height, sigma) @ values @ _gaussian(width, sigma).T, np.float32
    )
    return smooth


@functools.lru_cache(maxsize=8)
def _gaussian(size: int, sigma: float) -> Map:
    """Weights (size, size) of a Gaussian mean; each row sums to 1, at the border too."""
    place = np.arange(size, dtype=np.float32)
    weights = np.exp(-((place[:, None] - place) ** 2) / (2 * sigma**2))
    shares: Map = (weights / weights.sum(1, keepdims=True)).astype(np.float32)
    return shares


def focus_bbox(values: Map, threshold: float = 0.5) -> Box | None:
    """Tight box round the strongest connected region of a map (H, W).

    Parameters
    ----------
    values : ndarray (H, W) in [0, 1]
    threshold : float
        Share of the smoothed map's maximum that belongs to a region.

    Returns
    -------
    (x0, y0, x1, y1) or None
        Fractions of width and height, origin top left; None for a flat map.
    """
    # Here and not above: it costs 0.3 s, and only workers look for boxes.
    from scipy import ndimage  # type: ignore[import-untyped]  # scipy ships no types

    if is_flat(values):
        return None
    height, width = values.shape
    # Single noisy pixels must not decide where a region ends.
    smooth = ndimage.gaussian_filter(values, sigma=max(height, width) / 64, mode="nearest")
    rows, columns = strongest(smooth, threshold)
    return (
        columns.start / width,
        rows.start / height,
        columns.stop / width,
        rows.stop / height,
    )
