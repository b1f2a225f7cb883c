"""Measures of several labels a sample."""

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


class OfLabels:
    """Scores (N, L) are logits, targets (N, L) are 0 and 1; above 0.5 a label is there."""

    each = "accuracy of the labels"
    better: Literal["higher", "lower"] = "higher"

    def figures(self, scores: NDArray[Any], targets: NDArray[Any]) -> dict[str, float]:
        from sklearn.metrics import f1_score

        there, said, shares = self._read(scores, targets)
        values = scores.astype(np.float64)
        loss = np.maximum(values, 0) - values * targets + np.log1p(np.exp(-np.abs(values)))
        return {
            "accuracy": float((there == said).mean()),
            "all_right": float((there == said).all(1).mean()),
            "f1": float(f1_score(there, said, average="macro", zero_division=0)),
            "loss": float(loss.mean()),
            **ranking(there, shares),
            "calibration_error": calibration(there.ravel(), shares.ravel())[1],
        }

    def of_each(self, scores: NDArray[Any], targets: NDArray[Any]) -> NDArray[np.float64]:
        there, said, _ = self._read(scores, targets)
        right: NDArray[np.float64] = (there == said).mean(1)
        return right

    def classes(
        self, scores: NDArray[Any], targets: NDArray[Any], names: Sequence[str]
    ) -> dict[str, dict[str, float]]:
        from sklearn.metrics import precision_recall_fscore_support

        there, said, _ = self._read(scores, targets)
        columns = precision_recall_fscore_support(there, said, average=None, zero_division=0)
        return {
            names[k]: {
                "n": int(n), "precision": float(precision), "recall": float(recall),
                "f1": float(f1), "accuracy": float((there[:, k] == said[:, k]).mean()),
            }
            for k, (precision, recall, f1, n) in enumerate(zip(*columns, strict=True))
        }  # fmt: skip

    def members(self, targets: NDArray[Any], names: Sequence[str]) -> dict[str, NDArray[np.bool_]]:
        return {names[k]: targets[:, k] > 0.5 for k in range(targets.shape[1])}

    def charts(
        self, scores: NDArray[Any], targets: NDArray[Any], names: Sequence[str]
    ) -> list[Chart | Matrix]:
        there, _, shares = self._read(scores, targets)
        chart = calibration_chart(there.ravel(), shares.ravel())
        return [*ranking_charts(there, shares, names), chart]

    def _read(
        self, scores: NDArray[Any], targets: NDArray[Any]
    ) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.float64]]:
        """Which labels are there, which are said to be, and their probabilities; (N, L) each."""
        values = np.clip(scores.astype(np.float64), -500, 500)
        return targets > 0.5, scores > 0, 1 / (1 + np.exp(-values))
