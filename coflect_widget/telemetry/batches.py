"""What a batch came to: means over its rows, and the size that margins have."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class BatchStats(NamedTuple):
    """What one batch came to; rows that could not be used are in neither mean."""

    rows: int  #: rows used, repeated samples included
    loss: float  #: mean of the task's losses (or of those given); NaN where rows == 0
    #: share of rows predicted right, or the mean of their `PerSample.quality`; NaN where rows == 0
    accuracy: float
    non_finite: int  #: rows ignored because an output or the loss was NaN or infinite
    unlabelled: int  #: rows ignored because the target is none (such as -100)
    scale: float  #: the store's `scale` after this batch


class ManyStats(NamedTuple):
    """`BatchStats` of several batches, oldest first: an array (S,) of each field."""

    rows: NDArray[np.int64]
    loss: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    non_finite: NDArray[np.int64]
    unlabelled: NDArray[np.int64]
    scale: NDArray[np.float64]

    def only(self, at: int) -> ManyStats:
        """The batch at one place, alone."""
        rows, loss, accuracy, non_finite, unlabelled, scale = self
        return ManyStats(
            rows[[at]], loss[[at]], accuracy[[at]], non_finite[[at]], unlabelled[[at]], scale[[at]]
        )


class BatchMeans:
    """Means over batches, and a moving average over all of them.

    Attributes
    ----------
    scale : float
        Moving average of the margin's magnitude over all samples.
    """

    def __init__(self) -> None:
        self.scale = 1.0
        self._scaled = False

    def of(
        self,
        lengths: list[int],
        usable: NDArray[np.bool_] | None,
        labelled: NDArray[np.bool_] | None,
        loss: NDArray[np.float32],
        correct: NDArray[np.bool_] | NDArray[np.float32],
        sizes: NDArray[np.float32],
    ) -> ManyStats:
        """Means over each batch; unusable rows are in none. `sizes`, (B,), moves the scale."""
        length = np.array(lengths)
        if not len(loss):
            none, nothing = np.zeros_like(length), np.full(len(length), math.nan)
            return ManyStats(none, nothing, nothing, none, none, np.full(len(length), self.scale))
        starts = np.concatenate([[0], np.cumsum(length[:-1])])
        columns: NDArray[np.float32] = np.stack([loss, correct.astype(np.float32), sizes])
        rows = known = length
        if usable is not None:
            columns *= usable
            rows = np.add.reduceat(usable, starts, dtype=np.int64)
        if labelled is not None:
            known = np.add.reduceat(labelled, starts, dtype=np.int64)
        with np.errstate(invalid="ignore"):  # of no rows there is no mean
            sums = np.add.reduceat(columns, starts, axis=1, dtype=np.float64)
            losses, accuracies, spreads = sums / rows
        scales = self.scales(rows.tolist(), spreads.tolist())
        return ManyStats(rows, losses, accuracies, known - rows, length - known, scales)

    def scales(self, counts: list[float], spreads: list[float]) -> NDArray[np.float64]:
        """The typical size of a margin, over about the newest thousand samples, after each batch.

        `spreads` are the mean sizes in batches of `counts` rows.
        """
        scales = []
        for count, spread in zip(counts, spreads, strict=True):
            if count:
                share = min(1.0, count / 1000) if self._scaled else 1.0
                self.scale += share * (max(spread, 1e-3) - self.scale)
                self._scaled = True
            scales.append(self.scale)
        return np.array(scales)
