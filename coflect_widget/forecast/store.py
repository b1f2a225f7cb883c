"""What is remembered of every training sample: flat arrays, updated a batch at a time.

One row a sample, at most 64 bytes, written by one thread (the forecaster's). Rates are per
sighting of the sample, not per step: a sample is seen about once an epoch, whatever the
batch size.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from coflect_widget.forecast.measure import RecentErrors, measure
from coflect_widget.forecast.values import LastValues
from coflect_widget.native import Ingest, kernels

#: Weight of the newest sighting in the slow averages (a memory of about three epochs; on
#: cats and dogs 0.35 to 0.45 foretold errors best, 0.1 and 0.6 worse) ...
SLOW = 0.35
#: ... and in the fast average of the loss, which is compared with the slow one.
FAST = 0.7

#: Flags of a sample: a person has judged its label; it is left out; its label is suspected.
#: The next bit, 8, had a meaning in memories of before; nothing reads it.
JUDGED, LEFT_OUT, SUSPECT = 1, 2, 4

_Kind = TypeVar("_Kind", bound=np.generic)

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


class History(NamedTuple):
    """What the forecast looks at of samples, (K,) each."""

    margin_fast: NDArray[np.float32]
    margin: NDArray[np.float32]
    margin_mean: NDArray[np.float32]
    times_seen: NDArray[np.uint32]


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
        `JUDGED`, `LEFT_OUT`, `SUSPECT`.
    predicted, target : (N,) int32
        At the last sighting; -1 before the first.
    correct : (N,) bool
        Whether the last sighting was right.
    last_seen : (N,) int32
        Step of the last sighting; -1 before the first.
    times_seen : (N,) uint32
    scale : float
        Moving average of the margin's magnitude over all samples.
    values : LastValues or None
        Without classes: each sample's target, output and error when it was last seen.
    kernel : Ingest or None
        Takes batches in where compiled kernels run; None where numpy does.
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
        self.values = None if num_classes else LastValues(num_samples)
        # Tables whose rows are 8 or 16 bytes wide: one look at a sample's place in memory finds
        # several numbers at once.
        self._averages = np.zeros((num_samples, 4), np.float32)
        self._means = np.zeros((num_samples, 2), np.float32)
        self._counts = np.zeros((num_samples, 4), np.uint16)
        self._newest = np.full((num_samples, 4), -1, np.int32)
        self._newest[:, 3] = 0
        self.loss: NDArray[np.float32] = self._averages[:, 0]
        self.loss_fast: NDArray[np.float32] = self._averages[:, 1]
        self.margin: NDArray[np.float32] = self._averages[:, 2]
        self.margin_fast: NDArray[np.float32] = self._averages[:, 3]
        self.error: NDArray[np.float32] = self._means[:, 0]
        self.margin_mean: NDArray[np.float32] = self._means[:, 1]
        self.flips: NDArray[np.uint16] = self._counts[:, 0]
        self.forgotten: NDArray[np.uint16] = self._counts[:, 1]
        self.learned: NDArray[np.uint16] = self._counts[:, 2]
        self.first_learned: NDArray[np.uint16] = self._counts[:, 3]
        self.predicted: NDArray[np.int32] = self._newest[:, 0]
        self.target: NDArray[np.int32] = self._newest[:, 1]
        self.last_seen: NDArray[np.int32] = self._newest[:, 2]
        self.times_seen: NDArray[np.uint32] = self._newest[:, 3].view(np.uint32)
        self.streak: NDArray[np.int16] = np.zeros(num_samples, np.int16)
        self.correct: NDArray[np.bool_] = np.zeros(num_samples, np.bool_)
        self.probed: NDArray[np.float32] = np.zeros(num_samples, np.float32)
        self.probed_at: NDArray[np.uint16] = np.zeros(num_samples, np.uint16)
        self.score: NDArray[np.float32] = np.full(num_samples, -np.inf, np.float32)
        self.doubt: NDArray[np.float16] = np.full(num_samples, -np.inf, np.float16)
        self.flags: NDArray[np.uint8] = np.zeros(num_samples, np.uint8)
        module = kernels().module
        self.kernel: Ingest | None = module and module.Store(
            self._averages, self._means, self._counts, self._newest,
            self.streak, self.correct, num_classes, SLOW, FAST,
        )  # fmt: skip

    @property
    def arrays(self) -> dict[str, NDArray[Any]]:
        """All that is remembered of samples, by name; each is (N,)."""
        return {
            name: value
            for name, value in vars(self).items()
            if isinstance(value, np.ndarray) and not name.startswith("_")
        }

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays together."""
        return sum(array.nbytes for array in self.arrays.values())

    @property
    def seen(self) -> NDArray[np.bool_]:
        """(N,) True for samples that training has seen at least once."""
        return self.times_seen > 0

    @property
    def commonest(self) -> float | None:
        """Share of the most frequent class among the samples seen; None before the first."""
        labels = self.target[self.seen]
        return float(np.bincount(labels).max() / len(labels)) if len(labels) else None

    def history(self, rows: NDArray[np.int64] | slice) -> History:
        """What the forecast looks at of these samples, or of as many that follow one another."""
        return History(
            self.margin_fast[rows], self.margin[rows], self.margin_mean[rows], self.times_seen[rows]
        )

    def forget(self, index: int) -> None:
        """Start one sample's history anew; its flags stay."""
        fresh = SampleStore(1, self.num_classes)
        for name, array in self.arrays.items():
            if name != "flags":
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
        if self.kernel is not None:
            batch = (rows, scores, labels, given, [step], [len(rows)])
            stats, _ = self._take_compiled(self.kernel, *batch)
        else:
            of_row = np.full(len(rows), step)
            stats, _ = self._take(rows, scores, labels, given, of_row, [len(rows)])
        return BatchStats(*(column[0].item() for column in stats))

    def update_many(
        self,
        indices: Sequence[NDArray[np.int64]],
        logits: ArrayLike,
        targets: ArrayLike,
        steps: Sequence[int],
    ) -> tuple[ManyStats, NDArray[np.int64], History]:
        """Take in several batches, oldest first: the same as `update` for each, but quicker.

        Parameters
        ----------
        indices : sequence of S (B,) int
            Those of each batch.
        logits, targets : (R, C) float and (R,) int
            As for `update`, one batch after the other.
        steps : sequence of S int
            The step of each batch.

        Returns
        -------
        ManyStats
        (R,) int64
            Indices of all batches.
        History
            Of these samples, (R,) each, after all batches.

        Raises
        ------
        ValueError, IndexError
            As `update`. Nothing has been changed then.
        """
        lengths = [*map(len, indices)]
        rows, scores, labels, given = self._checked(np.concatenate(indices), logits, targets, None)
        if self.kernel is not None:
            batches = (rows, scores, labels, given, steps, lengths)
            stats, after = self._take_compiled(self.kernel, *batches)
            return stats, rows, after
        if self.num_classes and all(lengths) and not self._any_twice(rows):
            of_row = np.repeat(np.array(steps).astype(np.int32), lengths)
            stats, history = self._take(rows, scores, labels, given, of_row, lengths, distinct=True)
            return stats, rows, history or self.history(rows)
        # One by one: a sample that comes twice has a history in between.
        each, first = [], 0
        for length, step in zip(lengths, steps, strict=True):
            part = slice(first, first + length)
            of_row = np.full(length, step)
            each.append(self._take(rows[part], scores[part], labels[part], given, of_row, [length]))
            first += length
        columns = zip(*(stats for stats, _ in each), strict=True)
        return ManyStats(*map(np.concatenate, columns)), rows, self.history(rows)

    def _any_twice(self, rows: NDArray[np.int64]) -> bool:
        """Whether a sample comes twice: then fewer places are marked than there are rows."""
        marked = np.zeros(self.num_samples, np.bool_)
        marked[rows] = True
        return bool(np.count_nonzero(marked) < len(rows))

    def _take(
        self,
        rows: NDArray[np.int64],
        scores: NDArray[np.float32],
        labels: NDArray[np.int64],
        given: NDArray[np.float32] | None,
        steps: NDArray[np.integer],
        lengths: list[int],
        *,
        distinct: bool = False,
    ) -> tuple[ManyStats, History | None]:
        """Remember rows of one or several batches, of `lengths` rows.

        `distinct` says that no sample comes twice. The history is that of all rows; None where
        some of them are not remembered.
        """
        usable, labelled = _usable(scores, labels, given, max(1, self.num_classes))
        if usable is not None:
            # Values that do no harm; the rows are left out below.
            scores = np.where(usable[:, None], scores, np.float32(0))
            labels = np.where(usable, labels, 0)
        if self.num_classes:
            loss, margin, predicted = measure(scores, labels)
        else:
            every = np.ones(len(rows), np.bool_) if usable is None else usable
            loss, margin, predicted = self._errors.measure(scores[:, 0], every)
        if given is not None:
            loss = given if usable is None else np.where(usable, given, np.float32(0))
        correct = predicted == labels
        sizes = np.minimum(np.abs(margin), _FAR)
        stats = self._stats(lengths, usable, labelled, loss, correct, sizes)
        keep = None if usable is None else np.flatnonzero(usable)
        if not distinct:
            keep = np.arange(len(rows)) if keep is None else keep
            # Reversed, so that the first occurrence that np.unique keeps is the last one.
            unique, last = np.unique(rows[keep][::-1], return_index=True)
            if len(unique) < len(keep):
                keep = keep[len(keep) - 1 - last]
        if keep is not None:
            rows, loss, margin, predicted = rows[keep], loss[keep], margin[keep], predicted[keep]
            labels, correct, steps = labels[keep], correct[keep], steps[keep]
        if not len(rows):
            return stats, None
        history = self._remember(rows, loss, margin, predicted, labels, correct, steps)
        return stats, history if keep is None else None

    def _take_compiled(
        self,
        kernel: Ingest,
        rows: NDArray[np.int64],
        scores: NDArray[np.float32],
        labels: NDArray[np.int64],
        given: NDArray[np.float32] | None,
        steps: Sequence[int],
        lengths: list[int],
    ) -> tuple[ManyStats, History]:
        """As `_take` of one batch after the other; the history is that after all of them."""
        columns = np.empty((len(lengths), 6))
        margins = np.empty((3, len(rows)), np.float32)
        times = np.empty(len(rows), np.uint32)
        rows, labels = _plain(rows), _plain(labels)
        batches = (np.array(steps, np.int64).astype(np.int32), np.array(lengths, np.int64))
        out = (*batches, columns, margins, times)
        if self.num_classes:
            losses = None if given is None else _plain(given)
            kernel.take(rows, _plain(scores), labels, losses, *out)
        else:
            measured = self._measured_errors(scores[:, 0], lengths)
            loss, margin, predicted, usable = map(np.concatenate, zip(*measured, strict=True))
            labelled = np.ones(len(rows), np.bool_)
            kernel.take_measured(rows, loss, margin, predicted, labels, usable, labelled, *out)
        used, loss, accuracy, non_finite, unlabelled, spread = columns.T
        scales = self._scales(used.tolist(), spread.tolist())
        stats = ManyStats(
            used.astype(np.int64), loss, accuracy,
            non_finite.astype(np.int64), unlabelled.astype(np.int64), scales,
        )  # fmt: skip
        return stats, History(margins[0], margins[1], margins[2], times)

    def _measured_errors(
        self, errors: NDArray[np.float32], lengths: list[int]
    ) -> Iterator[tuple[NDArray[Any], ...]]:
        """Of each batch: losses, margins, classes and which are finite, (B,) each.

        One batch after the other: each moves the limit of what is usual.
        """
        first = 0
        for length in lengths:
            part = errors[first : first + length]
            usable = np.isfinite(part)
            yield *self._errors.measure(np.where(usable, part, np.float32(0)), usable), usable
            first += length

    def _stats(
        self,
        lengths: list[int],
        usable: NDArray[np.bool_] | None,
        labelled: NDArray[np.bool_] | None,
        loss: NDArray[np.float32],
        correct: NDArray[np.bool_],
        sizes: NDArray[np.float32],
    ) -> ManyStats:
        """Means over each batch; unusable rows are in none. `sizes`, (B,), moves the scale."""
        length = np.array(lengths)
        if not len(loss):
            none, nothing = np.zeros_like(length), np.full(len(length), math.nan)
            return ManyStats(none, nothing, nothing, none, none, np.full(len(length), self.scale))
        starts = np.concatenate([[0], np.cumsum(length[:-1])])
        columns = np.stack([loss, correct, sizes])
        rows = known = length
        if usable is not None:
            columns *= usable
            rows = np.add.reduceat(usable, starts, dtype=np.int64)
        if labelled is not None:
            known = np.add.reduceat(labelled, starts, dtype=np.int64)
        with np.errstate(invalid="ignore"):  # of no rows there is no mean
            sums = np.add.reduceat(columns, starts, axis=1, dtype=np.float64)
            losses, accuracies, spreads = sums / rows
        scales = self._scales(rows.tolist(), spreads.tolist())
        return ManyStats(rows, losses, accuracies, known - rows, length - known, scales)

    def _scales(self, counts: list[float], spreads: list[float]) -> NDArray[np.float64]:
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
        given = wanted = None
        if losses is not None:
            errors = np.asarray(losses, np.float32)
        else:
            width = -1 if len(rows) else 1  # of no rows numpy cannot tell
            with np.errstate(over="ignore", invalid="ignore"):
                given = np.asarray(outputs, np.float32).reshape(len(rows), width)
                wanted = np.asarray(targets, np.float32).reshape(len(rows), width)
                if given.shape != wanted.shape:
                    raise ValueError(
                        f"outputs has shape {given.shape} and targets {wanted.shape}; without "
                        "classes they must be the same"
                    )
                errors = np.square(given - wanted).mean(axis=1)
        if errors.shape != rows.shape:
            raise ValueError(f"losses has shape {errors.shape}; expected {rows.shape}")
        self._check_rows(rows)
        if self.values is not None and given is not None and wanted is not None:
            self.values.note(rows, given, wanted)
        return rows, errors[:, None], np.zeros(len(rows), np.int64), None

    def _remember(
        self,
        rows: NDArray[np.int64],
        loss: NDArray[np.float32],
        margin: NDArray[np.float32],
        predicted: NDArray[np.int64],
        labels: NDArray[np.int64],
        correct: NDArray[np.bool_],
        steps: NDArray[np.integer],
    ) -> History:
        """Write what these sightings, one a sample, add; returns the new history."""
        newest = self._newest.take(rows, axis=0)
        averages = self._averages.take(rows, axis=0)
        means = self._means.take(rows, axis=0)
        counts = self._counts.take(rows, axis=0)
        seen = newest[:, 3]
        first = seen == 0
        wrong = ~correct
        # The first sighting is taken whole: an average that starts at zero would call every
        # new sample easy.
        slow: NDArray[np.float32] | np.float32 = np.float32(SLOW)
        fast: NDArray[np.float32] | np.float32 = np.float32(FAST)
        if first.any():
            slow, fast = np.where(first, np.float32(1), slow), np.where(first, np.float32(1), fast)
        for old, new, weight in (
            (averages[:, 0], loss, slow),
            (averages[:, 1], loss, fast),
            (averages[:, 2], margin, slow),
            (averages[:, 3], margin, fast),
            (means[:, 0], wrong, slow),
            (means[:, 1], margin, 1 / (seen.astype(np.float32) + 1)),
        ):
            old += weight * (new - old)
        _put(self._averages, rows, averages)
        _put(self._means, rows, means)

        streak = self.streak[rows]
        changed = newest[:, 0] != predicted
        changed &= ~first
        forgotten = (streak > 0) & wrong
        for count, happened in zip(counts.T, (changed, forgotten, correct), strict=False):
            count += happened & (count < _MOST)
        learned = np.flatnonzero(correct & (counts[:, 3] == 0))
        counts[learned, 3] = np.minimum(seen[learned] + 1, _MOST)
        _put(self._counts, rows, counts)
        # Runs of right ones go on upwards, of wrong ones downwards, and start at 1 and -1.
        streak *= (streak > 0) == correct
        streak += np.where(correct, streak < _LONG, -1 * (streak > -_LONG)).astype(np.int16)
        self.streak[rows] = streak

        newest[:, 0] = predicted
        newest[:, 1] = labels
        newest[:, 2] = steps
        newest[:, 3] += 1
        _put(self._newest, rows, newest)
        self.correct[rows] = correct
        return History(averages[:, 3], averages[:, 2], means[:, 1], newest[:, 3].view(np.uint32))


