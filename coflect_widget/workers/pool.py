"""Worker processes: one that works only while the machine is idle, one for a person who waits.

There are two because a process that made itself idle (SCHED_IDLE) cannot, without privileges,
return to the normal class. Each is a process of its own that can be lost alone: forked where that
is safe, else spawned as a single-worker executor.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from multiprocessing import resource_tracker
from typing import Any, Literal, Protocol

import psutil
from loky.process_executor import ProcessPoolExecutor

from coflect_widget.process.closing import Closing
from coflect_widget.workers import start
from coflect_widget.workers.errors import PoolClosedError, WorkerLostError, WorkRefusedError
from coflect_widget.workers.forked import ForkRefusedError, ForkServer
from coflect_widget.workers.lifeline import lifeline
from coflect_widget.workers.work import Work

logger = logging.getLogger("coflect.workers")

SlotName = Literal["background", "interactive"]

#: Seconds that a new worker may take for its imports, on a machine that is busy training.
START_SECONDS = 120.0
#: Forks the workers of all sessions of this kernel.
_server = ForkServer()


def import_ahead(imports: tuple[str, ...]) -> None:
    """Begin with the imports of workers that can be forked; returns at once."""
    if sys.platform == "linux":
        try:
            _server.start(imports)
        except OSError as error:
            logger.info("workers will be spawned: %s", error)


class Worker(Protocol):
    """One process that answers one call at a time."""

    def call(self, function: Callable[..., Any], *args: Any, timeout: float, **named: Any) -> Any:
        """What `function` returns there; TimeoutError, or BrokenExecutor if the process ended."""

    def kill(self) -> None:
        """End it at once."""


#: Loky would replace a worker that grew by 300 MB, which is what a framework's import takes; the
#: new one would not be ready for its work. `WorkerSlot` looks after that itself.
_NO_RESTART = {"LOKY_MAX_MEMORY_LEAK_SIZE": "1e15"}


class SpawnedWorker:
    """A worker that begins with a new interpreter, on every system."""

    def __init__(self) -> None:
        self._executor = ProcessPoolExecutor(
            max_workers=1,
            initializer=start.initialise,
            initargs=(os.getpid(), lifeline()),
            env=start.ONE_THREAD | _NO_RESTART,
        )
        self._pid: int | None = None

    def call(self, function: Callable[..., Any], *args: Any, timeout: float, **named: Any) -> Any:
        """What `function` returns in the worker."""
        until = time.monotonic() + timeout
        if self._pid is None:
            self._pid = self._submit(os.getpid).result(timeout)
        return self._submit(function, *args, **named).result(until - time.monotonic())

    def _submit(self, function: Callable[..., Any], *args: Any, **named: Any) -> Future[Any]:
        with _interrupt_blocked():
            future: Future[Any] = self._executor.submit(function, *args, **named)
        return future

    def kill(self) -> None:
        """End it at once, also if it is stopped or hangs in a library; the executor notices."""
        if self._pid is not None:
            with contextlib.suppress(psutil.Error):
                psutil.Process(self._pid).kill()
        self._executor.shutdown(wait=True, kill_workers=True)


class WorkerSlot:
    """One worker process, replaced when it dies or hangs. `run` is for one thread at a time.

    Parameters
    ----------
    work : Work
    idle : bool
        Let the worker run only on processor time that nobody else wants.
    """

    def __init__(self, work: Work, *, idle: bool) -> None:
        self._work = work
        self._idle = idle
        self._worker: Worker | None = None
        self._lock = threading.Lock()  # of _worker and closed, held for moments only
        self._starting = threading.Lock()
        self._refused: str | None = None
        self.closed = False
        #: process number of the worker, None while there is none
        self.pid: int | None = None
        #: workers that were replaced
        self.replaced = 0

    #: whether a job must carry all that it needs, since its worker may be anywhere
    inline = False

    def start(self) -> None:
        """Start the worker and wait until it is warm; does nothing if it runs.

        Raises
        ------
        WorkRefusedError
            If no worker can do this work.
        WorkerLostError
            If the worker did not come up.
        PoolClosedError
        """
        with self._starting:
            if self.pid is not None:
                return
            if self._refused is not None:
                raise WorkRefusedError(self._refused)
            if self.closed:
                raise PoolClosedError("the session is closed")
            try:
                made, imported = self._make()
                with self._lock:
                    self._worker = made
                    closed = self.closed
                if closed:
                    raise BrokenExecutor("closed meanwhile")
                answer = made.call(
                    start.warm_up,
                    self._work.prepare,
                    idle=self._idle,
                    imported=imported,
                    timeout=START_SECONDS,
                )
            except (BrokenExecutor, FutureTimeoutError, RuntimeError, OSError) as error:
                self._discard()
                if self.closed:
                    raise PoolClosedError("the session is closed") from None
                raise WorkerLostError(f"a worker process did not start: {error!r}") from error
            if isinstance(answer, start.Refusal):
                self._refused = answer.reason
                self._discard()
                raise WorkRefusedError(answer.reason)
            self.pid = answer

    def _make(self) -> tuple[Worker, bool]:
        """A new process, and whether it has its imports and is ready already."""
        if self._work.forkable and sys.platform == "linux":
            try:
                return _server.fork(self._work), True
            except (ForkRefusedError, OSError) as error:
                logger.info("spawning a worker in place of forking it: %s", error)
        return SpawnedWorker(), False

    def run(self, job: Any, deadline: float) -> Any:
        """Answer one job; blocks. A worker that is lost is replaced and the job tried again.

        Parameters
        ----------
        job : object
            What the work's ``answer`` takes; it is pickled.
        deadline : float
            Seconds after which the worker counts as hung.

        Raises
        ------
        WorkerLostError
            If two workers were lost with this job.
        PoolClosedError
            If `close` was called meanwhile.
        WorkRefusedError
            If no worker can do this work.
        """
        reason = ""
        for _ in range(2):
            self.start()
            try:
                answer = self._ask(job, deadline)
            except FutureTimeoutError:
                reason = f"the worker gave no answer within {deadline:g} s"
            except (BrokenExecutor, RuntimeError) as error:
                reason = f"the worker process ended unexpectedly ({type(error).__name__})"
            else:
                lost = self._work.lost(answer)
                if lost is None:
                    return answer
                reason = lost
            if self.closed:
                raise PoolClosedError("the session was closed before the job was done")
            logger.info("replacing a worker: %s", reason)
            self.replaced += 1
            self._discard()
        raise WorkerLostError(f"{reason}, twice in a row")

    def _ask(self, job: Any, deadline: float) -> Any:
        with self._lock:
            asked = self._worker
        if asked is None:
            raise BrokenExecutor("the worker was discarded")
        return asked.call(self._work.answer, job, timeout=deadline)

    def _discard(self) -> None:
        with self._lock:
            lost, self._worker = self._worker, None
        self.pid = None
        if lost is not None:
            lost.kill()

    def give_back(self) -> None:
        """End a worker that has nothing to do; the next job starts another."""
        with self._starting:
            self._discard()

    def close(self) -> None:
        """End the worker, also in the middle of a job."""
        with self._lock:
            self.closed = True
        self._discard()


class ForeignSlot:
    """The same face for an executor that somebody else made, perhaps on other machines."""

    inline = True
    pid: int | None = None
    replaced = 0

    def __init__(self, work: Work, executor: Executor) -> None:
        self._work = work
        self._executor = executor
        self._running: Future[Any] | None = None
        self.closed = False

    def start(self) -> None:
        """Nothing to do: the executor's owner has started it."""

    def give_back(self) -> None:
        """Nothing to do: the workers are the executor's."""

    def run(self, job: Any, deadline: float) -> Any:
        """As `WorkerSlot.run`, except that a hung worker cannot be replaced from here."""
        reason = ""
        for _ in range(2):
            if self.closed:
                raise PoolClosedError("the session is closed")
            self._running = self._executor.submit(self._work.answer, job)
            try:
                answer = self._running.result(deadline)
            except FutureTimeoutError:
                reason = f"the executor gave no answer within {deadline:g} s"
                self._running.cancel()
            except Exception as error:  # noqa: BLE001 - each executor has errors of its own
                reason = f"the executor failed: {type(error).__name__}: {error}"
            else:
                lost = self._work.lost(answer)
                if lost is None:
                    return answer
                reason = lost
        raise WorkerLostError(f"{reason}, twice in a row")

    def close(self) -> None:
        """Leave the executor to its owner."""
        self.closed = True
        if self._running is not None:
            self._running.cancel()


