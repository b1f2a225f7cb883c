"""Measures of a regression."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from coflect_widget.tasks.measures.base import Chart, Matrix, distribution, tail

#: Dots of one chart.
_DOTS = 3000


class OfNumbers:
    """Scores and targets (N, D), or (N,), are numbers; an error is the distance of both."""

    each = "absolute error"
    better: Literal["higher", "lower"] = "lower"

    def figures(self, scores: NDArray[Any], targets: NDArray[Any]) -> dict[str, float]:
        from sklearn.metrics import mean_absolute_error, mean_squared_error, r2_score

        given, wanted = _columns(scores), _columns(targets)
        square = float(mean_squared_error(wanted, given))
        return {
            "r2": float(r2_score(wanted, given)) if len(wanted) > 1 else float("nan"),
            "loss": square,
            "rmse": float(np.sqrt(square)),
            "mae": float(mean_absolute_error(wanted, given)),
            "median_error": float(np.median(self.of_each(scores, targets))),
        }

    def of_each(self, scores: NDArray[Any], targets: NDArray[Any]) -> NDArray[np.float64]:
        error: NDArray[np.float64] = np.abs(_columns(scores) - _columns(targets)).mean(1)
        return error

    def classes(
        self, scores: NDArray[Any], targets: NDArray[Any], names: Sequence[str]
    ) -> dict[str, dict[str, float]]:
        return {}

    def members(self, targets: NDArray[Any], names: Sequence[str]) -> dict[str, NDArray[np.bool_]]:
        return {}

    def charts(
        self, scores: NDArray[Any], targets: NDArray[Any], names: Sequence[str]
    ) -> list[Chart | Matrix]:
        given, wanted = _columns(scores).ravel(), _columns(targets).ravel()
        picked = np.linspace(0, len(given) - 1, min(len(given), _DOTS)).astype(int)
        dots = {"": (given[picked], (wanted - given)[picked])}
        errors = self.of_each(scores, targets)
        return [
            Chart("residuals", "Residuals", "output", "target - output", dots, dots=True,
                  reference="zero"),
            distribution(self.each, errors),
            tail(self.each, errors),
        ]  # fmt: skip


def _columns(values: NDArray[Any]) -> NDArray[np.float64]:
    found: NDArray[np.float64] = values.reshape(len(values), -1).astype(np.float64)
    return found
