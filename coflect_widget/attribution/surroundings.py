"""Of which places a region's class hangs, for models with outputs for each place of an input.

The gradient of a region's score is largest in the region itself: what lies far from it and decides
its class is not seen there. So windows of the input are taken out one after another, and the class
is read where nothing was taken out.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from coflect_widget.modalities.base import Array, BoolArray, Map, Modality

#: Share of the places that a window covers.
_SHARE = 0.06
#: Steps from a window to the next, along an axis, in parts of its side.
_STEP = 1 / 3
#: Places beside a window that are not read either, likewise.
_MARGIN = 1 / 8
#: Numbers that the model gives at once, about.
_NUMBERS = 2**23

#: Log-odds (B,) and probability (B,) of one class in mean logits (B, C).
Odds = Callable[[NDArray[np.float32], int], tuple[NDArray[np.float64], NDArray[np.float64]]]


def surroundings(
    places: Callable[[Array], NDArray[np.float32]],
    x: Array,
    region: BoolArray,
    target: int,
    odds: Odds,
    modality: Modality,
) -> Map:
    """How far a region's class falls without what stands in each place.

    Occlusion (M. D. Zeiler and R. Fergus, "Visualizing and Understanding Convolutional Networks",
    ECCV 2014) whose score is the mean over those places of the region that are neither in the
    window nor right beside it: that a place without its own pixels is of no class says nothing.

    Parameters
    ----------
    places : callable
        Inputs (n, ...) to logits (n, C, *E).
    x : ndarray (1, ...)
    region : ndarray (E) of bool
    target : int
        The class.
    odds : callable
        `Task.odds`.
    modality : Modality
        Its `baseline` stands where something is taken out.

    Returns
    -------
    ndarray (E) float32
        In nats, not negative: the mean rise of the class's cross-entropy over the windows that a
        place is in. Windows that leave nothing of the region to be read count as 0.
    """
    extent = region.shape
    hidden, unread = _windows(extent)
    nothing = modality.baseline(x[0])[None]
    own = places(x).reshape(1, -1, region.size)
    rows_at_once = max(1, min(len(hidden), _NUMBERS // own.size))
    total, covered = np.zeros(region.size), np.zeros(region.size)
    for start in range(0, len(hidden), rows_at_once):
        masks = hidden[start : start + rows_at_once]
        rows = modality.exchange(masks, np.repeat(x, len(masks), axis=0), nothing)
        seen = places(rows).reshape(len(masks), -1, region.size)
        read = (region & ~unread[start : start + rows_at_once]).reshape(len(masks), region.size)
        before, after = (_loss(odds, logits, read, target) for logits in (own, seen))
        risen = np.where(read.any(1), np.maximum(after - before, 0), 0)
        flat = masks.reshape(len(masks), region.size)
        total += risen @ flat
        covered += flat.sum(0)
    found: Map = (total / np.maximum(covered, 1)).reshape(extent).astype(np.float32)
    return found


def _loss(odds: Odds, logits: NDArray[np.float32], read: BoolArray, target: int) -> Array:
    """Cross-entropy (n,) of a class in the mean of logits (n or 1, C, P) over `read` (n, P)."""
    inside = read[:, :, None].astype(np.float32)
    means = (logits @ inside)[:, :, 0] / np.maximum(inside.sum(1), 1)
    loss: Array = np.logaddexp(0, -odds(means, target)[0])
    return loss


def _windows(extent: tuple[int, ...]) -> tuple[BoolArray, BoolArray]:
    """Windows (n, E) of equal sides that cover all places, and the same with a margin."""
    equal = max(1, round((_SHARE * math.prod(extent)) ** (1 / len(extent))))
    sides = [min(equal, length) for length in extent]
    starts = []
    for length, side in zip(extent, sides, strict=True):
        step = max(1, round(side * _STEP))
        starts.append(sorted({min(at, length - side) for at in range(0, length, step)}))
    corners = list(itertools.product(*starts))
    inner, outer = (np.zeros((len(corners), *extent), np.bool_) for _ in range(2))
    for row, corner in enumerate(corners):
        pairs = list(zip(corner, sides, strict=True))
        inner[row][tuple(slice(at, at + side) for at, side in pairs)] = True
        wide = [(at, side, max(1, round(side * _MARGIN))) for at, side in pairs]
        outer[row][tuple(slice(max(0, at - m), at + side + m) for at, side, m in wide)] = True
    return inner, outer
