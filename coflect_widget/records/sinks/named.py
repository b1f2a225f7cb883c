"""Sinks by name, and checks of what a user passes as ``sinks=``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from coflect_widget.config import nearest
from coflect_widget.records.sinks.base import EventHandler
from coflect_widget.records.sinks.logging import Logging
from coflect_widget.records.sinks.mlflow import MLflow
from coflect_widget.records.sinks.progress import Progress
from coflect_widget.records.sinks.tensorboard import TensorBoard
from coflect_widget.records.sinks.trackio import Trackio
from coflect_widget.records.sinks.wandb import Wandb

NAMED: dict[str, Callable[[], EventHandler]] = {
    "tensorboard": TensorBoard,
    "mlflow": MLflow,
    "wandb": Wandb,
    "trackio": Trackio,
    "progress": Progress,
    "logging": Logging,
}


def find_sink(given: Any, argument: str = "sink") -> EventHandler:
    """The sink of that name, or what was given, where it has ``on_event``.

    Raises
    ------
    ValueError, TypeError
        If it is neither.
    ImportError
        If the sink's client is not installed; the message has the command.
    """
    if isinstance(given, str):
        if given not in NAMED:
            raise ValueError(f"{argument}={given!r} is no sink; {nearest(given, list(NAMED))}")
        return NAMED[given]()
    if isinstance(given, type) or not isinstance(given, EventHandler):
        made = " (make one: it is a class)" if isinstance(given, type) else ""
        raise TypeError(
            f"{argument}={given!r}{made} must be one of {', '.join(map(repr, NAMED))}, or an "
            "object with on_event(event)"
        )
    return given


def find_sinks(given: Any) -> list[EventHandler]:
    """Each sink of a session's ``sinks=``; None is none, and one need not be a list."""
    if given is None:
        return []
    several = isinstance(given, Iterable) and not isinstance(given, str | EventHandler)
    found = [find_sink(one, "sinks") for one in (given if several else [given])]
    for k, one in enumerate(found):
        if any(one is other for other in found[:k]):
            raise ValueError(f"sinks= has {one!r} twice; each would be told everything twice")
    return found
