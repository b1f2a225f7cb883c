"""The far side: one training and all who are connected to it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from coflect_widget import events
from coflect_widget.elsewhere import connection, messages, reading
from coflect_widget.elsewhere.kernel import Comm, CommKernel
from coflect_widget.elsewhere.values import hit_out, intervention_out
from coflect_widget.guidance.hits import Hit
from coflect_widget.records.checkpoint_files import Checkpoint
from coflect_widget.session import Session
from coflect_widget.session.desk import Answer
from coflect_widget.session.resuming import checkpoint_name
from coflect_widget.session.telling import said_by
from coflect_widget.ui.commands import Commands
from coflect_widget.ui.export import save_html
from coflect_widget.ui.inbox import Intake, not_understood
from coflect_widget.ui.live import PAGE
from coflect_widget.ui.publisher import Publisher
from coflect_widget.ui.view import View

TARGET = "coflect"
CLOSED = "the session is closed; make a new one to go on"
MOST_CLIENTS = 32
FORGOTTEN = 30.0  # seconds without a word, after which a client is taken for dead


@dataclass(eq=False)
class Guest:
    """One client."""

    comm: Comm
    by: str
    shows: bool = False
    pages: set[str] = field(default_factory=set)  # ids of browser pages behind it
    heard: float = field(default_factory=time.monotonic)


class Hub:
    """Serves one session until closed; a `Screen` of its publisher.

    Parameters
    ----------
    session : Session

    Attributes
    ----------
    malformed : int
        Messages that were signed and yet no valid message; they changed nothing.
    """

    def __init__(self, session: Session) -> None:
        parts, run = session._open(), session.run
        self.malformed = 0
        self._closed = False
        self._session: Session | None = session
        self._parts = parts
        self._guests: dict[str, Guest] = {}
        self._lock = threading.Lock()  # of the guests, held for moments only
        self._work = ThreadPoolExecutor(4, thread_name_prefix="coflect-served")
        view = View(parts.gallery, "live", run.id)
        self._publisher = Publisher(view, self)
        stream = parts.stream
        stream.subscribe(self._happened)
        stream.flush()
        for event in run.iter_events():
            view.apply(event)

        def save() -> Any:
            stream.flush()
            return save_html(run, run.path / PAGE)

        self._intake = Intake(Commands(parts, save), self._publisher)
        parts.holding.screens.append(self)
        self._kernel = CommKernel(TARGET, self._opened)
        self.path = connection.write(run.path, self._kernel.connection)
        self._publisher.start()
        self._kernel.start()

    @property
    def greeted(self) -> bool:
        """Whether a browser has ever shown the training from elsewhere."""
        return self._publisher.greeted

    def settle(self) -> None:
        """Nothing of a cell is to follow here."""

    def close(self) -> None:
        """Tell those who are connected that the training has ended; no thread is left."""
        self._closed = True
        connection.remove(self.path)
        self._publisher.close()
        self._kernel.close("ended")
        self._work.shutdown(wait=False, cancel_futures=True)
        self._session = None

    def _happened(self, event: events.Event) -> None:
        if not self._closed:
            self._publisher.event(event)

    # --- to those who show the dashboard; on the publisher's thread -----------------------------

    def send(self, content: Any, buffers: list[bytes] | None = None) -> None:
        """One message to every browser."""
        self._broadcast({"kind": "screen", "content": content}, buffers)

    def keep(self, snapshot: dict[str, Any]) -> None:
        """What a saved notebook shows, to every notebook."""
        self._broadcast({"kind": "kept", "update": snapshot["update"]}, snapshot["buffers"])

    def _broadcast(self, message: dict[str, Any], buffers: list[bytes] | None) -> None:
        self._forget_the_dead()
        with self._lock:
            showing = [guest for guest in self._guests.values() if guest.shows]
        for guest in showing:
            guest.comm.send(message, [bytes(one) for one in buffers or ()])

    # --- from those who are connected; on the kernel's thread -----------------------------------

    def _opened(self, comm: Comm, data: Any) -> None:
        self._forget_the_dead()
        try:
            opening = messages.Opening.model_validate(data)
        except ValidationError:
            self.malformed += 1
            comm.close("not understood")
            return
        if opening.version != connection.VERSION or len(self._guests) >= MOST_CLIENTS:
            full = f"{MOST_CLIENTS} clients are connected already; close one of them"
            comm.close("other version" if opening.version != connection.VERSION else full)
            return
        guest = Guest(comm, opening.by)
        with self._lock:
            self._guests[comm.id] = guest
        comm.heard = lambda said: self._heard(guest, said)
        comm.closed = lambda: self._gone(guest)
        session = self._made()
        comm.send(
            {
                "kind": "welcome", "run": session.run.id, "classes": list(session.classes),
                "inputs": self._parts.modality.name,
            }
        )  # fmt: skip

    def _gone(self, guest: Guest) -> None:
        with self._lock:
            self._guests.pop(guest.comm.id, None)
        for page in guest.pages:
            self._publisher.leave(page)

    def _forget_the_dead(self) -> None:
        now = time.monotonic()
        with self._lock:
            dead = [g for g in self._guests.values() if now - g.heard > FORGOTTEN]
        for guest in dead:
            self._gone(guest)
            guest.comm.close("unknown")

    def _heard(self, guest: Guest, said: Any) -> None:
        guest.heard = time.monotonic()
        try:
            message = messages.FROM_CLIENT.validate_python(said)
        except ValidationError as error:
            self.malformed += 1
            self._refuse(guest, said, error)
            return
        match message:
            case messages.Beat():
                guest.comm.send({"kind": "beat"})
            case messages.Show():
                guest.shows = True
                self._aside(guest, self._publisher.settle)
            case messages.Page():
                self._page(guest, message.content)
            case messages.Order():
                self._order(guest, message)
            case messages.Similar():
                self._answer_later(guest, message.id, lambda: self._similar(message), _hits)
            case messages.Checkpoint():
                self._answer_later(guest, message.id, lambda: self._checkpoint(message), _place)
            case _:
                self._answer(guest, message.id, lambda: reading.answer(self._made(), message))

    def _refuse(self, guest: Guest, said: Any, error: ValidationError) -> None:
        name = said.get("id") if isinstance(said, dict) else None
        if isinstance(name, str) and 0 < len(name) <= 64:
            self._fail(guest, name, ValueError(not_understood(error)))

    def _page(self, guest: Guest, content: dict[str, Any]) -> None:
        page = content.get("id")
        if content.get("kind") == "hello" and isinstance(page, str) and len(guest.pages) < 64:
            guest.pages.add(page[:64])
        with said_by(guest.by):
            self._intake.take(content)

    def _order(self, guest: Guest, message: messages.Order) -> None:
        if isinstance(message.command, events.SavePage):
            self._fail(guest, message.id, ValueError("a page is saved from its dashboard"))
            return

        command = message.command
        self._answer_later(guest, message.id, lambda: self._parts.desk.handle(command), _done)

    def _similar(self, message: messages.Similar) -> Future[Any]:
        return self._parts.desk.similar(message.intervention)

    def _checkpoint(self, message: messages.Checkpoint) -> Future[Any]:
        named = checkpoint_name(message.name, self._made().run.checkpoints)
        return self._parts.checkpoints.take(named)

    def _answer_later(
        self,
        guest: Guest,
        name: str,
        begin: Callable[[], Future[Any]],
        value: Callable[[Any], Any],
    ) -> None:
        """Begin what the training does at its next step, and answer once it is done."""

        def done(finished: Future[Any]) -> None:
            error = finished.exception()
            if error is None:
                self._succeed(guest, name, value(finished.result()))
            else:
                self._fail(guest, name, error)

        try:
            if self._parts.closed:
                raise RuntimeError(CLOSED)
            with said_by(guest.by):
                begin().add_done_callback(done)
        except Exception as error:  # noqa: BLE001 - the person gets the reason
            self._fail(guest, name, error)

    # --- what may take a while; on threads of its own -------------------------------------------

    def _answer(self, guest: Guest, name: str, make: Callable[[], tuple[Any, list[bytes]]]) -> None:
        def work() -> None:
            try:
                value, buffers = make()
            except Exception as error:  # noqa: BLE001 - the person gets the reason
                self._fail(guest, name, error)
            else:
                self._succeed(guest, name, value, buffers)

        self._aside(guest, work)

    def _aside(self, guest: Guest, work: Callable[[], None]) -> None:
        def named() -> None:
            with said_by(guest.by):
                work()

        with suppress(RuntimeError):  # closed meanwhile: nobody is there to be answered
            self._work.submit(named)

    def _made(self) -> Session:
        if self._session is None:
            raise RuntimeError(CLOSED)
        return self._session

    def _succeed(
        self, guest: Guest, name: str, value: Any, buffers: list[bytes] | None = None
    ) -> None:
        message = {"kind": "answer", "id": name, "ok": True, "value": value}
        guest.comm.send(message, buffers)

    def _fail(self, guest: Guest, name: str, error: BaseException) -> None:
        text = str(error) or repr(error)
        guest.comm.send(
            {"kind": "answer", "id": name, "ok": False, "error": type(error).__name__, "text": text}
        )


def _done(answer: Answer) -> dict[str, Any]:
    entry = None if answer.entry is None else intervention_out(answer.entry)
    return {"text": answer.text, "step": answer.step, "entry": entry}


def _hits(found: list[Hit]) -> list[dict[str, Any]]:
    return [hit_out(one) for one in found]


def _place(written: Checkpoint) -> str:
    return str(written.path.resolve())
