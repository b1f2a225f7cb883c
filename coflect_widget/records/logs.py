"""The standard library's ``logging`` under ``coflect``: into the record of a run, or as JSON lines.

Records go to the run that the logger names, as `session.logger` does, else to the newest one of
this process. Which levels there are is decided by ``logging.getLogger("coflect").setLevel``, as for
any logger.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from coflect_widget.events import Log

ROOT = "coflect"
#: Records a second of one run that are kept; the next one says how many were not.
MOST = 200
_LONGEST = 10_000  # characters of one
_thread = threading.local()


def unrecorded() -> None:
    """From now on nothing that this thread logs is written into a run.

    For threads that write or read the record: each line would make the next.
    """
    _thread.silent = True


class RunLogger(logging.LoggerAdapter[logging.Logger]):
    """A logger whose records name their run, beside what `extra` brings."""

    def process(self, msg: Any, kwargs: Any) -> tuple[Any, Any]:
        """Message and arguments, with the run's name."""
        return msg, {**kwargs, "extra": {**(kwargs.get("extra") or {}), **(self.extra or {})}}


class RunLog:
    """Where the records of one run go, from `open` to `close`.

    Parameters
    ----------
    run_id : str
    emit : callable (Log)
        Writes it into the run; never waits.
    place : callable () -> (step, epoch)
        Where the training is.
    """

    def __init__(
        self, run_id: str, emit: Callable[[Log], object], place: Callable[[], tuple[int, int]]
    ) -> None:
        self.run_id = run_id
        self.place = place
        self.logger = RunLogger(logging.getLogger(f"{ROOT}.run"), {"run_id": run_id})
        self._emit = emit
        self._second = self._kept = self._left_out = 0
        self._lock = threading.Lock()

    def open(self) -> None:
        """From now on it is the newest run of this process."""
        with _lock:
            _open.append(self)
            root = logging.getLogger(ROOT)
            if _INTO_RUNS not in root.handlers:
                root.addHandler(_INTO_RUNS)

    def close(self) -> None:
        """Nothing is written into the run any more."""
        with _lock:
            if self in _open:
                _open.remove(self)

    def take(self, record: logging.LogRecord, text: str) -> None:
        """Write one record into the run, unless there were too many in this second."""
        with self._lock:
            second = int(time.monotonic())
            if second != self._second:
                self._second, self._kept = second, 0
            if self._kept >= MOST:
                self._left_out += 1
                return
            self._kept += 1
            left_out, self._left_out = self._left_out, 0
        self._emit(
            Log(
                level=record.levelname.lower(),
                logger=record.name,
                text=text if len(text) <= _LONGEST else f"{text[:_LONGEST]}...",
                left_out=left_out,
            )
        )


_open: list[RunLog] = []
_lock = threading.Lock()


def _forget() -> None:
    """A forked process, such as one that loads data, writes no run: its parent does."""
    global _lock
    _lock = threading.Lock()
    _open.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


def run_of(record: logging.LogRecord) -> RunLog | None:
    """The open run that a record belongs to: the one it names, else the newest."""
    named = getattr(record, "run_id", None)
    for one in reversed(_open[:]):
        if named is None or one.run_id == named:
            return one
    return None


class _IntoRuns(logging.Handler):
    """Writes records into runs."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(logging.Formatter("%(message)s"))  # and below it the traceback

    def emit(self, record: logging.LogRecord) -> None:
        """Queue one record."""
        last = logging.lastResort
        if last is not None and record.levelno >= last.level and not _is_handled(record.name):
            last.handle(record)  # as where this handler were not: it goes to standard error
        if getattr(_thread, "silent", False):
            return
        run = run_of(record)
        if run is None:
            return
        _thread.silent = True  # whatever is logged on the way is not written too
        try:
            run.take(record, self.format(record))
        except Exception:  # noqa: BLE001 - as every handler does
            self.handleError(record)
        finally:
            _thread.silent = False


_INTO_RUNS = _IntoRuns()


def _is_handled(name: str) -> bool:
    """Whether a logger's records have a handler beside the one that writes them into runs."""
    logger: logging.Logger | None = logging.getLogger(name)
    while logger is not None:
        if any(one is not _INTO_RUNS for one in logger.handlers):
            return True
        logger = logger.parent if logger.propagate else None
    return False


class JsonLines(logging.Formatter):
    """One JSON object a record: ``time``, ``level``, ``logger``, ``message``, ``run_id``, ``step``.

    ``run_id``, ``step`` and ``epoch`` are null where no session is open; ``exception`` has the
    traceback, where there is one.
    """

    def format(self, record: logging.LogRecord) -> str:
        """One record as a line."""
        run = run_of(record)
        step, epoch = (None, None) if run is None else run.place()
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "run_id": getattr(record, "run_id", None if run is None else run.run_id),
            "step": getattr(record, "step", step),
            "epoch": getattr(record, "epoch", epoch),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def log_json(
    target: str | Path | TextIO | None = None, *, level: int | str = logging.INFO
) -> logging.Handler:
    """Write what is logged under ``coflect`` as JSON, one object a line.

    Parameters
    ----------
    target : path or text stream, optional
        A file, which is appended to, or a stream; standard error if left out. A second call with
        the same target takes the place of the first.
    level : int or str
        Least level, such as ``"DEBUG"``; the logger ``coflect`` is set to it where it would keep
        such records back.

    Returns
    -------
    logging.Handler
        ``logging.getLogger("coflect").removeHandler(handler)`` ends it.

    Raises
    ------
    ValueError
        If there is no such level.
    OSError
        If the file cannot be written.
    """
    handler: logging.Handler
    if isinstance(target, str | os.PathLike):
        handler = logging.FileHandler(Path(target).expanduser(), encoding="utf-8")
        key = str(Path(target).expanduser().resolve())
    else:
        stream = sys.stderr if target is None else target
        handler = logging.StreamHandler(stream)
        key = f"stream {id(stream)}"
    try:
        handler.setLevel(level.upper() if isinstance(level, str) else level)
    except (ValueError, TypeError):
        handler.close()
        raise ValueError(
            f"level={level!r} is no level of logging; take 'DEBUG', 'INFO', 'WARNING' or 'ERROR'"
        ) from None
    handler.setFormatter(JsonLines())
    handler.name = f"coflect-json {key}"
    root = logging.getLogger(ROOT)
    for other in root.handlers[:]:
        if other.name == handler.name:
            root.removeHandler(other)
            other.close()
    root.addHandler(handler)
    if not root.isEnabledFor(handler.level):
        root.setLevel(handler.level)
    return handler
