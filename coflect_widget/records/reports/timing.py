"""Metrics of a run by the time that was trained: pauses and interruptions do not count."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from coflect_widget.records.run import Run
from coflect_widget.records.tracks import fold

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
    tracks = fold(run.iter_events())
    curves: dict[str, Timed] = {}
    for split, track in tracks.splits.items():
        for name, values in track.values.items():
            there = ~np.isnan(values)
            if there.any():
                curves[f"{split} {name}".strip()] = track.seconds[there], values[there]
    return Timing(tracks.seconds, tracks.steps, curves)
