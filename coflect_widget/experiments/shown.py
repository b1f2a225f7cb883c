"""A search in a cell: its trials while they go on, and what a person says of them there.

A thread reads the search's folder for as long as a page shows it: a look at the journal's size each
second, and its new lines. What trains is never asked, and may be another process.
"""

from __future__ import annotations

import contextlib
import math
import threading
import time
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from coflect_widget.experiments.space import Choice, Range
from coflect_widget.experiments.told import MAX_ID, SAID, Enqueue, Look, Pin, Prune
from coflect_widget.ui.inbox import Receiver, not_understood
from coflect_widget.ui.records_view import RecordsView, show, show_flat

if TYPE_CHECKING:
    from IPython.display import DisplayHandle

    from coflect_widget.experiments.sweep import Sweep

PERIOD = 1.0  # seconds between two looks at the folder
LINGER = 40.0  # seconds since a page was last heard of, after which nobody looks


class SweepScreen:
    """The widget of a search and what keeps it up to date.

    Parameters
    ----------
    sweep : Sweep
        Of this screen alone: its storage is read by the screen's thread.

    Attributes
    ----------
    view : RecordsView
    inbox : Receiver
        Takes what pages say, beside a cell that is busy.
    """

    def __init__(self, sweep: Sweep) -> None:
        self._sweep = sweep
        self.view = RecordsView()
        self.view._kind = "sweep"
        self.view._data = contents(sweep)
        self.inbox = Receiver(self.take)
        self.view._controls = self.inbox.model_id
        self._lock = threading.Lock()  # of the widget, and of the thread's coming and going
        self._heard = 0.0
        self._seen: object = None
        self._thread: threading.Thread | None = None
        self._flat: DisplayHandle | None = None

    def show(self) -> None:
        """Show it in the present cell; below it a table for who has no widgets."""
        self._flat = show(self.view, repr(self._sweep), self._sweep._repr_html_())
        self.watch()

    def ended(self) -> None:
        """Show the search as it is now, in the table below too, though no page is heard of."""
        self.refresh()
        if self._flat is not None:
            show_flat(self._flat, repr(self._sweep), self._sweep._repr_html_())

    def watch(self) -> None:
        """Read the folder from now on, for as long as a page is heard of."""
        with self._lock:
            self._heard = time.monotonic()
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._follow, name="coflect-sweep-screen", daemon=True
                )
                self._thread.start()

    def refresh(self) -> None:
        """Send what the folder has now, where that is something new."""
        mark = self._sweep.mark()
        with self._lock:
            if mark == self._seen:
                return
            self.view._data = contents(self._sweep)
            self._seen = mark

    def take(self, content: Any) -> None:
        """One message, as it came from a page; what it said is on disk before it is answered."""
        given = content if isinstance(content, dict) else {}
        identifier = given.get("id")
        if not isinstance(identifier, str) or not 0 < len(identifier) <= MAX_ID:
            return
        try:
            message = SAID.validate_python(given)
        except ValidationError as error:
            self._answer(identifier, ok=False, text=not_understood(error))
            return
        if not isinstance(message, Look):
            try:
                text = self._do(message)
            except Exception as error:  # noqa: BLE001 - the person gets the reason
                self._answer(identifier, ok=False, text=str(error) or repr(error))
            else:
                self._answer(identifier, ok=True, text=text)
                self.refresh()
        self.watch()

    def _do(self, message: Prune | Pin | Enqueue) -> str:
        if isinstance(message, Prune):
            self._sweep.prune(message.number)
            return f"Trial {message.number} is pruned: its training stops at the next step."
        if isinstance(message, Pin):
            self._sweep.pin(message.number)
            return f"Trial {message.number} trains to its end."
        self._sweep.enqueue(message.values)
        later = "" if self._sweep.state == "searching" else "; calling coflect.tune again tries it"
        return f"Tried next: {', '.join(f'{n} {v}' for n, v in message.values.items())}{later}."

    def _answer(self, identifier: str, *, ok: bool, text: str) -> None:
        with self._lock:
            self.view.send({"kind": "reply", "id": identifier, "ok": ok, "text": text})

    def _follow(self) -> None:
        while True:
            with contextlib.suppress(Exception):  # a folder that is gone; the next look may have it
                self.refresh()
            time.sleep(PERIOD)
            with self._lock:
                if time.monotonic() - self._heard > LINGER:
                    self._thread = None
                    return


def contents(sweep: Sweep) -> dict[str, Any]:
    """What the page is sent, JSON alone."""
    best = sweep.best
    return {
        "folder": sweep.path.name,
        "state": sweep.state,
        "metric": sweep.metric,
        "better": sweep.better,
        "best": None if best is None else best.number,
        "space": [_dimension(name, one) for name, one in sweep.space.items()],
        "trials": [
            {
                "number": trial.number,
                "state": trial.state,
                "values": trial.values,
                "result": trial.result
                if trial.result is not None and math.isfinite(trial.result)
                else None,
                "epochs": trial.epochs,
                "pinned": trial.pinned,
                "said": trial.said,
            }
            for trial in sweep.trials
        ],
    }


def _dimension(name: str, one: Choice | Range) -> dict[str, Any]:
    if isinstance(one, Choice):
        return {"name": name, "choices": list(one.values)}
    return {"name": name, "choices": None, "low": one.low, "high": one.high, "whole": one.whole}
