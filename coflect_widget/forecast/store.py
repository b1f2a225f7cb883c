"""What is remembered of every training sample: flat arrays, updated a batch at a time.

One row a sample, at most 64 bytes, written by one thread (the forecaster's). Rates are per
sighting of the sample, not per step: a sample is seen about once an epoch, whatever the
batch size.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from coflect_widget.forecast.measure import RecentErrors, measure

#: Weight of the newest sighting in the slow averages (a memory of about three epochs; on
#: cats and dogs 0.35 to 0.45 foretold errors best, 0.1 and 0.6 worse) ...
SLOW = 0.35
#: ... and in the fast average of the loss, which is compared with the slow one.
FAST = 0.7

#: Flags of a sample: a person has judged its label; it is left out; its label is suspected; its
#: label is doubtful enough that the queue has better ones to show.
JUDGED, LEFT_OUT, SUSPECT, DOUBTFUL = 1, 2, 4, 8

_MOST = np.iinfo(np.uint16).max
_LONG = np.iinfo(np.int16).max
_FAR = np.float32(1e4)  # a margin beyond this says nothing more about what is usual


class BatchStats(NamedTuple):
    """What one batch came to; rows that could not be used are in neither mean."""

    rows: int  #: rows used, repeated samples included
    loss: float  #: mean cross-entropy (or mean of the losses given); NaN where rows == 0
    accuracy: float  #: share of rows predicted right; NaN where rows == 0
    non_finite: int  #: rows ignored because a logit or the loss was NaN or infinite
    unlabelled: int  #: rows ignored because the target is no class (such as -100)
    scale: float  #: the store's `scale` after this batch


class SampleStore:
    """History of each sample's loss, margin and predictions during a run.

    Parameters
    ----------
    num_samples : int
        Samples in the training set; indices are in [0, num_samples).
    num_classes : int
        At least 2, or 0 where the targets are no classes (regression): then a sample's error
        is the mean square of its output's distance from its target, and "wrong" means an error
        among the largest of those seen lately.
    error_quantile : float
        Without classes: errors above this quantile of the newest few thousand are wrong.

    Attributes
    ----------
    loss : (N,) float32
        Slow moving average of the sample's loss, in nats.
    loss_fast : (N,) float32
        Fast moving average of the same; above the slow one the sample is getting worse.
    error : (N,) float32
        Moving average of "was wrong", in [0, 1].
    margin : (N,) float32
        Slow moving average of the signed margin: logit of the target minus the largest other
        logit (without classes: logarithm of the quantile over the error). Negative means wrong;
        confidently wrong is far below zero.
    margin_fast : (N,) float32
        Fast moving average of the same.
    margin_mean : (N,) float32
        Mean of the same over all sightings (the area under the margin, AUM: G. Pleiss et al.,
        "Identifying mislabeled data using the area under the margin ranking", 2020).
    flips : (N,) uint16
        Times the prediction changed from one sighting to the next (stops at 65,535).
    forgotten : (N,) uint16
        Times it was right and then wrong (stops at 65,535).
    learned : (N,) uint16
        Times it was right (stops at 65,535).
    first_learned : (N,) uint16
        The sighting, counted from 1, at which it was right for the first time; 0 before it.
    streak : (N,) int16
        Sightings in a row that were right, or, below zero, wrong. A positive streak is the age
        of the last error.
    probed : (N,) float32
        Moving average of the margin in eval mode under snapshots, each less what the snapshot
        gives all samples on average; 0 before the first probe.
    probed_at : (N,) uint16
        `times_seen` at the last probe; 0 before the first.
    score : (N,) float32
        Log-odds of failing, as the model of `forecast.foresight` last gave them; minus infinity
        before that.
    doubt : (N,) float16
        How far the sample was on the wrong side all the time, from the same place; minus
        infinity where that is not known yet.
    flags : (N,) uint8
        `JUDGED`, `LEFT_OUT`, `SUSPECT`, `DOUBTFUL`.
    predicted, target : (N,) int32
        At the last sighting; -1 before the first.
    correct : (N,) bool
        Whether the last sighting was right.
    last_seen : (N,) int32
        Step of the last sighting; -1 before the first.
    times_seen : (N,) uint32
    scale : float
        Moving average of the margin's magnitude over all samples.
    """

    def __init__(self, num_samples: int, num_classes: int, *, error_quantile: float = 0.8) -> None:
        if num_samples < 1:
            raise ValueError(f"num_samples = {num_samples}; expected at least 1")
        if num_classes < 2 and num_classes != 0:
            raise ValueError(
                f"num_classes = {num_classes}; expected at least 2, or 0 for regression"
            )
        self.num_samples = num_samples
        self.num_classes = num_classes
        self.scale = 1.0
        self._scaled = False
        self._errors = RecentErrors(error_quantile)
        self.loss: NDArray[np.float32] = np.zeros(num_samples, np.float32)
        self.loss_fast: NDArray[np.float32] = np.zeros(num_samples, np.float32)
        self.error: NDArray[np.float32] = np.zeros(num_samples, np.float32)
        self.margin: NDArray[np.float32] = np.zeros(num_samples, np.float32)
        self.flips: NDArray[np.uint16] = np.zeros(num_samples, np.uint16)
        self.forgotten: NDArray[np.uint16] = np.zeros(num_samples, np.uint16)
        self.learned: NDArray[np.uint16] = np.zeros(num_samples, np.uint16)
        self.first_learned: NDArray[np.uint16] = np.zeros(num_samples, np.uint16)
        self.streak: NDArray[np.int16] = np.zeros(num_samples, np.int16)
        self.margin_fast: NDArray[np.float32] = np.zeros(num_samples, np.float32)
        self.margin_mean: NDArray[np.float32] = np.zeros(num_samples, np.float32)
        self.probed: NDArray[np.float32] = np.zeros(num_samples, np.float32)
        self.probed_at: NDArray[np.uint16] = np.zeros(num_samples, np.uint16)
        self.score: NDArray[np.float32] = np.full(num_samples, -np.inf, np.float32)
        self.doubt: NDArray[np.float16] = np.full(num_samples, -np.inf, np.float16)
        self.flags: NDArray[np.uint8] = np.zeros(num_samples, np.uint8)
        self.predicted: NDArray[np.int32] = np.full(num_samples, -1, np.int32)
        self.target: NDArray[np.int32] = np.full(num_samples, -1, np.int32)
        self.correct: NDArray[np.bool_] = np.zeros(num_samples, np.bool_)
        self.last_seen: NDArray[np.int32] = np.full(num_samples, -1, np.int32)
        self.times_seen: NDArray[np.uint32] = np.zeros(num_samples, np.uint32)

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays together."""
        return sum(v.nbytes for v in vars(self).values() if isinstance(v, np.ndarray))

    @property
    def seen(self) -> NDArray[np.bool_]:
        """(N,) True for samples that training has seen at least once."""
        return self.times_seen > 0

    def forget(self, index: int) -> None:
        """Start one sample's history anew; its flags stay."""
        fresh = SampleStore(1, self.num_classes)
        for name, array in vars(self).items():
            if isinstance(array, np.ndarray) and name != "flags":
                array[index] = getattr(fresh, name)[0]

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
        return self._take(rows, scores, labels, given, np.full(len(rows), step), [0])[0]

    def update_many(
        self, batches: Sequence[tuple[ArrayLike, ArrayLike, ArrayLike, int]]
    ) -> list[BatchStats]:
        """Take in several batches, oldest first: the same as `update` for each, but quicker.

        Parameters
        ----------
        batches : sequence of (indices, logits, targets, step)
            As for `update`. If one of them is refused, none has changed anything.
        """
        joined = self._joined(batches)
        if joined is None:
            for indices, logits, targets, _ in batches:
                self._checked(indices, logits, targets, None)
            return [self.update(i, x, y, step) for i, x, y, step in batches]
        rows, scores, labels, lengths = joined
        steps = np.repeat([step for _, _, _, step in batches], lengths)
        starts = np.concatenate([[0], np.cumsum(lengths[:-1], dtype=np.int64)]).tolist()
        return self._take(rows, scores, labels, None, steps, starts, distinct=True)

    def _joined(
        self, batches: Sequence[tuple[ArrayLike, ArrayLike, ArrayLike, int]]
    ) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.int64], list[int]] | None:
        """Batches as one, and their lengths; None where they have to be looked at one by one.

        A sample that comes twice has a history in between.
        """
        parts = [(np.asarray(i), np.asarray(x), np.asarray(y)) for i, x, y, _ in batches]
        lengths = [len(i) if i.ndim == 1 else 0 for i, _, _ in parts]
        if (
            not parts
            or not self.num_classes
            or not all(
                length and x.shape == (length, self.num_classes) and y.shape == (length,)
                for length, (_, x, y) in zip(lengths, parts, strict=True)
            )
        ):
            return None
        rows = np.concatenate([i for i, _, _ in parts]).astype(np.int64, copy=False)
        if rows.min() < 0 or rows.max() >= self.num_samples or _any_twice(rows):
            return None
        with np.errstate(over="ignore"):  # a float64 beyond float32 becomes infinite: counted
            scores = np.concatenate([x for _, x, _ in parts]).astype(np.float32, copy=False)
        labels = np.concatenate([y for _, _, y in parts]).astype(np.int64, copy=False)
        return rows, scores, labels, lengths

    def _take(
        self,
        rows: NDArray[np.int64],
        scores: NDArray[np.float32],
        labels: NDArray[np.int64],
        given: NDArray[np.float32] | None,
        steps: NDArray[np.int64],
        starts: list[int],
        *,
        distinct: bool = False,
    ) -> list[BatchStats]:
        """Remember rows of one or several batches, which begin at `starts`.

        `distinct` says that no sample comes twice.
        """
        labelled = (labels >= 0) & (labels < max(1, self.num_classes))
        finite = np.isfinite(scores).all(axis=1)
        if given is not None:
            finite &= np.isfinite(given)
        usable = labelled & finite
        all_usable = bool(usable.all())
        if not all_usable:
            # Values that do no harm; the rows are left out below.
            scores = np.where(usable[:, None], scores, np.float32(0))
            labels = np.where(usable, labels, 0)
        if self.num_classes:
            loss, margin, predicted = measure(scores, labels)
        else:
            loss, margin, predicted = self._errors.measure(scores[:, 0], usable)
        if given is not None:
            loss = np.where(usable, given, np.float32(0))
        correct = predicted == labels
        sizes = np.abs(np.clip(margin, -_FAR, _FAR))
        stats = self._stats(starts, usable, labelled, loss, correct, sizes)
        keep = np.arange(len(rows)) if all_usable else np.flatnonzero(usable)
        if not distinct:
            # Reversed, so that the first occurrence that np.unique keeps is the last one.
            unique, last = np.unique(rows[keep][::-1], return_index=True)
            if len(unique) < len(keep):
                keep = keep[len(keep) - 1 - last]
        if len(keep) < len(rows):
            rows, loss, margin, predicted = rows[keep], loss[keep], margin[keep], predicted[keep]
            labels, correct, steps = labels[keep], correct[keep], steps[keep]
        if len(rows):
            self._remember(rows, loss, margin, predicted, labels, correct, steps)
        return stats

    def _stats(
        self,
        starts: list[int],
        usable: NDArray[np.bool_],
        labelled: NDArray[np.bool_],
        loss: NDArray[np.float32],
        correct: NDArray[np.bool_],
        sizes: NDArray[np.float32],
    ) -> list[BatchStats]:
        """Means over each batch; unusable rows are in none. `sizes`, (B,), moves the scale."""
        if not len(usable):
            return [BatchStats(0, math.nan, math.nan, 0, 0, self.scale) for _ in starts]
        lengths = np.diff([*starts, len(usable)])
        counts = np.add.reduceat(usable, starts, dtype=np.int64)
        known = np.add.reduceat(labelled, starts, dtype=np.int64)
        losses = np.add.reduceat(loss * usable, starts, dtype=np.float64)
        right = np.add.reduceat(correct & usable, starts, dtype=np.int64)
        spreads = np.add.reduceat(sizes * usable, starts, dtype=np.float64)
        found = []
        for rows, with_label, length, total, hits, spread in zip(
            counts.tolist(), known.tolist(), lengths.tolist(), losses.tolist(),
            right.tolist(), spreads.tolist(), strict=True,
        ):  # fmt: skip
            if rows:
                # The typical size of a margin, over about the newest thousand samples.
                share = min(1.0, rows / 1000) if self._scaled else 1.0
                self.scale += share * (max(spread / rows, 1e-3) - self.scale)
                self._scaled = True
            mean = total / rows if rows else math.nan
            accuracy = hits / rows if rows else math.nan
            wrong = with_label - rows
            found.append(BatchStats(rows, mean, accuracy, wrong, length - with_label, self.scale))
        return found

    def _checked(
        self, indices: ArrayLike, logits: ArrayLike, targets: ArrayLike, losses: ArrayLike | None
    ) -> tuple[
        NDArray[np.int64], NDArray[np.float32], NDArray[np.int64], NDArray[np.float32] | None
    ]:
        if not self.num_classes:
            return self._checked_errors(indices, logits, targets, losses)
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
        self._check_rows(rows)
        return rows, scores, labels, given

    def _check_rows(self, rows: NDArray[np.int64]) -> None:
        if len(rows) and (rows.min() < 0 or rows.max() >= self.num_samples):
            raise IndexError(
                f"indices reach from {rows.min()} to {rows.max()}; "
                f"the store has samples 0 to {self.num_samples - 1}"
            )

    def _checked_errors(
        self, indices: ArrayLike, outputs: ArrayLike, targets: ArrayLike, losses: ArrayLike | None
    ) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.int64], None]:
        """Without classes: each sample's error stands in the place of its logits, class 0 for all.

        Class 0 is "the error is usual"; class 1, "it is not", is what such a sample is given.
        """
        rows: NDArray[np.int64] = np.asarray(indices, dtype=np.int64)
        if rows.ndim != 1:
            raise ValueError(f"indices has shape {rows.shape}; expected (B,)")
        if losses is not None:
            errors = np.asarray(losses, np.float32)
        else:
            with np.errstate(over="ignore", invalid="ignore"):
                given = np.asarray(outputs, np.float32).reshape(len(rows), -1)
                wanted = np.asarray(targets, np.float32).reshape(len(rows), -1)
                if given.shape != wanted.shape:
                    raise ValueError(
                        f"outputs has shape {given.shape} and targets {wanted.shape}; without "
                        "classes they must be the same"
                    )
                errors = np.square(given - wanted).mean(axis=1)
        if errors.shape != rows.shape:
            raise ValueError(f"losses has shape {errors.shape}; expected {rows.shape}")
        self._check_rows(rows)
        return rows, errors[:, None], np.zeros(len(rows), np.int64), None

    def _remember(
        self,
        rows: NDArray[np.int64],
        loss: NDArray[np.float32],
        margin: NDArray[np.float32],
        predicted: NDArray[np.int64],
        labels: NDArray[np.int64],
        correct: NDArray[np.bool_],
        steps: NDArray[np.int64],
    ) -> None:
        seen = self.times_seen[rows]
        first = seen == 0
        # The first sighting is taken whole: an average that starts at zero would call every
        # new sample easy.
        slow = np.where(first, np.float32(1), np.float32(SLOW))
        fast = np.where(first, np.float32(1), np.float32(FAST))
        _average(self.loss, rows, loss, slow)
        _average(self.loss_fast, rows, loss, fast)
        _average(self.error, rows, (~correct).astype(np.float32), slow)
        _average(self.margin, rows, margin, slow)
        _average(self.margin_fast, rows, margin, fast)
        _average(self.margin_mean, rows, margin, (1 / (seen + 1.0)).astype(np.float32))
        _count(self.flips, rows, ~first & (self.predicted[rows] != predicted))
        _count(self.forgotten, rows, self.correct[rows] & ~correct)
        _count(self.learned, rows, correct)
        new = correct & (self.first_learned[rows] == 0)
        self.first_learned[rows[new]] = np.minimum(seen[new] + 1, _MOST)
        streak = self.streak[rows].astype(np.int32)
        self.streak[rows] = np.where(
            correct, np.clip(streak, 0, _LONG - 1) + 1, np.clip(streak, 1 - _LONG, 0) - 1
        )
        self.predicted[rows] = predicted
        self.target[rows] = labels
        self.correct[rows] = correct
        self.last_seen[rows] = steps
        self.times_seen[rows] += np.uint32(1)


def _any_twice(rows: NDArray[np.int64]) -> bool:
    ordered = np.sort(rows)
    return bool((ordered[1:] == ordered[:-1]).any())


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
