"""Figures of probabilities: ranking curves and calibration, by scikit-learn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coflect_widget.tasks.measures.base import Chart, Points

#: Curves of one chart; of more classes those with the fewest samples are not drawn.
_CURVES = 12
_BINS = 15


def ranking(there: NDArray[np.bool_], shares: NDArray[Any]) -> dict[str, float]:
    """Area under ROC, and average precision, the mean over columns; (N, K) both.

    Columns in which all samples are alike have neither, and do not count.
    """
    from sklearn.metrics import average_precision_score, roc_auc_score

    used = _both_ways(there)
    if not len(used):
        return {"roc_auc": float("nan"), "average_precision": float("nan")}
    area = [roc_auc_score(there[:, k], shares[:, k]) for k in used]
    precision = [average_precision_score(there[:, k], shares[:, k]) for k in used]
    return {"roc_auc": float(np.mean(area)), "average_precision": float(np.mean(precision))}


def ranking_charts(
    there: NDArray[np.bool_], shares: NDArray[Any], names: Sequence[str]
) -> list[Chart]:
    """ROC and precision against recall, a curve a column."""
    from sklearn.metrics import precision_recall_curve, roc_curve

    used = _both_ways(there)
    used = used[np.argsort(-there[:, used].sum(0), kind="stable")][:_CURVES]
    roc: dict[str, Points] = {}
    precision: dict[str, Points] = {}
    for k in sorted(used.tolist()):
        false, true, _ = roc_curve(there[:, k], shares[:, k])
        roc[names[k]] = (false, true)
        exact, recall, _ = precision_recall_curve(there[:, k], shares[:, k])
        precision[names[k]] = (recall, exact)
    return [
        Chart("roc", "ROC", "false positive rate", "true positive rate", roc, reference="diagonal"),
        Chart("precision_recall", "Precision and recall", "recall", "precision", precision),
    ]


def calibration(right: NDArray[np.bool_], said: NDArray[Any]) -> tuple[Points, float]:
    """Share that is right by the probability that was said, and the expected calibration error.

    Both (N,), in 15 bins of equal width.
    """
    bins = np.minimum((said * _BINS).astype(int), _BINS - 1)
    counts = np.bincount(bins, minlength=_BINS)
    some = counts > 0
    mean = np.bincount(bins, said, _BINS)[some] / counts[some]
    share = np.bincount(bins, right, _BINS)[some] / counts[some]
    error = float((np.abs(mean - share) * counts[some]).sum() / max(1, counts.sum()))
    return (mean, share), error


def calibration_chart(right: NDArray[np.bool_], said: NDArray[Any]) -> Chart:
    """See `calibration`."""
    return Chart(
        "calibration", "Calibration", "probability that was said", "share that is right",
        {"": calibration(right, said)[0]}, reference="diagonal",
    )  # fmt: skip


def _both_ways(there: NDArray[np.bool_]) -> NDArray[np.int64]:
    count = there.sum(0)
    found: NDArray[np.int64] = np.flatnonzero((count > 0) & (count < len(there)))
    return found
