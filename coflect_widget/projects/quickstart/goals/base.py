"""What a goal says: which targets suit it, what the network is to give, how good that is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from coflect_widget.projects.quickstart.columns import Column


class Goal(Protocol):
    """What is learned of one target column; fitted on the training part only.

    Attributes
    ----------
    name : str
        What a person gives as `task`.
    noun : str
        What the network tells, for sentences.
    outputs : int
        Of the network.
    needs_target : bool
        Whether it is learned of a column; what is wanted is the inputs themselves if not.
    learner : str
        Who learns it where a person names nobody; "" is the network.
    said : list of str
        What was found out of the training part and is worth knowing.
    """

    name: ClassVar[str]
    noun: ClassVar[str]
    by_class: ClassVar[bool]
    needs_target: ClassVar[bool]
    learner: ClassVar[str]
    said: list[str]

    @property
    def outputs(self) -> int:
        """See above."""

    @classmethod
    def suits(cls, column: Column) -> str:
        """Why the column is such a target by rule; "" where it is not."""

    @classmethod
    def refuses(cls, column: Column, rows: int) -> str:
        """Why nobody can have it, who asks for it by name; "" where it can be."""

    @classmethod
    def coded(cls, values: NDArray[Any]) -> NDArray[Any]:
        """Targets (N,) as numbers, in the order of their names: -1 or NaN where there is none."""

    @classmethod
    def about(cls, values: NDArray[Any]) -> list[str]:
        """What there is to say of the targets of all rows."""

    def choose(self, clusters: int) -> None:
        """Tell so many clusters.

        Raises
        ------
        TypeError, ValueError
            If it is no such number, or the goal tells no clusters.
        """

    def fit(self, values: NDArray[Any]) -> None:
        """Learn names or scale from the training part's targets (n,)."""

    def transform(self, values: NDArray[Any]) -> NDArray[Any]:
        """What the network is trained on: class numbers (n,) int64, or values (n, outputs)."""

    def evidence(self, targets: NDArray[Any]) -> NDArray[Any]:
        """Targets (n, outputs) float32 as far from their mean as the outputs are to be."""

    def arguments(self) -> dict[str, Any]:
        """What a `Session` is told: names of classes, or a loss."""

    def beside(self, outputs: NDArray[Any], x: NDArray[Any]) -> NDArray[np.float32]:
        """What is read of outputs (n, outputs) for inputs (n, ...): mostly the outputs."""

    def settle(self, outputs: NDArray[Any]) -> None:
        """Learn a limit from outputs of the validation part, where there is one to learn."""

    def readable(self, outputs: NDArray[Any]) -> list[dict[str, Any]]:
        """What outputs (n, outputs) say, in plain values."""

    def figures(self, outputs: NDArray[Any], values: NDArray[Any]) -> dict[str, float]:
        """How good they are; the first figure is the one to compare by."""

    def plain(self, model: Any, x: Any, y: Any, test: Any, values: Any) -> float:
        """The first figure of a scikit-learn estimator fitted on (x, y), on `test`."""

    def plain_estimators(self) -> Mapping[str, Any]:
        """Simple estimators of scikit-learn for this goal, by name."""

    def guess(self, values: NDArray[Any]) -> float:
        """The first figure of a network that always says the same."""

    def state(self) -> dict[str, Any]:
        """Plain values; `from_state` makes the same of them."""

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Goal:
        """What `state` gave, checked."""


def no_clusters(name: str) -> ValueError:
    """What a goal raises that tells none."""
    return ValueError(f"clusters= is for task='clustering'; this is {name}, leave clusters= out")


def spelled(names: Sequence[str], most: int = 8) -> str:
    """As "a, b and 3 more"."""
    shown = ", ".join(names[:most])
    return shown + (f" and {len(names) - most} more" if len(names) > most else "")
