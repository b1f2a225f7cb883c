"""From a model's outputs to each sample's loss, signed margin and verdict."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray


def measure(
    logits: NDArray[np.float32], labels: NDArray[np.int64]
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]:
    """Cross-entropy (B,), signed margin (B,) and prediction (B,) of finite logits (B, C)."""
    row = np.arange(len(labels))
    predicted = logits.argmax(axis=1)
    peak = logits[row, predicted]
    # Two finite logits can be further apart than float32 reaches; such a row saturates.
    with np.errstate(over="ignore"):
        shifted = logits - peak[:, None]  # (B, C), largest is 0, so exp cannot overflow
        of_target = shifted[row, labels]
        loss = np.log(np.exp(shifted).sum(axis=1)) - of_target
        shifted[row, labels] = -np.inf
        margin = of_target - shifted.max(axis=1)
    most = np.float32(1e30)  # averages of saturated rows stay finite
    return np.minimum(loss, most), np.clip(margin, -most, most), predicted


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
