"""Shapley values by sampling: what each feature adds, over orders in which they become known."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from coflect_widget.modalities.base import Array, Map, Modality

#: Inputs that the model sees at once, and for one map at most.
_ROWS, _MOST = 256, 20_000
#: Columns whose companions are found at once.
_COLUMNS = 64


def shapley(
    outputs: Callable[[Array], NDArray[np.float32]],
    x: Array,
    target: int,
    modality: Modality,
    orders: int,
    seed: int,
) -> Map:
    """How far each feature moves the logit of a class, in the mean over orders of all features.

    E. Strumbelj and I. Kononenko, "An Efficient Explanation of Individual Classifications using
    Game Theory", JMLR 2010. What is not known yet is as the modality's baseline. Each order is
    followed by its reverse, which evens out what features share (R. Mitchell et al., "Sampling
    Permutations for Shapley Value Estimation", JMLR 2022).

    Parameters
    ----------
    outputs : callable
        Inputs (n, F) to logits (n, classes).
    x : ndarray (1, F)
    target : int
    orders : int
        At most so many are drawn; fewer where the model would see more than 20,000 inputs.
    seed : int
        Of the orders.

    Returns
    -------
    ndarray (F,) float32
        Magnitudes. Columns that are exchanged together have equal parts of one value.
    """
    feature = _features(x[0], modality)
    count = int(feature.max()) + 1
    nothing = np.broadcast_to(modality.baseline(x[0]), x[0].shape)
    rng = np.random.default_rng(seed)
    pairs = max(1, min(orders, _MOST // (count + 1)) // 2)
    total = np.zeros(count)
    for _ in range(pairs):
        order = rng.permutation(count)
        for one in (order, order[::-1]):
            place = np.argsort(one)  # when each feature becomes known
            told = np.concatenate([
                outputs(rows)[:, target] for rows in _rows(x[0], nothing, place[feature], count)
            ])  # fmt: skip
            total[one] += np.diff(told.astype(np.float64))
    size = np.bincount(feature)
    values: Map = (np.abs(total) / (2 * pairs) / size)[feature].astype(np.float32)
    return values


def _features(x: Array, modality: Modality) -> NDArray[np.int64]:
    """Number of each column's feature (F,): columns that are exchanged together have one."""
    count = len(x)
    first = np.zeros(count, np.int64)
    for at in range(0, count, _COLUMNS):
        masks = np.zeros((min(_COLUMNS, count - at), count), np.bool_)
        masks[np.arange(len(masks)), at + np.arange(len(masks))] = True
        known, other = (np.full(masks.shape, value, np.float32) for value in (0, 1))
        first[at : at + _COLUMNS] = modality.exchange(masks, known, other).argmax(1)
    return np.unique(first, return_inverse=True)[1]


def _rows(x: Array, nothing: Array, place: NDArray[np.int64], count: int) -> Iterator[Array]:
    """The input with the first 0, 1, ... `count` features known, in parts (n, F)."""
    for at in range(0, count + 1, _ROWS):
        known = place < np.arange(at, min(at + _ROWS, count + 1))[:, None]
        yield np.where(known, x, nothing).astype(x.dtype)
