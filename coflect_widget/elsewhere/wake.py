"""Work for a thread that waits for sockets, handed to it from any other thread."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue

_log = logging.getLogger("coflect.elsewhere")


class Errands:
    """What other threads want done on the thread that owns the sockets; oldest first.

    That thread polls the errands themselves, which have a file number, for reading.
    """

    def __init__(self) -> None:
        self._wanted: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._ours, self._theirs = socket.socketpair()
        self._ours.setblocking(False)
        self._theirs.setblocking(False)

    def fileno(self) -> int:
        """The file to poll."""
        return self._ours.fileno()

    def put(self, do: Callable[[], None]) -> None:
        """Have `do()` called on that thread soon; nothing once it has ended."""
        self._wanted.put(do)
        with suppress(OSError):  # full: it will look anyway; closed: nobody looks any more
            self._theirs.send(b"\0")

    def run(self) -> None:
        """Do what waits; on that thread."""
        with suppress(OSError):
            while self._ours.recv(4096):
                pass
        while True:
            try:
                do = self._wanted.get_nowait()
            except Empty:
                return
            try:
                do()
            except Exception:  # noqa: BLE001 - one errand that fails must not end all others
                _log.exception("a message could not be sent")

    def close(self) -> None:
        """No more errands."""
        self._ours.close()
        self._theirs.close()
