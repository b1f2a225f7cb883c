"""The thread that consumes telemetry: outputs of steps in; metrics and rankings out.

The training thread appends references to a deque and goes on. This thread looks some times a
second, converts what waits, updates the store, and calls back. It is never woken by the training
thread: a notification costs more there than everything else. Many steps taken in at once cost a
fraction of what they cost one by one, and training pays for it with processor time; so this
thread lets slow steps gather for longer. Where training computes on all processors, and numpy
takes the outputs in, training rests meanwhile: its threads wait for one another at every layer, so
that one that is held up for a moment holds up all, and what is taken in beside a step costs it more
than a rest. Compiled kernels (`coflect_widget.native`) are quick enough beside it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from coflect_widget.backends.base import StepOutput
from coflect_widget.forecast.backlog import Backlog, Item
from coflect_widget.forecast.faults import Faults
from coflect_widget.forecast.foresight import Foresight
from coflect_widget.forecast.queue import Queue
from coflect_widget.forecast.ranking import reasons
from coflect_widget.process.closing import Closing
from coflect_widget.telemetry.metrics import MetricWindows
from coflect_widget.telemetry.seen import Seen
from coflect_widget.telemetry.store import ManyStats, SampleStore

#: Seconds between two looks at what waits, at least and at most, and how many steps shall wait.
PERIOD, LONG_PERIOD = 0.05, 1.0
GATHERED = 384
#: The most seconds where training uses all processors: whatever is done here is taken from it.
BUSY_PERIOD = 2.0
#: Seconds between two rankings, at least ...
RANKING_PERIOD = 0.2
#: ... and the processor time that they may take, as a share of the time that passes.
RANKING_SHARE = 0.00125
#: Seconds that training may rest while outputs are taken in, and outputs too few for a rest.
MOST_REST, FEW = 0.05, 8
#: Rests for marks, as a share of the time: not each epoch of four steps shall end with one.
MARK_SHARE = 0.005
#: Numbers of outputs taken in at once, beyond one step's.
PART = 2_000_000


class Converter(Protocol):
    """The part of a backend that reads what a step left behind."""

    def telemetry_arrays(self, outputs: Sequence[StepOutput]) -> tuple[Any, Any]:
        """Outputs (R, ...) and targets (R, ...) of these steps, one after the other."""

    def scalars(self, values: Sequence[object]) -> list[float]:
        """Detached scalars as floats."""


class OnRanking(Protocol):
    """Takes one ranking; all sequences have one entry for each candidate, riskiest first."""

    def __call__(
        self,
        indices: NDArray[np.int64],
        risk: NDArray[np.float32],
        target: NDArray[np.int32],
        predicted: NDArray[np.int32],
        reasons: list[str],
        step: int,
        epoch: int,
    ) -> None:
        """Arrays and lists are (2 top,) or shorter; `step` and `epoch` are the newest seen.

        All are empty where nothing is likely to be wrong.
        """


class Resting(AbstractContextManager[object], Protocol):
    """What `rest` gives: entered, training rests from its next step boundary on."""

    @property
    def training(self) -> bool:
        """Whether anything trains that could rest."""


class Forecaster(Closing):
    """Consumer of telemetry; a context manager that starts and ends its thread.

    Callbacks run on the forecaster's thread, one at a time, and should return soon. What they
    raise is reported to `on_error` and ends nothing.

    Parameters
    ----------
    foresight : Foresight
        The model and its store, both written by this thread alone; callbacks may read them.
    backend : Converter
        A `backends.base.Backend`.
    top : int
        Candidates in each list of a ranking: those right now, and those wrong now.
    log_every, forecast_every : int
        Steps between two calls of `on_metrics` (exactly at multiples, so that equal runs log
        equal points) and of `on_ranking` (with the steps that are taken in beyond the multiple,
        and at most five a second, the last one late rather than not).
    on_metrics : callable (values, step, epoch)
        `values` holds "loss" and "accuracy", means over the samples since the call before,
        and "guidance_loss", mean over the steps that had one.
    on_ranking : OnRanking
    on_non_finite : callable (step, output), optional
        A step's logits or loss were NaN or infinite; called for the first of several such in a row.
    on_losses : callable (items, losses), optional
        Steps were taken in: (number, step, epoch, output) of each, and their losses (S,).
    on_error : callable (exception), optional
        Called once for each kind of failure; later ones of that kind are only counted.
    backlog : int
        Outputs that may wait; beyond it the oldest is dropped and counted.
    rest : callable (seconds, begun) -> Resting, optional
        Lets training rest for at most so long while outputs are taken in; `begun()` is called,
        on any thread, once it does. Left out, training goes on beside it.

    Attributes
    ----------
    queue : Queue
        Of `foresight`; for this thread alone.
    onset : bool
        Whether rankings hold only samples that are right now; may be set from any thread.
    """

    def __init__(
        self,
        foresight: Foresight,
        backend: Converter,
        *,
        top: int,
        log_every: int,
        forecast_every: int,
        on_metrics: Callable[[dict[str, float], int, int], None],
        on_ranking: OnRanking,
        on_non_finite: Callable[[int, StepOutput], None] | None = None,
        on_losses: Callable[[Sequence[Item], NDArray[np.float64]], None] | None = None,
        on_error: Callable[[BaseException], None] | None = None,
        onset: bool = False,
        backlog: int = 1024,
        rest: Callable[[float, Callable[[], None]], Resting] | None = None,
    ) -> None:
        self.foresight = foresight
        self.store: SampleStore = foresight.store
        self.onset = onset
        self._backend = backend
        self.queue = Queue(foresight, top)
        self._forecast_every = forecast_every
        self._metrics = MetricWindows(log_every)
        self._on_metrics = on_metrics
        self._on_ranking = on_ranking
        self._on_non_finite = on_non_finite
        self._on_losses = on_losses
        self._faults = Faults(on_error)
        self._rest = rest
        self._backlog = Backlog(backlog)
        # The rest is the forecaster's thread's own.
        self._busy = False  # training uses all processors
        self._mark_rest_from = 0.0  # not before this moment
        self._position = (0, 0)  # step and epoch of the newest output in the store
        self._ranked_period = 0
        self._rank_from = 0.0  # not before this moment
        self._ranking_due = False
        self._non_finite = False
        self._wake = threading.Event()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="coflect-forecaster", daemon=True)
        self._thread.start()

    # --- called by the training thread ----------------------------------------------------

    def observe(self, step: int, epoch: int, *outputs: StepOutput) -> None:
        """Enqueue what steps of one epoch left behind, the last of them `step`.

        By one thread only. Never blocks.
        """
        self._backlog.put(step, epoch, outputs)

    @property
    def failures(self) -> int:
        """Exceptions caught in callbacks and conversions."""
        return self._faults.count

    @property
    def dropped(self) -> int:
        """Outputs lost to a full backlog."""
        return self._backlog.dropped

    # --- called by any thread -------------------------------------------------------------

    def mark(self, callback: Callable[[], None], *, rest: bool = False) -> None:
        """Have `callback()` called, on the forecaster's thread, at this point of the stream.

        All outputs observed before are in the store then, and, where the observing thread
        set the mark, none observed after. Marks are never dropped. After `close` nothing
        calls them. `rest` has training rest meanwhile: for one that nobody waits for.
        """
        self._backlog.mark(callback, rests=rest)
        self._wake.set()

    def flush(self) -> None:
        """Training has ended: the metrics and the ranking that still wait come now."""

        def flush() -> None:
            for window in self._metrics.flush():
                self._faults.guard("on_metrics", partial(self._on_metrics, *window))

        self.mark(flush)
        self.catch_up()

    def catch_up(self) -> None:
        """Training holds: a ranking that is due comes now, with the processors at leisure."""

        def rank() -> None:
            if self._ranking_due:
                self._rank()

        self.mark(rank)

    def rank_again(self) -> None:
        """Make a ranking as soon as one may be made: what it leaves out has changed."""

        def due() -> None:
            self._ranking_due = True

        self.mark(due)

    def rank_now(self) -> None:
        """Make a ranking at once, of what has just been learned; from a mark's callback only."""
        self._rank()

    def watch_again(self) -> None:
        """Training goes on or holds: take in what waits, and report the next failure anew."""
        self._non_finite = False
        self._wake.set()

    def drain(self, timeout: float | None = None) -> bool:
        """Wait until everything observed so far is in the store.

        False if `timeout` seconds passed first, or the thread has ended with work left, or this is
        the forecaster's own thread, which cannot wait for itself.
        """
        if threading.current_thread() is self._thread:
            return False
        reached = threading.Event()
        self.mark(reached.set)
        until = None if timeout is None else time.monotonic() + timeout
        while not reached.wait(PERIOD if until is None else min(PERIOD, _left(until))):
            if not self._thread.is_alive():
                return self._backlog.taken == self._backlog.sent
            if until is not None and _left(until) <= 0:
                return reached.is_set()
        return True

    def close(self, timeout: float | None = 5.0) -> bool:
        """Consume what waits, then end the thread; True when it ended in `timeout` seconds."""
        self._closing = True
        self._wake.set()
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout)
        return not self._thread.is_alive()

    # --- the forecaster's thread ----------------------------------------------------------

    def _run(self) -> None:
        looked, pause = time.monotonic(), PERIOD
        while True:
            closing = self._closing  # read first: what was observed before it is consumed
            with self._resting():
                steps = self._consume()
            if closing:
                return
            now = time.monotonic()
            if steps:  # as long as `GATHERED` steps take, by those that came
                most = BUSY_PERIOD if self._busy else LONG_PERIOD
                pause = min(most, max(PERIOD, GATHERED * (now - looked) / steps))
            looked = now
            # Whoever closes may have woken this thread from its wait for a rest.
            if len(self._backlog) < GATHERED and not self._closing:
                self._wake.wait(pause)
            self._wake.clear()

    @contextmanager
    def _resting(self) -> Iterator[None]:
        """Training rests meanwhile, where it can and it pays.

        Not for a mark that somebody may wait for: it may be the training thread itself.
        """
        rest = None if self._rest is None else self._rest(MOST_REST, self._wake.set)
        self._busy = rest is not None and rest.training
        marks = self._backlog.marks
        pays = len(self._backlog) >= FEW
        if marks:
            pays = time.monotonic() >= self._mark_rest_from and all(mark.rests for mark in marks)
        if rest is None or self._closing or not pays:
            yield
            return
        with rest:
            if rest.training:
                self._wake.wait(LONG_PERIOD)  # woken by the rest, by a mark, by `close`
                self._wake.clear()
            began = time.monotonic()
            yield
        if marks:
            now = time.monotonic()
            self._mark_rest_from = now + (now - began) / MARK_SHARE

    def _consume(self) -> int:
        """Take in what waits now, and not for ever what comes meanwhile; how many steps it was."""
        backlog = self._backlog
        before, last = backlog.taken, backlog.sent
        while True:
            chunk = backlog.take()
            if chunk:
                self._absorb(chunk)
                self._rank_if_due()
            called = False
            while (mark := backlog.due()) is not None:
                self._faults.guard("mark", mark.callback)
                called = True
            if not (chunk or called) or backlog.taken >= last:
                break
        self._rank_if_due()
        return backlog.taken - before

    def _absorb(self, chunk: list[Item]) -> None:
        for part in _parts(chunk, PART // self.store.task.width):
            self._faults.guard("update", partial(self._steps, part))
            _, step, epoch, _ = part[-1]
            self._position = (step, epoch)
            period = step // self._forecast_every
            if period > self._ranked_period:
                self._ranked_period = period
                self._ranking_due = True

    def _steps(self, part: list[Item]) -> None:
        """Take in steps at once: this thread holds Python's lock while it works."""
        outputs = [output for _, _, _, output in part]
        indices = [output.indices for output in outputs]
        steps = [step for _, step, _, _ in part]
        try:
            logits, targets = self._backend.telemetry_arrays(outputs)
            taken, rows, history = self.store.update_many(indices, logits, targets, steps)
        except Exception:
            if len(part) == 1:
                raise
            for one in part:  # those that are right shall not be lost with the one that is not
                self._faults.guard("update", partial(self._steps, [one]))
            return
        scale = np.repeat(taken.scale.astype(np.float32), [*map(len, indices)])
        self.foresight.update(rows, scale, history)
        self._metrics_of(part, taken)

    def take_in(self, seen: Seen) -> None:
        """Take in what steps of another process came to; from a mark's callback only."""
        steps = seen.steps.tolist()
        taken, rows, history = self.store.update_many(seen.by_step, seen.found, None, steps)
        scale = np.repeat(taken.scale.astype(np.float32), seen.lengths)
        self.foresight.update(rows, scale, history)
        self._metrics.also(taken, seen.lengths, seen.losses, seen.guidance)

    def _metrics_of(self, items: list[Item], taken: ManyStats) -> None:
        outputs = [item[3] for item in items]
        guided = [at for at, output in enumerate(outputs) if output.guidance_loss is not None]
        try:
            floats = self._backend.scalars(
                [*(output.loss for output in outputs), *(outputs[k].guidance_loss for k in guided)]
            )
        except Exception as error:  # noqa: BLE001 - of one step, perhaps; then of it alone
            if len(items) == 1:
                self._faults.note("update", error)
                return
            for at, item in enumerate(items):
                self._metrics_of([item], taken.only(at))
            return
        loss = np.array(floats[: len(items)])
        done = self._metrics.add(
            np.array([step for _, step, _, _ in items]),
            items[-1][2],
            samples=np.array([len(output.indices) for output in outputs]),
            rows=taken.rows,
            loss=loss,
            accuracy=taken.accuracy,
            guidance=dict(zip(guided, floats[len(items) :], strict=True)),
        )
        for window in done:
            self._faults.guard("on_metrics", partial(self._on_metrics, *window))
        if self._on_losses is not None:
            self._faults.guard("on_losses", partial(self._on_losses, items, loss))
        broken = (taken.non_finite > 0) | ~np.isfinite(loss)
        before = np.concatenate([[self._non_finite], broken[:-1]])
        self._non_finite = bool(broken[-1])
        for at in np.flatnonzero(broken & ~before).tolist():
            if self._on_non_finite is not None:
                _, step, _, output = items[at]
                self._faults.guard("on_non_finite", partial(self._on_non_finite, step, output))

    def _rank_if_due(self) -> None:
        if self._ranking_due and time.monotonic() >= self._rank_from:
            self._rank()

    def _rank(self) -> None:
        self._ranking_due = False
        began, used = time.monotonic(), time.thread_time()
        self._faults.guard("on_ranking", self._publish_ranking)
        used = time.thread_time() - used
        self._rank_from = began + max(RANKING_PERIOD, used / RANKING_SHARE)

    def _publish_ranking(self) -> None:
        top, risk = self.queue.listed(*((True,) if self.onset else (True, False)))
        step, epoch = self._position
        if not len(top) and epoch == 0:
            return  # that nothing is at risk is known when an epoch has been seen
        self._on_ranking(
            top,
            risk,
            self.store.target[top],
            self.store.predicted[top],
            reasons(self.store, top),
            step,
            epoch,
        )


def _parts(chunk: list[Item], most: int) -> Iterator[list[Item]]:
    """Runs of steps for the store, cut at an epoch's end, which has each sample once, and where
    they get longer than `most` samples.
    """
    part: list[Item] = []
    size = 0
    for item in chunk:
        if part and (size > most or item[2] != part[-1][2]):
            yield part
            part, size = [], 0
        part.append(item)
        size += len(item[3].indices)
    if part:
        yield part


def _left(until: float) -> float:
    return max(0.0, until - time.monotonic())
