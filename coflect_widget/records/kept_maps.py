"""One sample's newest map in each of several runs, as their folders keep it."""

from __future__ import annotations

import contextlib
import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from coflect_widget.records.inside import find
from coflect_widget.records.pictures import Gallery
from coflect_widget.records.run import Run

#: Runs whose picture of a sample is shown, and samples that are offered.
MOST_SHOWN, MOST_OFFERED = 60, 200
_MOST_FILES = 20_000  # of a folder that are looked at
_NAME = re.compile(r"sample_(\d{6,9})_step_(\d{8,12})\.npz")


@dataclass(frozen=True, slots=True)
class Small:
    """A small picture of a sample in a run.

    Attributes
    ----------
    run : int
        Place of the run among those compared.
    step : int or None
        Step of the weights whose map lies on it; None where the run keeps no map of it.
    png : bytes
        At most 96 pixels high and wide.
    """

    run: int
    step: int | None
    png: bytes


@dataclass(frozen=True, slots=True)
class Beside:
    """A sample in all runs.

    Attributes
    ----------
    sample : int
    shown : list of Small
        Of the first `MOST_SHOWN` runs that have a picture of it.
    without : int
        Runs without any.
    more : int
        Runs that were not looked at.
    alike : bool
        Whether these runs were trained on the same data, as far as they say so: then the number
        means the same sample.
    """

    sample: int
    shown: list[Small] = field(default_factory=list)
    without: int = 0
    more: int = 0
    alike: bool = True


def newest_maps(path: Path) -> dict[int, int]:
    """By sample, the step of the newest map that a run folder keeps."""
    found: dict[int, int] = {}
    with contextlib.suppress(OSError, ValueError), os.scandir(find(path, "overlays")) as there:
        for entry in islice(there, _MOST_FILES):
            if name := _NAME.fullmatch(entry.name):
                sample, step = int(name[1]), int(name[2])
                found[sample] = max(step, found.get(sample, -1))
    return found


class KeptMaps:
    """The maps that several runs keep.

    Parameters
    ----------
    runs : sequence of Run
    """

    def __init__(self, runs: Sequence[Run]) -> None:
        self._runs = runs
        self._galleries = [Gallery(run.path) for run in runs]  # they keep what was drawn

    def offered(self) -> list[int]:
        """Samples with a map, those first that most runs have; at most `MOST_OFFERED`."""
        counted = Counter(sample for run in self._runs for sample in newest_maps(run.path))
        return sorted(counted, key=lambda one: (-counted[one], one))[:MOST_OFFERED]

    def beside(self, sample: int) -> Beside:
        """What each run shows of a sample; files of a run folder alone are read."""
        shown: list[Small] = []
        prints: set[str] = set()
        looked = 0
        for place, (run, gallery) in enumerate(zip(self._runs, self._galleries, strict=True)):
            if len(shown) == MOST_SHOWN:
                break
            looked += 1
            step = newest_maps(run.path).get(sample)
            png = None
            if step is not None:
                png = gallery.glimpse(f"overlays/sample_{sample:06d}_step_{step:08d}.npz")
            if png is None:  # of a map that cannot be read the sample is left
                step, png = None, gallery.thumbnail(sample)
            if png is not None:
                shown.append(Small(place, step, png))
                prints.add(_fingerprint(run))
        prints.discard("")
        without = looked - len(shown)
        return Beside(sample, shown, without, len(self._runs) - looked, len(prints) < 2)


def _fingerprint(run: Run) -> str:
    """Of the data; "" where the run does not say."""
    with contextlib.suppress(OSError, ValueError):
        data: Any = run.meta.get("data")
        if isinstance(data, dict):
            return str(data.get("fingerprint") or "")
    return ""
