"""Measures of a classification."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from coflect_widget.tasks.measures.base import Chart, Matrix
from coflect_widget.tasks.measures.shares import (
    calibration,
    calibration_chart,
    ranking,
    ranking_charts,
)


class OfClasses:
    """Scores (N, C) are logits, or (N, 1) where C is 2; targets (N,) class numbers."""

    each = "accuracy"
    better: Literal["higher", "lower"] = "higher"

    def __init__(self, classes: int) -> None:
        self._classes = classes

    def figures(self, scores: NDArray[Any], targets: NDArray[Any]) -> dict[str, float]:
        from sklearn.metrics import f1_score, recall_score

        shares, log_shares = self._shares(scores)
        predicted, there = shares.argmax(1), self._there(targets)
        seen = np.unique(targets)
        # Of a class that no sample has, neither recall nor F1 says anything.
        how: dict[str, Any] = {"labels": seen, "average": "macro", "zero_division": 0}
        return {
            "accuracy": float((predicted == targets).mean()),
            "balanced_accuracy": float(recall_score(targets, predicted, **how)),
            "f1": float(f1_score(targets, predicted, **how)),
            "loss": float(-log_shares[np.arange(len(targets)), targets].mean()),
            **self._ranking(there, shares),
            "calibration_error": calibration(predicted == targets, shares.max(1))[1],
        }

    def of_each(self, scores: NDArray[Any], targets: NDArray[Any]) -> NDArray[np.float64]:
        right: NDArray[np.float64] = (self._shares(scores)[0].argmax(1) == targets).astype(float)
        return right

    def classes(
        self, scores: NDArray[Any], targets: NDArray[Any], names: Sequence[str]
    ) -> dict[str, dict[str, float]]:
        from sklearn.metrics import precision_recall_fscore_support

        predicted = self._shares(scores)[0].argmax(1)
        columns = precision_recall_fscore_support(
            targets, predicted, labels=range(self._classes), zero_division=0
        )
        return {
            names[k]: {
                "n": int(n), "precision": float(precision), "recall": float(recall),
                "f1": float(f1),
            }
            for k, (precision, recall, f1, n) in enumerate(zip(*columns, strict=True))
        }  # fmt: skip

    def members(self, targets: NDArray[Any], names: Sequence[str]) -> dict[str, NDArray[np.bool_]]:
        return {names[k]: targets == k for k in range(self._classes)}

    def charts(
        self, scores: NDArray[Any], targets: NDArray[Any], names: Sequence[str]
    ) -> list[Chart | Matrix]:
        shares = self._shares(scores)[0]
        predicted, there = shares.argmax(1), self._there(targets)
        counts = np.zeros((self._classes, self._classes), np.int64)
        np.add.at(counts, (targets, predicted), 1)
        first = Matrix("confusion", "Confusion", "predicted", "true", counts, list(names))
        columns = slice(1, 2) if self._classes == 2 else slice(None)
        drawn = ranking_charts(there[:, columns], shares[:, columns], list(names)[columns])
        return [first, *drawn, calibration_chart(predicted == targets, shares.max(1))]

    def _ranking(self, there: NDArray[np.bool_], shares: NDArray[Any]) -> dict[str, float]:
        columns = slice(1, 2) if self._classes == 2 else slice(None)
        return ranking(there[:, columns], shares[:, columns])

    def _there(self, targets: NDArray[Any]) -> NDArray[np.bool_]:
        there: NDArray[np.bool_] = targets[:, None] == np.arange(self._classes)
        return there

    def _shares(self, scores: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Probabilities and their logarithms, (N, C)."""
        values = scores.astype(np.float64)
        if values.shape[1] != self._classes:
            values = np.concatenate([np.zeros_like(values), values], axis=1)
        values = values - values.max(1, keepdims=True)
        logarithms = values - np.log(np.exp(values).sum(1, keepdims=True))
        return np.exp(logarithms), logarithms
