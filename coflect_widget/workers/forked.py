"""The kernel's side of the process that forks workers: a new one is there in milliseconds.

A worker's imports take seconds of processor time, which a training on all processors would feel
each time that a worker is replaced, and without which an idle-class process would need minutes.
So one process a kernel (`fork_server`) does them once, makes ready for the work, starts no
thread, and forks itself whenever a worker is wanted. Where that cannot be (no fork, a library
with threads), workers are spawned.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import pickle
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import BrokenExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from multiprocessing.connection import Connection
from typing import Any

import psutil

from coflect_widget.backends.by_value import search_path
from coflect_widget.workers import lifeline
from coflect_widget.workers.fork_server import LENGTH, receive
from coflect_widget.workers.start import ONE_THREAD
from coflect_widget.workers.work import Work

#: Seconds that the server may take for its imports, on a machine that is busy training.
_START_SECONDS = 120.0


class ForkRefusedError(RuntimeError):
    """The server cannot fork safely: workers must be spawned."""


class ForkedWorker:
    """One forked process that answers one call at a time.

    Attributes
    ----------
    pid : int
    """

    def __init__(self, pid: int, connection: Connection) -> None:
        self.pid = pid
        self._connection = connection
        self._process = psutil.Process(pid)  # knows its start: the number may be given again

    def call(self, function: Callable[..., Any], *args: Any, timeout: float, **named: Any) -> Any:
        """What `function` returns in the worker.

        Raises
        ------
        concurrent.futures.TimeoutError
            After `timeout` seconds.
        concurrent.futures.BrokenExecutor
            If the worker ended.
        """
        try:
            self._connection.send((function, args, named))
            if not self._connection.poll(timeout):
                raise FutureTimeoutError
            return self._connection.recv()
        except (EOFError, ConnectionError, BrokenPipeError) as error:
            raise BrokenExecutor(f"the worker {self.pid} ended") from error

    def kill(self) -> None:
        """End it at once, also if it is stopped or hangs in a library."""
        with contextlib.suppress(psutil.Error):
            self._process.kill()


class ForkServer:
    """One server process, started when it is first needed. Safe from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._control: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._leave_to_the_parent)

    def start(self, imports: tuple[str, ...]) -> None:
        """Start the server without waiting for it; harmless where it runs.

        `imports` are the modules that it imports first.
        """
        with self._lock:
            if self._control is None:
                self._start(imports)

    def fork(self, work: Work) -> ForkedWorker:
        """A new worker that is ready for `work`.

        Raises
        ------
        ForkRefusedError
            If the libraries of this work cannot be forked.
        OSError
            If the server does not come up, or was lost.
        """
        with self._lock:
            for attempt in range(2):
                try:
                    return self._ask(work)
                except (OSError, EOFError) as error:
                    self._end()  # it may have been killed: once more with a new one
                    if attempt:
                        raise OSError(
                            f"the process that forks workers was lost: {error}"
                        ) from error
        raise AssertionError

    def _ask(self, work: Work) -> ForkedWorker:
        if self._control is None:
            self._start(work.imports)
        assert self._control is not None  # noqa: S101 - narrows the type
        ours, theirs = socket.socketpair()
        try:
            request = pickle.dumps((work.prepare, search_path()))
            socket.send_fds(self._control, [LENGTH.pack(len(request))], [theirs.fileno()])
            self._control.sendall(request)
            pid = LENGTH.unpack(receive(self._control, LENGTH.size))[0]
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        if pid <= 0:
            ours.close()
            raise ForkRefusedError("a library that this work needs cannot be forked")
        connection = Connection(ours.detach())
        try:
            return ForkedWorker(pid, connection)
        except psutil.NoSuchProcess as error:
            raise OSError("the new worker ended at once") from error

    def _start(self, imports: tuple[str, ...]) -> None:
        ours, theirs = socket.socketpair()
        reading_end = lifeline.lifeline()
        # Held on to the kernel before anything is imported; Jupyter's Interrupt goes to the
        # kernel's process group, so it is in one of its own.
        code = (
            "import runpy, sys\n"
            f"runpy.run_path({lifeline.__file__!r})['hold_on']({os.getpid()}, {reading_end})\n"
            f"sys.path[:] = {sys.path!r}\n"
            f"from {receive.__module__} import serve\n"
            f"serve({theirs.fileno()}, {os.getpid()}, {reading_end}, {imports!r})\n"
        )
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and code
                [sys.executable, "-c", code],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                env={**os.environ, **ONE_THREAD},
                process_group=0,
            )
        ours.settimeout(_START_SECONDS)
        self._control = ours
        atexit.register(self._end)

    def _leave_to_the_parent(self) -> None:
        """In a process that the kernel forked: the server is the kernel's; here is none yet."""
        atexit.unregister(self._end)
        if self._control is not None:
            self._control.close()
        self._lock = threading.Lock()  # another thread may have held it
        self._control = self._process = None

    def _end(self) -> None:
        atexit.unregister(self._end)
        control, self._control = self._control, None
        process, self._process = self._process, None
        if control is not None:
            control.close()
        if process is not None:
            process.kill()
            process.wait()
