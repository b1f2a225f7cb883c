"""The strongest connected region of a map of two axes."""

from __future__ import annotations

import numpy as np

from coflect_widget.modalities.base import Map


def strongest(smooth: Map, share: float) -> tuple[slice, slice]:
    """Rows and columns of the region with the most mass.

    Parameters
    ----------
    smooth : ndarray (rows, columns) of float
        Without its grain, or single noisy units would decide where a region ends.
    share : float
        Of the largest value, from which on a unit belongs to a region.
    """
    # Here and not above: it costs 0.3 s, and only workers look for regions.
    from scipy import ndimage  # type: ignore[import-untyped]  # scipy ships no types

    labels, count = ndimage.label(smooth >= share * smooth.max(), structure=np.ones((3, 3)))
    mass = ndimage.sum_labels(smooth, labels, index=range(1, count + 1))
    rows, columns = ndimage.find_objects(labels)[int(np.argmax(mass))]
    return rows, columns
