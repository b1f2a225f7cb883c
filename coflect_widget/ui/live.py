"""Shows a live session, or a run read from disk: wires dashboard, inbox and publisher."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from coflect_widget.events import Command
from coflect_widget.records.run import Run
from coflect_widget.session.parts import Parts
from coflect_widget.ui.commands import Commands
from coflect_widget.ui.dashboard import Dashboard
from coflect_widget.ui.export import save_html
from coflect_widget.ui.inbox import Inbox, Reply
from coflect_widget.ui.publisher import Publisher, figures, snapshot
from coflect_widget.ui.still import Still
from coflect_widget.ui.view import View, replay

PAGE = "page.html"  # in the run folder, where a person has the run saved as a page
SAVED_SHELF_BYTES = 4_000_000  # of recorded maps that a saved notebook holds


class LiveDashboard:
    """A dashboard on a session; it goes on answering a browser after the session is closed.

    Attributes
    ----------
    widget : Dashboard
    inbox : Inbox
    """

    def __init__(self, parts: Parts, run: Run) -> None:
        view = View(parts.gallery, "live", run.id)
        self.widget = Dashboard()
        self._still = Still()
        self._kept: dict[str, Any]
        self._publisher = publisher = Publisher(view, self)
        parts.holding.screens.append(self)
        # What happened before the dashboard was opened is read from disk, what happens from
        # now on is heard; the view takes an event that comes both ways only once.
        parts.stream.subscribe(publisher.event)
        parts.stream.flush()
        for event in run.iter_events():
            view.apply(event)
        self._kept = figures(view)
        publisher.start()

        stream = parts.stream  # alone: what is still shown shall not keep model and data

        def save() -> Path:
            stream.flush()  # everything so far is on disk afterwards
            return save_html(run, run.path / PAGE)

        self.inbox = Inbox(Commands(parts, save), publisher)
        self.widget._controls = self.inbox.model_id

    @property
    def page(self) -> str:
        """What the page that said hello last calls itself; see `Inbox`."""
        return self.inbox.page

    @property
    def greeted(self) -> bool:
        """Whether a browser has ever shown it."""
        return self._publisher.greeted

    def send(self, content: Any, buffers: list[bytes] | None = None) -> None:
        """One message to the browser; on the publisher's thread."""
        self.widget.send(content, buffers)

    def keep(self, snapshot: dict[str, Any]) -> None:
        """Refresh what a saved notebook shows; on the publisher's thread."""
        self.widget.keep(snapshot)
        self._kept = snapshot
        if self._still.due(snapshot["update"]["status"]["state"]):
            self._still.refresh(snapshot)

    def show(self) -> None:
        """Show the widget in the present cell, and below it what is left without a kernel."""
        self.widget.show(self._kept, self._still)

    def settle(self) -> None:
        """Have the cell that is about to end show what has happened until now."""
        self._publisher.settle()
        self._still.refresh(self._kept)

    def close(self) -> None:
        """Show the session's last state; no thread is left."""
        self._publisher.close()
        self._still.refresh(self._kept)


class ReadOnly:
    """Takes the commands of a run that is over: it refuses them."""

    def handle(self, command: Command, reply: Reply) -> None:
        """Refuse; what only concerns the screen never comes here."""
        del command, reply
        raise RuntimeError("this run was read from disk; there is nothing to steer")


def replay_dashboard(run: Run) -> Dashboard:
    """Read-only dashboard of a run folder: any map that was recorded can be looked at.

    A part of the maps travels in the widget's state, so that a saved notebook has them too.
    """
    view = replay(run)
    widget = Dashboard()
    widget.keep(snapshot(view, shelf_bytes=SAVED_SHELF_BYTES))
    publisher = Publisher(view, widget, keeps=False)
    publisher.start()
    publisher.close()  # nothing happens any more: browsers are answered, and that is all
    # the widget holds what answers it, for as long as it is shown
    widget.inbox = Inbox(ReadOnly(), publisher)
    widget._controls = widget.inbox.model_id
    return widget
