"""One process for what nobody waits for: while training runs, it takes only what is left over.

The search for an artefact and the measuring of effects go there, so that neither takes the
interpreter lock or a core from the training thread. It starts at its first job.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import BrokenExecutor
from typing import Any, TypeVar

from coflect_widget.workers.pool import START_SECONDS, SpawnedWorker
from coflect_widget.workers.start import become_idle

T = TypeVar("T")

#: Seconds after which a job counts as hung; idle time may be long in coming.
DEADLINE = 900.0


class IdleWorker:
    """Runs functions of importable modules in one process, one at a time; from any thread."""

    def __init__(self) -> None:
        self._process: SpawnedWorker | None = None
        self._lock = threading.Lock()  # of _process and closed, held for moments only
        self._busy = threading.Lock()
        self._pid: int | None = None
        self._training = False
        self.closed = False

    def run(self, function: Callable[..., T], *arguments: Any, imports: str = "") -> T:
        """Compute there and wait; what the function raises is raised here.

        `imports`, "module:name", is imported there before the process becomes idle.

        Raises
        ------
        RuntimeError
            If the worker is closed, hangs or was lost; the next call starts another.
        """
        with self._busy:
            with self._lock:
                if self.closed:
                    raise RuntimeError("the session is closed")
                process = self._process = self._process or SpawnedWorker()
            try:
                if self._pid is None:
                    # imports first: an idle process would need minutes for them
                    module = imports.partition(":")[0] or function.__module__
                    self._pid = process.call(_settle, module, timeout=START_SECONDS)
                    self._reclass()
                result: T = process.call(function, *arguments, timeout=DEADLINE)
            except (BrokenExecutor, TimeoutError) as error:
                self._discard()
                raise RuntimeError(f"the idle worker was lost: {error!r}") from error
            return result

    def training(self, running: bool) -> None:  # noqa: FBT001 - a state, not an option
        """Keep out of the way of a training that runs; hurry while it holds or is over."""
        self._training = running
        self._reclass()

    def _reclass(self) -> None:
        if self._pid is None or sys.platform != "linux":
            return
        policy = os.SCHED_IDLE if self._training else os.SCHED_OTHER
        # some systems allow no way back: then it stays idle
        with contextlib.suppress(OSError):
            os.sched_setscheduler(self._pid, policy, os.sched_param(0))

    def close(self) -> None:
        """End the process, also in the middle of a job or of its start."""
        with self._lock:
            self.closed = True
        self._discard()

    def _discard(self) -> None:
        with self._lock:
            lost, self._process = self._process, None
        self._pid = None
        if lost is not None:
            lost.kill()


def _settle(module: str) -> int:
    __import__(module)
    if sys.platform != "linux":  # there the kernel decides, see `IdleWorker.training`
        become_idle()
    return os.getpid()
