"""The alarms that hold, one of each kind."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from coflect_widget import events
from coflect_widget.events import Event
from coflect_widget.ui import protocol


class Alarms:
    """Folded from notices and spikes."""

    def __init__(self) -> None:
        self._by_kind: dict[str, protocol.Alarm] = {}

    def __iter__(self) -> Iterator[protocol.Alarm]:
        return iter(self._by_kind.values())

    def notice(self, event: Event, data: events.Notice) -> None:
        """An alarm begins, or is over."""
        if data.over:
            self._by_kind.pop(data.alarm, None)
        else:
            self._by_kind[data.alarm] = {
                "kind": data.alarm,
                "text": data.text,
                "step": event.step,
                "intervention": data.intervention,
                "samples": [],
            }

    def spike(self, event: Event, data: events.Spike) -> None:
        """A loss that leaps, with the samples of its batch."""
        self._by_kind["spike"] = {
            "kind": "spike",
            "text": data.text,
            "step": event.step,
            "intervention": None,
            "samples": [
                {"index": index, "value": value, "thumbnail_buffer": None}
                for index, value in zip(data.index, data.value, strict=True)
            ],
        }

    def undo(self, intervention: str) -> bool:
        """End what this intervention is blamed for; whether there was such."""
        kinds = [k for k, one in self._by_kind.items() if one["intervention"] == intervention]
        for kind in kinds:
            del self._by_kind[kind]
        return bool(kinds)

    def leave_out(self, indices: Iterable[int]) -> None:
        """What an alarm is about is done with once all of its samples are left out."""
        gone = set(indices)
        for kind, alarm in list(self._by_kind.items()):
            left = [one for one in alarm["samples"] if one["index"] not in gone]
            if alarm["samples"] and not left:
                del self._by_kind[kind]
            alarm["samples"] = left
