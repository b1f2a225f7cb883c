"""What a run's events come to: the state of the dashboard, whoever shows it."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from typing import Any, cast

import numpy as np

from coflect_widget import events
from coflect_widget.events import Event, finite
from coflect_widget.records.pictures import Gallery
from coflect_widget.ui import protocol
from coflect_widget.ui.alarms import Alarms
from coflect_widget.ui.asked import Asked
from coflect_widget.ui.began import add_pulls, with_beginning
from coflect_widget.ui.behind import lines_of, others
from coflect_widget.ui.came_of import CameOf

MAX_NOTICES = 20
MAX_LOOKS = 32  # recorded explanations that wait to be sent
_HEADER_METRICS = ("learning_rate", "steps_per_second")  # shown as numbers, not as charts


class Folded:
    """What is known of a run and of what a person looks at; `dirty` names what has changed.

    Parameters
    ----------
    gallery : Gallery
        Says which maps are kept.
    mode : {"live", "replay"}
    """

    def __init__(self, gallery: Gallery, mode: str, run_id: str) -> None:
        self.gallery = gallery
        self._last_seq = -1
        self.dirty: set[str] = set()
        self.series: dict[str, array[float]] = {}
        self.sent: dict[str, int] | None = {}  # points a browser has; None where the run went back
        self.behind: tuple[str, dict[str, Any]] | None = None  # another run and its lines
        self.selected: int | None = None
        self._asked: set[int] = set()  # clicked, and not answered yet
        self.opened: int | None = None  # the sample that is open unasked
        #: the overlay, or its failure, on the screen
        self.shown: events.Overlay | events.OverlayFailed | None = None
        self.overlays: dict[int, dict[int, events.Overlay]] = {}  # by sample and model step
        self.looks: list[events.Overlay] = []  # explanations that a person wants to see again
        self.hits: events.Hits | None = None
        self.forgotten: events.Forgotten | None = None
        self.suspects: dict[str, Any] | None = None
        self.forecast: Event | None = None
        self.window: events.Window | None = None
        self.score: events.ForecastScored | None = None
        self.markers: list[protocol.Marker] = []
        self.ledger: dict[str, dict[str, Any]] = {}
        self.notices: list[protocol.Notice] = []
        self.knobs: events.KnobsInForce | None = None
        self.alarms = Alarms()
        self.asked = Asked(self.dirty)
        self.advice: protocol.Advice | None = None
        self._validation = 0.0  # seconds that the newest one took
        self._last_validation = 0  # the epoch after which it comes
        self.status: dict[str, Any] = {
            "mode": mode,
            "run_id": run_id,
            "others": [],
            "state": "idle",
            "step": 0,
            "epoch": 0,
            "total_steps": None,
            "total_epochs": None,
            "steps_per_second": None,
            "seconds_left": None,
            "learning_rate": None,
            "device": "",
            "classes": [],
            "num_train": 0,
            "overlays_made": 0,
            "overlays_skipped": 0,
            "overlay_seconds": 0.0,
            "rest_seconds": 0.0,
            "cost_percent": None,
            "focus": 0.3,
            "guidance": True,
            "inputs": "",
            "kernels": "",
            "error": None,
            "trace": None,
            "remedy": None,
            "steps_left": None,
        }
        self._own_loop = False
        self._came_of = came_of = CameOf(self.ledger, self.overlays, self.dirty)
        self._appliers: dict[type[events.Payload], Callable[[Event, Any], None]] = {
            events.RunStarted: self._run_started,
            events.TrainStarted: self._train_started,
            events.StateChanged: self._state,
            events.Metrics: self._metrics,
            events.Forecast: self._ranking,
            events.Window: self._window_changed,
            events.ForecastScored: self._scored,
            events.Overlay: self._overlay,
            events.OverlayFailed: self._overlay,
            events.KnobsInForce: self._knobs_changed,
            events.Spike: self._spike,
            events.InterventionRecord: self._intervention,
            events.Undone: self._undone,
            events.Lapsed: self._lapsed,
            events.Cost: self._cost,
            events.Notice: self._notice,
            events.Advice: self._advised,
            events.Failure: self._failure,
            events.Effect: came_of.effect,
            events.Proving: came_of.proving,
            events.Proof: came_of.proof,
            events.Kept: came_of.kept,
            events.Hits: self._found_alike,
            events.Forgotten: self._lost,
            events.Suspects: self._doubted,
            events.Judged: self._judged,
            events.Requests: self.asked.wait,
            events.Resumed: self._resumed,
            events.Finding: self._finding,
            events.Control: self.asked.take,
            events.Answered: self.asked.take,
        }

    def apply(self, event: Event) -> None:
        """Take in one event; one that was taken before is left out."""
        if event.seq <= self._last_seq:
            return
        self._last_seq = event.seq
        if event.type not in ("notice", "overlay", "overlay_failed"):
            self.status["step"] = max(self.status["step"], event.step)
            self.status["epoch"] = max(self.status["epoch"], event.epoch)
            self.dirty.add("status")
        applier = self._appliers.get(type(event.data))
        if applier is not None:
            applier(event, event.data)

    @property
    def at(self) -> int | None:
        """The sample that is shown."""
        if self.shown is not None:
            return self.shown.index
        return self.opened if self.selected is None else self.selected

    def select(self, index: int) -> None:
        """Show this sample from now on, with its newest maps if there are any."""
        self.selected = index
        self._asked.add(index)
        self.shown = self.newest(index)
        self.dirty |= {"explanation", "timeline"}

    def look(self, index: int, step: int | None) -> None:
        """Bring one recorded explanation onto the shelf; without `step`, show the sample."""
        if step is None:
            self.select(index)
        elif step in self.overlays.get(index, {}):
            self.looks = [*self.looks, self.overlays[index][step]][-MAX_LOOKS:]
            self.dirty.add("shelf")

    def compare(self, run: str) -> None:
        """Draw another run of the folder behind the charts, or none with ""."""
        lines: dict[str, Any] = {}
        if run in self.status["others"]:
            try:
                lines = lines_of(self.gallery.path.parent / run)
            except (OSError, ValueError) as error:
                self.notice("warning", f"{run} cannot be read: {error}")
        self.behind = (run if lines else "", lines)
        self.dirty.add("behind")

    def notice(self, level: str, text: str) -> None:
        """Say something that is no event of the run, such as a fault of the view itself."""
        self.notices.append({"level": level, "text": text, "step": self.status["step"]})
        del self.notices[:-MAX_NOTICES]
        self.dirty.add("notices")

    def end_of_record(self) -> None:
        """Nothing more will come: what still trains then was interrupted."""
        self._came_of.interrupted()
        if self.status["state"] in ("training", "paused"):
            self.status["state"] = "interrupted"
        if self.selected is None and self.forecast is not None:
            last, self.shown = self.shown, None
            self._open_riskiest()
            self.shown = self.shown or last

    def _run_started(self, _: Event, data: events.RunStarted) -> None:
        self.status.update(
            classes=data.classes or [],
            num_train=data.num_train,
            device=data.device,
            guidance=data.guidance,
            inputs=data.inputs,
            kernels=data.kernels,
        )
        if data.focus is not None:
            self.status["focus"] = data.focus
        self.status["others"] = others(self.gallery.path)

    def _resumed(self, event: Event, data: events.Resumed) -> None:
        """The run goes on from there: what it had done after that is done again."""
        for name, series in self.series.items():
            limit = data.validated if name.startswith("val/") else event.step
            points = np.array(series).reshape(-1, 2)
            self.series[name] = array("d", points[points[:, 0] <= limit].ravel().tolist())
        self.sent = None
        self._came_of.interrupted()
        self.markers = [
            one for one in self.markers if one["step"] <= event.step or one["id"] is not None
        ]
        self.status.update(
            state="idle", step=event.step, epoch=event.epoch, error=None, seconds_left=None
        )
        self.dirty |= {"status", "metrics", "markers"}

    def _finding(self, event: Event, data: events.Finding) -> None:
        """A finding, its pull over the run, and where that began."""
        self.asked.take(event, data)
        add_pulls(data, self.series)
        self.markers = with_beginning(self.markers, data)
        self.dirty |= {"metrics", "markers"}

    def _train_started(self, event: Event, data: events.TrainStarted) -> None:
        each = data.steps_per_epoch
        to_come = data.total_steps - event.step
        epochs = None
        self._last_validation = event.epoch
        self._own_loop = data.own_loop
        if each and to_come > 0:  # epochs of before may have had another length
            # A validation follows each whole epoch, and none a last one that is only begun.
            whole, rest = divmod(data.begun + to_come, each)
            self._last_validation += whole
            epochs = event.epoch + whole + (rest > 0)
        self.status.update(
            total_steps=data.total_steps if to_come > 0 else None,
            total_epochs=epochs,
            error=None,
            trace=None,
            remedy=None,
        )

    def _state(self, _: Event, data: events.StateChanged) -> None:
        status = self.status
        status["state"], total = data.state, status["total_steps"]
        over = data.state in ("stopped", "failed") and not self._own_loop
        status["steps_left"] = (
            total - status["step"] if over and total and total > status["step"] else None
        )
        if data.state != "training":
            self.status["steps_per_second"] = self.status["seconds_left"] = None

    def _metrics(self, event: Event, data: events.Metrics) -> None:
        status = self.status
        for name, value in data.values.items():
            if name == "validation_seconds":
                self._validation = value or 0.0
                continue
            if name in _HEADER_METRICS:
                status[name] = finite(value)
                continue
            series = self.series.setdefault(f"{event.split or 'train'}/{name}", array("d"))
            series.extend((event.step, float("nan") if value is None else value))
        speed, total = status["steps_per_second"], status["total_steps"]
        if speed and total is not None:
            validations = max(0, self._last_validation - status["epoch"])
            status["seconds_left"] = (
                max(0, total - status["step"]) / speed + validations * self._validation
            )
        self.dirty.add("metrics")

    def _ranking(self, event: Event, data: events.Forecast) -> None:
        self.forecast = event
        self.dirty.add("queue")
        self._open_riskiest()

    def _open_riskiest(self) -> None:
        """Until a person chooses a sample: show the riskiest that has a map, and stay with it."""
        if self.selected is not None or self.forecast is None:
            return
        data: Any = self.forecast.data
        rows = list(zip(data.index, data.wrong_now, strict=True))
        order = [i for i, wrong in rows if not wrong] + [i for i, wrong in rows if wrong]
        shown = self.shown
        if not order or (isinstance(shown, events.Overlay) and shown.index in order):
            return
        explained = next((i for i in order if self.newest(i) is not None), None)
        if explained is not None:
            self.opened, self.shown = explained, self.newest(explained)
        elif shown is None and self.opened not in order:
            self.opened = order[0]
        self.dirty |= {"explanation", "timeline"}

    def newest(self, index: int) -> events.Overlay | None:
        """The newest explanation of a sample that is kept."""
        recorded = self.overlays.get(index, {})
        kept = [step for step, overlay in recorded.items() if self.gallery.has(overlay.maps)]
        return recorded[max(kept)] if kept else None

    def _window_changed(self, event: Event, data: events.Window) -> None:
        was_open = self.window is not None and self.window.open
        if data.open != was_open:
            kind: protocol.MarkerKind = "window_open" if data.open else "window_shut"
            text = f"a good time to look {'began' if data.open else 'ended'}"
            self._mark(event, kind, text, None)
        self.window = data
        self.dirty.add("window")

    def _scored(self, _: Event, data: events.ForecastScored) -> None:
        self.score = data
        self.dirty.add("window")

    def _overlay(self, event: Event, data: events.Overlay | events.OverlayFailed) -> None:
        if isinstance(data, events.Overlay):
            mine = self.overlays.setdefault(data.index, {})
            for step in [k for k, one in mine.items() if not self.gallery.has(one.maps)]:
                del mine[step]  # taken off the shelf: a long run explains a sample many times
            mine[data.model_step] = data
            self.status["overlays_made"] += 1
            self.status["overlay_seconds"] += data.seconds
            self.dirty.add("status")
            if any(item["sample"] == data.index for item in self.ledger.values()):
                self.dirty.add("ledger")  # which shows its map
        # What was clicked is answered later, when another sample may have been clicked.
        if data.purpose == "person" and data.index not in self._asked:
            self.selected = data.index
        self._asked.discard(data.index)
        # A picture that a person looks at, and may be drawing on, changes only for its own maps.
        shown = self.shown
        of_queue = shown is not None and self.forecast is not None and self.selected is None
        if of_queue and shown is not None and shown.index != data.index:
            self._open_riskiest()  # it may be the first of the queue that has a map
        elif self.selected in (None, data.index):
            self.shown = data
            self.dirty |= {"explanation", "timeline"}
            self._open_riskiest()

    def _intervention(self, event: Event, data: events.InterventionRecord) -> None:
        self.ledger[data.id] = {
            "id": data.id,
            "step": event.step,
            "epoch": event.epoch,
            "text": data.understood,
            "author": data.author,
            "sample": data.sample,
            "strokes": [stroke.model_dump() for stroke in data.strokes],
            "strength": data.strength,
            "undone": False,
            "effect": None,
            "proof": None,
            "measured": data.data is None,
        }
        if data.data is not None and data.data.kind == "drop":
            self.alarms.leave_out(data.data.index)
            self.dirty.add("alarms")
        if data.focus is not None:
            self.status["focus"] = data.focus
        self._mark(event, "intervention", data.understood, data.id)
        self.dirty |= {"ledger", "status"}

    def _undone(self, _: Event, data: events.Undone) -> None:
        if data.id in self.ledger:
            self.ledger[data.id]["undone"] = True
        # The alarm's own end comes with the next steps; where training is held there are none.
        if self.alarms.undo(data.id):
            self.dirty.add("alarms")
        self.status["focus"] = self.status["focus"] if data.focus is None else data.focus
        self.dirty |= {"ledger", "status"}

    def _lapsed(self, event: Event, data: events.Lapsed) -> None:
        item = self.ledger.get(data.id)
        if item is not None:
            item["strokes"] = [one for one in item["strokes"] if one["kind"] != data.kind]
            item["text"] += f" · {data.kind} out of force since step {event.step}: {data.why}"
            self.dirty.add("ledger")

    def _cost(self, _: Event, data: events.Cost) -> None:
        self.status["overlays_skipped"] = data.overlays_skipped
        self.status["rest_seconds"] = data.rest_seconds
        self.status["cost_percent"] = data.percent

    def _found_alike(self, _: Event, data: events.Hits) -> None:
        self.hits = data
        self.dirty.add("hits")

    def _lost(self, _: Event, data: events.Forgotten) -> None:
        self.forgotten = data
        self.dirty.add("forgotten")

    def _doubted(self, _: Event, data: events.Suspects) -> None:
        self.suspects = {
            "count": data.count,
            "items": [
                {"index": i, "doubt": d, "target": t, "suggested": s, "judged": j}
                for i, d, t, s, j in zip(
                    data.index, data.doubt, data.target, data.suggested, data.judged, strict=True
                )
            ],
        }  # fmt: skip
        self.dirty.add("suspects")

    def _judged(self, _: Event, data: events.Judged) -> None:
        for item in [] if self.suspects is None else self.suspects["items"]:
            if item["index"] == data.index:
                item["judged"] = "" if data.verdict == "undo" else data.verdict
                self.dirty.add("suspects")
        if data.verdict == "leave out":
            self.alarms.leave_out([data.index])
            self.dirty.add("alarms")

    def _notice(self, event: Event, data: events.Notice) -> None:
        if data.alarm:
            self.alarms.notice(event, data)
            self.dirty.add("alarms")
            return
        item: protocol.Notice = {"level": data.level, "text": data.text, "step": event.step}
        if data.offer:
            item["offer"] = data.offer
        self.notices.append(item)
        del self.notices[:-MAX_NOTICES]
        self.dirty.add("notices")

    def _spike(self, event: Event, data: events.Spike) -> None:
        self.alarms.spike(event, data)
        self.dirty.add("alarms")

    def _knobs_changed(self, _: Event, data: events.KnobsInForce) -> None:
        self.knobs = data
        self.status["num_train"] = data.num_train
        self.dirty.add("knobs")

    def _advised(self, _: Event, data: events.Advice) -> None:
        shown = {name: data[name] for name in protocol.Advice.__annotations__}
        self.advice = cast("protocol.Advice", shown) if data.key else None
        self.dirty.add("advice")

    def _failure(self, _: Event, data: events.Failure) -> None:
        self.status.update(
            error=data.error, trace=data.traceback or None, remedy=data.remedy or None
        )

    def _mark(
        self, event: Event, kind: protocol.MarkerKind, text: str, identifier: str | None
    ) -> None:
        self.markers.append({"step": event.step, "kind": kind, "text": text, "id": identifier})
        self.dirty.add("markers")
