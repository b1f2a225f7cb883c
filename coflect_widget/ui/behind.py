"""Another run of the same folder, whose lines stand faintly behind the charts."""

from __future__ import annotations

from array import array
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from coflect_widget.records.run import Run

MOST_RUNS = 50  # that are offered, the newest first
#: Metrics that are shown as numbers, and those that are not shown.
UNDRAWN = ("learning_rate", "steps_per_second", "validation_seconds")


def others(path: Path) -> list[str]:
    """Names of the other runs beside a run folder, the newest first."""
    found = [
        one.name
        for one in path.parent.iterdir()
        if one.name != path.name and not one.is_symlink() and (one / "events.jsonl").is_file()
    ]
    return sorted(found, reverse=True)[:MOST_RUNS]


def lines_of(path: Path) -> dict[str, NDArray[np.float64]]:
    """Every metric of a recorded run by its name in the charts: (N, 2), steps and values.

    Raises
    ------
    OSError, ValueError
        If the run cannot be read.
    """
    series: dict[str, array[float]] = {}
    for event in Run(path).iter_events("metrics"):
        for name, value in event.data.get("values", {}).items():
            if name not in UNDRAWN:
                line = series.setdefault(f"{event.split or 'train'}/{name}", array("d"))
                line.extend((event.step, float("nan") if value is None else value))
    return {name: np.frombuffer(line).reshape(-1, 2) for name, line in series.items()}
