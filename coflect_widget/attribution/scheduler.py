"""Decides which sample is explained next, and brings the result back.

Two lanes, each a thread with a worker of its own: a person's requests never wait behind a
background job. Within a lane the newest request is served first, because older ones are about
a model that is gone.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field, replace
from typing import Literal

from coflect_widget.attribution.errors import (
    ExplanationError,
    ExplanationSkippedError,
    PoolClosedError,
)
from coflect_widget.attribution.explanation import Explanation
from coflect_widget.attribution.pool import SlotName, WorkerPool
from coflect_widget.attribution.snapshots import Lease, Snapshots
from coflect_widget.attribution.worker import Job, JobResult, Model
from coflect_widget.backends.base import Sample
from coflect_widget.config import AttributionConfig

logger = logging.getLogger(__name__)

Purpose = Literal["periodic", "candidate", "person"]

#: Background requests that may wait; the oldest is skipped for a newer one.
MOST_WAITING = 32
#: Seconds to wait for the trainer's next step boundary, and between two reminders.
_SNAPSHOT_SECONDS = 10.0
_REMIND_SECONDS = 0.1
#: Seconds of the rolling window that the budget counts in.
_BUDGET_WINDOW = 60.0


@dataclass(slots=True)
class Counts:
    """Requests so far: answered, skipped for the budget or for newer ones, failed."""

    made: int = 0
    skipped: int = 0
    failed: int = 0
    seconds: float = 0.0  #: processor time of all workers, also of failed jobs
    person_seconds: float = 0.0  #: that part of it for which a person waited


@dataclass(slots=True, eq=False)
class _Request:
    index: int
    purpose: Purpose
    target: int | None
    future: Future[Explanation] = field(default_factory=Future)

    @property
    def lane(self) -> SlotName:
        return "interactive" if self.purpose == "person" else "background"


class ExplanationScheduler:
    """Serves requests for explanations; a context manager.

    Parameters
    ----------
    structure : bytes or Exception
        The model for the workers. An exception says why it cannot be sent; every request then
        fails with it.
    snapshots : Snapshots
        Not closed by this object.
    config : AttributionConfig
    explainer : str
        Import path "module:function" that makes a `worker.Explainer` from `structure`.
    read_sample : callable (index) -> Sample
        Called on the lanes' threads, by one of them at a time.
    request_snapshot : callable () -> object
        Called after ``snapshots.wanted`` was set; takes the snapshot at once if nothing trains.
    on_explained : callable (explanation, purpose), optional
        Called on a lane's thread before the request's future is done.
    on_failed : callable (index, purpose, reason), optional
        The same for a request that failed. Skipped requests are only counted.
    current_step : callable () -> int, optional
        Training step now: background requests take a snapshot again that is at most
        `reuse_steps` older. Without it they take one that is less than `reuse_seconds` old.
    seed : int
        Of SmoothGrad's noise. Equal seed, sample and weights give equal maps.
    executor : concurrent.futures.Executor, optional
        Compute there; see `WorkerPool`.
    """

    def __init__(
        self,
        structure: bytes | Exception,
        snapshots: Snapshots,
        config: AttributionConfig,
        *,
        explainer: str,
        read_sample: Callable[[int], Sample],
        request_snapshot: Callable[[], object],
        on_explained: Callable[[Explanation, Purpose], object] | None = None,
        on_failed: Callable[[int, Purpose, str], object] | None = None,
        current_step: Callable[[], int] | None = None,
        reuse_steps: int = 20,
        reuse_seconds: float = 1.0,
        seed: int = 0,
        executor: Executor | None = None,
    ) -> None:
        self._snapshots = snapshots
        self._config = config
        self._read_sample = read_sample
        self._request_snapshot = request_snapshot
        self._on_explained = on_explained
        self._on_failed = on_failed
        self._current_step = current_step
        self._reuse_steps = reuse_steps
        self._reuse_seconds = reuse_seconds
        self._seed = seed
        self._unsendable = structure if isinstance(structure, Exception) else None
        data = b"" if isinstance(structure, Exception) else structure
        # blake2b as a name only: workers of a foreign executor may know several models.
        self._model = Model(hashlib.blake2b(data, digest_size=16).hexdigest(), explainer, data)
        self.pool = WorkerPool(self._model, executor=executor)
        self._counts = Counts()
        self._spent: deque[tuple[float, float]] = deque()  # when, processor seconds
        self._waiting: dict[SlotName, deque[_Request]] = {
            "background": deque(),
            "interactive": deque(),
        }
        self._in_flight: dict[SlotName, _Request | None] = {
            "background": None,
            "interactive": None,
        }
        self._threads: dict[SlotName, threading.Thread] = {}
        self._changed = threading.Condition()
        self._reading = threading.Lock()
        self._closed = False
        self._copying = False

    # --- any thread --------------------------------------------------------------------------

    @property
    def counts(self) -> Counts:
        """A copy of the counters."""
        with self._changed:
            return replace(self._counts)

    def start(self) -> None:
        """Start the background worker, without waiting for it; harmless the second time."""
        self._start_lane("background")

    def warm(self) -> None:
        """Start the worker for a person's requests too, so that the first one is fast."""
        self._start_lane("interactive")

    def request(
        self, index: int, purpose: Purpose, target: int | None = None
    ) -> Future[Explanation]:
        """Ask for the maps of one sample; returns at once.

        A request that waits already, or that a person waits for already, is not made twice.

        Parameters
        ----------
        index : int
            The sample's place in the training data.
        purpose : {"periodic", "candidate", "person"}
        target : int, optional
            The class to explain; the predicted one if left out.

        Returns
        -------
        Future of Explanation
            Its exception is an `ExplanationError`: `ExplanationSkippedError` where the budget
            was spent.
        """
        request = _Request(index, purpose, target)
        dropped: _Request | None = None
        with self._changed:
            if self._closed:
                request.future.set_exception(PoolClosedError("the session is closed"))
                return request.future
            same = self._same(request)
            if same is not None:
                return same.future
            waiting = self._waiting[request.lane]
            if purpose != "person" and len(waiting) >= MOST_WAITING:
                dropped = waiting.popleft()
                self._counts.skipped += 1
            waiting.append(request)
            self._changed.notify_all()
        if dropped is not None:
            _fail(dropped, ExplanationSkippedError("newer requests came before it"))
        self._start_lane(request.lane)
        return request.future

    def _same(self, request: _Request) -> _Request | None:
        def equal(other: _Request) -> bool:
            return (other.index, other.target) == (request.index, request.target)

        for lane, waiting in self._waiting.items():
            for other in waiting:
                if not equal(other) or other.future.cancelled():
                    continue
                waiting.remove(other)
                if request.purpose == "person" and lane == "background":
                    other.purpose = "person"  # now somebody waits for it
                self._waiting[other.lane].append(other)  # and it is the newest
                self._changed.notify_all()
                self._start_lane(other.lane)
                return other
        running = self._in_flight[request.lane]
        return running if running is not None and equal(running) else None

    def close(self) -> None:
        """End workers and threads; what waits fails with `PoolClosedError`."""
        with self._changed:
            if self._closed:
                return
            self._closed = True
            waiting = [request for lane in self._waiting.values() for request in lane]
            for lane in self._waiting.values():
                lane.clear()
            self._changed.notify_all()
            threads = list(self._threads.values())
        self.pool.close()
        for request in waiting:
            _fail(request, PoolClosedError("the session was closed"))
        for thread in threads:
            if thread is not threading.current_thread():
                thread.join(10)

    def __enter__(self) -> ExplanationScheduler:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    # --- the lanes' threads ------------------------------------------------------------------

    def _start_lane(self, lane: SlotName) -> None:
        with self._changed:
            if self._closed or lane in self._threads:
                return
            thread = threading.Thread(
                target=self._serve, args=(lane,), daemon=True, name=f"coflect-explain-{lane}"
            )
            self._threads[lane] = thread
            thread.start()

    def _serve(self, lane: SlotName) -> None:
        if self._unsendable is None:
            try:
                self.pool.slot(lane).start()
            except ExplanationError as error:
                logger.info("%s", error)  # each request will meet it again and be answered
        while (request := self._next(lane)) is not None:
            try:
                self._answer(request)
            except Exception as error:  # the thread must go on whatever happens
                logger.exception("explaining sample %d failed", request.index)
                self._failed(request, ExplanationError(f"{type(error).__name__}: {error}"))
            finally:
                with self._changed:
                    self._in_flight[lane] = None

    def _next(self, lane: SlotName) -> _Request | None:
        """The newest request of this lane, when there is one; None at the end."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or self._waiting[lane])
                if self._closed:
                    return None
                request = self._waiting[lane].pop()
                skip = lane == "background" and self._over_budget()
                if skip:
                    self._counts.skipped += 1
                else:
                    self._in_flight[lane] = request
            if skip:
                _fail(request, ExplanationSkippedError("this minute's budget is spent"))
            elif request.future.set_running_or_notify_cancel():
                return request

    def _over_budget(self) -> bool:
        now = time.monotonic()
        while self._spent and self._spent[0][0] < now - _BUDGET_WINDOW:
            self._spent.popleft()
        return sum(seconds for _, seconds in self._spent) >= self._config.budget

    def _answer(self, request: _Request) -> None:
        try:
            if self._unsendable is not None:
                raise ExplanationError(str(self._unsendable)) from self._unsendable
            with self._reading:
                sample = self._read_sample(request.index)
            result, step = self._compute(request, sample)
        except ExplanationError as error:
            self._failed(request, error)
            return
        explanation = Explanation(
            index=request.index,
            map=result.map,
            livecam=result.livecam,
            smoothgrad=result.smoothgrad,
            agreement=result.agreement,
            focus_bbox=result.focus_bbox,
            top_classes=result.top_classes,
            top_probs=result.top_probs,
            target=int(sample.target),
            predicted=result.top_classes[0],
            model_step=step,
            method=self._config.method,
            modality_focus={"image": 1.0},
            quality=None,
            seconds=result.seconds,
        )
        with self._changed:
            self._counts.made += 1
        if self._on_explained is not None:
            try:
                self._on_explained(explanation, request.purpose)
            except Exception:
                logger.exception("on_explained failed for sample %d", request.index)
        request.future.set_result(explanation)

    def _compute(self, request: _Request, sample: Sample) -> tuple[JobResult, int]:
        slot = self.pool.slot(request.lane)
        reason = ""
        for attempt in range(2):
            with self._lease(request, fresh=attempt > 0) as lease:
                job = Job(
                    model_id=self._model.id,
                    model=self._model if slot.inline else None,
                    weights=lease.copies() if slot.inline or self._copying else lease.ref,
                    step=lease.step,
                    input=sample.input,
                    target=request.target,
                    method=self._config.method,
                    samples=self._config.smoothgrad_samples,
                    sigma=self._config.smoothgrad_sigma,
                    layer=self._config.layer,
                    seed=self._seed * 1_000_003 + request.index,
                )
                answer = slot.run(job, self._config.deadline)
            self._spend(request, answer.seconds)
            if isinstance(answer, JobResult):
                return answer, job.step
            reason = answer.reason
            if answer.kind == "unreachable":
                self._copying = True  # workers may not open our memory: send the weights
            elif answer.kind != "stale":
                break
        raise ExplanationError(reason)

    def _spend(self, request: _Request, seconds: float) -> None:
        with self._changed:
            self._counts.seconds += seconds
            if request.purpose == "person":
                self._counts.person_seconds += seconds
            else:
                self._spent.append((time.monotonic(), seconds))

    def _lease(self, request: _Request, *, fresh: bool) -> Lease:
        if not (self._reusable(request) and not fresh):
            seen = self._snapshots.written
            until = time.monotonic() + _SNAPSHOT_SECONDS
            while self._snapshots.written == seen and not self._closed:
                self._snapshots.wanted = True
                self._request_snapshot()
                left = until - time.monotonic()
                if self._snapshots.wait_newer(seen, min(_REMIND_SECONDS, left)) or left <= 0:
                    break
        # A step may take longer than that; then an older snapshot is better than none.
        lease = self._snapshots.lease()
        if lease is None:
            raise ExplanationError(
                f"training gave no snapshot of its weights within {_SNAPSHOT_SECONDS:g} s"
            )
        return lease

    def _reusable(self, request: _Request) -> bool:
        if request.purpose == "person":
            return False  # who looks at a map wants the model as it is now
        step = self._snapshots.newest_step
        if step is None:
            return False
        if self._current_step is None:
            return self._snapshots.age < self._reuse_seconds
        return self._current_step() - step <= self._reuse_steps

    def _failed(self, request: _Request, error: ExplanationError) -> None:
        if not self._closed:
            with self._changed:
                self._counts.failed += 1
            if self._on_failed is not None:
                try:
                    self._on_failed(request.index, request.purpose, str(error))
                except Exception:
                    logger.exception("on_failed failed for sample %d", request.index)
        if not request.future.done():
            request.future.set_exception(error)


def _fail(request: _Request, error: ExplanationError) -> None:
    if request.future.set_running_or_notify_cancel():
        request.future.set_exception(error)
