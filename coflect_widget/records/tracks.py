"""A run's metrics over steps, epochs and the time that was trained, kept beside the stream.

Pauses and interruptions do not count as time. ``tracks.json`` is written when a session ends, and
whenever a run that is over was read; it says for how many bytes of the stream it holds, and may be
deleted.
"""

from __future__ import annotations

import contextlib
import json
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coflect_widget.events import Event, Metrics, Resumed, StateChanged, read_event
from coflect_widget.records.folder import write_whole
from coflect_widget.records.inside import find, open_inside, read_text, whole_lines
from coflect_widget.records.summary import is_being_written

TRACKS = "tracks.json"
_FORMAT = "coflect-tracks-1"
_BYTES = 16 * 2**20  # of one file
_QUICKLY_READ = 16 * 2**20  # bytes of a stream that are read while a session is closed
_POINTS = 500  # of each metric that the file keeps
_HEARD = re.compile(rb'"type":\s*"(?:state|metrics|resumed|intervention)"')


@dataclass(frozen=True, slots=True)
class Track:
    """Metrics of one split, in the order of time.

    Attributes
    ----------
    steps, epochs : int64 (N,)
    seconds : float64 (N,)
        That were trained until then.
    values : dict of str to float64 (N,)
        By metric; NaN where there is none.
    """

    steps: NDArray[np.int64]
    epochs: NDArray[np.int64]
    seconds: NDArray[np.float64]
    values: dict[str, NDArray[np.float64]]

    def thinned(self, most: int) -> Track:
        """At most so many points of each metric, evenly, and its least and its greatest."""
        if len(self.steps) <= most:
            return self
        kept = {0, len(self.steps) - 1}
        for column in self.values.values():
            known = np.flatnonzero(np.isfinite(column))
            if len(known):
                evenly = known[np.linspace(0, len(known) - 1, most).astype(int)]
                ends = known[[column[known].argmin(), column[known].argmax()]]
                kept.update(evenly.tolist(), ends.tolist())
        places = np.array(sorted(kept))
        values = {name: column[places] for name, column in self.values.items()}
        return Track(self.steps[places], self.epochs[places], self.seconds[places], values)


@dataclass(frozen=True, slots=True)
class Tracks:
    """When a run came to what.

    Attributes
    ----------
    seconds : float
        That were trained.
    steps : int
    told : list of int
        Steps at which a person intervened.
    splits : dict of str to Track
    """

    seconds: float
    steps: int
    told: list[int] = field(default_factory=list)
    splits: dict[str, Track] = field(default_factory=dict)

    @property
    def throughput(self) -> float | None:
        """Steps a second; None where nothing was trained."""
        return self.steps / self.seconds if self.seconds > 0 else None


def fold(events: Iterable[Event]) -> Tracks:
    """From the events of a run; metrics that a resumed run left behind do not count."""
    clock, steps, training = 0.0, 0, False
    last: datetime | None = None
    told: list[int] = []
    points: list[tuple[str, int, int, float, dict[str, float | None]]] = []
    for event in events:
        data = event.data
        resumed = isinstance(data, Resumed)
        now = event.ts if event.ts.tzinfo else event.ts.replace(tzinfo=UTC)
        if training and last is not None and not resumed:
            clock += max(0.0, (now - last).total_seconds())
        last = now
        steps = event.step if resumed else max(steps, event.step)
        if isinstance(data, StateChanged):
            training = data.state == "training"
        elif isinstance(data, Resumed):
            training = False
            limits = {"val": data.validated}
            points = [one for one in points if one[1] <= limits.get(one[0], event.step)]
        elif isinstance(data, Metrics):
            points.append((event.split or "", event.step, event.epoch, clock, dict(data.values)))
        elif event.type == "intervention":
            told.append(event.step)
    splits = dict.fromkeys(point[0] for point in points)
    return Tracks(clock, steps, told, {s: _track([p for p in points if p[0] == s]) for s in splits})


