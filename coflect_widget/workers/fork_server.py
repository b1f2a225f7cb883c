"""The process that forks workers: it imports what they need and makes ready for their work.

What is slow the first time is so only here. It has one thread, because a fork copies only the
thread that forks, and whatever lock another one holds stays locked in the copy. `forked` is the
kernel's side of it.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import pickle
import signal
import socket
import struct
import sys
import traceback
from collections.abc import Iterable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NoReturn

from coflect_widget.workers import start

#: Before each request its length in bytes; the answer is the number of the new process.
LENGTH = struct.Struct("!q")
REFUSED = -1
#: Libraries that cannot be forked once they are loaded, whatever threads they show.
_UNFORKABLE = {"tensorflow", "jax"}


def serve(
    control_fd: int, kernel_pid: int, reading_end: int | None, imports: Iterable[str]
) -> None:
    """Fork a worker for each request, until the kernel closes its end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # dead workers leave no zombies
    start.come_last()
    control = socket.socket(fileno=control_fd)
    for module in imports:
        start.import_ahead(module)
    while True:
        head, ends, _, _ = socket.recv_fds(control, LENGTH.size, 1)
        if not head:
            return
        request = receive(control, LENGTH.unpack(head)[0])
        prepare, sys.path[:] = pickle.loads(request)  # noqa: S301 - our kernel's
        importlib.invalidate_caches()  # a module may have been written just now
        with contextlib.suppress(Exception):  # the worker will meet it too, and say so
            prepare()
        pid = os.fork() if _forkable() else REFUSED
        if pid == 0:
            control.close()
            _work(ends[0], kernel_pid, reading_end)
        os.close(ends[0])
        control.sendall(LENGTH.pack(pid))


def _forkable() -> bool:
    threads = len(list(Path("/proc/self/task").iterdir()))
    return threads == 1 and not _UNFORKABLE & sys.modules.keys()


def _work(end: int, kernel_pid: int, reading_end: int | None) -> NoReturn:
    """In the forked worker: answer calls until the kernel closes its end."""
    code = 0
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        start.initialise(kernel_pid, reading_end, os.getppid())
        connection = Connection(end)
        while True:
            function, args, named = connection.recv()
            connection.send(function(*args, **named))
    except (EOFError, ConnectionError):  # the kernel has gone, or has given this worker up
        pass
    except BaseException:  # noqa: BLE001 - nothing may return into the server's loop
        traceback.print_exc()
        code = 1
    finally:
        os._exit(code)


def receive(control: socket.socket, count: int) -> bytes:
    """Exactly `count` bytes. Raises EOFError where the other end is closed."""
    data = bytearray()
    while len(data) < count:
        part = control.recv(count - len(data))
        if not part:
            raise EOFError("the other end is closed")
        data += part
    return bytes(data)
