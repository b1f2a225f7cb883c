"""Metrics of a run by the time that was trained: pauses and interruptions do not count."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from coflect_widget.events import Metrics, Resumed, StateChanged
from coflect_widget.records.run import Run

#: Seconds (N,) and values (N,).
Timed = tuple[NDArray[np.float64], NDArray[np.float64]]


@dataclass(frozen=True, slots=True)
class Timing:
    """When a run came to what.

    Attributes
    ----------
    seconds : float
        That were trained.
    steps : int
    curves : dict of str to (seconds, values)
        By split and metric, as "val loss".
    """

    seconds: float
    steps: int
    curves: dict[str, Timed] = field(default_factory=dict)

    @property
    def throughput(self) -> float | None:
        """Steps a second; None where nothing was trained."""
        return self.steps / self.seconds if self.seconds > 0 else None

    def reached(self, name: str, threshold: float, direction: str) -> float | None:
        """Seconds after which a metric was first as good as `threshold`; None if it never was."""
        if name not in self.curves:
            return None
        seconds, values = self.curves[name]
        good = values >= threshold if direction == "higher" else values <= threshold
        return float(seconds[good.argmax()]) if good.any() else None


def timing_of(run: Run) -> Timing:
    """Read it from the stream; metrics that a resumed run left behind do not count."""
    clock, steps = 0.0, 0
    training = False
    last: datetime | None = None
    points: list[tuple[int, str, float, str, float]] = []
    for event in run.iter_events():
        data = event.data
        resumed = isinstance(data, Resumed)
        if training and last is not None and not resumed:
            clock += max(0.0, (event.ts - last).total_seconds())
        last = event.ts
        steps = event.step if resumed else max(steps, event.step)
        if isinstance(data, StateChanged):
            training = data.state == "training"
        elif isinstance(data, Resumed):
            training = False
            limits = {"val": data.validated}
            points = [one for one in points if one[0] <= limits.get(one[1], event.step)]
        elif isinstance(data, Metrics):
            split = event.split or ""
            points += [
                (event.step, split, clock, f"{split} {name}".strip(), value)
                for name, value in data.values.items()
                if value is not None
            ]
    by_name: dict[str, list[tuple[float, float]]] = {}
    for _, _, seconds, name, value in points:
        by_name.setdefault(name, []).append((seconds, value))
    curves = {
        name: (np.array([s for s, _ in pairs]), np.array([v for _, v in pairs]))
        for name, pairs in by_name.items()
    }
    return Timing(clock, steps, curves)
