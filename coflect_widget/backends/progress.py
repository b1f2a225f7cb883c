"""A line that says how far the reading of a slow data set has come, before training begins."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

T = TypeVar("T")

#: Seconds before anything is shown, and between two changes of the line.
PATIENCE, PACE = 2.0, 0.5


def shown(items: Iterable[T], total: int, what: str) -> Iterator[T]:
    """Go through `items`, each of which is slow to come or to handle.

    Where that takes longer than `PATIENCE` seconds a line on stderr, in a notebook below the
    cell, says how many of `total` are done. It is ended however the iteration ends.

    Parameters
    ----------
    items : iterable
    total : int
    what : str
        What they are, as in "samples of train_data".
    """
    began = said = time.monotonic()
    line: _Line | None = None
    done = 0
    try:
        for item in items:
            yield item
            done += 1
            now = time.monotonic()
            if now - began >= PATIENCE and (line is None or now - said >= PACE):
                said = now
                line = line or _line()
                line.show(_text(done, total, what, now - began))
    finally:
        if line is not None:
            line.end(_text(done, total, what, time.monotonic() - began))


def _text(done: int, total: int, what: str, seconds: float) -> str:
    end = "" if done >= total else "; interrupt to cancel"
    return f"Coflect: {done} of {total} {what} read, {seconds:.0f} s{end}"


class _Line:
    """On stderr: written over itself."""

    def __init__(self) -> None:
        self._width = 0

    def show(self, text: str) -> None:
        self._width = max(self._width, len(text))
        self._write("\r" + text.ljust(self._width))

    def end(self, text: str) -> None:
        self.show(text)
        self._write("\n")

    def _write(self, text: str) -> None:
        try:
            sys.stderr.write(text)
            sys.stderr.flush()
        except (OSError, ValueError, AttributeError):  # closed, or none: it is only a line
            pass


class _NotebookLine(_Line):
    """Below the cell: one output that changes."""

    def __init__(self, display: Any) -> None:
        super().__init__()
        self._display = display
        self._handle: Any = None

    def show(self, text: str) -> None:
        content = {"text/plain": text}
        if self._handle is None:
            self._handle = self._display(content, raw=True, display_id=True)
        else:
            self._handle.update(content, raw=True)

    def end(self, text: str) -> None:
        self.show(text)


def _line() -> _Line:
    ipython = sys.modules.get("IPython")  # loaded wherever there is a kernel
    shell = None if ipython is None else ipython.get_ipython()
    if getattr(shell, "kernel", None) is None:
        return _Line()
    from IPython.display import display

    return _NotebookLine(display)
