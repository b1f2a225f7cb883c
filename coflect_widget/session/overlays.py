"""Which samples are explained when, and what becomes of their maps."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any

from coflect_widget import events
from coflect_widget.attribution.explanation import Explanation
from coflect_widget.attribution.scheduler import ExplanationScheduler, Purpose
from coflect_widget.attribution.timeline import Shelf, overlay_event
from coflect_widget.records.pictures import Gallery
from coflect_widget.session.telling import Telling


class Overlays:
    """Asks for maps, of what a person looks at first, and keeps what comes.

    Parameters
    ----------
    gallery, shelf
        Where maps are written, and which of them stay.
    tell : Telling
    every : int
        Steps between two periodic overlays.

    Attributes
    ----------
    looked_at : int or None
        The sample that a person looks at.
    """

    def __init__(self, gallery: Gallery, shelf: Shelf, tell: Telling, every: int) -> None:
        self._gallery = gallery
        self._shelf = shelf
        self._tell = tell
        self._every = self._due = every
        self._explained_at: dict[int, int] = {}  # model step of each sample's newest overlay
        self.looked_at: int | None = None

    def serve(self, scheduler: ExplanationScheduler) -> None:
        """From now on maps are computed there."""
        self._scheduler = scheduler

    def explain(
        self, index: int, target: int | None = None, at: tuple[float, ...] | None = None
    ) -> Future[Explanation]:
        """Maps of one sample for a person, before anything else."""
        self.looked_at = index
        return self._scheduler.request(index, "person", target, at)

    def pace(self, factor: float, step: int) -> int:
        """Change the steps between two periodic overlays by `factor`; how many it is now."""
        self._every = max(1, min(1_000_000, round(self._every * factor)))
        self._due = min(self._due, step + self._every)
        return self._every

    def kept(self) -> dict[str, Any]:
        """For a checkpoint: which samples were explained when, and when the next is due."""
        return {
            "every": self._every,
            "due": self._due,
            "explained_at": dict(self._explained_at),
            "looked_at": self.looked_at,
        }

    def take(self, kept: Mapping[str, Any]) -> None:
        """Go on from what `kept` gave."""
        self._every, self._due = kept["every"], kept["due"]
        self._explained_at, self.looked_at = dict(kept["explained_at"]), kept["looked_at"]

    def periodically(self, step: int, forecast: events.Forecast | None) -> None:
        """Explain the sample on the screen if it is time; else the riskiest, else the first."""
        if step < self._due:
            return
        self._due = step + self._every
        riskiest = forecast.index[0] if forecast is not None and forecast.index else 0
        index = self.looked_at if self.looked_at is not None else riskiest
        self._scheduler.request(index, "periodic")

    def candidates(self, forecast: events.Forecast, step: int, steps_per_epoch: int) -> None:
        """Explain those of the queue that have no map of the last epoch, those at risk first."""
        wrong = dict(zip(forecast.index, forecast.wrong_now, strict=True))
        for index in sorted(wrong, key=lambda i: wrong[i]):
            seen = self._explained_at.get(index)
            if seen is None or seen < step - steps_per_epoch:
                self._explained_at[index] = step
                self._scheduler.request(index, "candidate")

    def explained(self, explanation: Explanation, purpose: Purpose) -> None:
        """Keep the maps of one sample; on the scheduler's thread."""
        try:
            maps, picture = self._gallery.save(explanation)
        except OSError as error:
            self.failed(explanation.index, purpose, f"the map could not be written: {error}")
            return
        self._explained_at[explanation.index] = explanation.model_step
        for file in self._shelf.add(explanation.index, explanation.model_step, maps):
            self._gallery.remove(file)
        self._tell.emit(overlay_event(explanation, purpose, maps, picture))

    def failed(self, index: int, purpose: Purpose, reason: str) -> None:
        """No maps came."""
        self._tell.emit(events.OverlayFailed(index=index, reason=reason, purpose=purpose))
