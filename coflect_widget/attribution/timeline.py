"""Where the model looked on one sample over the run: what is kept of it, and reading it back.

The maps are files of the run folder and the rest stands in the events, so that a finished or
interrupted run has its timelines too.
"""

from __future__ import annotations

import re
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from coflect_widget import events
from coflect_widget.attribution.consensus import consensus
from coflect_widget.attribution.explanation import Explanation
from coflect_widget.modalities import IMAGE
from coflect_widget.records.contents import parts_of
from coflect_widget.records.pictures import Gallery
from coflect_widget.records.run import Run

_STEM = re.compile(r"sample_(\d+)_step_(\d+)$")


class Shelf:
    """Which maps the run folder keeps; safe from several threads.

    Of one sample the first and the newest map stay; between them those go that lie closest to
    their neighbours in training steps, so that early and late remain.

    Parameters
    ----------
    path : Path
        The run folder; what lies in it already is counted.
    per_sample : int
        Maps of one sample, at least 2.
    megabytes : float
        Of all maps. Beyond it samples with many maps lose some first; the newest map of a
        sample goes last of all, that of the sample that was explained longest ago.
    """

    def __init__(self, path: Path, per_sample: int, megabytes: float) -> None:
        self._path = path
        self._per_sample = per_sample
        self._room = megabytes * 1e6
        self._lock = threading.Lock()
        # sample -> step -> bytes; samples in the order in which they were last explained
        self._maps: dict[int, dict[int, int]] = {}
        self._bytes = 0
        for file in sorted((path / "overlays").glob("sample_*_step_*.npz")):
            found = _STEM.match(file.stem)
            if found:
                self._put(int(found[1]), int(found[2]), _size(file))

    def add(self, index: int, step: int, file: str) -> list[str]:
        """Count a map that was written; gives the files to delete, relative to the folder.

        Parameters
        ----------
        index, step : int
            Sample and training step.
        file : str
            The npz file, relative to the run folder.
        """
        with self._lock:
            self._put(index, step, _size(self._path / file))
            gone = []
            if len(self._maps[index]) > self._per_sample:
                gone.append(self._take(index, _closest(list(self._maps[index]))))
            while self._bytes > self._room and len(self._maps) + len(self._maps[index]) > 2:
                gone.append(self._crowded())
            return gone

    def _put(self, index: int, step: int, size: int) -> None:
        steps = self._maps.pop(index, {})
        self._bytes += size - steps.pop(step, 0)
        steps[step] = size
        self._maps[index] = steps

    def _take(self, index: int, step: int) -> str:
        self._bytes -= self._maps[index].pop(step)
        if not self._maps[index]:
            del self._maps[index]
        return f"overlays/sample_{index:06d}_step_{step:08d}.npz"

    def _crowded(self) -> str:
        index = max(self._maps, key=lambda i: len(self._maps[i]))  # the longest ago, if equal
        steps = sorted(self._maps[index])
        return self._take(index, _closest(steps) if len(steps) > 2 else steps[0])


def _closest(steps: list[int]) -> int:
    """The step between the first and the last whose neighbours are nearest to each other."""
    steps = sorted(steps)
    gaps = [steps[k + 1] - steps[k - 1] for k in range(1, len(steps) - 1)]
    return steps[1 + int(np.argmin(gaps))]


def _size(npz: Path) -> int:
    """Bytes of an npz file and of the PNG beside it."""
    return sum(f.stat().st_size for f in (npz, npz.with_suffix(".png")) if f.is_file())


def overlay_event(
    explanation: Explanation,
    purpose: events.Purpose,
    maps: str,
    picture: str,
) -> events.Overlay:
    """What the stream records of an explanation; `maps` and `picture` are its files."""
    return events.Overlay(
        index=explanation.index,
        target=explanation.target,
        predicted=explanation.predicted,
        top_classes=[int(c) for c in explanation.top_classes],
        top_probs=[round(float(p), 5) for p in explanation.top_probs],
        agreement=explanation.agreement,
        focus_bbox=explanation.focus_bbox,
        model_step=explanation.model_step,
        method=explanation.method,
        quality=explanation.quality,
        purpose=purpose,
        seconds=round(explanation.seconds, 4),
        samples_used=explanation.samples_used,
        modality_focus=explanation.modality_focus,
        modality_reason=explanation.modality_reason,
        maps=maps,
        picture=picture,
        explained=explanation.explained,
        labels=list(explanation.labels),
    )


def read_timeline(run: Run, index: int) -> list[Explanation]:
    """Explanations of one sample that the run folder still has, oldest first.

    One a training step, the newest of that step. Maps were stored as bytes, so values are
    multiples of 1/255. What cannot be read is left out.
    """
    gallery = Gallery(run.path)
    started = next(iter(run.iter_events("run_started")), None)
    classes = tuple(started.data.get("classes") or ()) if started is not None else ()
    newest: dict[int, events.Overlay] = {}
    for event in run.iter_events("overlay"):
        data = event.data
        if isinstance(data, events.Overlay) and data.index == index:
            newest[data.model_step] = data
    found = []
    for _, data in sorted(newest.items()):
        try:
            maps = gallery.load(data.maps)
        except (OSError, ValueError):
            continue  # taken off the shelf, or damaged
        one, content = _explanation(data, maps, classes), gallery.content(index)
        found.append(replace(one, content=content, parts=parts_of(content, one.map)))
    return found


def _explanation(
    data: events.Overlay, maps: dict[str, NDArray[np.uint8]], classes: tuple[str, ...]
) -> Explanation:
    def scaled(name: str) -> NDArray[np.float32]:
        return (maps[name] / 255).astype(np.float32)

    return Explanation(
        index=data.index,
        map=scaled("map"),
        livecam=scaled("livecam"),
        smoothgrad=scaled("smoothgrad"),
        # Runs of before, which are all of pictures, have none beside another map.
        consensus=scaled("consensus")
        if "consensus" in maps
        else consensus(scaled("livecam"), scaled("smoothgrad"), IMAGE.smooth),
        agreement=data.agreement,
        focus_bbox=data.focus_bbox,
        top_classes=tuple(data.top_classes),
        top_probs=tuple(data.top_probs),
        target=-1 if data.target is None else data.target,
        predicted=data.predicted,
        model_step=data.model_step,
        method=data.method,
        # An old stream has none for a model of one input.
        modality_focus={"image": 1.0} if data.modality_focus == {} else data.modality_focus,
        modality_reason=data.modality_reason,
        quality=data.quality,
        seconds=data.seconds,
        samples_used=data.samples_used,
        explained=data.explained,
        labels=tuple(data.labels),
        picture=maps["picture"],
        classes=classes,
        truth=maps.get("truth"),
        said=maps.get("said"),
        region=maps["region"] > 0 if "region" in maps else None,
    )
