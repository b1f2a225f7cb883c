"""Lists of samples with their pictures, as sections of an update."""

from __future__ import annotations

from typing import Any

from coflect_widget import events
from coflect_widget.studies.controls import BLIND
from coflect_widget.ui import protocol
from coflect_widget.ui.asked import Asked
from coflect_widget.ui.explained import add, on_screen
from coflect_widget.ui.folded import Folded

MAX_PICTURED = 12  # samples of an alarm that come with a picture
MAX_CROPS = 6  # samples of a finding
GLANCE_BYTES = 20_000  # of one content in a list; for a larger one its thumbnail serves


class Listed:
    """Makes the lists, and remembers which maps and contents a browser has already."""

    def __init__(self, now: Folded) -> None:
        self._now = now
        self._gallery = now.gallery
        self._mapped: dict[int, str] = {}  # by sample: the file of the map that lists last showed
        self._glanced: dict[int, str] = {}  # by sample: the same of contents that lists show

    def queue(self, buffers: list[bytes], *, full: bool) -> protocol.Queue | None:
        """Samples that are wrong, or at risk; None before the first forecast."""
        if self._now.forecast is None:
            return None
        data = self._now.forecast.data
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
                "thumbnail_buffer": add(buffers, self._gallery.thumbnail(index)),
                "map_buffer": self._map_of(index, buffers, full=full),
            }
            for index, risk, target, predicted, reason, wanted, given, error, wrong_now in rows
        ]
        return {
            "due": self._now.forecast.epoch + data.horizon,
            "onset": data.onset,
            "parted": data.parted,
            "wrong": data.wrong,
            "items": items,
        }

    def hits(self, hits: events.Hits, buffers: list[bytes]) -> protocol.Hits:
        """Samples that have what was marked in another."""
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
                    "box": on_screen(box),
                    "thumbnail_buffer": add(buffers, self._gallery.thumbnail(index)),
                }
                for index, score, box in zip(hits.index, hits.score, hits.box, strict=True)
            ],
        }

    def forgotten(
        self, forgotten: events.Forgotten, buffers: list[bytes], *, full: bool
    ) -> protocol.Forgotten:
        """Samples that were right once."""
        columns = (forgotten.index, forgotten.target, forgotten.predicted, forgotten.times)
        return {
            "count": forgotten.count,
            "items": [
                {
                    "index": index,
                    "target": target,
                    "predicted": predicted,
                    "times": times,
                    "thumbnail_buffer": add(buffers, self._gallery.thumbnail(index)),
                    "map_buffer": self._map_of(index, buffers, full=full),
                }
                for index, target, predicted, times in zip(*columns, strict=True)
            ],
        }

    def suspects(
        self, suspects: dict[str, Any], buffers: list[bytes], *, full: bool
    ) -> dict[str, Any]:
        """Samples whose label is doubted."""
        items = [
            {
                **item,
                "thumbnail_buffer": add(buffers, self._gallery.thumbnail(item["index"])),
                "map_buffer": self._map_of(item["index"], buffers, full=full),
            }
            for item in suspects["items"]
        ]
        return {"count": suspects["count"], "items": items}

    def requests(self, requests: events.Requests, buffers: list[bytes]) -> protocol.Requests:
        """Requests that wait for a person to say their class."""
        items: list[protocol.KeptRequest] = []
        rows = zip(requests.id, requests.told, requests.confidence, strict=True)
        for name, told, confidence in rows:
            content, small = self._gallery.request(name)
            items.append({
                "id": name, "told": told, "confidence": confidence, "content": content,
                "thumbnail_buffer": add(buffers, small),
            })  # fmt: skip
        return {"waiting": requests.waiting, "labelled": requests.labelled, "items": items}

    def ledger(self, buffers: list[bytes]) -> list[dict[str, Any]]:
        """Interventions, each with its sample's map before and after."""
        section: list[dict[str, Any]] = []
        for item in self._now.ledger.values():
            index, step = item["sample"], item["step"]
            pictures: dict[str, int | None] = dict.fromkeys(
                ("thumbnail_buffer", "before_buffer", "after_buffer")
            )
            if index is not None:
                pictures = {
                    "thumbnail_buffer": add(buffers, self._gallery.thumbnail(index)),
                    "before_buffer": self._glimpse(index, buffers, last=step),
                    "after_buffer": self._glimpse(index, buffers, first=step + 1),
                }
            section.append({**item, **pictures})
        return section

    def glances(self, buffers: list[bytes], *, full: bool) -> list[protocol.Glance]:
        """Contents of all samples that a list names, where a browser has not got them."""
        section: list[protocol.Glance] = []
        for index in self._listed():
            newest = self._now.newest(index)
            maps = "" if newest is None else newest.maps
            if not full and self._glanced.get(index) == maps:
                continue
            content = self._gallery.content(index, GLANCE_BYTES)
            if not full:
                self._glanced[index] = maps
            if content is not None:
                cells = self._cells(maps) if maps else None
                section.append(
                    {"index": index, "content": content, "cells_buffer": add(buffers, cells)}
                )
        return section

    def question(self, asked: Asked, buffers: list[bytes]) -> protocol.Question | None:
        """What a person is asked about, with its first samples."""
        question = asked.question
        if question is None:
            return None
        seen = list(zip(question.index, question.regions, strict=True))[:MAX_CROPS]
        blind = isinstance(question, events.Control) or question.blind
        known = None if isinstance(question, events.Control) or blind else question
        return {
            "id": question.id,
            "text": BLIND if known is None else known.text,
            "count": None if known is None else known.count,
            "pull": None if known is None else known.pull,
            "interval": [] if known is None else list(known.interval),
            "classes": question.classes,
            "controls": asked.controls,
            "samples": [
                {
                    "index": index,
                    "region": region,
                    "content": self._gallery.content(index, GLANCE_BYTES),
                    "thumbnail_buffer": add(buffers, self._gallery.thumbnail(index)),
                }
                for index, region in seen
            ],
        }

    def alarm(self, alarm: protocol.Alarm, buffers: list[bytes]) -> protocol.Alarm:
        """An alarm, its first samples with their pictures."""
        samples: list[protocol.AlarmSample] = [
            {**one, "thumbnail_buffer": add(buffers, self._gallery.thumbnail(one["index"]))}
            for one in alarm["samples"][:MAX_PICTURED]
        ]
        return {**alarm, "samples": [*samples, *alarm["samples"][MAX_PICTURED:]]}

    def _listed(self) -> list[int]:
        """Samples that any list names."""
        found: list[int | None] = [self._now.at]
        if self._now.forecast is not None:
            found += self._now.forecast.data["index"]
        for one in (self._now.forgotten, self._now.hits):
            found += [] if one is None else one.index
        found += (
            [] if self._now.suspects is None else [s["index"] for s in self._now.suspects["items"]]
        )
        found += [item["sample"] for item in self._now.ledger.values()]
        return list(dict.fromkeys(index for index in found if index is not None))

    def _glimpse(
        self, index: int, buffers: list[bytes], first: int = 0, last: int | None = None
    ) -> int | None:
        """The newest map of a sample, small: of the weights of steps `first` to `last`."""
        recorded = self._now.overlays.get(index, {})
        steps = (k for k in recorded if first <= k and (last is None or k <= last))
        for step in sorted(steps, reverse=True):
            found = self._gallery.glimpse(recorded[step].maps)
            if found is not None:
                return add(buffers, found)
        return None

    def _map_of(self, index: int, buffers: list[bytes], *, full: bool) -> int | None:
        """The newest map of a sample in a list, small; None where a browser has it already."""
        newest = self._now.newest(index)
        if newest is None or (not full and self._mapped.get(index) == newest.maps):
            return None
        if not full:
            self._mapped[index] = newest.maps
        return add(buffers, self._gallery.glimpse(newest.maps))

    def _cells(self, maps: str) -> bytes | None:
        """A map as bytes; None where it cannot be read."""
        try:
            return self._gallery.load(maps)["map"].tobytes()
        except (OSError, ValueError):
            return None