def check_executor(executor: object) -> None:
    """Raise TypeError unless `executor` is None or can run jobs."""
    if isinstance(executor, ThreadPoolExecutor):
        raise TypeError(
            "executor is a ThreadPoolExecutor; explaining on the kernel's threads would "
            "disturb the training and its random numbers: pass an executor of processes"
        )
    if executor is not None and not callable(getattr(executor, "submit", None)):
        raise TypeError(
            f"executor={executor!r} must be a concurrent.futures.Executor; of a Dask client "
            "take client.get_executor()"
        )


class WorkerPool(Closing):
    """The two slots of a session; a context manager.

    Parameters
    ----------
    work : Work
    executor : concurrent.futures.Executor, optional
        Take this for both slots; its workers must be processes. It is not shut down.

    Attributes
    ----------
    background, interactive : WorkerSlot or ForeignSlot
        They start at their first job, or at ``start()``.
    """

    def __init__(
        self,
        work: Work,
        *,
        executor: Executor | None = None,
    ) -> None:
        self.background: WorkerSlot | ForeignSlot
        self.interactive: WorkerSlot | ForeignSlot
        if executor is None:
            self.background = WorkerSlot(work, idle=True)
            self.interactive = WorkerSlot(work, idle=False)
        else:
            check_executor(executor)
            self.background = ForeignSlot(work, executor)
            self.interactive = ForeignSlot(work, executor)

    def slot(self, name: SlotName) -> WorkerSlot | ForeignSlot:
        """The slot of that name."""
        return self.background if name == "background" else self.interactive

    def close(self) -> None:
        """End both workers, also in the middle of a job."""
        self.background.close()
        self.interactive.close()


@contextlib.contextmanager
def _interrupt_blocked() -> Iterator[None]:
    """Processes started inside inherit a blocked SIGINT.

    The worker ignores it as soon as it runs our code, but Jupyter's Interrupt goes to the whole
    process group and may come while the worker still imports.
    """
    if sys.platform == "win32" or threading.current_thread() is threading.main_thread():
        yield  # on the main thread it would hold back the person's own Ctrl-C
        return
    # Starting the standard library's tracker of named resources, which loky does on the way,
    # unblocks SIGINT again: have it run before.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
