"""Shows a live session, or a run read from disk: wires dashboard, controls and publisher."""

from __future__ import annotations

from typing import Protocol

from coflect_widget.events import Event
from coflect_widget.record.pictures import Gallery
from coflect_widget.record.run import Run
from coflect_widget.record.stream import EventStream
from coflect_widget.ui.controls import Commandable, Controls
from coflect_widget.ui.dashboard import Dashboard
from coflect_widget.ui.publisher import Publisher, snapshot
from coflect_widget.ui.view import View, replay


class LiveRun(Commandable, Protocol):
    """What a dashboard needs of a session."""

    @property
    def stream(self) -> EventStream: ...
    @property
    def gallery(self) -> Gallery: ...
    @property
    def run(self) -> Run: ...


class LiveDashboard:
    """A dashboard on a running session.

    Attributes
    ----------
    widget : Dashboard
    controls : Controls
    """

    def __init__(self, live: LiveRun) -> None:
        run = live.run
        view = View(live.gallery, "live", run.id)
        # What happened before the dashboard was opened is read from disk, what happens from
        # now on is heard; an event that comes both ways is taken once, by its number.
        live.stream.flush()
        heard: list[Event] = []
        unsubscribe = live.stream.subscribe(heard.append)
        live.stream.flush()
        last = -1
        for event in run.iter_events():
            view.apply(event)
            last = event.seq
        self.widget = Dashboard()
        self._publisher = Publisher(view, self.widget)
        self._stop_hearing = live.stream.subscribe(self._publisher.event)
        unsubscribe()
        for event in heard:
            if event.seq > last:
                self._publisher.event(event)
        self.controls = Controls(live, self._publisher)
        self.widget._controls = self.controls.model_id  # noqa: SLF001 - set once, from here

    def close(self) -> None:
        """Send the last state and stop; the widget goes on showing it."""
        self._stop_hearing()
        self._publisher.close()


def replay_dashboard(run: Run) -> Dashboard:
    """Read-only dashboard of a run folder."""
    view = replay(Gallery(run.path), run.id, run.iter_events())
    widget = Dashboard()
    widget.keep(snapshot(view))
    return widget
