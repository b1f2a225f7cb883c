"""From a model's outputs to each sample's loss, signed margin and verdict."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: Up to so many classes the logits are worked on class by class: numpy is slow at short rows.
FEW = 32
#: Logits beyond which rows are worked on in parts that the caches hold.
_PART = 1 << 16
LARGE = np.float32(1e30)  # averages of saturated rows stay finite

_Measured = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]


def measure(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> _Measured:
    """Cross-entropy (B,), signed margin (B,) and prediction (B,) of finite logits (B, C)."""
    rows, classes = logits.shape
    # Two finite logits can be further apart than float32 reaches; such a row saturates.
    with np.errstate(over="ignore"):
        if classes <= FEW:
            return _by_class(logits, labels)
        if logits.size <= _PART:
            return _by_row(logits, labels)
        step = max(1, _PART // classes)
        parts = [slice(first, first + step) for first in range(0, rows, step)]
        loss, margin, predicted = zip(*(_by_row(logits[p], labels[p]) for p in parts), strict=True)
        return np.concatenate(loss), np.concatenate(margin), np.concatenate(predicted)


def _by_row(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> _Measured:
    row = np.arange(len(labels))
    predicted = logits.argmax(axis=1)
    # Row after row in memory: otherwise numpy adds a thousand numbers one by one, and rounds each.
    logits = np.ascontiguousarray(logits)
    shifted = logits - logits[row, predicted][:, None]  # largest is 0, so exp cannot overflow
    of_target = shifted[row, labels]
    loss = np.log(np.exp(shifted).sum(axis=1)) - of_target
    shifted[row, labels] = -np.inf
    return _bounded(loss, of_target - shifted.max(axis=1), predicted)


def _by_class(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> _Measured:
    rows, classes = logits.shape
    shifted = logits.T.copy()
    peak = shifted.max(axis=0)
    # Of equal ones the first counts: it is given the largest number.
    order = np.arange(classes, 0, -1, dtype=np.uint8)[:, None]
    predicted = classes - ((shifted == peak) * order).max(axis=0).astype(np.int64)
    shifted -= peak
    at = labels * rows + np.arange(rows)
    numbers = shifted.reshape(-1)  # single places are quicker found by one number than by two
    of_target = numbers.take(at)
    numbers[at] = -np.inf
    margin = of_target - shifted.max(axis=0)
    numbers[at] = of_target
    loss = np.log(np.exp(shifted, out=shifted).sum(axis=0)) - of_target
    return _bounded(loss, margin, predicted)


def _bounded(
    loss: NDArray[np.float32], margin: NDArray[np.float32], predicted: NDArray[np.int64]
) -> _Measured:
    return np.minimum(loss, LARGE), np.clip(margin, -LARGE, LARGE), predicted
