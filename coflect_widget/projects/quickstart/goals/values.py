"""The target is a number."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from coflect_widget.projects.quickstart.columns import Column, numbers, unit_of
from coflect_widget.projects.quickstart.goals.base import no_clusters


class Values:
    """Numbers, less their mean and divided by their deviation for the network; see `Goal`."""

    name: ClassVar[str] = "regression"
    noun: ClassVar[str] = "a number"
    by_class: ClassVar[bool] = False
    needs_target: ClassVar[bool] = True
    learner: ClassVar[str] = ""

    def __init__(self, outputs: int = 1) -> None:
        self.said: list[str] = []
        self.outputs = outputs
        self.mean, self.std = 0.0, 1.0

    @classmethod
    def suits(cls, column: Column) -> str:
        if column.kind == "number" and column.distinct > 2:
            return f"it has {column.distinct} different numbers"
        return ""

    @classmethod
    def refuses(cls, column: Column, rows: int) -> str:
        del rows
        return "" if column.kind == "number" else f"{column.name!r} holds no numbers"

    @classmethod
    def coded(cls, values: NDArray[Any]) -> NDArray[np.float64]:
        return numbers(values)

    @classmethod
    def about(cls, values: NDArray[Any]) -> list[str]:
        there = numbers(values)
        there = there[~np.isnan(there)]
        low, middle, high = np.percentile(there, (5, 50, 95))
        return [
            f"Numbers from {there.min():g} to {there.max():g}; 90 % lie from {low:g} to {high:g}, "
            f"half of them below {middle:g}."
        ]

    def choose(self, clusters: int) -> None:
        raise no_clusters(self.name)

    def fit(self, values: NDArray[Any]) -> None:
        there = self._numbers(values)
        self.outputs = there.shape[1]
        self.mean = float(there.mean())
        self.std = unit_of(self.mean, float(there.std()))

    def _numbers(self, values: NDArray[Any]) -> NDArray[np.float64]:
        return values.astype(np.float64) if values.ndim > 1 else numbers(values)[:, None]

    def transform(self, values: NDArray[Any]) -> NDArray[np.float32]:
        return ((self._numbers(values) - self.mean) / self.std).astype(np.float32)

    def evidence(self, targets: NDArray[Any]) -> NDArray[np.float32]:
        found: NDArray[np.float32] = targets - targets.mean(0)
        return found

    def arguments(self) -> dict[str, Any]:
        from coflect_widget.projects.quickstart.networks.made import square_loss

        return {"loss": square_loss()}

    def _told(self, outputs: NDArray[Any]) -> NDArray[np.float64]:
        return outputs.astype(np.float64) * self.std + self.mean

    def beside(self, outputs: NDArray[Any], x: NDArray[Any]) -> NDArray[np.float32]:
        del x
        return outputs

    def settle(self, outputs: NDArray[Any]) -> None:
        pass

    def readable(self, outputs: NDArray[Any]) -> list[dict[str, Any]]:
        told = self._told(outputs)
        return [{"value": float(row[0]) if len(row) == 1 else row.tolist()} for row in told]

    def figures(self, outputs: NDArray[Any], values: NDArray[Any]) -> dict[str, float]:
        return self._figures(self._told(outputs), self._numbers(values))

    def _figures(self, told: NDArray[np.float64], wanted: NDArray[np.float64]) -> dict[str, float]:
        off = told - wanted
        spread = float(((wanted - wanted.mean(0)) ** 2).mean())
        return {
            "r2": 1 - float((off**2).mean()) / spread if spread else 0.0,
            "mean_absolute_error": float(np.abs(off).mean()),
            "root_mean_square_error": float(np.sqrt((off**2).mean())),
        }

    def plain(self, model: Any, x: Any, y: Any, test: Any, values: Any) -> float:
        told = np.asarray(model.fit(x, y).predict(test), np.float64)
        told = self._told(told.reshape(len(told), -1))
        return self._figures(told, self._numbers(values))["r2"]

    def plain_estimators(self) -> Mapping[str, Any]:
        from sklearn.linear_model import Ridge

        return {"ridge regression": Ridge()}

    def guess(self, values: NDArray[Any]) -> float:
        return 0.0

    def state(self) -> dict[str, Any]:
        return {"outputs": self.outputs, "mean": self.mean, "std": self.std}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Values:
        goal = cls(int(state["outputs"]))
        goal.mean, goal.std = float(state["mean"]), float(state["std"])
        if not (1 <= goal.outputs <= 10_000 and goal.std > 0):
            raise ValueError("a scale that is none")
        return goal
