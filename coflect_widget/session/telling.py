"""What happens now goes into the record: at which step and epoch, and who caused it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any, Literal, TypeVar

from coflect_widget import events
from coflect_widget.records.journal import remedy
from coflect_widget.records.stream import EventStream

T = TypeVar("T")

_speaker: ContextVar[str | None] = ContextVar("coflect_speaker", default=None)


@contextmanager
def said_by(name: str) -> Iterator[None]:
    """What is asked within is recorded under this name, also where it is done later.

    `Controls.submit` carries the name to the step boundary at which it is done.
    """
    token = _speaker.set(name)
    try:
        yield
    finally:
        _speaker.reset(token)


class Telling:
    """Records events where the training is now; any thread.

    Parameters
    ----------
    stream : EventStream
    author : str
        Who steers this session, where `said_by` names nobody else.
    place : callable () -> (step, epoch)
        Steps done and epochs completed.
    """

    def __init__(
        self, stream: EventStream, author: str, place: Callable[[], tuple[int, int]]
    ) -> None:
        self.stream = stream
        self._author = author
        self.place = place
        self.acted: Callable[[events.Payload], None] | None = None  #: told what a person did

    @property
    def author(self) -> str:
        """Who asks for what is done now."""
        return _speaker.get() or self._author

    def emit(self, data: events.Payload) -> None:
        """Record something that happens now."""
        self.stream.emit(data, *self.place())

    def at(
        self, step: int, epoch: int, data: events.Payload, split: events.Split | None = None
    ) -> None:
        """Record something of a step that is past, as telemetry is."""
        self.stream.emit(data, step, epoch, split)

    def notice(
        self,
        level: Literal["info", "warning", "error"],
        text: str,
        offer: Literal["", "close_others"] = "",
    ) -> None:
        """Tell the person something, with a button beside it."""
        self.emit(events.Notice(level=level, text=text, offer=offer))

    def warn(self, text: str) -> None:
        """Tell the person something that may go wrong."""
        self.notice("warning", text)

    def command(self, words: str) -> None:
        """Record what a person asked for."""
        self.emit(events.CommandReceived(command=words, author=self.author))

    def durably(self, data: events.Payload, answer: Future[T], value: T) -> None:
        """Record what a person did; `answer` is `value` once it is on disk."""
        if self.acted is not None:
            self.acted(data)
        step, epoch = self.place()
        self.stream.emit(data, step, epoch, on_recorded=partial(_recorded, answer, value))


def when_applied(applied: Future[Any], answer: Future[Any]) -> None:
    """Let `answer` fail where what it waits for could not be applied."""

    def done(finished: Future[Any]) -> None:
        error = finished.exception()
        if error is not None:
            answer.set_exception(error)

    applied.add_done_callback(done)


def _recorded(answer: Future[T], value: T, event: events.Event, error: OSError | None) -> None:
    if error is None:
        answer.set_result(value)
        return
    answer.set_exception(
        OSError(
            error.errno,
            f"applied at step {event.step}, but it is not on disk yet: {error.strerror}; "
            f"{remedy(error)}, it is tried again every second",
        )
    )
