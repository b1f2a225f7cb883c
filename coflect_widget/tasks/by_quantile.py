"""Tasks in which a sample is right where its loss is usual: not above a quantile of the newest."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coflect_widget.tasks.base import PerSample, Values, Words


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
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Margin (B,), and whether the error is unusual (B,)."""
        kept = len(self._newest)
        new = errors[usable][-kept:]
        self._newest[(self._count + np.arange(len(new))) % kept] = new
        self._count += len(new)
        self._look()
        tiny = np.float32(1e-30)  # an error of nothing is far on the safe side, not infinitely
        limit = np.float32(max(self.threshold, 0.0)) + tiny
        margin = np.log(limit) - np.log(np.maximum(errors, 0) + tiny)
        return margin, errors > limit

    def kept(self) -> NDArray[np.float32]:
        """A copy of the newest errors, oldest first, for a checkpoint."""
        first = self._count % len(self._newest) if self._count > len(self._newest) else 0
        return np.roll(self._newest, -first)[: self._count]

    def take(self, errors: NDArray[np.float32]) -> None:
        """Go on with what `kept` gave, in the place of what is remembered here."""
        errors = errors[-len(self._newest) :]
        self._newest[: len(errors)] = errors
        self._count = len(errors)
        self._look()

    def _look(self) -> None:
        known = self._newest[: self._count]
        self.threshold = float(np.quantile(known, self.quantile)) if len(known) else math.nan


class ByQuantile:
    """What such tasks share; see `tasks.base.Task`."""

    words: Words
    recent: RecentErrors

    def measured(self, loss: NDArray[np.float32], values: Values | None = None) -> PerSample:
        """Samples by their losses (B,); a row whose loss is not finite says nothing."""
        finite = np.isfinite(loss)
        usable = None if finite.all() else finite
        if usable is not None:
            loss = np.where(usable, loss, np.float32(0))
        margin, large = self.recent.measure(loss, finite)
        none = np.zeros(len(loss), np.int64)
        return PerSample(loss, margin, ~large, large.astype(np.int64), none, usable, None, values)

    def cross_entropy(self, outputs: Any, targets: Any, losses: Any = None) -> None:
        return None

    def chance(self, commonest: float | None = None) -> float:
        return 0.0

    def has_label(self, label: int) -> bool:
        return False

    def outcomes(self, names: list[str] | None) -> list[str]:
        return list(self.words.outcomes)

    def explained(self, target: int | None) -> int | None:
        return 0 if target is None else target

    def verdict(self, explained: int, output: float, targets: NDArray[np.floating] | None) -> None:
        return None

    def likeliest(
        self,
        shares: NDArray[np.floating],
        count: int,
        outputs: NDArray[np.floating] | None = None,
    ) -> Mapping[int, float]:
        return {}


class WithoutTarget(ByQuantile):
    """What tasks share whose samples have no target, and so a loss alone; see `tasks.base.Task`."""

    labelled = of_labels = False
    groups = 1
    width = 1
    by_batch = True
    tells_values = False
    predicts_targets = True
    in_training = ""
    placed = False
    least_loss = -math.inf
