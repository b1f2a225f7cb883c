"""Another run of the same folder, whose lines stand faintly behind the charts."""

from __future__ import annotations

import contextlib
import os
from array import array
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from coflect_widget.events import Metrics, Resumed
from coflect_widget.records.run import Run

MOST_RUNS = 50  # that are offered, the newest first
#: Metrics that are shown as numbers, and those that are not shown.
UNDRAWN = ("learning_rate", "steps_per_second", "validation_seconds")


def others(path: Path) -> list[str]:
    """Names of the other runs beside a run folder, the newest first.

    Folders that nobody may read are left out.
    """
    found: list[str] = []
    with contextlib.suppress(OSError), os.scandir(path.parent) as beside:
        found = [
            one.name
            for one in beside
            if one.name != path.name and not one.is_symlink() and _is_run(one.path)
        ]
    return sorted(found, reverse=True)[:MOST_RUNS]


def _is_run(folder: str) -> bool:
    # Path.is_file raises where the folder may not be entered.
    return os.path.isfile(f"{folder}/events.jsonl")  # noqa: PTH113


def lines_of(path: Path) -> dict[str, NDArray[np.float64]]:
    """Every metric of a recorded run by its name in the charts: (N, 2), steps and values.

    Raises
    ------
    OSError, ValueError
        If the run cannot be read.
    """
    series: dict[str, array[float]] = {}
    for event in Run(path).iter_events(("metrics", "resumed")):
        if isinstance(event.data, Resumed):
            for name, line in series.items():
                limit = event.data.validated if name.startswith("val/") else event.step
                points = np.array(line).reshape(-1, 2)
                series[name] = array("d", points[points[:, 0] <= limit].ravel().tolist())
        elif isinstance(event.data, Metrics):
            for name, value in event.data.values.items():
                if name not in UNDRAWN:
                    line = series.setdefault(f"{event.split or 'train'}/{name}", array("d"))
                    line.extend((event.step, float("nan") if value is None else value))
    return {name: np.frombuffer(line).reshape(-1, 2) for name, line in series.items()}
