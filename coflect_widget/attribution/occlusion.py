"""Occlusion: how far a class falls as one unit of an input after another is taken out."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from coflect_widget.modalities.base import Array, Map, Modality

#: Inputs that the model sees at once.
_ROWS = 64


def occlusion(
    outputs: Callable[[Array], NDArray[np.float32]], x: Array, target: int, modality: Modality
) -> Map:
    """How far the logit of a class falls with each unit alone taken out.

    M. D. Zeiler and R. Fergus, "Visualizing and Understanding Convolutional Networks", ECCV 2014.
    A model sees as many inputs as the input has units.

    Parameters
    ----------
    outputs : callable
        Inputs (n, ...) to logits (n, classes).
    x : ndarray (1, ...)
    target : int

    Returns
    -------
    ndarray (E) float32
        Non-negative: what the class rises without counts as nothing.
    """
    extent = modality.extent(x[0])
    count = int(np.prod(extent))
    alone = np.eye(count, dtype=np.bool_).reshape(count, *extent)
    nothing = modality.baseline(x[0])[None]
    before = outputs(x)[0, target]
    falls = np.zeros(count, np.float32)
    for start in range(0, count, _ROWS):
        masks = alone[start : start + _ROWS]
        rows = modality.exchange(masks, np.repeat(x, len(masks), axis=0), nothing)
        falls[start : start + _ROWS] = before - outputs(rows)[:, target]
    found = np.maximum(falls, 0).reshape(1, *extent)
    units: Map = np.asarray(modality.to_units(found, x), np.float32)[0]
    return units
