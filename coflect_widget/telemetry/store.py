"""What is remembered of every training sample: flat arrays, updated a batch at a time.

One row a sample, at most 64 bytes, written by one thread (the forecaster's). Rates are per
sighting of the sample, not per step: a sample is seen about once an epoch, whatever the
batch size.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from coflect_widget.native import Ingest, kernels
from coflect_widget.tasks.base import PerSample, Task
from coflect_widget.telemetry.batches import BatchMeans, BatchStats, ManyStats
from coflect_widget.telemetry.sightings import FAST, SLOW, History, make_tables, remember
from coflect_widget.telemetry.values import LastValues

_Kind = TypeVar("_Kind", bound=np.generic)
_FAR = np.float32(1e4)  # a margin beyond this says nothing more about what is usual

__all__ = [
    "FAST", "JUDGED", "LEFT_OUT", "SLOW", "SUSPECT", "BatchStats", "History", "ManyStats",
    "SampleStore",
]  # fmt: skip

#: Flags of a sample: a person has judged its label; it is left out; its label is suspected.
#: The next bit, 8, had a meaning in memories of before; nothing reads it.
JUDGED, LEFT_OUT, SUSPECT = 1, 2, 4


class SampleStore:
    """History of each sample's loss, margin and predictions during a run.

    Parameters
    ----------
    num_samples : int
        Samples in the training set; indices are in [0, num_samples).
    task : Task
        What an output comes to, and what "wrong" means.

    Attributes
    ----------
    loss : (N,) float32
        Slow moving average of the sample's loss, in the task's unit.
    loss_fast : (N,) float32
        Fast moving average of the same; above the slow one the sample is getting worse.
    error : (N,) float32
        Moving average of "was wrong", in [0, 1].
    margin : (N,) float32
        Slow moving average of the task's signed margin. Negative means wrong; surely wrong is
        far below zero.
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
    values : LastValues or None
        Each sample's target, output and error when it was last seen, where these are numbers.
    kernel : Ingest or None
        Takes batches in where compiled kernels run; None where numpy does.
    """

    def __init__(self, num_samples: int, task: Task) -> None:
        if num_samples < 1:
            raise ValueError(f"num_samples = {num_samples}; expected at least 1")
        self.num_samples = num_samples
        self.task = task
        self._means = BatchMeans()
        self.values = LastValues(num_samples) if task.tells_values else None
        self._tables = tables = make_tables(num_samples)
        self.loss: NDArray[np.float32] = tables.averages[:, 0]
        self.loss_fast: NDArray[np.float32] = tables.averages[:, 1]
        self.margin: NDArray[np.float32] = tables.averages[:, 2]
        self.margin_fast: NDArray[np.float32] = tables.averages[:, 3]
        self.error: NDArray[np.float32] = tables.means[:, 0]
        self.margin_mean: NDArray[np.float32] = tables.means[:, 1]
        self.flips: NDArray[np.uint16] = tables.counts[:, 0]
        self.forgotten: NDArray[np.uint16] = tables.counts[:, 1]
        self.learned: NDArray[np.uint16] = tables.counts[:, 2]
        self.first_learned: NDArray[np.uint16] = tables.counts[:, 3]
        self.predicted: NDArray[np.int32] = tables.newest[:, 0]
        self.target: NDArray[np.int32] = tables.newest[:, 1]
        self.last_seen: NDArray[np.int32] = tables.newest[:, 2]
        self.times_seen: NDArray[np.uint32] = tables.newest[:, 3].view(np.uint32)
        self.streak: NDArray[np.int16] = tables.streak
        self.correct: NDArray[np.bool_] = tables.correct
        self.probed: NDArray[np.float32] = np.zeros(num_samples, np.float32)
        self.probed_at: NDArray[np.uint16] = np.zeros(num_samples, np.uint16)
        self.score: NDArray[np.float32] = np.full(num_samples, -np.inf, np.float32)
        self.doubt: NDArray[np.float16] = np.full(num_samples, -np.inf, np.float16)
        self.flags: NDArray[np.uint8] = np.zeros(num_samples, np.uint8)
        # Kernels take a sample for right where its prediction is its target. A class that inherits
        # from one that says so may judge otherwise.
        own = vars(type(task)).get("predicts_targets", False)
        module = kernels().module if own else None
        self.kernel: Ingest | None = module and module.Store(*tables, task.width, SLOW, FAST)

    @property
    def scale(self) -> float:
        """Moving average of the margin's magnitude over all samples."""
        return self._means.scale

    @scale.setter
    def scale(self, value: float) -> None:
        self._means.scale = value

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
        """Share of the most frequent label among the samples seen; None before the first."""
        labels = self.target[self.seen]
        return float(np.bincount(labels).max() / len(labels)) if len(labels) else None

    def history(self, rows: NDArray[np.int64] | slice) -> History:
        """What the forecast looks at of these samples, or of as many that follow one another."""
        return History(
            self.margin_fast[rows], self.margin[rows], self.margin_mean[rows], self.times_seen[rows]
        )

    def grow(self, num_samples: int) -> None:
        """Have room for more samples, `num_samples` in all; what is known of the others stays."""
        if num_samples <= self.num_samples:
            return
        larger = type(self)(num_samples, self.task)
        for name, array in self.arrays.items():
            getattr(larger, name)[: self.num_samples] = array
        if self.values is not None and larger.values is not None:
            larger.values.take(self.values)
        larger._means = self._means
        vars(self).update(vars(larger))  # at once: other threads read beside this one

    def forget(self, index: int) -> None:
        """Start one sample's history anew; its flags stay."""
        fresh = SampleStore(1, self.task)
        for name, array in self.arrays.items():
            if name != "flags":
                array[index] = getattr(fresh, name)[0]

    def update(
        self,
        indices: ArrayLike,
        outputs: Any,
        targets: Any,
        step: int,
        losses: ArrayLike | None = None,
    ) -> BatchStats:
        """Take in one batch.

        Parameters
        ----------
        indices : (B,) int
            The data set's own. Where one comes twice, its last row is remembered; both
            count in the returned means.
        outputs : array (B, ...) or PerSample
            As `Task.summarise` takes them, or what it made of them before.
        targets : array (B, ...)
            Likewise; not looked at beside a `PerSample`. Rows without one are ignored and counted.
        step : int
            Optimizer step that this batch belonged to.
        losses : (B,) float, optional
            Each sample's loss where it is not the task's.

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
        rows = self._checked(indices, outputs, losses)
        if self.kernel is not None:
            stats, _ = self._take_compiled(
                self.kernel, rows, outputs, targets, losses, [step], [len(rows)]
            )
        else:
            found = self._summarised(outputs, targets, losses)
            stats, _ = self._take(rows, found, np.full(len(rows), step), [len(rows)])
        return BatchStats(*(column[0].item() for column in stats))

    def update_many(
        self,
        indices: Sequence[NDArray[np.int64]],
        outputs: Any,
        targets: Any,
        steps: Sequence[int],
    ) -> tuple[ManyStats, NDArray[np.int64], History]:
        """Take in several batches, oldest first: the same as `update` for each, but quicker.

        Parameters
        ----------
        indices : sequence of S (B,) int
            Those of each batch.
        outputs, targets : array (R, ...)
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
        rows = self._checked(np.concatenate(indices), outputs, None)
        if self.kernel is not None:
            stats, after = self._take_compiled(
                self.kernel, rows, outputs, targets, None, steps, lengths
            )
            return stats, rows, after
        if not self.task.by_batch and all(lengths) and not self._any_twice(rows):
            of_row = np.repeat(np.array(steps).astype(np.int32), lengths)
            found = self._summarised(outputs, targets, None)
            stats, history = self._take(rows, found, of_row, lengths, distinct=True)
            return stats, rows, history or self.history(rows)
        # One by one: a sample that comes twice has a history in between.
        each = [
            self._take(rows[part], found, np.full(len(rows[part]), step), [len(rows[part])])
            for (part, found), step in zip(
                self._each_batch(outputs, targets, None, lengths), steps, strict=True
            )
        ]
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
        found: PerSample,
        steps: NDArray[np.integer],
        lengths: list[int],
        *,
        distinct: bool = False,
    ) -> tuple[ManyStats, History | None]:
        """Remember rows of one or several batches, of `lengths` rows.

        `distinct` says that no sample comes twice. The history is that of all rows; None where
        some of them are not remembered.
        """
        loss, margin, correct, predicted, labels, usable, labelled, values, quality = found
        if self.values is not None and values is not None:
            self.values.note(rows, values)
        sizes = np.minimum(np.abs(margin), _FAR)
        share = correct if quality is None else quality
        stats = self._means.of(lengths, usable, labelled, loss, share, sizes)
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
        history = remember(self._tables, rows, loss, margin, predicted, labels, correct, steps)
        return stats, history if keep is None else None

    def _take_compiled(
        self,
        kernel: Ingest,
        rows: NDArray[np.int64],
        outputs: Any,
        targets: Any,
        losses: Any,
        steps: Sequence[int],
        lengths: list[int],
    ) -> tuple[ManyStats, History]:
        """As `_take` of one batch after the other; the history is that after all of them."""
        columns = np.empty((len(lengths), 6))
        margins = np.empty((3, len(rows)), np.float32)
        times = np.empty(len(rows), np.uint32)
        rows = _plain(rows)
        batches = (np.array(steps, np.int64).astype(np.int32), np.array(lengths, np.int64))
        out = (*batches, columns, margins, times)
        raw = None
        if not isinstance(outputs, PerSample):
            raw = self.task.cross_entropy(outputs, targets, losses)
        if raw is not None:
            scores, labels, given = raw
            given = None if given is None else _plain(given)
            kernel.take(rows, _plain(scores), _plain(labels), given, *out)
        else:
            found = self._batch_by_batch(rows, outputs, targets, losses, lengths)
            loss, margin, predicted, target, usable, labelled = map(_plain, found)
            kernel.take_measured(rows, loss, margin, predicted, target, usable, labelled, *out)
        used, loss, accuracy, non_finite, unlabelled, spread = columns.T
        scales = self._means.scales(used.tolist(), spread.tolist())
        stats = ManyStats(
            used.astype(np.int64), loss, accuracy,
            non_finite.astype(np.int64), unlabelled.astype(np.int64), scales,
        )  # fmt: skip
        return stats, History(margins[0], margins[1], margins[2], times)

    def _each_batch(
        self, outputs: Any, targets: Any, losses: Any, lengths: list[int]
    ) -> Iterator[tuple[slice, PerSample]]:
        """Which rows each batch has, and what they come to; all are looked at before the first."""
        whole = isinstance(outputs, PerSample)
        if not whole:
            self.task.check(outputs, targets, losses)
        first = 0
        for length in lengths:
            part = slice(first, first + length)
            first += length
            if whole:
                yield part, self._summarised(outputs.part(part), None, None)
            else:
                of_part = [None if each is None else each[part] for each in (targets, losses)]
                yield part, self._summarised(outputs[part], *of_part)

    def _batch_by_batch(
        self, rows: NDArray[np.int64], outputs: Any, targets: Any, losses: Any, lengths: list[int]
    ) -> tuple[NDArray[Any], ...]:
        """Loss, margin, prediction, label, usable and labelled of all rows, (R,) each."""
        each = []
        for part, found in self._each_batch(outputs, targets, losses, lengths):
            if self.values is not None and found.values is not None:
                self.values.note(rows[part], found.values)
            every = np.ones(len(found.loss), np.bool_)
            usable = every if found.usable is None else found.usable
            labelled = every if found.labelled is None else found.labelled
            each.append((found.loss, found.margin, found.predicted, found.target, usable, labelled))
        types = (np.float32, np.float32, np.int64, np.int64, np.bool_, np.bool_)
        columns = zip(*each, strict=True)
        return tuple(
            np.concatenate(column).astype(kind, copy=False)
            for column, kind in zip(columns, types, strict=True)
        )

    def _summarised(self, outputs: Any, targets: Any, losses: Any) -> PerSample:
        found = outputs
        if not isinstance(found, PerSample):
            found = self.task.summarise(outputs, targets, losses)
        return found.on_host()

    def _checked(self, indices: ArrayLike, outputs: Any, losses: Any) -> NDArray[np.int64]:
        """The indices, where they fit; nothing has been changed yet."""
        rows: NDArray[np.int64] = np.asarray(indices, dtype=np.int64)
        if rows.ndim != 1:
            raise ValueError(f"indices has shape {rows.shape}; expected (B,)")
        if isinstance(outputs, PerSample):
            given = len(outputs.loss)
        else:
            given = len(outputs if losses is None else losses)
        if given != len(rows):
            raise ValueError(f"there are {len(rows)} indices and {given} rows; expected one each")
        if len(rows) and (rows.min() < 0 or rows.max() >= self.num_samples):
            raise IndexError(
                f"indices reach from {rows.min()} to {rows.max()}; "
                f"the store has samples 0 to {self.num_samples - 1}"
            )
        return rows


def _plain(array: NDArray[_Kind]) -> NDArray[_Kind]:
    """The array as compiled code reads it: one number after the other."""
    flags = array.flags
    return array if flags.c_contiguous and flags.aligned else np.array(array, order="C")
