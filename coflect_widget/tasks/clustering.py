"""Samples without a target: each is told by the nearest of some centres."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from coflect_widget.tasks.base import PerSample, Words, to_numpy
from coflect_widget.tasks.by_quantile import RecentErrors, WithoutTarget

_WORDS = Words(
    quality="silhouette",
    quality_first="Silhouette",
    quality_from=" on validation data",
    shortfall="Short of 1",
    far_wrong="far from every centre",
    getting_worse="distance grows",
    close="near the limit",
    outcomes=("usual distance", "large distance"),
    outputs="distances to the centres",
    all_outputs="The distances",
)


class Clustering(WithoutTarget):
    """Outputs (B, clusters) are distances to centres; see `tasks.base.Task`.

    The loss of a row is the square of its distance to the nearest centre; summed over rows that is
    the inertia. "Wrong" is a loss above a quantile of those seen lately, 0.8 if nobody says: rows
    that no centre stands for. The quality is the silhouette.

    For one thread: it remembers the newest losses. A copy sent elsewhere begins anew.

    Parameters
    ----------
    quantile : float
        More than 0 and less than 1.
    """

    name = "clustering"
    words = _WORDS
    guidable = False

    def __init__(self, quantile: float = 0.8) -> None:
        self.recent = RecentErrors(quantile)

    def __reduce__(self) -> tuple[type[Clustering], tuple[float]]:
        return Clustering, (self.recent.quantile,)

    def __repr__(self) -> str:
        return f"Clustering({self.recent.quantile})"

    def check(self, outputs: Any, targets: Any = None, losses: Any = None) -> None:
        """Targets are not looked at: there are none."""
        if losses is not None and len(np.shape(losses)) != 1:
            raise ValueError(f"losses has shape {tuple(np.shape(losses))}; expected (B,)")
        if losses is None and len(np.shape(outputs)) != 2:
            shape = tuple(np.shape(outputs))
            raise ValueError(f"outputs has shape {shape}; expected (B, clusters)")

    def summarise(self, outputs: Any, targets: Any, losses: Any = None) -> PerSample:
        """See `Task.summarise`; a row whose loss is not finite says nothing."""
        self.check(outputs, targets, losses)
        return self.measured(
            self.losses(outputs, targets) if losses is None else to_numpy(losses, np.float32)
        )

    def losses(self, outputs: Any, targets: Any) -> NDArray[np.float32]:
        self.check(outputs)
        nearest: NDArray[np.float32] = to_numpy(outputs, np.float32).min(1)
        return nearest**2

    def score(self, outputs: Any, target: int) -> Any:
        raise ValueError("a cluster has no output that a map could be of")

    def metrics(self) -> tuple[str, ...]:
        return ("loss", "silhouette")

    def guess(self, chance: float) -> str:
        return "one cluster for all"

    def odds(
        self, outputs: NDArray[np.floating], target: int
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        raise ValueError("a distance has no odds")
