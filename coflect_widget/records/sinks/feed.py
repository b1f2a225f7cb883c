"""Tells sinks a run's events, each on a thread of its own; training and the record never wait.

Each thread reads the file of the events, so a slow sink loses nothing and needs no memory.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from coflect_widget.events import Event, Notice
from coflect_widget.records.inside import find
from coflect_widget.records.logs import unrecorded
from coflect_widget.records.sinks.base import EventHandler, RunFolder, without_password
from coflect_widget.records.sinks.follow import Follower

PERIOD = 0.5  # seconds between two looks at the file
PATIENCE = 30.0  # seconds that all sinks together have at the end
_LONGEST = 500  # characters of an error in a sentence

Say = Callable[[Notice, int, int], None]


def name_of(handler: EventHandler) -> str:
    """What a sink is called in sentences."""
    return str(getattr(handler, "name", "") or type(handler).__name__)


class Sinks:
    """The sinks of one session.

    Parameters
    ----------
    handlers : iterable of EventHandler
    run : RunFolder
    say : callable (notice, step, epoch)
        Records what went wrong; any thread.
    settle : callable ()
        Has everything so far in the file.
    opened : callable ()
        Called when a sink was opened, and with it the client that it brings.
    """

    def __init__(
        self,
        handlers: Iterable[EventHandler],
        run: RunFolder,
        say: Say,
        settle: Callable[[], object],
        opened: Callable[[], object],
    ) -> None:
        self._settle = settle
        self._feeds = [Feed(handler, run, say, opened) for handler in handlers]

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self._feeds)

    def start(self) -> None:
        """Begin to tell them; the run's first event is, or soon will be, in the file."""
        if self._feeds:
            self._settle()
        for feed in self._feeds:
            feed.start()

    def close(self, patience: float = PATIENCE) -> None:
        """Tell them what is left, and end them; after `patience` seconds without them."""
        if not self._feeds:
            return
        self._settle()
        for feed in self._feeds:
            feed.end()
        until = time.monotonic() + patience
        for feed in self._feeds:
            feed.wait(max(0.0, until - time.monotonic()), patience)


class Feed:
    """One sink's thread."""

    def __init__(
        self, handler: EventHandler, run: RunFolder, say: Say, opened: Callable[[], object]
    ) -> None:
        self._handler = handler
        self._run = run
        self._say = say
        self._opened = opened
        self._name = name_of(handler)
        whole = getattr(handler, "whole", False)
        # Made before this session writes: what it begins with is told to every sink.
        self._start = 0 if whole else find(run.path, "events.jsonl").stat().st_size
        self._ending = threading.Event()
        self._at = (0, 0)  # step and epoch of the newest event
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to tell it."""
        types = getattr(self._handler, "types", None)
        self._follower = Follower(self._run.path, types, self._start)
        self._thread = threading.Thread(
            target=self._feed, name=f"coflect-sink-{self._name}", daemon=True
        )
        self._thread.start()

    def end(self) -> None:
        """Tell it what is in the file now, and no more."""
        self._ending.set()

    def wait(self, seconds: float, patience: float) -> None:
        """Wait so long for its end; of `patience` seconds that all had."""
        if self._thread is None:
            return
        self._thread.join(seconds)
        if self._thread.is_alive():
            self._tell(
                f"The sink {self._name} did not end within {patience:.0f} s and is left behind"
            )

    def _feed(self) -> None:
        unrecorded()  # a sink that logs what it is told would be told what it logs
        try:
            _call(self._handler, "open", self._run)
            self._opened()
            while True:
                ending = self._ending.wait(PERIOD)  # looked at first: then all is in the file
                for event in self._events(last=ending):
                    self._at = (event.step, event.epoch)
                    self._handler.on_event(event)
                _call(self._handler, "flush")
                if ending:
                    break
        except BaseException as error:  # noqa: BLE001 - a sink must not end anything but itself
            self._tell(
                f"The sink {self._name} met an error and is told no more: {_line(error)}. "
                "Training goes on, and the run folder has everything"
            )
            with contextlib.suppress(BaseException):
                _call(self._handler, "close")
            return
        try:
            _call(self._handler, "close")
        except BaseException as error:  # noqa: BLE001 - as above
            self._tell(f"The sink {self._name} could not be closed: {_line(error)}")

    def _events(self, *, last: bool) -> Iterator[Event]:
        """What is new; a file that cannot be read now may be read at the next look."""
        events = self._follower.read()
        while True:
            try:
                event = next(events, None)
            except OSError:
                if last:
                    raise
                return
            if event is None:
                return
            yield event

    def _tell(self, text: str) -> None:
        it = repr(self._name) if getattr(self._handler, "name", "") else "it"
        text = f"{text}; session.run.replay({it}) tells it the whole run."
        self._say(Notice(level="error", text=text), *self._at)


def replay(run: RunFolder, handler: EventHandler) -> EventHandler:
    """Tell a sink a recorded run, on this thread; what it raises is raised.

    Returns
    -------
    EventHandler
        The sink.
    """
    follower = Follower(run.path, getattr(handler, "types", None))
    _call(handler, "open", run)
    try:
        for event in follower.read():
            handler.on_event(event)
        _call(handler, "flush")
    finally:
        _call(handler, "close")
    return handler


def _call(handler: EventHandler, method: str, *arguments: Any) -> None:
    """Call a method that a handler may have."""
    found = getattr(handler, method, None)
    if found is not None:
        found(*arguments)


def _line(error: BaseException) -> str:
    text = without_password(" ".join(f"{type(error).__name__}: {error}".split()))
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
