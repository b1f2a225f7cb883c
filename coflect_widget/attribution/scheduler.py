"""Brings samples to the workers and their explanations back.

Two lanes, each a thread with a worker of its own: a person's requests never wait behind a
background job.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from contextlib import AbstractContextManager, nullcontext

import numpy as np
from numpy.typing import NDArray

from coflect_widget.attribution.answers import answer_of
from coflect_widget.attribution.errors import (
    ExplanationError,
    ExplanationSkippedError,
    NonFiniteMapError,
    after,
)
from coflect_widget.attribution.explanation import Explanation
from coflect_widget.attribution.requests import (
    Counts,
    ProbeRequest,
    Request,
    RequestQueue,
)
from coflect_widget.attribution.rests import Resting, Rests
from coflect_widget.attribution.snapshots import Lease, Snapshots
from coflect_widget.attribution.weights import Weights
from coflect_widget.attribution.work import explaining
from coflect_widget.attribution.worker import Job, JobError, JobResult, Model, Probe, ProbeResult
from coflect_widget.backends.base import Sample
from coflect_widget.backends.by_value import dumps
from coflect_widget.config import AttributionConfig
from coflect_widget.events import Purpose, Quality
from coflect_widget.modalities.base import Modality
from coflect_widget.process.closing import Closing
from coflect_widget.tasks.base import Task
from coflect_widget.workers.errors import WorkerError, WorkerLostError, WorkRefusedError
from coflect_widget.workers.pool import SlotName, WorkerPool

__all__ = ["Counts", "ExplanationScheduler", "Purpose"]

logger = logging.getLogger("coflect.attribution")

#: Seconds without a job after which a worker that can be spared ends.
IDLE_SECONDS = 60.0


class ExplanationScheduler(Closing):
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
    on_probed : callable (indices, logits, step), optional
        What the model of `step` said of samples that `probe` named: (B,) int64 and (B, classes)
        float32. Called on the background lane's thread.
    notify : callable (text), optional
        Told what a person should know: a sample was set aside, weights have to be sent.
    spare : callable () -> bool
        Whether a worker that has had nothing to do for a while should end; the next job starts
        another.
    modality : Modality
        What an input is, and which maps it has.
    task : Task
        What a map is of where a person names nothing, and which outcomes are likeliest.
    rest : callable (seconds) -> context manager, optional
        Entered while a person's job is computed: lets the training rest for at most so long.
    trained : callable () -> float
        Seconds of training until now, pauses not counted: rests for background jobs are a
        share of them.
    current_step : callable () -> int, optional
        Training step now: background requests take a snapshot again that is at most
        `reuse_steps` older. Without it they take one that is less than `reuse_seconds` old.
    distrust : callable () -> str or None, optional
        Why no map of the present model is reliable, or None. Called on a lane's thread.
    seed : int
        Of SmoothGrad's noise. Equal seed, sample and weights give equal maps.
    executor : concurrent.futures.Executor, optional
        Compute there; see `WorkerPool`.
    input_shape : (C, H, W), optional
        Of a sample, for a first job while a worker starts.
    """

    def __init__(
        self,
        structure: bytes | Exception,
        snapshots: Snapshots,
        config: AttributionConfig,
        *,
        explainer: str,
        task: Task,
        modality: Modality,
        read_sample: Callable[[int], Sample],
        request_snapshot: Callable[[], object],
        on_explained: Callable[[Explanation, Purpose], object] | None = None,
        on_failed: Callable[[int, Purpose, str], object] | None = None,
        on_probed: Callable[[NDArray[np.int64], NDArray[np.float32], int], object] | None = None,
        notify: Callable[[str], object] | None = None,
        spare: Callable[[], bool] = lambda: False,
        rest: Callable[[float], Resting] | None = None,
        trained: Callable[[], float] = time.monotonic,
        current_step: Callable[[], int] | None = None,
        reuse_steps: int = 20,
        reuse_seconds: float = 1.0,
        distrust: Callable[[], str | None] | None = None,
        seed: int = 0,
        executor: Executor | None = None,
        input_shape: tuple[int, ...] | None = None,
    ) -> None:
        self._weights = Weights(
            snapshots, request_snapshot, current_step, reuse_steps, reuse_seconds
        )
        self.rests = Rests(rest, trained)
        self._config = config
        self._read_sample = read_sample
        self._on_explained = on_explained
        self._on_failed = on_failed
        self._on_probed = on_probed
        self._task = task
        self._notify = notify
        self._modality = modality
        self._spare = spare
        self._distrust = distrust
        self._seed = seed
        self._unsendable = structure if isinstance(structure, Exception) else None
        data = b"" if isinstance(structure, Exception) else structure
        kind = dumps(modality)
        # blake2b as a name only: workers of a foreign executor may know several models.
        name = hashlib.blake2b(data + kind, digest_size=16).hexdigest()
        self._model = Model(name, explainer, data, kind)
        self.pool = WorkerPool(explaining(self._model, input_shape), executor=executor)
        self._queue = RequestQueue(config.budget)
        self._threads: dict[SlotName, threading.Thread] = {}
        self._lock = threading.Lock()  # of _threads
        self._reading = threading.Lock()
        self._copying = False
        self._quarantine: set[int] = set()
        self.patience = 5.0  #: seconds that `close` waits for the threads, at most
        self._refusal_said = False  # that no worker can rebuild the model

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
        self,
        index: int,
        purpose: Purpose,
        target: int | None = None,
        at: tuple[float, ...] | None = None,
    ) -> Future[Explanation]:
        """Ask for the maps of one sample; returns at once.

        A request that waits already, or that a person waits for already, is not made twice.

        Parameters
        ----------
        index : int
            The sample's place in the training data.
        purpose : {"periodic", "candidate", "person"}
        target : int, optional
            The class, label or output to explain; left out, what the task says.
        at : tuple of float, optional
            With a class for each place, the place whose region is explained, in fractions.

        Returns
        -------
        Future of Explanation
            Its exception is an `ExplanationError`: `ExplanationSkippedError` where the budget
            was spent.
        """
        request = Request(index, purpose, self._task.explained(target), at)
        if purpose != "person" and index in self._quarantine:
            self._queue.skip(
                request,
                ExplanationSkippedError(
                    f"sample {index} is set aside because it cost two workers; a person's request "
                    "tries it again"
                ),
            )
            return request.future
        request = self._queue.put(request)
        self._start_lane(request.lane)
        return request.future

    @property
    def quarantined(self) -> list[int]:
        """Samples that cost two workers: the background leaves them alone from then on."""
        return sorted(self._quarantine)

    def probe(self, indices: Sequence[int], exact: tuple[int, int] | None = None) -> None:
        """Have the model's present outputs for these samples given to `on_probed`, idle time given.

        They come in small parts, in order, while no overlay waits and at most half of the
        budget is spent; what there was no time for is dropped, also by the next call. With
        `exact`, (step, count), the first `count` are asked of the weights of that step, where a
        snapshot of it is left or can still be taken.
        """
        if self._unsendable is None and self._on_probed is not None:
            self._queue.probe(indices, exact)
            self._start_lane("background")

    def close(self) -> None:
        """End workers and threads; what waits fails with `SessionClosedError`."""
        self._queue.close()
        self.pool.close()
        with self._lock:
            threads = list(self._threads.values())
        until = time.monotonic() + self.patience  # one of them may be in a read that never returns
        for thread in threads:
            if thread is not threading.current_thread():
                thread.join(max(0.0, until - time.monotonic()))

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
        while self._queue.wait(lane, IDLE_SECONDS):
            if not self._queue.wanted(lane):
                if self._spare():
                    self.pool.slot(lane).give_back()
                continue
            if lane == "background":
                self.rests.hold_back(lambda: self._queue.closed)
            request = self._queue.take(lane)
            if request is None:
                continue
            if isinstance(request, ProbeRequest):
                try:
                    self._probe(request)
                except BaseException as error:  # noqa: BLE001 - the forecast does without
                    logger.info("a probe was given up: %s", error)
                continue
            try:
                self._answer(request)
            # The thread must go on whatever happens, also where a data set raises SystemExit.
            except BaseException as error:
                logger.exception("explaining sample %d failed", request.index)
                self._failed(request, ExplanationError(f"{type(error).__name__}: {error}"))
            finally:
                self._queue.done(lane)

    def _start_worker(self, lane: SlotName) -> None:
        try:
            self.pool.slot(lane).start()
        except WorkRefusedError as error:
            self._tell_refusal(str(error))
        except Exception as error:  # noqa: BLE001 - each request will meet it and name it
            logger.info("the %s worker did not start: %s", lane, error)

    def _tell_refusal(self, reason: str) -> None:
        """Say once what each request would meet."""
        with self._lock:
            said, self._refusal_said = self._refusal_said, True
        if not said:
            self._tell(f"Training works, overlays do not: {reason}")

    def _answer(self, request: Request) -> None:
        try:
            if self._unsendable is not None:
                raise ExplanationError(str(self._unsendable)) from self._unsendable
            with self._resting(request):
                with self._reading:
                    sample = self._read_sample(request.index)
                result, step = self._compute(request, sample)
        except WorkerLostError as error:
            self._set_aside(request, error)
            return
        except WorkerError as error:
            self._failed(request, after(error))
            return
        except ExplanationError as error:
            self._failed(request, error)
            return
        self._quarantine.discard(request.index)
        quality, method = self._trusted(result.quality), self._config.method
        parts = {one.name: one.units(result.map) for one in self._modality.members}
        explanation = answer_of(request, sample, result, self._task, step, method, quality, parts)
        self._queue.answered(made=True)
        if self._on_explained is not None:
            try:
                self._on_explained(explanation, request.purpose)
            except Exception:
                logger.exception("on_explained failed for sample %d", request.index)
        request.future.set_result(explanation)

    def _trusted(self, quality: Quality | None) -> Quality | None:
        reason = None if quality is None or self._distrust is None else self._distrust()
        return quality if quality is None or not reason else quality.distrusted(reason)

    def _set_aside(self, request: Request, error: WorkerLostError) -> None:
        if request.index not in self._quarantine and not self._queue.closed:
            self._quarantine.add(request.index)
            self._tell(
                f"Sample {request.index} is explained no more unless you ask for it: {error}."
            )
        self._failed(request, after(error))

    def _tell(self, text: str) -> None:
        if self._notify is not None:
            try:
                self._notify(text)
            except Exception:
                logger.exception("notify failed")

    def _probe(self, request: ProbeRequest) -> None:
        slot = self.pool.slot(request.lane)
        with self._reading:
            samples = [self._read_sample(index) for index in request.indices]
        inputs = np.stack([sample.input for sample in samples])
        with self._lease(request) as lease:
            probe = Probe(
                model_id=self._model.id,
                model=self._model if slot.inline else None,
                weights=lease.copies() if slot.inline or self._copying else lease.ref,
                step=lease.step,
                inputs=inputs,
            )
            with self._resting(request):
                answer = slot.run(probe, self._config.deadline)
        self._queue.spend(request, answer.seconds)
        if isinstance(answer, ProbeResult) and self._on_probed is not None:
            self._on_probed(np.array(request.indices, np.int64), answer.logits, probe.step)

    def _resting(self, request: Request | ProbeRequest) -> AbstractContextManager[object]:
        """Training's rest for a job; none while the worker is not ready to use it."""
        most = self._config.click_rest
        if most == 0 or self.pool.slot(request.lane).pid is None:
            return nullcontext()
        if request.lane == "interactive":
            return self.rests.for_person(most)
        return self.rests.for_background()

    def _compute(self, request: Request, sample: Sample) -> tuple[JobResult, int]:
        slot = self.pool.slot(request.lane)
        reason = ""
        for attempt in range(2):
            with self._lease(request, again=attempt > 0) as lease:
                job = Job(
                    model_id=self._model.id,
                    model=self._model if slot.inline else None,
                    weights=lease.copies() if slot.inline or self._copying else lease.ref,
                    step=lease.step,
                    task=self._task,
                    input=sample.input,
                    target=request.target,
                    method=self._config.method,
                    samples=self._config.smoothgrad_samples,
                    sigma=self._config.smoothgrad_sigma,
                    layer=self._config.layer,
                    seed=self._seed * 1_000_003 + request.index,
                    checks=self._config.checks,
                    truth=sample.targets if self._task.placed else None,
                    at=request.at,
                )
                answer = slot.run(job, self._config.deadline)
            self._queue.spend(request, answer.seconds)
            if isinstance(answer, JobResult):
                return answer, job.step
            assert isinstance(answer, JobError)  # noqa: S101 - only a probe has other results
            reason = answer.reason
            if answer.kind == "non-finite":
                raise NonFiniteMapError(reason)
            if answer.kind == "unreachable":
                if not self._copying:
                    self._tell(
                        "Worker processes may not read this process's memory; its weights are "
                        f"sent with each request instead, which is slower ({reason})."
                    )
                self._copying = True
            elif answer.kind != "stale":
                break
        raise ExplanationError(reason)

    def _lease(self, request: Request | ProbeRequest, *, again: bool = False) -> Lease:
        return self._weights.lease(
            asked=request.step if isinstance(request, ProbeRequest) else None,
            # Who looks at a map wants the model as it is now.
            newest=again or request.purpose == "person",
            closed=lambda: self._queue.closed,
        )

    def _failed(self, request: Request, error: ExplanationError) -> None:
        if not self._queue.closed:
            self._queue.answered(made=False, non_finite=isinstance(error, NonFiniteMapError))
            if self._on_failed is not None:
                try:
                    self._on_failed(request.index, request.purpose, str(error))
                except Exception:
                    logger.exception("on_failed failed for sample %d", request.index)
        request.fail(error)
