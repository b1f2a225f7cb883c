"""What is told a run's events: a handler of one's own, or a sink for another tracker."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from coflect_widget.events import Event
from coflect_widget.records.labels import Labels


@runtime_checkable
class EventHandler(Protocol):
    """Anything with ``on_event(event)``; a session's ``sinks=`` takes it.

    It is called on a thread of its own, half a second after the event at most, in the order of the
    record. It may take its time. What it raises is said once, and it is told no more.
    """

    def on_event(self, event: Event) -> None:
        """Do something with one event, such as ``if event.type == "intervention": ...``."""


class RunFolder(Protocol):
    """What a sink may read of a run; `records.run.Run` is one."""

    id: str
    path: Path

    @property
    def config(self) -> dict[str, Any]:
        """``config.yaml``."""

    @property
    def meta(self) -> dict[str, Any]:
        """``meta.json``."""

    @property
    def labels(self) -> Labels:
        """Tags and notes."""


class Sink:
    """An `EventHandler` with a beginning and an end; empty methods, to be overridden.

    All of them are called on one thread, which is not the training's.

    Attributes
    ----------
    types : frozenset of str or None
        Types of the events that `on_event` wants; None for all.
    whole : bool
        Whether a session that goes on with a run tells it the run's earlier events too.
    """

    types: frozenset[str] | None = None
    whole = False

    def open(self, run: RunFolder) -> None:
        """The run begins, or is about to be replayed."""

    def on_event(self, event: Event) -> None:
        """One event of the record. Metrics that a resumed run left behind are not among them."""

    def flush(self) -> None:
        """So far there are no more events."""

    def close(self) -> None:
        """There will be no more events."""


def without_password(text: str) -> str:
    """A sentence about an error, with name and password of a URL in it left out."""
    return re.sub(r"//[^/@\s]+@", "//***@", text)
