"""From a model's outputs to each sample's loss, signed margin and verdict."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

#: Up to so many classes the logits are worked on class by class: numpy is slow at short rows.
FEW = 32
#: Logits beyond which rows are worked on in parts that the caches hold.
_PART = 1 << 16
_LARGE = np.float32(1e30)  # averages of saturated rows stay finite

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
    return np.minimum(loss, _LARGE), np.clip(margin, -_LARGE, _LARGE), predicted


class RecentErrors:
    """Tells which errors are unusually large: above a quantile of the newest few thousand."""

    def __init__(self, quantile: float, kept: int = 4096) -> None:
        if not 0 < quantile < 1:
            raise ValueError(f"error_quantile = {quantile}; expected more than 0 and less than 1")
        self.quantile = quantile
        self.threshold = math.nan
        self._newest: NDArray[np.float32] = np.zeros(kept, np.float32)
        self._count = 0

    def measure(
        self, errors: NDArray[np.float32], usable: NDArray[np.bool_]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]:
        """Error (B,), margin (B,) and class (B,): 1 where it is unusual, 0 where not."""
        kept = len(self._newest)
        new = errors[usable][-kept:]
        self._newest[(self._count + np.arange(len(new))) % kept] = new
        self._count += len(new)
        if self._count:
            known = self._newest[: min(self._count, kept)]
            self.threshold = float(np.quantile(known, self.quantile))
        tiny = np.float32(1e-30)  # an error of nothing is far on the safe side, not infinitely
        limit = np.float32(max(self.threshold, 0.0)) + tiny
        margin = np.log(limit) - np.log(np.maximum(errors, 0) + tiny)
        return errors, margin, (errors > limit).astype(np.int64)