def _track(points: list[tuple[str, int, int, float, dict[str, float | None]]]) -> Track:
    names = dict.fromkeys(name for point in points for name in point[4])
    return Track(
        np.array([point[1] for point in points], np.int64),
        np.array([point[2] for point in points], np.int64),
        np.array([point[3] for point in points], np.float64),
        {
            name: np.array([_number(point[4].get(name)) for point in points], np.float64)
            for name in names
        },
    )


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def read_tracks(path: Path) -> Tracks:
    """The tracks of a run folder, of about 500 points a metric, from ``tracks.json`` if it holds.

    Raises
    ------
    OSError, ValueError
        If the stream cannot be read.
    """
    mark = _holds_for(path)
    kept = _kept(path, mark)
    if kept is not None:
        return kept
    found = _thinned(_read(path))
    if not is_being_written(path):
        with contextlib.suppress(OSError):  # a folder that nobody may write is read each time
            write_whole(path / TRACKS, json.dumps({**mark, **_plain(found)}))
    return found


def write_tracks(path: Path) -> None:
    """Leave ``tracks.json`` in a run folder whose stream is complete.

    A run is whole without it, so what fails here, or would take seconds, is left to the next
    reader.
    """
    with contextlib.suppress(OSError, ValueError):
        mark = _holds_for(path)
        if mark["bytes"] <= _QUICKLY_READ and _kept(path, mark) is None:
            found = _thinned(_read(path))
            write_whole(path / TRACKS, json.dumps({**mark, **_plain(found)}))


def _read(path: Path) -> Tracks:
    """Of the stream only the lines that count are read."""

    def heard() -> Iterable[Event]:
        with open_inside(path, "events.jsonl") as file:
            for line in whole_lines(file):
                if line is not None and _HEARD.search(line):
                    event = read_event(line)
                    if event is not None:
                        yield event

    return fold(heard())


def _thinned(tracks: Tracks) -> Tracks:
    splits = {name: track.thinned(_POINTS) for name, track in tracks.splits.items()}
    return replace(tracks, splits=splits)


def _holds_for(path: Path) -> dict[str, Any]:
    return {"format": _FORMAT, "bytes": find(path, "events.jsonl").stat().st_size}


def _plain(tracks: Tracks) -> dict[str, Any]:
    return {
        "seconds": tracks.seconds,
        "steps": tracks.steps,
        "told": tracks.told,
        "splits": {
            name: {
                "steps": track.steps.tolist(),
                "epochs": track.epochs.tolist(),
                "seconds": [round(second, 3) for second in track.seconds.tolist()],
                "values": {n: _finite(column) for n, column in track.values.items()},
            }
            for name, track in tracks.splits.items()
        },
    }


def _finite(column: NDArray[np.float64]) -> list[float | None]:
    return [value if math.isfinite(value) else None for value in column.tolist()]


def _kept(path: Path, mark: dict[str, Any]) -> Tracks | None:
    """What the file has, where it holds and is whole; else None."""
    try:
        found = json.loads(read_text(path, TRACKS, _BYTES))
        if any(found.get(name) != value for name, value in mark.items()):
            return None
        splits = {str(name): _taken(one) for name, one in found["splits"].items()}
        told = [int(step) for step in found["told"]]
        return Tracks(float(found["seconds"]), int(found["steps"]), told, splits)
    except (
        OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError
    ):  # fmt: skip
        return None


def _taken(given: dict[str, Any]) -> Track:
    steps = np.array(given["steps"], np.int64)
    track = Track(
        steps,
        np.array(given["epochs"], np.int64),
        np.array(given["seconds"], np.float64),
        {str(n): np.array(column, np.float64) for n, column in given["values"].items()},
    )
    if any(
        column.shape != (len(steps),)
        for column in (track.epochs, track.seconds, *track.values.values())
    ):
        raise ValueError("columns of unequal length")
    return track
