"""Brings samples to the workers and their explanations back.

Two lanes, each a thread with a worker of its own: a person's requests never wait behind a
background job.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future
from types import TracebackType
from typing import Self

from coflect_widget.attribution.errors import ExplanationError
from coflect_widget.attribution.explanation import Explanation
from coflect_widget.attribution.pool import SlotName, WorkerPool
from coflect_widget.attribution.requests import Counts, Purpose, Request, RequestQueue
from coflect_widget.attribution.snapshots import Lease, Snapshots
from coflect_widget.attribution.worker import Job, JobResult, Model
from coflect_widget.backends.base import Sample
from coflect_widget.config import AttributionConfig

__all__ = ["Counts", "ExplanationScheduler", "Purpose"]

logger = logging.getLogger(__name__)

#: Seconds to wait for the trainer's next step boundary, and between two reminders.
_SNAPSHOT_SECONDS = 10.0
_REMIND_SECONDS = 0.1


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
        self._queue = RequestQueue(config.budget)
        self._threads: dict[SlotName, threading.Thread] = {}
        self._lock = threading.Lock()  # of _threads
        self._reading = threading.Lock()
        self._copying = False

    # --- any thread --------------------------------------------------------------------------

    @property
    def counts(self) -> Counts:
        """A copy of the counters: made, skipped, failed, seconds, person_seconds."""
        return self._queue.counts

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
        request = self._queue.put(Request(index, purpose, target))
        self._start_lane(request.lane)
        return request.future

    def close(self) -> None:
        """End workers and threads; what waits fails with `PoolClosedError`."""
        self._queue.close()
        self.pool.close()
        with self._lock:
            threads = list(self._threads.values())
        for thread in threads:
            if thread is not threading.current_thread():
                thread.join(10)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # --- the lanes' threads ------------------------------------------------------------------

    def _start_lane(self, lane: SlotName) -> None:
        with self._lock:
            if self._queue.closed or lane in self._threads:
                return
            self._threads[lane] = threading.Thread(
                target=self._serve, args=(lane,), daemon=True, name=f"coflect-explain-{lane}"
            )
            self._threads[lane].start()

    def _serve(self, lane: SlotName) -> None:
        if self._unsendable is None:
            self._start_worker(lane)
        while (request := self._queue.take(lane)) is not None:
            try:
                self._answer(request)
            except Exception as error:  # the thread must go on whatever happens
                logger.exception("explaining sample %d failed", request.index)
                self._failed(request, ExplanationError(f"{type(error).__name__}: {error}"))
            finally:
                self._queue.done(lane)

    def _start_worker(self, lane: SlotName) -> None:
        slot = self.pool.slot(lane)
        try:
            with self._reading:
                slot.input_shape = self._read_sample(0).input.shape
            slot.start()
        except Exception as error:  # noqa: BLE001 - each request will meet it and name it
            logger.info("the %s worker did not start: %s", lane, error)

    def _answer(self, request: Request) -> None:
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
        self._queue.answered(made=True)
        if self._on_explained is not None:
            try:
                self._on_explained(explanation, request.purpose)
            except Exception:
                logger.exception("on_explained failed for sample %d", request.index)
        request.future.set_result(explanation)

    def _compute(self, request: Request, sample: Sample) -> tuple[JobResult, int]:
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
            self._queue.spend(request, answer.seconds)
            if isinstance(answer, JobResult):
                return answer, job.step
            reason = answer.reason
            if answer.kind == "unreachable":
                self._copying = True  # workers may not open our memory: send the weights
            elif answer.kind != "stale":
                break
        raise ExplanationError(reason)

    def _lease(self, request: Request, *, fresh: bool) -> Lease:
        snapshots = self._snapshots
        seen = snapshots.written
        wait = fresh or not self._reusable(request)
        until = time.monotonic() + _SNAPSHOT_SECONDS
        while not self._queue.closed and (left := until - time.monotonic()) > 0:
            if not wait or snapshots.written > seen:
                lease = snapshots.lease()
                if lease is not None:
                    return lease  # otherwise it is being overwritten right now
            else:
                snapshots.wanted = True
                self._request_snapshot()
                if snapshots.written > seen:
                    continue
            snapshots.wait_newer(snapshots.written, min(_REMIND_SECONDS, left))
        # A step may take longer than that; then an older snapshot is better than none.
        lease = snapshots.lease()
        if lease is None:
            raise ExplanationError(
                f"training gave no snapshot of its weights within {_SNAPSHOT_SECONDS:g} s"
            )
        return lease

    def _reusable(self, request: Request) -> bool:
        if request.purpose == "person":
            return False  # who looks at a map wants the model as it is now
        step = self._snapshots.newest_step
        if step is None:
            return False
        if self._current_step is None:
            return self._snapshots.age < self._reuse_seconds
        return self._current_step() - step <= self._reuse_steps

    def _failed(self, request: Request, error: ExplanationError) -> None:
        if not self._queue.closed:
            self._queue.answered(made=False)
            if self._on_failed is not None:
                try:
                    self._on_failed(request.index, request.purpose, str(error))
                except Exception:
                    logger.exception("on_failed failed for sample %d", request.index)
        request.fail(error)
