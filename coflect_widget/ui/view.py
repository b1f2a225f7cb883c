"""What the screen shows, folded from the run's events: the same for a live run and a replay.

`View` takes events one by one and gives the sections of an update that have changed.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from coflect_widget import events
from coflect_widget.events import Event, finite
from coflect_widget.forecast.scoreboard import sentence
from coflect_widget.records.pictures import Gallery
from coflect_widget.records.run import Run
from coflect_widget.ui import protocol
from coflect_widget.ui.behind import lines_of, others
from coflect_widget.ui.decimate import decimate

MAX_POINTS = 4000  # of one series in a full update; more than a chart has pixels
MAX_NOTICES = 20
MAX_PICTURED = 12  # samples of an alarm that come with a picture
_KNOBS = ("values", "layers", "batch_size", "next_batch_size", "num_train", "why_not")
_HEADER_METRICS = ("learning_rate", "steps_per_second")  # shown as numbers, not as charts
SECTIONS = (
    "status", "metrics", "behind", "markers", "window", "queue", "explanation", "timeline",
    "shelf", "hits", "forgotten", "suspects", "ledger", "glances", "knobs", "alarms", "advice",
    "notices",
)  # fmt: skip
#: Where samples are listed: with them go the contents that a browser has not yet.
_LISTS = {"queue", "hits", "forgotten", "suspects", "ledger", "explanation"}
GLANCE_BYTES = 20_000  # of one content in a list; for a larger one its thumbnail serves
MAX_LOOKS = 32  # recorded explanations that wait to be sent


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
        self._last_seq = -1
        self._dirty: set[str] = set()
        self._series: dict[str, array[float]] = {}
        self._sent: dict[str, int] = {}
        self._behind: tuple[str, dict[str, Any]] | None = None  # another run and its lines
        self._selected: int | None = None
        self._asked: set[int] = set()  # clicked, and not answered yet
        self._mapped: dict[int, str] = {}  # by sample: the file of the map that lists last showed
        self._glanced: dict[int, str] = {}  # by sample: the same of contents that lists show
        self._opened: int | None = None  # the sample that is open unasked
        self._shown: events.Overlay | events.OverlayFailed | None = (
            None  # the overlay, or its failure, on the screen
        )
        self._overlays: dict[int, dict[int, events.Overlay]] = {}  # by sample and model step
        self._looks: list[events.Overlay] = []  # explanations that a person wants to see again
        self._hits: events.Hits | None = None
        self._forgotten: events.Forgotten | None = None
        self._suspects: dict[str, Any] | None = None
        self._forecast: Event | None = None
        self._window: events.Window | None = None
        self._score: events.ForecastScored | None = None
        self._markers: list[protocol.Marker] = []
        self._ledger: dict[str, dict[str, Any]] = {}
        self._notices: list[protocol.Notice] = []
        self._knobs: events.KnobsInForce | None = None
        self._alarms: dict[str, protocol.Alarm] = {}  # those that hold, by kind
        self._advice: protocol.Advice | None = None
        self._validation = 0.0  # seconds that the newest one took
        self._last_validation = 0  # the epoch after which it comes
        self._status: dict[str, Any] = {
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
            events.Effect: self._effect,
            events.Hits: self._found_alike,
            events.Forgotten: self._lost,
            events.Suspects: self._doubted,
            events.Judged: self._judged,
            events.Resumed: self._resumed,
        }

    # --- in: events and what a person selects ----------------------------------------------

    def apply(self, event: Event) -> None:
        """Take in one event; one that was taken before is left out."""
        if event.seq <= self._last_seq:
            return
        self._last_seq = event.seq
        if event.type not in ("notice", "overlay", "overlay_failed"):
            self._status["step"] = max(self._status["step"], event.step)
            self._status["epoch"] = max(self._status["epoch"], event.epoch)
            self._dirty.add("status")
        applier = self._appliers.get(type(event.data))
        if applier is not None:
            applier(event, event.data)

    def select(self, index: int) -> None:
        """Show this sample from now on, with its newest maps if there are any."""
        self._selected = index
        self._asked.add(index)
        self._shown = self._newest(index)
        self._dirty |= {"explanation", "timeline"}

    def look(self, index: int, step: int | None) -> None:
        """Bring one recorded explanation onto the shelf; without `step`, show the sample."""
        if step is None:
            self.select(index)
        elif step in self._overlays.get(index, {}):
            self._looks = [*self._looks, self._overlays[index][step]][-MAX_LOOKS:]
            self._dirty.add("shelf")

    def compare(self, run: str) -> None:
        """Draw another run of the folder behind the charts, or none with ""."""
        lines: dict[str, Any] = {}
        if run in self._status["others"]:
            try:
                lines = lines_of(self._gallery.path.parent / run)
            except (OSError, ValueError) as error:
                self.notice("warning", f"{run} cannot be read: {error}")
        self._behind = (run if lines else "", lines)
        self._dirty.add("behind")

    def notice(self, level: str, text: str) -> None:
        """Say something that is no event of the run, such as a fault of the view itself."""
        self._notices.append({"level": level, "text": text, "step": self._status["step"]})
        del self._notices[:-MAX_NOTICES]
        self._dirty.add("notices")

    def end_of_record(self) -> None:
        """Nothing more will come: what still trains then was interrupted."""
        if self._status["state"] in ("training", "paused"):
            self._status["state"] = "interrupted"
        if self._selected is None and self._forecast is not None:
            last, self._shown = self._shown, None
            self._open_riskiest()
            self._shown = self._shown or last

    def _run_started(self, _: Event, data: events.RunStarted) -> None:
        self._status.update(
            classes=data.classes or [],
            num_train=data.num_train,
            device=data.device,
            guidance=data.guidance,
            inputs=data.inputs,
            kernels=data.kernels,
        )
        if data.focus is not None:
            self._status["focus"] = data.focus
        if self._gallery is not None:
            self._status["others"] = others(self._gallery.path)

    def _resumed(self, event: Event, data: events.Resumed) -> None:
        """The run goes on from there: what it had done after that is done again."""
        for name, series in self._series.items():
            limit = data.validated if name.startswith("val/") else event.step
            points = np.array(series).reshape(-1, 2)
            self._series[name] = array("d", points[points[:, 0] <= limit].ravel().tolist())
        self._sent.clear()
        self._markers = [
            one for one in self._markers if one["step"] <= event.step or one["id"] is not None
        ]
        self._status.update(
            state="idle", step=event.step, epoch=event.epoch, error=None, seconds_left=None
        )
        self._dirty |= {"status", "metrics", "markers"}

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
        self._status.update(
            total_steps=data.total_steps if to_come > 0 else None,
            total_epochs=epochs,
            error=None,
            trace=None,
            remedy=None,
        )

    def _state(self, _: Event, data: events.StateChanged) -> None:
        status = self._status
        status["state"], total = data.state, status["total_steps"]
        over = data.state in ("stopped", "failed") and not self._own_loop
        status["steps_left"] = (
            total - status["step"] if over and total and total > status["step"] else None
        )
        if data.state != "training":
            self._status["steps_per_second"] = self._status["seconds_left"] = None

    def _metrics(self, event: Event, data: events.Metrics) -> None:
        status = self._status
        for name, value in data.values.items():
            if name == "validation_seconds":
                self._validation = value or 0.0
                continue
            if name in _HEADER_METRICS:
                status[name] = finite(value)
                continue
            series = self._series.setdefault(f"{event.split or 'train'}/{name}", array("d"))
            series.extend((event.step, float("nan") if value is None else value))
        speed, total = status["steps_per_second"], status["total_steps"]
        if speed and total is not None:
            validations = max(0, self._last_validation - status["epoch"])
            status["seconds_left"] = (
                max(0, total - status["step"]) / speed + validations * self._validation
            )
        self._dirty.add("metrics")

    def _ranking(self, event: Event, data: events.Forecast) -> None:
        self._forecast = event
        self._dirty.add("queue")
        self._open_riskiest()

    def _open_riskiest(self) -> None:
        """Until a person chooses a sample: show the riskiest that has a map, and stay with it."""
        if self._selected is not None or self._forecast is None:
            return
        data: Any = self._forecast.data
        rows = list(zip(data.index, data.wrong_now, strict=True))
        order = [i for i, wrong in rows if not wrong] + [i for i, wrong in rows if wrong]
        shown = self._shown
        if not order or (isinstance(shown, events.Overlay) and shown.index in order):
            return
        explained = next((i for i in order if self._newest(i) is not None), None)
        if explained is not None:
            self._opened, self._shown = explained, self._newest(explained)
        elif shown is None and self._opened not in order:
            self._opened = order[0]
        self._dirty |= {"explanation", "timeline"}

    def _newest(self, index: int) -> events.Overlay | None:
        """The newest explanation of a sample that is kept."""
        recorded = self._overlays.get(index, {})
        kept = [step for step, overlay in recorded.items() if self._gallery.has(overlay.maps)]
        return recorded[max(kept)] if kept else None

    def _window_changed(self, event: Event, data: events.Window) -> None:
        was_open = self._window is not None and self._window.open
        if data.open != was_open:
            kind: protocol.MarkerKind = "window_open" if data.open else "window_shut"
            text = f"a good time to look {'began' if data.open else 'ended'}"
            self._mark(event, kind, text, None)
        self._window = data
        self._dirty.add("window")

    def _scored(self, _: Event, data: events.ForecastScored) -> None:
        self._score = data
        self._dirty.add("window")

    def _overlay(self, event: Event, data: events.Overlay | events.OverlayFailed) -> None:
        if isinstance(data, events.Overlay):
            mine = self._overlays.setdefault(data.index, {})
            for step in [k for k, one in mine.items() if not self._gallery.has(one.maps)]:
                del mine[step]  # taken off the shelf: a long run explains a sample many times
            mine[data.model_step] = data
            self._status["overlays_made"] += 1
            self._status["overlay_seconds"] += data.seconds
            self._dirty.add("status")
            if any(item["sample"] == data.index for item in self._ledger.values()):
                self._dirty.add("ledger")  # which shows its map
        # What was clicked is answered later, when another sample may have been clicked.
        if data.purpose == "person" and data.index not in self._asked:
            self._selected = data.index
        self._asked.discard(data.index)
        # A picture that a person looks at, and may be drawing on, changes only for its own maps.
        shown = self._shown
        of_queue = shown is not None and self._forecast is not None and self._selected is None
        if of_queue and shown is not None and shown.index != data.index:
            self._open_riskiest()  # it may be the first of the queue that has a map
        elif self._selected in (None, data.index):
            self._shown = data
            self._dirty |= {"explanation", "timeline"}
            self._open_riskiest()

    def _intervention(self, event: Event, data: events.InterventionRecord) -> None:
        self._ledger[data.id] = {
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
            "measured": data.data is None,
        }
        if data.data is not None and data.data.kind == "drop":
            self._left_out(data.data.index)
        if data.focus is not None:
            self._status["focus"] = data.focus
        self._mark(event, "intervention", data.understood, data.id)
        self._dirty |= {"ledger", "status"}

    def _undone(self, _: Event, data: events.Undone) -> None:
        if data.id in self._ledger:
            self._ledger[data.id]["undone"] = True
        # The alarm's own end comes with the next steps; where training is held there are none.
        for kind, alarm in list(self._alarms.items()):
            if alarm["intervention"] == data.id:
                del self._alarms[kind]
                self._dirty.add("alarms")
        if data.focus is not None:
            self._status["focus"] = data.focus
        self._dirty |= {"ledger", "status"}

    def _lapsed(self, event: Event, data: events.Lapsed) -> None:
        item = self._ledger.get(data.id)
        if item is not None:
            item["strokes"] = [one for one in item["strokes"] if one["kind"] != data.kind]
            item["text"] += f" · {data.kind} out of force since step {event.step}: {data.why}"
            self._dirty.add("ledger")

    def _cost(self, _: Event, data: events.Cost) -> None:
        self._status["overlays_skipped"] = data.overlays_skipped
        self._status["rest_seconds"] = data.rest_seconds
        self._status["cost_percent"] = data.percent

    def _effect(self, _: Event, data: events.Effect) -> None:
        item = self._ledger.get(data.intervention)
        if item is not None:
            item["effect"] = data.model_dump()
            self._dirty.add("ledger")

    def _found_alike(self, _: Event, data: events.Hits) -> None:
        self._hits = data
        self._dirty.add("hits")

    def _lost(self, _: Event, data: events.Forgotten) -> None:
        self._forgotten = data
        self._dirty.add("forgotten")

    def _doubted(self, _: Event, data: events.Suspects) -> None:
        self._suspects = {
            "count": data.count,
            "items": [
                {"index": i, "doubt": d, "target": t, "suggested": s, "judged": j}
                for i, d, t, s, j in zip(
                    data.index, data.doubt, data.target, data.suggested, data.judged, strict=True
                )
            ],
        }  # fmt: skip
        self._dirty.add("suspects")

    def _judged(self, _: Event, data: events.Judged) -> None:
        for item in [] if self._suspects is None else self._suspects["items"]:
            if item["index"] == data.index:
                item["judged"] = "" if data.verdict == "undo" else data.verdict
                self._dirty.add("suspects")
        if data.verdict == "leave out":
            self._left_out([data.index])

    def _notice(self, event: Event, data: events.Notice) -> None:
        if data.alarm:
            self._alarm(event, data)
            return
        item: protocol.Notice = {"level": data.level, "text": data.text, "step": event.step}
        if data.offer:
            item["offer"] = data.offer
        self._notices.append(item)
        del self._notices[:-MAX_NOTICES]
        self._dirty.add("notices")

    def _alarm(self, event: Event, data: events.Notice) -> None:
        if data.over:
            self._alarms.pop(data.alarm, None)
        else:
            self._alarms[data.alarm] = {
                "kind": data.alarm,
                "text": data.text,
                "step": event.step,
                "intervention": data.intervention,
                "samples": [],
            }
        self._dirty.add("alarms")

    def _spike(self, event: Event, data: events.Spike) -> None:
        self._alarms["spike"] = {
            "kind": "spike",
            "text": data.text,
            "step": event.step,
            "intervention": None,
            "samples": [
                {"index": index, "value": value, "thumbnail_buffer": None}
                for index, value in zip(data.index, data.value, strict=True)
            ],
        }
        self._dirty.add("alarms")

    def _left_out(self, indices: Iterable[int]) -> None:
        """What an alarm is about is done with once all of its samples are left out."""
        gone = set(indices)
        for kind, alarm in list(self._alarms.items()):
            left = [one for one in alarm["samples"] if one["index"] not in gone]
            if alarm["samples"] and not left:
                del self._alarms[kind]
            alarm["samples"] = left
            self._dirty.add("alarms")

    def _knobs_changed(self, _: Event, data: events.KnobsInForce) -> None:
        self._knobs = data
        self._status["num_train"] = data.num_train
        self._dirty.add("knobs")

    def _advised(self, _: Event, data: events.Advice) -> None:
        self._advice = None
        if data.key:
            self._advice = {
                "key": data.key,
                "text": data.text,
                "button": data.button,
                "does": data.does,
                "sample": data.sample,
                "intervention": data.intervention,
            }
        self._dirty.add("advice")

    def _failure(self, _: Event, data: events.Failure) -> None:
        self._status.update(
            error=data.error, trace=data.traceback or None, remedy=data.remedy or None
        )

    def _mark(
        self, event: Event, kind: protocol.MarkerKind, text: str, identifier: str | None
    ) -> None:
        self._markers.append({"step": event.step, "kind": kind, "text": text, "id": identifier})
        self._dirty.add("markers")

    # --- out: sections of an update --------------------------------------------------------

    @property
    def changed(self) -> bool:
        """Whether anything has changed since the last update."""
        return bool(self._dirty)

    def update(self, *, full: bool) -> tuple[dict[str, Any], list[bytes]]:
        """Sections that changed (or all, if `full`), and the buffers they refer to."""
        if self._dirty & _LISTS:
            self._dirty.add("glances")
        names = SECTIONS if full else [name for name in SECTIONS if name in self._dirty]
        self._dirty.clear()
        update, buffers = self._sections(names, full=full)
        self._looks.clear()
        for name, values in self._series.items():
            self._sent[name] = len(values)
        return update, buffers

    def everything(self, shelf_bytes: int = 0) -> tuple[dict[str, Any], list[bytes]]:
        """All sections, as for a browser that is not there: what `update` owes stays owed.

        With `shelf_bytes` recorded explanations are added, as many as fit: those of the sample
        that is shown, then the newest of the samples in the queue and the ledger, then the rest.
        """
        update, buffers = self._sections([n for n in SECTIONS if n != "shelf"], full=True)
        shelf: list[dict[str, Any]] = []
        for overlay in self._worth_keeping() if shelf_bytes else []:
            if not self._gallery.has(overlay.maps):
                continue
            mine: list[bytes] = []
            section = self._explained(overlay.index, overlay, mine)
            shelf_bytes -= sum(len(one) for one in mine)
            if shelf_bytes < 0:
                break
            if section["failed"] is None:
                shelf.append(_shifted(section, len(buffers)))
                buffers += mine
        if shelf:
            update["shelf"] = shelf
        return update, buffers

    def figures(self) -> tuple[dict[str, Any], list[bytes]]:
        """The sections without pictures; what `update` owes stays owed."""
        return self._sections(["status", "metrics", "ledger", "alarms", "advice"], full=True)

    @property
    def _at(self) -> int | None:
        """The sample that is shown."""
        if self._shown is not None:
            return self._shown.index
        return self._opened if self._selected is None else self._selected

    def _worth_keeping(self) -> Iterable[events.Overlay]:
        """Recorded explanations, the most wanted first."""
        shown = self._at
        asked: list[int] = [] if shown is None else [shown]
        if self._forecast is not None:
            asked += self._forecast.data["index"]
        asked += [item["sample"] for item in self._ledger.values() if item["sample"] is not None]
        first = {index: None for index in asked if index in self._overlays}
        order = [*first, *(index for index in reversed(self._overlays) if index not in first)]
        if shown in first:
            yield from self._overlays[shown].values()
        for index in order:
            yield self._overlays[index][max(self._overlays[index])]
        for index in order:
            newest = max(self._overlays[index])
            yield from (o for step, o in self._overlays[index].items() if step != newest)

    def _sections(self, names: Iterable[str], *, full: bool) -> tuple[dict[str, Any], list[bytes]]:
        buffers: list[bytes] = []
        update: dict[str, Any] = {}
        for name in names:
            section = self._section(name, buffers, full=full)
            if section is not None or name == "advice":  # that there is none is said too
                update[name] = section
        return update, buffers

    def _section(self, name: str, buffers: list[bytes], *, full: bool) -> Any:
        if name == "status":
            return dict(self._status)
        if name == "metrics":
            return self._metrics_section(buffers, full=full)
        if name == "behind":
            return None if self._behind is None else self._behind_section(*self._behind, buffers)
        if name == "window":
            return self._window_section()
        if name == "queue":
            return self._queue_section(buffers, full=full)
        if name == "explanation":
            return self._explanation_section(buffers)
        if name == "timeline":
            return self._timeline_section()
        if name == "shelf":
            shelf = [self._explained(look.index, look, buffers) for look in self._looks]
            return shelf or None
        if name == "hits":
            return None if self._hits is None else self._hits_section(self._hits, buffers)
        if name == "forgotten":
            return (
                None
                if self._forgotten is None
                else self._forgotten_section(self._forgotten, buffers, full=full)
            )
        if name == "suspects":
            if self._suspects is None:
                return None
            return self._suspects_section(self._suspects, buffers, full=full)
        if name == "ledger":
            return self._ledger_section(buffers)
        if name == "glances":
            return self._glances_section(buffers, full=full) or None
        if name == "knobs":
            known = self._knobs
            return None if known is None else {n: known.model_dump()[n] for n in _KNOBS}
        if name == "alarms":
            return [self._alarm_section(alarm, buffers) for alarm in self._alarms.values()]
        if name == "advice":
            return self._advice
        return list(self._markers) if name == "markers" else list(self._notices)

    def _metrics_section(self, buffers: list[bytes], *, full: bool) -> list[protocol.SeriesPoints]:
        section: list[protocol.SeriesPoints] = []
        for name, values in self._series.items():
            start = 0 if full else self._sent.get(name, 0)
            points = np.array(values[start:], dtype=np.float64).reshape(-1, 2)
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
        if self._window is None and self._score is None:
            return None
        score = self._score
        return {
            "open": self._window is not None and self._window.open,
            "by_hand": self._window is not None and self._window.by_hand,
            "gates": [] if self._window is None else [g.model_dump() for g in self._window.gates],
            "score": None
            if score is None
            else score.sentence or sentence(score),  # runs of before have no sentence
        }

    def _queue_section(self, buffers: list[bytes], *, full: bool) -> protocol.Queue | None:
        if self._forecast is None:
            return None
        data = self._forecast.data
        assert isinstance(data, events.Forecast)  # noqa: S101 - narrows the type
        unknown, doubtful = [None] * len(data.index), set(data.doubtful)
        rows = zip(
            data.index, data.risk, data.target, data.predicted, data.reason,
            data.target_value or unknown, data.predicted_value or unknown, data.error or unknown,
            data.wrong_now, strict=True,
        )  # fmt: skip
        items: list[protocol.Candidate] = [
            {
                "index": index,
                "risk": risk,
                "target": target,
                "predicted": predicted,
                "reason": reason,
                "target_value": wanted,
                "predicted_value": given,
                "error": error,
                "wrong_now": wrong_now,
                "doubtful": index in doubtful,
                "thumbnail_buffer": _add(buffers, self._gallery.thumbnail(index)),
                "map_buffer": self._map_of(index, buffers, full=full),
            }
            for index, risk, target, predicted, reason, wanted, given, error, wrong_now in rows
        ]
        return {
            "due": self._forecast.epoch + data.horizon,
            "onset": data.onset,
            "parted": data.parted,
            "wrong": data.wrong,
            "items": items,
        }

    def _timeline_section(self) -> protocol.Timeline | None:
        index = self._at
        if index is None:
            return None
        recorded = sorted(self._overlays.get(index, {}).items())
        return {
            "index": index,
            "entries": [
                {
                    "step": step,
                    "agreement": one.agreement,
                    "quality": _verdict(one.quality)["quality"],
                }
                for step, one in recorded
                if self._gallery.has(one.maps)  # some are taken off in time
            ],
        }

    def _hits_section(self, hits: events.Hits, buffers: list[bytes]) -> protocol.Hits:
        return {
            "intervention": hits.intervention,
            "count": hits.count,
            "searched": hits.searched,
            "total": hits.total,
            "done": hits.done,
            "error": hits.error,
            "items": [
                {
                    "index": index,
                    "score": score,
                    "box": _on_screen(box),
                    "thumbnail_buffer": _add(buffers, self._gallery.thumbnail(index)),
                }
                for index, score, box in zip(hits.index, hits.score, hits.box, strict=True)
            ],
        }

    def _forgotten_section(
        self, forgotten: events.Forgotten, buffers: list[bytes], *, full: bool
    ) -> protocol.Forgotten:
        columns = (forgotten.index, forgotten.target, forgotten.predicted, forgotten.times)
        return {
            "count": forgotten.count,
            "items": [
                {
                    "index": index,
                    "target": target,
                    "predicted": predicted,
                    "times": times,
                    "thumbnail_buffer": _add(buffers, self._gallery.thumbnail(index)),
                    "map_buffer": self._map_of(index, buffers, full=full),
                }
                for index, target, predicted, times in zip(*columns, strict=True)
            ],
        }

    def _glimpse(
        self, index: int, buffers: list[bytes], first: int = 0, last: int | None = None
    ) -> int | None:
        """The newest map of a sample, small: of the weights of steps `first` to `last`."""
        recorded = self._overlays.get(index, {})
        steps = (k for k in recorded if first <= k and (last is None or k <= last))
        for step in sorted(steps, reverse=True):
            found = self._gallery.glimpse(recorded[step].maps)
            if found is not None:
                return _add(buffers, found)
        return None

    def _map_of(self, index: int, buffers: list[bytes], *, full: bool) -> int | None:
        """The newest map of a sample in a list, small; None where a browser has it already."""
        newest = self._newest(index)
        if newest is None or (not full and self._mapped.get(index) == newest.maps):
            return None
        if not full:
            self._mapped[index] = newest.maps
        return _add(buffers, self._gallery.glimpse(newest.maps))

    def _ledger_section(self, buffers: list[bytes]) -> list[dict[str, Any]]:
        section: list[dict[str, Any]] = []
        for item in self._ledger.values():
            index, step = item["sample"], item["step"]
            pictures: dict[str, int | None] = dict.fromkeys(
                ("thumbnail_buffer", "before_buffer", "after_buffer")
            )
            if index is not None:
                pictures = {
                    "thumbnail_buffer": _add(buffers, self._gallery.thumbnail(index)),
                    "before_buffer": self._glimpse(index, buffers, last=step),
                    "after_buffer": self._glimpse(index, buffers, first=step + 1),
                }
            section.append({**item, **pictures})
        return section

    def _glances_section(self, buffers: list[bytes], *, full: bool) -> list[protocol.Glance]:
        section: list[protocol.Glance] = []
        for index in self._listed():
            newest = self._newest(index)
            maps = "" if newest is None else newest.maps
            if not full and self._glanced.get(index) == maps:
                continue
            content = self._gallery.content(index, GLANCE_BYTES)
            if not full:
                self._glanced[index] = maps
            if content is not None:
                cells = self._cells(maps) if maps else None
                section.append(
                    {"index": index, "content": content, "cells_buffer": _add(buffers, cells)}
                )
        return section

    def _listed(self) -> list[int]:
        """Samples that any list names."""
        found: list[int | None] = [self._at]
        if self._forecast is not None:
            found += self._forecast.data["index"]
        for one in (self._forgotten, self._hits):
            found += [] if one is None else one.index
        found += [] if self._suspects is None else [s["index"] for s in self._suspects["items"]]
        found += [item["sample"] for item in self._ledger.values()]
        return list(dict.fromkeys(index for index in found if index is not None))

    def _cells(self, maps: str) -> bytes | None:
        """A map as bytes; None where it cannot be read."""
        try:
            return self._gallery.load(maps)["map"].tobytes()
        except (OSError, ValueError):
            return None

    def _suspects_section(
        self, suspects: dict[str, Any], buffers: list[bytes], *, full: bool
    ) -> dict[str, Any]:
        items = [
            {
                **item,
                "thumbnail_buffer": _add(buffers, self._gallery.thumbnail(item["index"])),
                "map_buffer": self._map_of(item["index"], buffers, full=full),
            }
            for item in suspects["items"]
        ]
        return {"count": suspects["count"], "items": items}

    def _alarm_section(self, alarm: protocol.Alarm, buffers: list[bytes]) -> protocol.Alarm:
        samples: list[protocol.AlarmSample] = [
            {**one, "thumbnail_buffer": _add(buffers, self._gallery.thumbnail(one["index"]))}
            for one in alarm["samples"][:MAX_PICTURED]
        ]
        return {**alarm, "samples": [*samples, *alarm["samples"][MAX_PICTURED:]]}

    def _explanation_section(self, buffers: list[bytes]) -> dict[str, Any] | None:
        shown = self._shown
        index = self._at
        return None if index is None else self._explained(index, shown, buffers)

    def _explained(
        self,
        index: int,
        shown: events.Overlay | events.OverlayFailed | None,
        buffers: list[bytes],
    ) -> dict[str, Any]:
        section: dict[str, Any] = {
            "index": index,
            "failed": None,
            "target": None,
            "predicted": None,
            "top": [],
            "explained": None,
            "labels": [],
            "agreement": None,
            "quality": None,
            "quality_reason": None,
            "bbox": None,
            "model_step": None,
            "method": "consensus",
            "seconds": None,
            "purpose": "person",
            "width": 0,
            "height": 0,
            "picture_buffer": None,
            "map_width": 0,
            "map_height": 0,
            "livecam_buffer": None,
            "smoothgrad_buffer": None,
            "consensus_buffer": None,
            "content": self._gallery.content(index),
        }
        if isinstance(shown, events.OverlayFailed):
            section.update(failed=shown.reason, purpose=shown.purpose)
        if isinstance(shown, events.Overlay):
            self._describe_overlay(section, shown, buffers)
        if section["picture_buffer"] is None:
            try:
                picture = self._gallery.picture(index)
            except (LookupError, OSError):
                return section
            _add_picture(section, picture, buffers)
        return section

    def _describe_overlay(
        self, section: dict[str, Any], shown: events.Overlay, buffers: list[bytes]
    ) -> None:
        section.update(
            # A map may belong to no class.
            target=shown.target if shown.top_classes else None,
            predicted=shown.predicted if shown.top_classes else None,
            top=[
                {"index": c, "probability": p}
                for c, p in zip(shown.top_classes, shown.top_probs, strict=True)
            ],
            explained=shown.explained if shown.top_classes else None,
            labels=shown.labels,
            agreement=shown.agreement,
            **_verdict(shown.quality),
            bbox=None if shown.focus_bbox is None else list(_on_screen(shown.focus_bbox)),
            model_step=shown.model_step,
            method="livecam" if shown.method in ("gradcam", "integrated") else shown.method,
            seconds=shown.seconds,
            purpose=shown.purpose,
        )
        try:
            maps = self._gallery.load(shown.maps)
        except FileNotFoundError:
            section["failed"] = (
                f"The map of step {shown.model_step} was not kept, to save room on the disk."
            )
            return
        except (OSError, ValueError) as error:
            section["failed"] = f"the maps cannot be read: {error}"
            return
        _add_picture(section, maps["picture"], buffers)
        # a map of one axis is a row of cells
        section["map_height"], section["map_width"] = np.atleast_2d(maps["map"]).shape
        for name in ("livecam", "smoothgrad", "consensus"):
            if name in maps:
                section[f"{name}_buffer"] = _add(buffers, maps[name].tobytes())


def _on_screen(corners: Sequence[float]) -> protocol.Box:
    """Corners of a box as (x0, y0, x1, y1); what has one axis is as high as the picture."""
    if len(corners) == 2:
        return corners[0], 0.0, corners[1], 1.0
    x0, y0, x1, y1 = corners
    return x0, y0, x1, y1


def _verdict(quality: events.Quality | None) -> dict[str, str | None]:
    if quality is None:
        return {"quality": None, "quality_reason": None}
    word = "reliable" if quality.reliable else "not reliable"
    return {"quality": word, "quality_reason": quality.reason or None}


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


def _shifted(section: dict[str, Any], by: int) -> dict[str, Any]:
    """The section with its buffers' numbers moved on."""
    return {
        key: value + by if key.endswith("_buffer") and value is not None else value
        for key, value in section.items()
    }


def _add(buffers: list[bytes], data: bytes | None) -> int | None:
    if data is None:
        return None
    buffers.append(data)
    return len(buffers) - 1


def _add_picture(section: dict[str, Any], picture: Any, buffers: list[bytes]) -> None:
    section["height"], section["width"] = picture.shape[:2]
    section["picture_buffer"] = _add(buffers, picture.tobytes())
