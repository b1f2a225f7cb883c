"""The one thread that sends to the browser: events in, at most 20 updates a second out.

It is there while there is something to send, and some seconds longer.

Latest wins: what happens between two updates is folded into one. What a person waits for goes
out at once; figures that merely go on are gathered for half a second, or for two while nobody's
hand is on the dashboard, because a page that is drawn anew takes processor time from a training
on the same machine. Browsers acknowledge what
they have shown, not each update (JupyterLab draws its busy sign for every message to the
kernel); a few may be on their way, then the rest waits and is folded. Nobody else sends on the
dashboard's model, because widgets are not safe to use from two threads.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from coflect_widget.events import Event
from coflect_widget.ui.view import View

PERIOD = 0.05  # seconds between two updates, at least
GATHERED = 0.5  # the same where they only bring what nobody waits for
LEISURE = 2.0  # and where no hand is on the dashboard
SNAPSHOT_PERIOD = 30.0  # seconds between two refreshes of what a saved notebook shows
CREDIT = 24  # updates that may be on their way to a browser
TRICKLE = 2.0  # seconds between updates to browsers that do not answer
LINGER = 5.0  # seconds that the thread stays though it has nothing to do
MAX_CLIENTS = 64  # browsers that are remembered
_SNAPSHOT_AT = frozenset({"state", "intervention", "undo", "failure"})
# What goes on by itself; maps that nobody asked for are such as well.
_GOES_ON = frozenset({"metrics", "forecast", "forecast_scored", "suspects", "window", "cost"})


class Screen(Protocol):
    """The part of a widget that the publisher uses."""

    def send(self, content: Any, buffers: list[bytes] | None = None) -> None:
        """Send one message."""

    def keep(self, snapshot: dict[str, Any]) -> None:
        """Refresh what a saved notebook shows, with a state or without a kernel."""


@dataclass
class Client:
    """One page that shows the dashboard."""

    acked: int  # number of the newest update that it has shown
    seen: bool = True
    attended: bool = True
    behind: int = 0  # messages in a row that said the same number while newer ones were out


class Publisher:
    """Folds events into a `View` and sends it, until closed.

    Parameters
    ----------
    view : View
    screen : Screen
    keeps : bool
        Whether what a saved notebook shows is refreshed as the run goes on.
    """

    def __init__(self, view: View, screen: Screen, *, keeps: bool = True) -> None:
        self._view = view
        self._screen = screen
        self._keeps = keeps
        self._behind: str | None = None  # another run that is asked for, and not drawn yet
        self._events: deque[Event] = deque()
        self._actions: deque[Callable[[], None]] = deque()
        self._replies: deque[dict[str, Any]] = deque()
        self._wake = threading.Event()
        self._soon = threading.Event()  # somebody waits for it
        self._held = False  # an update waits for credit
        self._closing = self._closed = False
        self._clients: dict[str, Client] = {}
        self._full = False
        self.greeted = False  #: whether a browser has ever shown the view
        self._seq = 0
        self._sent_at = 0.0
        self._turned_at = 0.0
        self._gathers = GATHERED
        self._kept_at = 0.0
        self._keep_due = True
        self._settling = False  # somebody waits for what is kept
        self._settled = threading.Event()
        self.error: str | None = None
        self._lock = threading.Lock()  # of _thread and _started, held for moments only
        self._started = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to send; from now on the view belongs to the publisher's thread."""
        self._started = True
        self._awaken()

    def event(self, event: Event) -> None:
        """Take one event; on any thread."""
        self._events.append(event)
        if event.type not in _GOES_ON and getattr(event.data, "purpose", "person") == "person":
            self._soon.set()
        self._awaken()

    def hello(self, client: str) -> None:
        """A browser came, or lost an update: everything is sent again."""
        self.greeted = True
        self._do(lambda: self._welcome(client))

    def ack(self, client: str, seq: int, *, seen: bool, attended: bool) -> None:
        """A browser has shown the update `seq`.

        `seen`: it is in sight; `attended`: a person's hand is on it, or was some seconds ago.
        """
        self.greeted = True
        self._actions.append(lambda: self._acknowledged(client, seq, seen=seen, attended=attended))
        if self._held or (attended and self._gathers > GATHERED):
            self._soon.set()
        self._awaken()

    def reply(self, identifier: str, *, ok: bool, text: str, step: int | None) -> None:
        """Answer one message, after the events that it caused."""
        self._replies.append(
            {"kind": "reply", "id": identifier, "ok": ok, "text": text, "step": step}
        )
        self._hurry()

    def select(self, index: int) -> None:
        """Show this sample."""
        self._do(lambda: self._view.select(index))

    def leave(self, client: str) -> None:
        """A page went and will acknowledge nothing more."""

        def drop() -> None:
            self._clients.pop(client, None)

        self._do(drop)

    def look(self, index: int, step: int | None) -> None:
        """Show one recorded explanation of a sample, or with None its newest."""
        self._do(lambda: self._view.look(index, step))

    def settle(self, seconds: float = 5.0) -> None:
        """Wait until what a saved notebook shows has all that was heard of until now.

        For a cell that is about to end: what came later could not be told to be of it.
        """
        if not self._keeps or self._closing or threading.current_thread() is self._thread:
            return
        self._settled.clear()
        self._settling = True
        self._hurry()
        self._settled.wait(seconds)

    def compare(self, run: str) -> None:
        """Draw another run of the folder behind the charts; "" for none. The newest ask counts."""
        self._behind = run
        self._do(self._draw_behind)

    def _draw_behind(self) -> None:
        run, self._behind = self._behind, None
        if run is not None:  # else a later ask, which was answered with an earlier one
            self._view.compare(run)

    def close(self) -> None:
        """Send what waits, refresh what a saved notebook shows, and end the thread.

        A browser that still shows the view is answered all the same, by a thread for that alone.
        """
        self._closing = True
        self._hurry()
        with self._lock:
            thread = self._thread
        if thread is not None and threading.current_thread() is not thread:
            thread.join(timeout=5)

    def _do(self, action: Callable[[], None]) -> None:
        self._actions.append(action)
        self._hurry()

    def _hurry(self) -> None:
        self._soon.set()
        self._awaken()

    def _awaken(self) -> None:
        """Have what waits looked at, by a new thread where the last one has ended."""
        with self._lock:
            self._wake.set()
            if self._thread is None and self._started:
                self._thread = threading.Thread(
                    target=self._run, name="coflect-publisher", daemon=True
                )
                self._thread.start()

    # --- the publisher's thread ------------------------------------------------------------

    def _run(self) -> None:
        while True:
            # What is held back for want of credit goes out by and by without any event.
            linger = 0.0 if self._closing else LINGER
            self._wake.wait(timeout=TRICKLE / 4 if self._held else linger)
            with self._lock:  # who gives something to do after this begins a new thread
                if not (self._held or self._wake.is_set()):
                    self._thread = None
                    return
            self._soon.wait(max(0.0, self._turned_at + self._gathers - time.monotonic()))
            self._wake.clear()
            self._soon.clear()
            self._turned_at = time.monotonic()
            closing, self._closed = self._closing and not self._closed, self._closing
            try:
                self._held = self._turn(closing=closing)
            except Exception as error:  # noqa: BLE001 - a broken screen must not end the run
                self._fault(error)
                self._held = True
            if self._closing:
                self._held = False  # nothing is tried again by itself
            time.sleep(PERIOD)

    def _fault(self, error: Exception) -> None:
        text = f"The dashboard met an error: {error!r}. Training goes on."
        if text != self.error:
            self.error = text
            self._view.notice("error", text)
        self._full = bool(self._clients)  # what was taken for this turn is sent again

    def _turn(self, *, closing: bool) -> bool:
        """One look at everything that waits; True if an update is held back."""
        while self._events:
            event = self._events.popleft()
            self._view.apply(event)
            self._keep_due = self._keep_due or event.type in _SNAPSHOT_AT
        while self._actions:
            self._actions.popleft()()
        self._full = self._full or self._view.rewound
        due = self._full or self._view.changed
        seen = any(client.seen for client in self._clients.values())
        attended = any(client.seen and client.attended for client in self._clients.values())
        self._gathers = GATHERED if attended else LEISURE
        held = due and seen and not self._may_send()
        if due and seen and not held:
            full, self._full = self._full, False
            self._send(full=full)
        while self._replies:
            self._screen.send(self._replies.popleft())
        now = time.monotonic()
        settling, self._settling = self._settling, False
        patience = 1.0 if self._keep_due else SNAPSHOT_PERIOD
        if self._keeps and (closing or settling or now - self._kept_at > patience):
            self._kept_at, self._keep_due = now, False
            self._screen.keep(snapshot(self._view))
        if settling:
            self._settled.set()
        return held

    def _may_send(self) -> bool:
        newest = max(client.acked for client in self._clients.values() if client.seen)
        return (
            self._full or self._seq - newest < CREDIT or time.monotonic() - self._sent_at >= TRICKLE
        )

    def _send(self, *, full: bool) -> None:
        sections, buffers = self._view.update(full=full)
        self._seq += 1
        self._sent_at = time.monotonic()
        update = {"kind": "update", "seq": self._seq, "full": full, **sections}
        self._screen.send(update, buffers)

    def _welcome(self, client: str) -> None:
        self._clients.pop(client, None)
        while len(self._clients) >= MAX_CLIENTS:
            del self._clients[next(iter(self._clients))]  # the one that came first
        self._clients[client] = Client(acked=self._seq)
        self._full = True

    def _acknowledged(self, name: str, seq: int, *, seen: bool, attended: bool) -> None:
        client = self._clients.get(name)
        if client is None:  # a page that was open before this publisher, or long ago
            self._welcome(name)
            client = self._clients[name]
        client.seen, client.attended = seen, attended
        # A number that stands still while newer updates are out: they did not arrive.
        stands_still = seq <= client.acked < self._seq
        client.behind = client.behind + 1 if stands_still and seen else 0
        if seen and seq == client.acked == self._seq:  # a beat: nothing new, is anybody there?
            self.reply(name, ok=True, text="", step=None)
        client.acked = max(client.acked, min(seq, self._seq))
        if client.behind >= 2:
            client.behind = 0
            self._full = True


def snapshot(view: View, shelf_bytes: int = 0) -> dict[str, Any]:
    """Everything a view shows, in one value for a trait of the widget or a file.

    It names no other run than one that is drawn: nobody can ask a page or a saved notebook for
    another, and the names are for who has the folder.
    """
    return _alone(*view.everything(shelf_bytes))


def figures(view: View) -> dict[str, Any]:
    """As `snapshot`, without what has to be read from disk or data: at once."""
    return _alone(*view.figures())


def _alone(sections: dict[str, Any], buffers: list[bytes]) -> dict[str, Any]:
    drawn = sections["behind"]["run"] if sections.get("behind") else ""
    sections["status"] = {**sections["status"], "others": [drawn] if drawn else []}
    return {"update": {"kind": "update", "seq": 0, "full": True, **sections}, "buffers": buffers}
