"""The run's one append-only stream: any thread emits, one thread writes, then others hear.

What a person did is synced to disk before any listener, and so the screen, learns of it.
"""

from __future__ import annotations

import math
import threading
import time
import warnings
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from coflect_widget.events import (
    DURABLE,
    TYPE_OF,
    Event,
    Metrics,
    Notice,
    Payload,
    Resumed,
    Split,
)
from coflect_widget.records.journal import Journal, remedy
from coflect_widget.records.logs import unrecorded
from coflect_widget.records.run import Run
from coflect_widget.records.scalars import ScalarsFile

#: Lines kept in memory while the disk refuses them; past this the oldest metrics go first.
MAX_UNWRITTEN = 100_000
_FLUSH_SECONDS = 1.0
_GATHERED = 0.05  # seconds that metrics wait for the next
TELL_AGAIN = 60.0  # seconds between two notices that the folder cannot be written, at least
MAX_FAULTS = 20  # different faults that are said aloud

Listener = Callable[[Event], None]
Recorded = Callable[[Event, OSError | None], None]


class EventStream:
    """Writes ``events.jsonl`` and ``scalars.csv`` of one run and hands every event on.

    Parameters
    ----------
    path : Path
        The run folder.
    first : int
        Number of the next event; more than 0 where the run is gone on with.

    Notes
    -----
    A full or lost disk does not stop training: lines wait in memory and are tried again every
    second, listeners get a `Notice`, and whoever waits for a record is told that it is not on
    disk yet.
    """

    def __init__(self, path: Path, first: int = 0) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._next_seq = first
        self._waiting: deque[tuple[Event, Recorded | None]] = deque()
        self._wake = threading.Event()
        self._soon = threading.Event()  # for all but metrics, which come several at once
        self._closing = False
        self._listeners: list[Listener] = []
        self._idle = threading.Condition()
        self._handled = first  # number up to which events went through the writer
        self._asked = self._answered = 0  # times that everything was to be in the files
        self._ended = False
        self._journal = Journal(path)
        self._scalars = ScalarsFile(path / "scalars.csv")
        self._unwritten: list[tuple[bytes, bool]] = []
        self._last_flush = time.monotonic()
        self._failing = False  # and a person was told so ...
        self._told_at = -math.inf  # ... at this moment
        self._scalars_error: OSError | None = None
        self._said: set[str] = set()  # faults of listeners, each said once
        self._thread = threading.Thread(target=self._run, name="coflect-run-writer", daemon=True)
        self._thread.start()

    def emit(
        self,
        data: Payload,
        step: int,
        epoch: int,
        split: Split | None = None,
        on_recorded: Recorded | None = None,
    ) -> int:
        """Queue one event and return its number; never blocks on the disk.

        `on_recorded(event, error)` is called on the writer's thread once the event is written
        (and synced, if a person caused it); `error` is None, or why it is not on disk.
        """
        with self._lock:
            seq = self._next_seq
            self._next_seq += 1
            event = Event.model_construct(
                seq=seq,
                ts=datetime.now(UTC),
                run_id=self.path.name,
                type=TYPE_OF[type(data)],
                step=step,
                epoch=epoch,
                split=split,
                data=data,
            )
            self._waiting.append((event, on_recorded))
        if isinstance(data, Metrics):
            self._wake.set()
        else:
            self._hurry()
        return seq

    @property
    def next_seq(self) -> int:
        """Number that the next event will have."""
        return self._next_seq

    def _hurry(self) -> None:
        self._soon.set()
        self._wake.set()

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` with every event from now on; returns what ends that."""
        self._listeners.append(listener)

        def unsubscribe() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)

        return unsubscribe

    def flush(self, timeout: float = 10.0) -> bool:
        """Wait until everything emitted so far is in the files and was handed on."""
        with self._lock:
            target = self._next_seq
            self._asked += 1
            asked = self._asked
        self._hurry()
        with self._idle:
            return self._idle.wait_for(
                lambda: self._handled >= target and (self._answered >= asked or self._ended),
                timeout,
            )

    def close(self) -> None:
        """Write what waits, sync, and end the thread."""
        self._closing = True
        self._hurry()
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout=10)
        if not self._thread.is_alive():
            self._listeners.clear()  # whoever still knows the stream keeps none of them

    # --- on the writer's thread ----------------------------------------------------------

    def _run(self) -> None:
        unrecorded()  # what a listener logs of an event would make the next
        while True:
            if self._wake.wait(timeout=_FLUSH_SECONDS):
                self._soon.wait(timeout=_GATHERED)
            self._wake.clear()
            self._soon.clear()
            closing, asked = self._closing, self._asked
            group: list[tuple[Event, Recorded | None]] = []
            while self._waiting:
                group.append(self._waiting.popleft())
            try:
                self._write(group, whole=closing or asked > self._answered, closing=closing)
            except Exception as error:  # noqa: BLE001 - one event must not end the record
                self._fault(f"An event could not be written: {error!r}")
            with self._idle:
                self._handled += len(group)
                self._answered = asked
                self._idle.notify_all()
            if closing and not self._waiting:
                break
        with self._idle:
            self._ended = True
            self._idle.notify_all()
        try:
            self._journal.close(b"".join(line for line, _ in self._unwritten))
        except OSError as error:
            warnings.warn(
                f"{len(self._unwritten)} records of {self.path.name} could not be written: {error}",
                RuntimeWarning,
                stacklevel=2,
            )

    def _write(
        self, group: list[tuple[Event, Recorded | None]], *, whole: bool, closing: bool
    ) -> None:
        durable = closing
        written: list[tuple[Event, Recorded | None]] = []
        for given, on_recorded in group:
            event, line = _line(given)
            keep = event.type in DURABLE
            durable = durable or keep
            self._unwritten.append((line, keep))
            written.append((event, on_recorded))
        error = self._flush_to_disk(sync=durable)
        for event, on_recorded in written:
            if isinstance(event.data, Metrics):
                self._scalars.add(event.step, event.epoch, event.split, event.data.values)
            elif isinstance(event.data, Resumed) and error is None:
                self._scalars = _scalars_of(self.path)
            self._hand_on(event, on_recorded, error)
        if self._journal.renewed:
            self._journal.renewed = False
            self._scalars = _scalars_of(self.path)
        if whole or time.monotonic() - self._last_flush >= _FLUSH_SECONDS:
            self._last_flush = time.monotonic()
            try:
                self._scalars.flush()
                self._scalars_error = None
            except OSError as problem:
                self._scalars_error = problem
        self._report(error or self._scalars_error)

    def _flush_to_disk(self, *, sync: bool) -> OSError | None:
        if not self._unwritten:
            return None
        try:
            self._journal.append(b"".join(line for line, _ in self._unwritten), sync=sync)
        except OSError as error:
            self._bound_unwritten()
            return error
        self._unwritten.clear()
        return None

    def _bound_unwritten(self) -> None:
        if len(self._unwritten) > MAX_UNWRITTEN:
            excess = len(self._unwritten) - MAX_UNWRITTEN
            kept: list[tuple[bytes, bool]] = []
            for line, keep in self._unwritten:
                if excess and not keep:
                    excess -= 1
                else:
                    kept.append((line, keep))
            self._unwritten = kept

    def _hand_on(self, event: Event, on_recorded: Recorded | None, error: OSError | None) -> None:
        for listener in list(self._listeners):
            try:
                listener(event)
            except Exception as problem:  # noqa: BLE001 - a listener's fault must not end the record
                self._fault(f"Something that follows this run met an error: {problem!r}")
        if on_recorded is not None:
            on_recorded(event, error)

    def _fault(self, text: str) -> None:
        """Say a fault of this program aloud; once, because the notice meets the same fault."""
        if text not in self._said and len(self._said) < MAX_FAULTS:
            self._said.add(text)
            self.emit(Notice(level="error", text=f"{text}. Training goes on."), step=0, epoch=0)

    def _report(self, error: OSError | None) -> None:
        """Say once why nothing can be written, and once that it can be again."""
        now = time.monotonic()
        if error is None:
            if self._failing and not self._unwritten:
                self._failing = False
                self._say("info", "The run folder can be written again; what waited is on disk.")
        # Once: a folder that is gone fails in as many ways as there are files in it. And a disk
        # that is nearly full takes one record and refuses the next.
        elif not self._failing and now - self._told_at >= TELL_AGAIN:
            self._failing, self._told_at = True, now
            self._say(
                "error",
                f"The run folder cannot be written: {error.strerror or error}. Training goes on; "
                f"records wait in memory and are tried again every second: {remedy(error)}.",
            )

    def _say(self, level: Literal["info", "error"], text: str) -> None:
        self.emit(Notice(level=level, text=text), step=0, epoch=0)


def _scalars_of(path: Path) -> ScalarsFile:
    """The spreadsheet of all metrics in the stream, to be written anew."""
    scalars = ScalarsFile(path / "scalars.csv")
    for event, values in Run(path).iter_metrics():
        scalars.add(event.step, event.epoch, event.split, values)
    return scalars


def _line(event: Event) -> tuple[Event, bytes]:
    """The event as a line; text that UTF-8 has no bytes for becomes "?", in the event too.

    Such text comes with file names of another encoding, for example in an error of a data set.
    """
    try:
        return event, event.model_dump_json().encode() + b"\n"
    except ValueError:  # pydantic's error of serialisation is one
        clean = type(event.data).model_validate(_clean(event.data.model_dump()))
        event = event.model_copy(update={"data": clean})
        return event, event.model_dump_json().encode() + b"\n"


def _clean(value: object) -> object:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {_clean(key): _clean(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(inner) for inner in value]
    return value
