"""Shows a live session, or a run read from disk: wires dashboard, controls and publisher."""

from __future__ import annotations

from coflect_widget.record.pictures import Gallery
from coflect_widget.record.run import Run
from coflect_widget.ui.commands import CommandDesk
from coflect_widget.ui.controls import Controls
from coflect_widget.ui.dashboard import Dashboard
from coflect_widget.ui.publisher import Publisher, snapshot
from coflect_widget.ui.view import View, replay
from coflect_widget.wiring import Wiring


class LiveDashboard:
    """A dashboard on a session; it goes on answering a browser after the session is closed.

    Attributes
    ----------
    widget : Dashboard
    controls : Controls
    """

    def __init__(self, wiring: Wiring, run: Run) -> None:
        view = View(wiring.gallery, "live", run.id)
        self.widget = Dashboard()
        publisher = Publisher(view, self.widget)
        # What happened before the dashboard was opened is read from disk, what happens from
        # now on is heard; the view takes an event that comes both ways only once.
        wiring.stream.subscribe(publisher.event)
        wiring.stream.flush()
        for event in run.iter_events():
            view.apply(event)
        publisher.start()
        self.controls = Controls(CommandDesk(wiring), publisher)
        self.widget._controls = self.controls.model_id


def replay_dashboard(run: Run) -> Dashboard:
    """Read-only dashboard of a run folder."""
    view = replay(Gallery(run.path), run.id, run.iter_events())
    view.end_of_record()
    widget = Dashboard()
    widget.keep(snapshot(view))
    return widget
