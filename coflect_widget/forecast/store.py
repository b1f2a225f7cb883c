"""What is remembered of every training sample: flat arrays, updated a batch at a time.

One row a sample, at most 64 bytes, written by one thread (the forecaster's). Rates are per
sighting of the sample, not per step: a sample is seen about once an epoch, whatever the
batch size.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

#: Weight of the newest sighting in the slow averages (a memory of about three epochs; on
#: cats and dogs 0.35 to 0.45 foretold errors best, 0.1 and 0.6 worse) ...
SLOW = 0.35
#: ... and in the fast average of the loss, which `trend` compares with the slow one.
FAST = 0.7

_MOST = np.iinfo(np.uint16).max


class BatchStats(NamedTuple):
    """What one batch came to; rows that could not be used are in neither mean."""

    rows: int  #: rows used, repeated samples included
    loss: float  #: mean cross-entropy (or mean of the losses given); NaN where rows == 0
    accuracy: float  #: share of rows predicted right; NaN where rows == 0
    non_finite: int  #: rows ignored because a logit or the loss was NaN or infinite
    unlabelled: int  #: rows ignored because the target is no class (such as -100)


class SampleStore:
    """History of each sample's loss, margin and predictions during a run.

    Parameters
    ----------
    num_samples : int
        Samples in the training set; indices are in [0, num_samples).
    num_classes : int
        At least 2.

    Attributes
    ----------
    loss : (N,) float32
        Slow moving average of the sample's loss, in nats.
    loss_fast : (N,) float32
        Fast moving average of the same.
    error : (N,) float32
        Moving average of "was wrong", in [0, 1].
    margin : (N,) float32
        Moving average of the signed margin: logit of the target minus the largest other
        logit. Negative means wrong; confidently wrong is far below zero.
    flips : (N,) uint16
        Times the prediction changed from one sighting to the next (stops at 65,535).
    forgotten : (N,) uint16
        Times it was right and then wrong (stops at 65,535).
    learned : (N,) uint32
        Times it was right.
    predicted, target : (N,) int32
        At the last sighting; -1 before the first.
    correct : (N,) bool
        Whether the last sighting was right.
    last_seen : (N,) int64
        Step of the last sighting; -1 before the first.
    times_seen : (N,) uint32
    """

    def __init__(self, num_samples: int, num_classes: int) -> None:
        if num_samples < 1:
            raise ValueError(f"num_samples = {num_samples}; expected at least 1")
        if num_classes < 2:
            raise ValueError(f"num_classes = {num_classes}; expected at least 2")
        self.num_samples = num_samples
        self.num_classes = num_classes
        self.loss: NDArray[np.float32] = np.zeros(num_samples, np.float32)
        self.loss_fast: NDArray[np.float32] = np.zeros(num_samples, np.float32)
        self.error: NDArray[np.float32] = np.zeros(num_samples, np.float32)
        self.margin: NDArray[np.float32] = np.zeros(num_samples, np.float32)
        self.flips: NDArray[np.uint16] = np.zeros(num_samples, np.uint16)
        self.forgotten: NDArray[np.uint16] = np.zeros(num_samples, np.uint16)
        self.learned: NDArray[np.uint32] = np.zeros(num_samples, np.uint32)
        self.predicted: NDArray[np.int32] = np.full(num_samples, -1, np.int32)
        self.target: NDArray[np.int32] = np.full(num_samples, -1, np.int32)
        self.correct: NDArray[np.bool_] = np.zeros(num_samples, np.bool_)
        self.last_seen: NDArray[np.int64] = np.full(num_samples, -1, np.int64)
        self.times_seen: NDArray[np.uint32] = np.zeros(num_samples, np.uint32)

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays together."""
        return sum(v.nbytes for v in vars(self).values() if isinstance(v, np.ndarray))

    @property
    def seen(self) -> NDArray[np.bool_]:
        """(N,) True for samples that training has seen at least once."""
        return self.times_seen > 0

    @property
    def trend(self) -> NDArray[np.float32]:
        """(N,) fast minus slow average of the loss; above zero the sample is getting worse."""
        return self.loss_fast - self.loss

    def update(
        self,
        indices: ArrayLike,
        logits: ArrayLike,
        targets: ArrayLike,
        step: int,
        losses: ArrayLike | None = None,
    ) -> BatchStats:
        """Take in one batch.

        Parameters
        ----------
        indices : (B,) int
            The data set's own. Where one comes twice, its last row is remembered; both
            count in the returned means.
        logits : (B, C) float of any width
            Or (B, 1): the one logit of a binary classifier, for class 1.
        targets : (B,) int
            Rows whose target is not in [0, C) are ignored and counted.
        step : int
            Optimizer step that this batch belonged to.
        losses : (B,) float, optional
            Each sample's loss where it is not the cross-entropy.

        Returns
        -------
        BatchStats

        Raises
        ------
        ValueError
            If shapes do not fit together. Nothing has been changed then.
        IndexError
            If an index is outside the store. Nothing has been changed then.
        """
        rows, scores, labels, given = self._checked(indices, logits, targets, losses)

        labelled = (labels >= 0) & (labels < self.num_classes)
        finite = np.isfinite(scores).all(axis=1)
        if given is not None:
            finite &= np.isfinite(given)
        usable = labelled & finite
        unlabelled = int(len(rows) - np.count_nonzero(labelled))
        non_finite = int(np.count_nonzero(labelled & ~finite))
        if non_finite or unlabelled:
            rows, scores, labels = rows[usable], scores[usable], labels[usable]
            given = None if given is None else given[usable]
        if not len(rows):
            return BatchStats(0, float("nan"), float("nan"), non_finite, unlabelled)

        loss, margin, predicted = _measure(scores, labels)
        if given is not None:
            loss = given
        correct = predicted == labels
        stats = BatchStats(
            rows=len(rows),
            loss=float(loss.mean(dtype=np.float64)),
            accuracy=float(correct.mean()),
            non_finite=non_finite,
            unlabelled=unlabelled,
        )
        # Reversed, so that the first occurrence that np.unique keeps is the batch's last.
        unique, last = np.unique(rows[::-1], return_index=True)
        if len(unique) < len(rows):
            last = len(rows) - 1 - last
            rows, loss, margin = unique, loss[last], margin[last]
            predicted, labels, correct = predicted[last], labels[last], correct[last]
        self._remember(rows, loss, margin, predicted, labels, correct, step)
        return stats

    def _checked(
        self, indices: ArrayLike, logits: ArrayLike, targets: ArrayLike, losses: ArrayLike | None
    ) -> tuple[
        NDArray[np.int64], NDArray[np.float32], NDArray[np.int64], NDArray[np.float32] | None
    ]:
        rows: NDArray[np.int64] = np.asarray(indices, dtype=np.int64)
        labels: NDArray[np.int64] = np.asarray(targets, dtype=np.int64)
        with np.errstate(over="ignore"):  # a float64 beyond float32 becomes infinite: counted
            scores: NDArray[np.float32] = np.asarray(logits, dtype=np.float32)
            given: NDArray[np.float32] | None = None
            if losses is not None:
                given = np.asarray(losses, dtype=np.float32)
        if rows.ndim != 1 or labels.shape != rows.shape:
            raise ValueError(
                f"indices {rows.shape} and targets {labels.shape} must both be of shape (B,)"
            )
        if scores.shape == (len(rows), 1) and self.num_classes == 2:
            scores = np.concatenate([np.zeros_like(scores), scores], axis=1)
        if scores.shape != (len(rows), self.num_classes):
            raise ValueError(
                f"logits has shape {scores.shape}; expected ({len(rows)}, {self.num_classes}), "
                "one row for each index and one column for each class"
            )
        if given is not None and given.shape != rows.shape:
            raise ValueError(f"losses has shape {given.shape}; expected {rows.shape}")
        if len(rows) and (rows.min() < 0 or rows.max() >= self.num_samples):
            raise IndexError(
                f"indices reach from {rows.min()} to {rows.max()}; "
                f"the store has samples 0 to {self.num_samples - 1}"
            )
        return rows, scores, labels, given

    def _remember(
        self,
        rows: NDArray[np.int64],
        loss: NDArray[np.float32],
        margin: NDArray[np.float32],
        predicted: NDArray[np.int64],
        labels: NDArray[np.int64],
        correct: NDArray[np.bool_],
        step: int,
    ) -> None:
        first = self.times_seen[rows] == 0
        # The first sighting is taken whole: an average that starts at zero would call every
        # new sample easy.
        slow = np.where(first, np.float32(1), np.float32(SLOW))
        fast = np.where(first, np.float32(1), np.float32(FAST))
        _average(self.loss, rows, loss, slow)
        _average(self.loss_fast, rows, loss, fast)
        _average(self.error, rows, (~correct).astype(np.float32), slow)
        _average(self.margin, rows, margin, slow)
        _count(self.flips, rows, ~first & (self.predicted[rows] != predicted))
        _count(self.forgotten, rows, self.correct[rows] & ~correct)
        self.learned[rows] += correct
        self.predicted[rows] = predicted
        self.target[rows] = labels
        self.correct[rows] = correct
        self.last_seen[rows] = step
        self.times_seen[rows] += np.uint32(1)


