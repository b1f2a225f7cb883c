"""Data that come in batches, read more than once: whether samples keep their places, and an order.

Such data give no sample a place of its own; its place is that of the first reading.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

#: Samples that are read twice, to see whether they are drawn anew.
_TWICE = 64
#: Samples of an epoch that is read anew wait in a window of this size, to be mixed.
_WINDOW = 64 * 2**20


class OrderChangedError(ValueError):
    """A further reading has other samples, or the same in another order."""


class Rereadable(Protocol):
    """Data in batches that can be read again."""

    @property
    def keeps_order(self) -> bool:
        """Whether nothing is known that would change the order from reading to reading."""

    def batches(self, ranks: NDArray[np.int64] | None = None) -> Iterator[tuple[int, Array, Array]]:
        """Place of the first sample, inputs (b, ...) and labels (b, ...) of each batch.

        Where batches can be read in any order, that with the lowest `ranks` (N,) comes first.
        """


def second_look(data: Rereadable, inputs: Array, labels: Array) -> str:
    """What a second reading has: "same" samples, drawn "anew" in one order, or neither.

    The same samples in another order are "same" too, because the session draws its own.
    """
    again = _some(data, _TWICE)
    n = len(again[0])
    if again[0].shape[1:] != inputs.shape[1:] or n > len(inputs):
        return "copies"
    same_labels = np.array_equal(again[1], labels[:n])
    if same_labels and _bytes(again[0]) == _bytes(inputs[:n]):
        return "same"
    known = {hash(_bytes(one)) for one in inputs}
    if all(hash(_bytes(one)) in known for one in again[0]):
        return "same"
    if not same_labels or not data.keeps_order:
        return "copies"
    everything = _some(data, len(labels) + 1)[1]
    return "anew" if np.array_equal(everything, labels) else "copies"


def _some(data: Rereadable, count: int) -> tuple[Array, Array]:
    """At least the first `count` samples, or all; inputs of at most _TWICE of them."""
    inputs: list[Array] = []
    labels: list[Array] = []
    found = 0
    for _, x, y in data.batches():
        if found < _TWICE:
            inputs.append(x)
        labels.append(y)
        found += len(x)
        if found >= count:
            break
    return np.concatenate(inputs), np.concatenate(labels)


def _bytes(array: Array) -> bytes:
    return np.ascontiguousarray(array).tobytes()


def in_order(
    data: Rereadable, order: NDArray[np.int64], sizes: list[int]
) -> Iterator[tuple[NDArray[np.int64], Array, Array]]:
    """One more reading, in batches of `sizes`: indices (b,), inputs (b, ...), labels (b, ...).

    Samples come as near to `order` as a window in memory allows: all of them where they are few.

    Raises
    ------
    OrderChangedError
        If the reading does not have one sample for each index of `order`.
    """
    ranks = np.empty(len(order), np.int64)
    ranks[order] = np.arange(len(order))
    waiting: list[tuple[int, int, Array, Any]] = []  # rank, index, input, label
    left = iter(sizes)
    size = next(left, 0)
    room = 0
    for first, inputs, labels in data.batches(ranks):
        if first + len(inputs) > len(order):
            raise OrderChangedError("more samples than before")
        room = room or max(4 * max(sizes), _WINDOW // max(1, inputs[0].nbytes))
        for place, (x, y) in enumerate(zip(inputs, labels, strict=True), first):
            heapq.heappush(waiting, (int(ranks[place]), place, x.copy(), y))
        while size and len(waiting) >= room + size:
            yield _taken(waiting, size)
            size = next(left, 0)
    while size:
        if len(waiting) < size:
            raise OrderChangedError("fewer samples than before")
        yield _taken(waiting, size)
        size = next(left, 0)


def _taken(
    waiting: list[tuple[int, int, Array, Any]], size: int
) -> tuple[NDArray[np.int64], Array, Array]:
    taken = [heapq.heappop(waiting) for _ in range(size)]
    indices = np.array([place for _, place, _, _ in taken], np.int64)
    return indices, np.stack([x for _, _, x, _ in taken]), np.stack([y for *_, y in taken])
