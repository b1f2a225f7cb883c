"""Follows the file of a run's events while it grows: nothing is lost, and its writer never waits.

Metrics that a resumed run left behind are not given.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from coflect_widget.events import Event, Metrics, Resumed, read_event
from coflect_widget.records.inside import LINE_BYTES, open_inside

_FILE = "events.jsonl"


class Follower:
    """Reads what was appended since the last call; used by one thread.

    Parameters
    ----------
    path : Path
        The run folder.
    types : frozenset of str, optional
        Only events of these types; all if left out.
    start : int
        Byte of the file at which the first event begins.
    """

    def __init__(self, path: Path, types: frozenset[str] | None = None, start: int = 0) -> None:
        self._path = path
        self._types = types
        self._position = start
        self._wanted = None
        if types is not None:
            names = b"|".join(re.escape(name).encode() for name in sorted(types))
            self._wanted = re.compile(rb'"type":\s*"(?:' + names + rb')"')
        #: Where the run was resumed: up to which byte, and which steps of before hold.
        self._resumed: list[tuple[int, int, int]] = []
        with open_inside(path, _FILE) as file:
            self._find_resumed(file)

    def _find_resumed(self, file: BinaryIO) -> None:
        for line in iter(lambda: file.readline(LINE_BYTES), b""):
            if b'"resumed"' in line:
                event = read_event(line)
                if event is not None and isinstance(event.data, Resumed):
                    self._resumed.append((file.tell(), event.step, event.data.validated))

    def read(self) -> Iterator[Event]:
        """Whole events that were not read yet, oldest first; unreadable lines are left out."""
        with open_inside(self._path, _FILE) as file:
            file.seek(self._position)
            begun = False  # a line longer than may be read, and its end is still to come
            while line := file.readline(LINE_BYTES):
                whole = line.endswith(b"\n")
                if not whole and len(line) < LINE_BYTES:
                    return  # it is being written, and read at the next call
                self._position += len(line)
                begun, wanted = not whole, whole and not begun
                if not wanted or (self._wanted is not None and not self._wanted.search(line)):
                    continue
                event = read_event(line)
                if event is None or (self._types is not None and event.type not in self._types):
                    continue
                if self._holds(event):
                    yield event

    def _holds(self, event: Event) -> bool:
        if not isinstance(event.data, Metrics):
            return True
        return not any(
            self._position < upto and event.step > (validated if event.split == "val" else step)
            for upto, step, validated in self._resumed
        )
