"""What the screen shows, folded from the run's events: the same for a live run and a replay.

`View` takes events one by one and gives the sections of an update that have changed.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from coflect_widget import events
from coflect_widget.forecast.scoreboard import sentence
from coflect_widget.records.pictures import Gallery
from coflect_widget.records.run import Run
from coflect_widget.ui import protocol
from coflect_widget.ui.decimate import decimate
from coflect_widget.ui.explained import explained, shifted, verdict
from coflect_widget.ui.folded import Folded
from coflect_widget.ui.listed import Listed

MAX_POINTS = 4000  # of one series in a full update; more than a chart has pixels
_KNOBS = ("values", "layers", "batch_size", "next_batch_size", "num_train", "why_not")
SECTIONS = (
    "status", "metrics", "behind", "markers", "window", "queue", "explanation", "timeline",
    "shelf", "hits", "forgotten", "suspects", "ledger", "glances", "knobs", "alarms", "question",
    "advice", "notices", "requests",
)  # fmt: skip
#: Where samples are listed: with them go the contents that a browser has not yet.
_LISTS = {"queue", "hits", "forgotten", "suspects", "ledger", "explanation"}


class View:
    """The dashboard's state. Used by one thread (the publisher's) or by a replay.

    Parameters
    ----------
    gallery : Gallery
        Gives thumbnails, pictures and maps.
    mode : {"live", "replay"}
    """

    def __init__(self, gallery: Gallery, mode: str, run_id: str) -> None:
        self._gallery = gallery
        self._now = Folded(gallery, mode, run_id)
        self._lists = Listed(self._now)
        #: Events and what a person selects go in by these; see `Folded`.
        self.apply, self.select, self.look = self._now.apply, self._now.select, self._now.look
        self.compare, self.notice = self._now.compare, self._now.notice
        self.end_of_record = self._now.end_of_record

    @property
    def changed(self) -> bool:
        """Whether anything has changed since the last update."""
        return bool(self._now.dirty)

    @property
    def rewound(self) -> bool:
        """Whether the run went back since the last update, which then has to be a full one.

        A browser adds points to those that it has, and leaves out what is older than the newest.
        """
        return self._now.sent is None

    def update(self, *, full: bool) -> tuple[dict[str, Any], list[bytes]]:
        """Sections that changed (or all, if `full`), and the buffers they refer to."""
        if self._now.dirty & _LISTS:
            self._now.dirty.add("glances")
        names = SECTIONS if full else [name for name in SECTIONS if name in self._now.dirty]
        self._now.dirty.clear()
        update, buffers = self._sections(names, full=full)
        self._now.looks.clear()
        self._now.sent = {name: len(values) for name, values in self._now.series.items()}
        return update, buffers

    def everything(self, shelf_bytes: int = 0) -> tuple[dict[str, Any], list[bytes]]:
        """All sections, as for a browser that is not there: what `update` owes stays owed.

        Without requests to a service: what they hold can be removed, and a saved page keeps it.

        With `shelf_bytes` recorded explanations are added, as many as fit: those of the sample
        that is shown, then the newest of the samples in the queue and the ledger, then the rest.
        """
        update, buffers = self._sections(
            [n for n in SECTIONS if n not in ("shelf", "requests")], full=True
        )
        shelf: list[dict[str, Any]] = []
        for overlay in self._worth_keeping() if shelf_bytes else []:
            if not self._gallery.has(overlay.maps):
                continue
            mine: list[bytes] = []
            section = explained(self._gallery, overlay.index, overlay, mine)
            shelf_bytes -= sum(len(one) for one in mine)
            if shelf_bytes < 0:
                break
            if section["failed"] is None:
                shelf.append(shifted(section, len(buffers)))
                buffers += mine
        if shelf:
            update["shelf"] = shelf
        return update, buffers

    def figures(self) -> tuple[dict[str, Any], list[bytes]]:
        """The sections without pictures; what `update` owes stays owed."""
        return self._sections(["status", "metrics", "ledger", "alarms", "advice"], full=True)

    def _worth_keeping(self) -> Iterable[events.Overlay]:
        """Recorded explanations, the most wanted first."""
        shown = self._now.at
        asked: list[int] = [] if shown is None else [shown]
        if self._now.forecast is not None:
            asked += self._now.forecast.data["index"]
        asked += [
            item["sample"] for item in self._now.ledger.values() if item["sample"] is not None
        ]
        first = {index: None for index in asked if index in self._now.overlays}
        order = [*first, *(index for index in reversed(self._now.overlays) if index not in first)]
        if shown in first:
            yield from self._now.overlays[shown].values()
        for index in order:
            yield self._now.overlays[index][max(self._now.overlays[index])]
        for index in order:
            newest = max(self._now.overlays[index])
            yield from (o for step, o in self._now.overlays[index].items() if step != newest)

    def _sections(self, names: Iterable[str], *, full: bool) -> tuple[dict[str, Any], list[bytes]]:
        buffers: list[bytes] = []
        update: dict[str, Any] = {}
        for name in names:
            section = self._section(name, buffers, full=full)
            # Of these it is said too that there is none.
            if section is not None or name in ("question", "advice"):
                update[name] = section
        return update, buffers

    def _section(self, name: str, buffers: list[bytes], *, full: bool) -> Any:
        if name == "status":
            return dict(self._now.status)
        if name == "metrics":
            return self._metrics_section(buffers, full=full)
        if name == "behind":
            return (
                None
                if self._now.behind is None
                else self._behind_section(*self._now.behind, buffers)
            )
        if name == "window":
            return self._window_section()
        if name == "queue":
            return self._lists.queue(buffers, full=full)
        if name == "explanation":
            return self._explanation_section(buffers)
        if name == "timeline":
            return self._timeline_section()
        if name == "shelf":
            shelf = [
                explained(self._gallery, look.index, look, buffers) for look in self._now.looks
            ]
            return shelf or None
        if name == "hits":
            return None if self._now.hits is None else self._lists.hits(self._now.hits, buffers)
        if name == "forgotten":
            return (
                None
                if self._now.forgotten is None
                else self._lists.forgotten(self._now.forgotten, buffers, full=full)
            )
        if name == "suspects":
            if self._now.suspects is None:
                return None
            return self._lists.suspects(self._now.suspects, buffers, full=full)
        if name == "ledger":
            return self._lists.ledger(buffers)
        if name == "glances":
            return self._lists.glances(buffers, full=full) or None
        if name == "knobs":
            known = self._now.knobs
            return None if known is None else {n: known.model_dump()[n] for n in _KNOBS}
        if name == "alarms":
            return [self._lists.alarm(alarm, buffers) for alarm in self._now.alarms]
        if name == "question":
            return self._lists.question(self._now.asked, buffers)
        if name == "advice":
            return self._now.advice
        if name == "requests":
            known_requests = self._now.asked.requests
            return None if known_requests is None else self._lists.requests(known_requests, buffers)
        return list(self._now.markers) if name == "markers" else list(self._now.notices)

    def _metrics_section(self, buffers: list[bytes], *, full: bool) -> list[protocol.SeriesPoints]:
        section: list[protocol.SeriesPoints] = []
        sent = {} if full or self._now.sent is None else self._now.sent
        for name, values in self._now.series.items():
            points = np.array(values[sent.get(name, 0) :], dtype=np.float64).reshape(-1, 2)
            if not len(points):
                continue
            section.append({"name": name, "points_buffer": len(buffers)})
            buffers.append(decimate(points, MAX_POINTS).tobytes())
        return section

    def _behind_section(
        self, run: str, lines: dict[str, Any], buffers: list[bytes]
    ) -> protocol.Behind:
        metrics: list[protocol.SeriesPoints] = []
        for name, points in lines.items():
            metrics.append({"name": name, "points_buffer": len(buffers)})
            buffers.append(decimate(points, MAX_POINTS).tobytes())
        return {"run": run, "metrics": metrics}

    def _window_section(self) -> dict[str, Any] | None:
        if self._now.window is None and self._now.score is None:
            return None
        score = self._now.score
        return {
            "open": self._now.window is not None and self._now.window.open,
            "by_hand": self._now.window is not None and self._now.window.by_hand,
            "gates": []
            if self._now.window is None
            else [g.model_dump() for g in self._now.window.gates],
            "score": None
            if score is None
            else score.sentence or sentence(score),  # runs of before have no sentence
        }

    def _timeline_section(self) -> protocol.Timeline | None:
        index = self._now.at
        if index is None:
            return None
        recorded = sorted(self._now.overlays.get(index, {}).items())
        return {
            "index": index,
            "entries": [
                {
                    "step": step,
                    "agreement": one.agreement,
                    "quality": verdict(one.quality)["quality"],
                }
                for step, one in recorded
                if self._gallery.has(one.maps)  # some are taken off in time
            ],
        }

    def _explanation_section(self, buffers: list[bytes]) -> dict[str, Any] | None:
        shown = self._now.shown
        index = self._now.at
        return None if index is None else explained(self._gallery, index, shown, buffers)


def replay(run: Run) -> View:
    """View of a run that is read from disk."""
    view = View(Gallery(run.path), "replay", run.id)
    for event in run.iter_events():
        view.apply(event)
    view.end_of_record()
    if run.newer is not None:
        view.notice(
            "warning",
            f"A newer version of coflect-widget wrote this run (schema {run.newer}; this version "
            f"knows {events.SCHEMA_VERSION}). What it does not know is not shown; "
            "pip install -U coflect-widget reads all of it.",
        )
    if run.damaged:
        lines = "a line" if run.damaged == 1 else f"{run.damaged} lines"
        view.notice("warning", f"{lines.capitalize()} of this run's events.jsonl cannot be read.")
    return view
