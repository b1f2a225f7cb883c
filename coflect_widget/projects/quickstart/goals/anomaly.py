"""What is unusual in a window: where the network cannot tell the window again from a short code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from coflect_widget.projects.quickstart.columns import Column, numbers, unit_of
from coflect_widget.projects.quickstart.goals.values import Values
from coflect_widget.projects.quickstart.moments import code_of

#: Of the windows of the validation part so many are told less well than the limit.
_USUAL = 0.99
#: Mean square of scaled windows up to which they are all the same.
_LEAST_SPREAD = 1e-12


class Anomaly(Values):
    """Windows (n, C, L), told again; see `Goal`.

    Attributes
    ----------
    limit : float or None
        Score from which a window is unusual; None until `settle`.
    """

    name: ClassVar[str] = "anomaly"
    noun: ClassVar[str] = "what is unusual"

    def __init__(self, outputs: int = 1) -> None:
        super().__init__(outputs)
        self.limit: float | None = None
        self.means: list[float] = [0.0]
        self.stds: list[float] = [1.0]

    @classmethod
    def suits(cls, column: Column) -> str:
        return "" if column.kind != "number" else "it is watched"

    @classmethod
    def coded(cls, values: NDArray[Any]) -> NDArray[np.float64]:
        return np.zeros(len(values))

    @classmethod
    def about(cls, values: NDArray[Any]) -> list[str]:
        return super().about(values) if np.isfinite(numbers(values)).any() else []

    def fit(self, values: NDArray[Any]) -> None:
        self.outputs = int(np.prod(values.shape[1:]))
        self.means = [float(v) for v in values.mean((0, 2))]
        self.stds = [
            unit_of(mean, float(v)) for mean, v in zip(self.means, values.std((0, 2)), strict=True)
        ]

    def transform(self, values: NDArray[Any]) -> NDArray[np.float32]:
        scaled = (values - np.array(self.means)[:, None]) / np.array(self.stds)[:, None]
        found: NDArray[np.float32] = scaled.reshape(len(values), -1).astype(np.float32)
        return found

    def beside(self, outputs: NDArray[Any], x: NDArray[Any]) -> NDArray[np.float32]:
        found: NDArray[np.float32] = (outputs - x.reshape(len(x), -1)).astype(np.float32)
        return found

    def settle(self, outputs: NDArray[Any]) -> None:
        self.limit = float(np.quantile(_scores(outputs), _USUAL))

    def readable(self, outputs: NDArray[Any]) -> list[dict[str, Any]]:
        each = np.abs(outputs).reshape(len(outputs), len(self.means), -1).mean(1)
        return [
            {
                "score": float(score),
                "unusual": None if self.limit is None else bool(score > self.limit),
                "moments": [float(v) for v in moments],
            }
            for score, moments in zip(_scores(outputs), each, strict=True)
        ]

    def figures(self, outputs: NDArray[Any], values: NDArray[Any]) -> dict[str, float]:
        wanted = self.transform(values).astype(np.float64)
        spread = float((wanted**2).mean())
        off = float((outputs.astype(np.float64) ** 2).mean())
        found = {"r2": 1 - off / spread if spread > _LEAST_SPREAD else 0.0}
        if self.limit is not None:
            found["unusual"] = float((_scores(outputs) > self.limit).mean())
        return found

    def plain(self, model: Any, x: Any, y: Any, test: Any, values: Any) -> float:
        return self.figures(model.fit(x, y).predict(test) - test, values)["r2"]

    def plain_estimators(self) -> Mapping[str, Any]:
        return {"principal components": _Components(code_of(self.outputs))}

    def state(self) -> dict[str, Any]:
        return {
            "outputs": self.outputs, "limit": self.limit, "means": self.means, "stds": self.stds,
        }  # fmt: skip

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Anomaly:
        goal = cls(int(state["outputs"]))
        goal.limit = None if state["limit"] is None else float(state["limit"])
        goal.means = [float(v) for v in state["means"]]
        goal.stds = [float(v) for v in state["stds"]]
        if not (
            goal.outputs >= 1
            and len(goal.means) == len(goal.stds) >= 1
            and goal.outputs % len(goal.means) == 0
            and min(goal.stds) > 0
        ):
            raise ValueError("a scale that is none")
        return goal


def _scores(outputs: NDArray[Any]) -> NDArray[np.float64]:
    """How far each window is from what the network tells (n,), in standard deviations."""
    found: NDArray[np.float64] = np.sqrt((outputs.astype(np.float64) ** 2).mean(1))
    return found


class _Components:
    """As many principal components as the network's code is long."""

    def __init__(self, count: int) -> None:
        self._count = count

    def fit(self, x: Any, y: Any) -> _Components:
        """Learn them from windows (n, D)."""
        from sklearn.decomposition import PCA

        del y
        self._model = PCA(min(self._count, *x.shape), random_state=0).fit(x)
        return self

    def predict(self, x: Any) -> Any:
        """Windows (n, D), told again."""
        return self._model.inverse_transform(self._model.transform(x))
