"""The one thread that sends to the browser: events in, at most 20 updates a second out.

Latest wins: what happens between two updates is folded into one. Nobody else sends on the
dashboard's model, because widgets are not safe to use from two threads.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from coflect_widget.events import Event
from coflect_widget.ui.view import View

PERIOD = 0.05  # seconds between two updates, at least
SNAPSHOT_PERIOD = 10.0  # seconds between two refreshes of what a saved notebook shows
_SNAPSHOT_AT = frozenset({"state", "intervention", "undo", "failure"})


class Screen(Protocol):
    """The part of a widget that the publisher uses."""

    def send(self, content: Any, buffers: list[bytes] | None = None) -> None:
        """Send one message."""

    def keep(self, snapshot: dict[str, Any]) -> None:
        """Refresh what a saved notebook shows."""


class Publisher:
    """Folds events into a `View` and sends it, until closed."""

    def __init__(self, view: View, screen: Screen) -> None:
        self._view = view
        self._screen = screen
        self._events: deque[Event] = deque()
        self._actions: deque[Callable[[], None]] = deque()
        self._replies: deque[dict[str, Any]] = deque()
        self._wake = threading.Event()
        self._closing = False
        self._connected = False
        self._full = False
        self._seq = 0
        self._kept_at = 0.0
        self._keep_due = True
        self.error: str | None = None
        self._thread = threading.Thread(target=self._run, name="coflect-publisher", daemon=True)

    def start(self) -> None:
        """Begin to send; from now on the view belongs to the publisher's thread."""
        self._thread.start()

    def event(self, event: Event) -> None:
        """Take one event; on any thread."""
        self._events.append(event)
        self._wake.set()

    def hello(self) -> None:
        """A browser came, or lost an update: everything is sent again."""
        self._full = self._connected = True
        self._wake.set()

    def reply(self, identifier: str, *, ok: bool, text: str, step: int | None) -> None:
        """Answer one message, after the events that it caused."""
        self._replies.append(
            {"kind": "reply", "id": identifier, "ok": ok, "text": text, "step": step}
        )
        self._wake.set()

    def select(self, index: int) -> None:
        """Show this sample."""
        self._actions.append(lambda: self._view.select(index))
        self._wake.set()

    def close(self) -> None:
        """Send what waits, refresh what a saved notebook shows, and end the thread."""
        self._closing = True
        self._wake.set()
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout=5)

    # --- the publisher's thread ------------------------------------------------------------

    def _run(self) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()
            closing = self._closing
            try:
                self._turn(closing=closing)
            except Exception as error:  # noqa: BLE001 - a broken screen must not end the run
                self.error = repr(error)
                self._full = self._connected  # what was taken for this turn is sent again
            if closing:
                return
            time.sleep(PERIOD)

    def _turn(self, *, closing: bool) -> None:
        while self._events:
            event = self._events.popleft()
            self._view.apply(event)
            self._keep_due = self._keep_due or event.type in _SNAPSHOT_AT
        while self._actions:
            self._actions.popleft()()
        if self._connected and (self._full or self._view.changed):
            full, self._full = self._full, False
            self._send(full=full)
        while self._replies:
            self._screen.send(self._replies.popleft())
        now = time.monotonic()
        if closing or now - self._kept_at > (1.0 if self._keep_due else SNAPSHOT_PERIOD):
            self._kept_at, self._keep_due = now, False
            self._screen.keep(snapshot(self._view))

    def _send(self, *, full: bool) -> None:
        sections, buffers = self._view.update(full=full)
        self._seq += 1
        update = {"kind": "update", "seq": self._seq, "full": full, **sections}
        self._screen.send(update, buffers)


def snapshot(view: View) -> dict[str, Any]:
    """Everything a view shows, in one value for a trait of the widget."""
    sections, buffers = view.update(full=True)
    return {"update": {"kind": "update", "seq": 0, "full": True, **sections}, "buffers": buffers}
