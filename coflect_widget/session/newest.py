"""What a training said last."""

from __future__ import annotations

from dataclasses import dataclass, field

from coflect_widget import events


@dataclass(eq=False)
class Newest:
    """Written by `Observer`, read by whoever asks a session.

    Attributes
    ----------
    metrics : dict
        Newest value of each metric.
    forecast : Forecast or None
        The newest ranking.
    """

    metrics: dict[str, float | int | None] = field(default_factory=dict)
    forecast: events.Forecast | None = None