def _measure(
    logits: NDArray[np.float32], labels: NDArray[np.int64]
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]:
    """Cross-entropy (B,), signed margin (B,) and prediction (B,) of finite logits (B, C)."""
    row = np.arange(len(labels))
    predicted = logits.argmax(axis=1)
    peak = logits[row, predicted]
    # Two finite logits can be further apart than float32 reaches; such a row saturates.
    with np.errstate(over="ignore"):
        shifted = logits - peak[:, None]  # (B, C), largest is 0, so exp cannot overflow
        of_target = shifted[row, labels]
        loss = np.log(np.exp(shifted).sum(axis=1)) - of_target
        shifted[row, labels] = -np.inf
        margin = of_target - shifted.max(axis=1)
    most = np.float32(1e30)  # averages of saturated rows stay finite
    return np.minimum(loss, most), np.clip(margin, -most, most), predicted


def _average(
    values: NDArray[np.float32],
    rows: NDArray[np.int64],
    new: NDArray[np.float32],
    weight: NDArray[np.float32],
) -> None:
    old = values[rows]
    values[rows] = old + weight * (new - old)


def _count(
    counts: NDArray[np.uint16], rows: NDArray[np.int64], happened: NDArray[np.bool_]
) -> None:
    old: NDArray[Any] = counts[rows]
    counts[rows] = old + (happened & (old < _MOST))
