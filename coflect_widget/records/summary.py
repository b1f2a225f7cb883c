"""What a run came to, in one small record: read from its stream once, kept beside it.

``summary.json`` is written when a session ends and says for how many bytes of the stream it holds.
Where it is missing, or the stream has grown since, the stream is read.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeGuard

from coflect_widget.events import (
    CheckpointSaved,
    InterventionRecord,
    Metrics,
    Resumed,
    RunStarted,
    StateChanged,
    Undone,
    read_event,
)
from coflect_widget.records.folder import write_whole
from coflect_widget.records.inside import find, is_there, open_inside, read_text, whole_lines
from coflect_widget.records.locks import hold_for_writing
from coflect_widget.records.run import Run

SUMMARY = "summary.json"
FORMAT = "coflect-summary-1"
_BYTES = 4 * 2**20  # of one summary
_QUICKLY_READ = 16 * 2**20  # bytes of a stream that are read while a session is closed
_HEARD = re.compile(
    rb'"type":\s*"(?:run_started|state|metrics|resumed|intervention|undo|checkpoint)"'
)
_UNDER_WAY = ("training", "paused")
#: Fields of a summary, and the types that each may have; others are damage.
_FIELDS: dict[str, tuple[type, ...]] = {
    "state": (str,),
    "started": (str, type(None)),
    "ended": (str, type(None)),
    "step": (int,),
    "epoch": (int,),
    "backend": (str,),
    "device": (str,),
    "inputs": (str,),
    "last": (dict,),
    "best": (dict,),
    "interventions": (int,),
    "undone": (int,),
    "damaged": (int,),
    "config": (dict,),
}


def summarise(path: Path) -> dict[str, Any]:
    """Read a run's stream and sum it up.

    Returns
    -------
    dict
        ``state``; ``started`` and ``ended``, ISO 8601 in UTC or None; ``step`` and ``epoch`` of the
        newest event read; ``backend``, ``device``, ``inputs``; ``last``, the newest value of each
        metric, named as ``"val accuracy"``; ``best``, the best validation value of each metric
        whose better direction is known, with its step; ``interventions``, ``undone`` and
        ``damaged``, counts.

    Raises
    ------
    OSError, ValueError
        If the stream cannot be read.
    """
    sums = _Sums()
    with open_inside(path, "events.jsonl") as file:
        for line in whole_lines(file):
            if line is None:
                sums.damaged += 1
            elif _HEARD.search(line):
                sums.add(line)
    return sums.result()


class _Sums:
    """Folds lines of one stream."""

    def __init__(self) -> None:
        self.damaged = 0
        self._facts: dict[str, Any] = {
            "state": "idle", "started": None, "ended": None, "step": 0, "epoch": 0,
            "backend": "", "device": "", "inputs": "",
        }  # fmt: skip
        self._metrics: list[tuple[int, str, Mapping[str, float | None]]] = []
        self._given: set[str] = set()
        self._undone: set[str] = set()
        self._direction = {"loss": "lower"}

    def add(self, line: bytes) -> None:
        event = read_event(line)
        if event is None:
            self.damaged += 1
            return
        facts, data = self._facts, event.data
        when = event.ts.isoformat(timespec="seconds")
        facts["started"] = facts["started"] or when
        facts.update(ended=when, step=event.step, epoch=event.epoch)
        if isinstance(data, Metrics):
            self._metrics.append((event.step, event.split or "", data.values))
        elif isinstance(data, Resumed):
            limits = {"val": data.validated}
            self._metrics = [
                one for one in self._metrics if one[0] <= limits.get(one[1], event.step)
            ]
        elif isinstance(data, StateChanged):
            facts["state"] = data.state
        elif isinstance(data, RunStarted):
            facts.update(backend=data.backend, device=data.device, inputs=data.inputs)
        elif isinstance(data, InterventionRecord):
            self._given.add(data.id)
        elif isinstance(data, Undone):
            self._undone.add(data.id)
        elif isinstance(data, CheckpointSaved) and data.metric:
            self._direction[data.metric] = data.direction

    def result(self) -> dict[str, Any]:
        last: dict[str, float] = {}
        best: dict[str, dict[str, Any]] = {}
        for step, split, values in self._metrics:
            for name, value in values.items():
                if value is None or not math.isfinite(value):
                    continue
                last[f"{split} {name}".strip()] = value
                direction = self._direction.get(name)
                if split != "val" or direction is None:
                    continue
                known = best.get(name)
                sign = 1 if direction == "higher" else -1
                if known is None or sign * value > sign * known["value"]:
                    best[name] = {"value": value, "step": step, "direction": direction}
        return {
            **self._facts,
            "last": last,
            "best": best,
            "interventions": len(self._given),
            "undone": len(self._given & self._undone),
            "damaged": self.damaged,
        }


def write_summary(path: Path) -> None:
    """Leave ``summary.json`` in a run folder whose stream is complete.

    A run is whole without it, so what fails here, or would take seconds, is left to the next
    reader.
    """
    with contextlib.suppress(OSError, ValueError):
        holds_for = _holds_for(path)
        long = (path / "events.jsonl").stat().st_size > _QUICKLY_READ
        if not long and not _kept(path, holds_for):
            write_whole(path / SUMMARY, json.dumps({**holds_for, **_made(path)}))


def read_summary(path: Path) -> dict[str, Any]:
    """As `summarise`, with the settings as ``config``; from ``summary.json`` where that holds.

    The state of a run that ended without saying so is "interrupted".
    """
    sums = _kept(path, _holds_for(path)) or _made(path)
    if sums["state"] in _UNDER_WAY and not is_being_written(path):
        sums["state"] = "interrupted"
    return sums


def is_being_written(path: Path) -> bool:
    """Whether a process writes the run now; where the system cannot tell, it counts as written."""
    try:
        with open_inside(path, "events.jsonl", mode="r+b") as file:
            return not hold_for_writing(file)
    except (OSError, ValueError):
        return False  # what nobody may write, nobody writes


def _made(path: Path) -> dict[str, Any]:
    facts = Run(path).config
    config = facts.get("config")
    settings = dict(config) if isinstance(config, dict) else {}
    experiment = facts.get("experiment")
    if isinstance(experiment, dict):  # what it adds to the session's settings
        settings |= {name: value for name, value in experiment.items() if name != "config"}
    plain = json.loads(json.dumps(settings, default=str))
    return {**summarise(path), "config": plain}


def _holds_for(path: Path) -> dict[str, Any]:
    """What a summary says it was made from: it holds while that is so."""
    config = read_text(path, "config.yaml") if is_there(path, "config.yaml") else ""
    return {
        "format": FORMAT,
        "bytes": find(path, "events.jsonl").stat().st_size,
        "config_sha256": hashlib.sha256(config.encode()).hexdigest(),
    }


def _kept(path: Path, holds_for: dict[str, Any]) -> dict[str, Any] | None:
    try:
        found = json.loads(read_text(path, SUMMARY, _BYTES))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or any(found.get(n) != v for n, v in holds_for.items()):
        return None
    sums = {name: found.get(name) for name in _FIELDS}
    return sums if is_summary(sums) else None


def is_summary(sums: Mapping[str, Any]) -> bool:
    """Whether every field of a summary has a type that it may have."""
    return (
        all(isinstance(sums.get(name), kinds) for name, kinds in _FIELDS.items())
        and all(_is_number(value) for value in sums["last"].values())
        and all(
            isinstance(one, dict) and _is_number(one.get("value")) and _is_number(one.get("step"))
            for one in sums["best"].values()
        )
    )


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and math.isfinite(value)
