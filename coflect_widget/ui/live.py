"""Shows a live session, or a run read from disk: wires dashboard, controls and publisher."""

from __future__ import annotations

from typing import Protocol

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
    def stream(self) -> EventStream:
        """Its events."""

    @property
    def gallery(self) -> Gallery:
        """Its pictures."""

    @property
    def run(self) -> Run:
        """Its run folder."""


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
        self.widget = Dashboard()
        self._publisher = Publisher(view, self.widget)
        # What happened before the dashboard was opened is read from disk, what happens from
        # now on is heard; the view takes an event that comes both ways only once.
        self._stop_hearing = live.stream.subscribe(self._publisher.event)
        live.stream.flush()
        for event in run.iter_events():
            view.apply(event)
        self._publisher.start()
        self.controls = Controls(live, self._publisher)
        self.widget._controls = self.controls.model_id

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
