"""The run as records of the standard library's ``logging``, for scripts and services."""

from __future__ import annotations

import logging

from coflect_widget.events import (
    CheckpointSaved,
    Event,
    Failure,
    InterventionRecord,
    Metrics,
    Notice,
    StateChanged,
    Undone,
)
from coflect_widget.records.sinks.base import RunFolder, Sink

_LEVELS = {"info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


class Logging(Sink):
    """Logs what happens in a run under ``coflect.run``.

    Notices have their own level, a failure is an error, metrics of training are debug, and the rest
    is info. Each record has ``run_id``, ``step`` and ``epoch``.
    """

    name = "logging"
    types = frozenset(
        {"state", "metrics", "notice", "intervention", "undo", "checkpoint", "failure"}
    )

    def open(self, run: RunFolder) -> None:
        """Remember which run it is."""
        self._logger = logging.getLogger("coflect.run")
        self._run_id = run.id

    def on_event(self, event: Event) -> None:
        """Log one event."""
        level, text = _said(event)
        more = {"run_id": self._run_id, "step": event.step, "epoch": event.epoch}
        self._logger.log(level, "%s", text, extra=more)


def _said(event: Event) -> tuple[int, str]:
    """Level and sentence of an event."""
    data = event.data
    if isinstance(data, Notice):
        return _LEVELS[data.level], data.text
    if isinstance(data, Failure):
        return logging.ERROR, f"training failed: {data.error}"
    if isinstance(data, Metrics):
        return (
            logging.DEBUG if event.split == "train" else logging.INFO,
            f"step {event.step}, {event.split or 'run'}: {figures(data.values)}",
        )
    if isinstance(data, StateChanged):
        return logging.INFO, f"{data.state} at step {event.step}"
    if isinstance(data, InterventionRecord):
        return logging.INFO, f"{data.author or 'somebody'}: {data.understood or data.id}"
    if isinstance(data, Undone):
        return logging.INFO, f"{data.author or 'somebody'}: undo {data.understood or data.id}"
    if isinstance(data, CheckpointSaved):
        return logging.INFO, f"checkpoint {data.path} ({data.reason})"
    return logging.DEBUG, event.type


def figures(values: dict[str, float | None]) -> str:
    """Metrics in a line."""
    return ", ".join(
        f"{name} {'not finite' if value is None else format(value, '.4g')}"
        for name, value in values.items()
    )