def _plain(array: NDArray[_Kind]) -> NDArray[_Kind]:
    """The array as compiled code reads it: one number after the other."""
    flags = array.flags
    return array if flags.c_contiguous and flags.aligned else np.array(array, order="C")


def _put(table: NDArray[Any], rows: NDArray[np.int64], new: NDArray[Any]) -> None:
    """Write rows of a table, as one number each: numpy puts numbers quicker than rows."""
    whole = {8: np.int64, 16: np.complex128}[new[0].nbytes]
    table.view(whole)[:, 0][rows] = new.view(whole)[:, 0]


def _usable(
    scores: NDArray[np.float32],
    labels: NDArray[np.int64],
    given: NDArray[np.float32] | None,
    classes: int,
) -> tuple[NDArray[np.bool_] | None, NDArray[np.bool_] | None]:
    """Which rows have finite numbers and a label, and which have a label; None where all have."""
    if not len(labels):
        return None, None
    labelled = None
    if labels.min() < 0 or labels.max() >= classes:
        labelled = (labels >= 0) & (labels < classes)
    with np.errstate(over="ignore", invalid="ignore"):  # one bad number makes the sum bad
        total = scores.sum() if given is None else scores.sum() + given.sum()
    if labelled is None and np.isfinite(total):
        return None, None
    usable: NDArray[np.bool_] = np.logical_and.reduce(np.isfinite(scores), axis=1)
    if given is not None:
        usable &= np.isfinite(given)
    if labelled is not None:
        usable &= labelled
    return usable, labelled
