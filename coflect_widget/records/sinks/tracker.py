"""What another tracker is told of a run; the same live and when a record is replayed.

A tracker has parameters, metrics with steps, notes, pictures and a state. Which events become which
is decided here, how they are written in the file of each tracker.
"""

from __future__ import annotations

import importlib.util
import io
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from PIL import Image

from coflect_widget.events import (
    Effect,
    Event,
    Failure,
    InterventionRecord,
    KnobsInForce,
    Metrics,
    Overlay,
    RunState,
    StateChanged,
    Undone,
)
from coflect_widget.records.inside import open_inside
from coflect_widget.records.sinks.base import RunFolder, Sink

_PICTURE_BYTES = 8 * 2**20
_PICTURE_SIDE = 4096
#: Of config.yaml: what a person chose, and what the data was.
_CHOSEN = ("config", "data")
Plain = str | int | float | bool | None


@dataclass(frozen=True)
class Facts:
    """What a tracker is told of a run before anything else.

    Attributes
    ----------
    run_id : str
    params : dict
        Settings by dotted name, such as ``"forecast.horizon_epochs"``, of the data
        ``"data.num_train"`` and so on.
    tags : dict
        The run's tags, ``coflect.run_id`` and, where known, ``git.commit``.
    """

    run_id: str
    params: dict[str, Plain]
    tags: dict[str, Plain]


class Tracker(Sink):
    """A sink for another tracker: one method for each thing that it is told.

    Parameters
    ----------
    pictures : int
        How many maps it is sent at most; of each sample one an epoch.

    Raises
    ------
    ImportError
        If its client is not installed; the message has the command.
    """

    name = ""  #: by which ``sinks=`` knows it
    client = ""  #: the module that is imported when it is opened
    package = ""  #: what pip calls the client
    whole = True
    types = frozenset(
        {"metrics", "knobs", "intervention", "undo", "effect", "overlay", "state", "failure"}
    )

    def __init__(self, *, pictures: int = 100) -> None:
        if importlib.util.find_spec(self.client) is None:
            raise ImportError(
                f"the sink {self.name!r} needs {self.package}: pip install {self.package}; "
                'pip install "coflect-widget[sinks]" brings the clients of all sinks'
            )
        self._pictures = pictures

    # --- what each tracker writes -----------------------------------------------------------------

    def begin(self, facts: Facts) -> None:
        """The run begins."""
        raise NotImplementedError

    def params(self, values: Mapping[str, Plain]) -> None:
        """Settings that are known only now; none of them was given before."""
        raise NotImplementedError

    def metrics(self, values: Mapping[str, float], step: int, when: datetime) -> None:
        """Metrics by name, as ``"val/loss"``; NaN where one was not finite."""
        raise NotImplementedError

    def note(self, text: str, step: int, when: datetime) -> None:
        """What a person did, or what came of it."""
        raise NotImplementedError

    def picture(self, name: str, png: bytes, step: int, when: datetime) -> None:
        """A map over its sample, as ``"maps/sample_000012"``."""
        raise NotImplementedError

    def state(self, state: RunState, when: datetime) -> None:
        """The run went into another state."""

    def finish(self, tags: Mapping[str, Plain]) -> None:
        """There will be no more; the tags as they are now."""
        raise NotImplementedError

    # --- which event is what ----------------------------------------------------------------------

    def open(self, run: RunFolder) -> None:
        """Begin the run there."""
        self._run = run
        self._begun = self._knobs = False
        self._told = 0  # interventions
        self._sent: set[tuple[int, int]] = set()  # samples and epochs of pictures
        self.begin(Facts(run.id, dict(_chosen(run.config)), _tags(run)))
        self._begun = True

    def close(self) -> None:
        """End the run there."""
        if self._begun:
            self._begun = False
            self.finish(_tags(self._run))

    def on_event(self, event: Event) -> None:
        """Write one event as what it is there."""
        data, step, when = event.data, event.step, event.ts
        if isinstance(data, Metrics):
            values = {
                f"{event.split}/{name}" if event.split else name: math.nan if v is None else v
                for name, v in data.values.items()
            }
            self.metrics(values, step, when)
        elif isinstance(data, KnobsInForce) and not self._knobs:
            self._knobs = True
            first = {one.name: one.values[0] for one in data.values if len(one.values) == 1}
            self.params({"batch_size": data.batch_size or None, **first})
        elif isinstance(data, InterventionRecord):
            self._told += 1
            self.note(f"{data.author or 'somebody'}: {data.understood or data.id}", step, when)
            self.metrics({"interventions": self._told}, step, when)
        elif isinstance(data, Undone):
            self.note(f"{data.author or 'somebody'}: undo {data.understood or data.id}", step, when)
        elif isinstance(data, Effect):
            self.note(str(data.get("text") or ""), step, when)
        elif isinstance(data, Failure):
            self.note(f"training failed: {data.error}", step, when)
        elif isinstance(data, Overlay):
            self._send_picture(event, data)
        elif isinstance(data, StateChanged):
            self.state(data.state, when)

    def _send_picture(self, event: Event, data: Overlay) -> None:
        key = data.index, event.epoch
        if len(self._sent) >= self._pictures or key in self._sent or not data.picture:
            return
        png = _read_png(self._run, data.picture)
        if png is not None:  # the run folder does not keep all of them
            self._sent.add(key)
            self.picture(f"maps/sample_{data.index:06d}", png, event.step, event.ts)


def _chosen(config: Mapping[str, Any]) -> Iterator[tuple[str, Plain]]:
    for part in _CHOSEN:
        found = config.get(part)
        if isinstance(found, Mapping):
            yield from _flat(found, "" if part == "config" else f"{part}.")


def _flat(values: Mapping[Any, Any], prefix: str) -> Iterator[tuple[str, Plain]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            plain = value if isinstance(value, str | int | float | bool | None) else str(value)
            yield f"{prefix}{name}", plain


def _tags(run: RunFolder) -> dict[str, Plain]:
    git = run.meta.get("git")
    commit = git.get("commit") if isinstance(git, Mapping) else None
    found: dict[str, Plain] = {"coflect.run_id": run.id}
    if isinstance(commit, str):
        found["git.commit"] = commit
    return {**run.labels.tags, **found}


def _read_png(run: RunFolder, name: str) -> bytes | None:
    """A picture of the run folder; None where it is gone or is something else."""
    try:
        with open_inside(run.path, name, _PICTURE_BYTES) as file:
            data = file.read(_PICTURE_BYTES)
        with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
            if max(image.size) > _PICTURE_SIDE:
                return None
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    return data
