"""How good outputs are on validation data, batch by batch and wherever the outputs are.

Arrays are numpy's or any framework's of the array API standard; nothing waits for a device before
`values`.
"""

from __future__ import annotations

from typing import Any

import array_api_compat as compat
import numpy as np

from coflect_widget.tasks.base import to_numpy
from coflect_widget.tasks.segmentation import Counted, Segmentation


class Hits:
    """Accuracy of classes."""

    def __init__(self) -> None:
        self._hits: Any = 0

    def add(self, logits: Any, targets: Any) -> None:
        """(B, classes) and (B,)."""
        xp = compat.array_namespace(logits)
        self._hits = self._hits + xp.sum(xp.astype(xp.argmax(logits, axis=1) == targets, xp.int64))

    def values(self, rows: int) -> dict[str, float]:
        """In [0, 1], of so many rows."""
        return {"accuracy": float(self._hits) / rows}


class Labels:
    """Accuracy of several labels a sample, and their macro F1."""

    def __init__(self) -> None:
        self._sums: Any = 0  # (4, L): both, said, there, right

    def add(self, logits: Any, targets: Any) -> None:
        """Both (B, L)."""
        xp = compat.array_namespace(logits)
        said, there = logits > 0, targets > 0.5
        columns = [said & there, said, there, said == there]
        each = [xp.sum(xp.astype(column, xp.int64), axis=0) for column in columns]
        self._sums = self._sums + xp.stack(each)

    def values(self, rows: int) -> dict[str, float]:
        """Means over labels, in [0, 1]; F1 over those that are there, or are said to be."""
        both, said, there, right = to_numpy(self._sums, np.float64)
        met = (said + there) > 0
        f1 = 2 * both[met] / (said + there)[met]
        return {
            "label_accuracy": float(right.mean()) / rows,
            "macro_f1": float(f1.mean()) if met.any() else 1.0,
        }


class Explained:
    """R squared of values: 1 less the squared error over the targets' own spread.

    0 is as good as always saying the mean, and below it is worse. Of several values, each
    counts by its spread.
    """

    def __init__(self) -> None:
        self._sums: Any = 0.0  # (3, D): squared error, targets, their squares

    def add(self, outputs: Any, targets: Any) -> None:
        """Both (B, D)."""
        xp = compat.array_namespace(outputs)
        given, wanted = (xp.astype(each, xp.float64) for each in (outputs, targets))
        columns = [(given - wanted) ** 2, wanted, wanted**2]
        self._sums = self._sums + xp.stack([xp.sum(column, axis=0) for column in columns])

    def values(self, rows: int) -> dict[str, float]:
        """At most 1; 0 where the targets are all the same."""
        error, total, squares = to_numpy(self._sums, np.float64)
        spread = float((squares - total**2 / rows).sum())
        # Of equal targets rounding leaves a little.
        varies = spread > 1e-12 * max(float(squares.sum()), 1e-300)
        return {"r2": 1 - float(error.sum()) / spread if varies else 0.0}


class Overlap:
    """IoU of a class for each place.

    Parameters
    ----------
    task : Segmentation
    counted, xp : optional
        As `Segmentation.figures` has them.
    """

    def __init__(self, task: Segmentation, counted: Counted | None = None, xp: Any = None) -> None:
        self._task, self._counted, self._xp = task, counted, xp
        self._of_samples: Any = 0.0
        self._labelled: Any = 0.0
        self._confusion: Any = 0

    def add(self, logits: Any, targets: Any) -> None:
        """(B, C, *E) and (B, *E)."""
        xp = self._xp or compat.array_namespace(logits)
        confusion, loss, odds = self._task.counts(logits, targets, self._counted, xp)
        found = self._task.of_counts(confusion, loss, odds, xp)
        self._of_samples = self._of_samples + xp.sum(found[:, 4] * found[:, 5])
        self._labelled = self._labelled + xp.sum(found[:, 5])
        self._confusion = self._confusion + xp.sum(confusion, axis=0)

    def values(self, rows: int) -> dict[str, float]:
        """``iou``, the mean over samples; ``mean_iou``, over the classes of all places together."""
        table = to_numpy(self._confusion, np.float64)
        met, union = table.diagonal(), table.sum(0) + table.sum(1) - table.diagonal()
        each = met[union > 0] / union[union > 0]
        labelled = float(self._labelled)
        return {
            "iou": float(self._of_samples) / labelled if labelled else float("nan"),
            "mean_iou": float(each.mean()) if len(each) else float("nan"),
        }
