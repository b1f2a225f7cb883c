"""What a model is measured by once it is trained: one small protocol, and charts as numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

#: x and y of one curve, (N,) each.
Points = tuple[NDArray[Any], NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Chart:
    """Curves or dots, by their names."""

    name: str  #: of its file
    title: str
    x: str
    y: str
    curves: Mapping[str, Points]
    dots: bool = False
    logarithmic: tuple[bool, bool] = (False, False)  #: of x and y
    reference: Literal["", "diagonal", "zero"] = ""  #: a line to compare with


@dataclass(frozen=True, slots=True)
class Matrix:
    """Counts (K, K) by row and column."""

    name: str
    title: str
    x: str
    y: str
    values: NDArray[np.int64]
    names: Sequence[str] = field(default_factory=tuple)


class Measures(Protocol):
    """Figures of a task; `scores` (N, ...) are what its model gives, `targets` (N, ...) wanted.

    Attributes
    ----------
    each : str
        What `of_each` tells of a sample, such as "accuracy"; its mean is a group's quality.
    better : {"higher", "lower"}
        Which way that is better.
    """

    each: str
    better: Literal["higher", "lower"]

    def figures(self, scores: NDArray[Any], targets: NDArray[Any]) -> dict[str, float]:
        """Of all samples together; NaN where one is not defined for them."""

    def of_each(self, scores: NDArray[Any], targets: NDArray[Any]) -> NDArray[np.float64]:
        """(N,), of each sample."""

    def classes(
        self, scores: NDArray[Any], targets: NDArray[Any], names: Sequence[str]
    ) -> dict[str, dict[str, float]]:
        """Figures by class, or by label; {} where there are none. ``n`` is the samples' number."""

    def members(self, targets: NDArray[Any], names: Sequence[str]) -> dict[str, NDArray[np.bool_]]:
        """Which samples (N,) are of each class."""

    def charts(
        self, scores: NDArray[Any], targets: NDArray[Any], names: Sequence[str]
    ) -> list[Chart | Matrix]:
        """What is drawn."""


class ByLoss:
    """`Measures` of a task that has none of its own: its loss, and the share that is right."""

    each = "loss"
    better: Literal["higher", "lower"] = "lower"

    def __init__(self, task: Any) -> None:
        self._task = task

    def figures(self, scores: NDArray[Any], targets: NDArray[Any]) -> dict[str, float]:
        found = self._task.summarise(scores, targets).on_host()
        return {"loss": float(found.loss.mean()), "right": float(found.right.mean())}

    def of_each(self, scores: NDArray[Any], targets: NDArray[Any]) -> NDArray[np.float64]:
        losses: NDArray[np.float64] = self._task.losses(scores, targets).astype(np.float64)
        return losses

    def classes(
        self, scores: NDArray[Any], targets: NDArray[Any], names: Sequence[str]
    ) -> dict[str, dict[str, float]]:
        return {}

    def members(self, targets: NDArray[Any], names: Sequence[str]) -> dict[str, NDArray[np.bool_]]:
        return {}

    def charts(
        self, scores: NDArray[Any], targets: NDArray[Any], names: Sequence[str]
    ) -> list[Chart | Matrix]:
        return [distribution("loss", self.of_each(scores, targets))]


def distribution(what: str, values: NDArray[Any]) -> Chart:
    """Share of samples below each value."""
    ordered = np.sort(values[np.isfinite(values)])
    share = np.arange(1, len(ordered) + 1) / max(1, len(ordered))
    return Chart(
        f"{what.replace(' ', '_')}_distribution", f"Distribution of the {what}", what,
        "share of samples at or below", {"": (ordered, share)},
    )  # fmt: skip


def tail(what: str, values: NDArray[Any]) -> Chart:
    """Share of samples above each value, on two logarithmic axes."""
    ordered = np.sort(values[np.isfinite(values) & (values > 0)])
    share = 1 - np.arange(len(ordered)) / max(1, len(ordered))
    return Chart(
        f"{what.replace(' ', '_')}_tail", f"Tail of the {what}", what,
        "share of samples at or above", {"": (ordered, share)}, logarithmic=(True, True),
    )  # fmt: skip
