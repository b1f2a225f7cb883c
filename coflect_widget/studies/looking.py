"""One look at a model: samples that it is sure of, the region each one hangs on, where it is again.

Samples are read on the thread that asks; all that computes is done by the worker.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coflect_widget.backends.base import Sample
from coflect_widget.events import Finding
from coflect_widget.modalities.base import Array, BoolArray, Corners, Modality, Region
from coflect_widget.studies.pulls import Snapshot, alike, bared, climbed, heaviest_regions, pulls
from coflect_widget.workers.idle_worker import IdleWorker

#: Confidently right samples that are looked at, of at most so many that are read for them.
LOOKED, READ = 40, 160
#: Samples that are given to the worker at once: a person's search waits no longer than for these.
CHUNK = 10
#: Receivers that are taken their own place, and how many of them must be left.
BARED, FEWEST_BARED = 60, 24
#: Of a region's pull, what a narrower one must have to stand in its place.
KEPT = 0.8
#: The same of those whose region is moved, for each of which more is computed.
FEW = 3
#: Steps by which a region is moved to where it decides most, in shares of its sides.
STEPS = (0.5, 0.25)
#: Training samples that are looked through for a finding, and templates that are looked for.
SEARCHED, TEMPLATES = 20_000, 12
SEARCH_CHUNK = 128
#: Samples that tell how different places usually are.
TYPICAL = 32


@dataclass(frozen=True, slots=True)
class Places:
    """Where a finding is: boxes, sample by sample, or regions that are the same in all.

    Of the samples, in the order that they are searched in, `reached` were.
    """

    boxes: dict[int, Corners]
    everywhere: tuple[Region, ...] = ()
    reached: int = 0


@dataclass(frozen=True, slots=True)
class Carrier:
    """A sample in which a region decides."""

    index: int
    x: Array
    label: int
    region: Region
    narrower: Region | None = None  # within it, where its kind has one


class Looking:
    """Looks at snapshots of one training, by one worker.

    Parameters
    ----------
    worker : IdleWorker
    modality : Modality
    read_train : callable (index) -> Sample
    num_train : int
    seed : int
    """

    def __init__(
        self,
        worker: IdleWorker,
        modality: Modality,
        read_train: Callable[[int], Sample],
        num_train: int,
        seed: int,
    ) -> None:
        self._worker = worker
        self._modality = modality
        self._read_train = read_train
        self._num_train = num_train
        self._seed = seed
        self._closed = False

    def close(self) -> None:
        """End what goes on at the next chunk."""
        self._closed = True

    def sure(self, snapshot: Snapshot, rng: np.random.Generator) -> list[Carrier]:
        """Confidently right samples, with the region that holds most of each one's map."""
        found: list[Carrier] = []
        drawn = rng.permutation(self._num_train)[:READ]
        for start in range(0, len(drawn), CHUNK):
            if len(found) >= LOOKED or self._closed:
                break
            read = [(int(k), self._read_train(int(k))) for k in drawn[start : start + CHUNK]]
            read = [(k, sample) for k, sample in read if int(sample.target) >= 0]
            if not read:
                continue
            labels = np.array([int(sample.target) for _, sample in read])
            inputs = np.stack([sample.input for _, sample in read])
            regions = self._run(heaviest_regions, snapshot, inputs, labels, LOOKED - len(found))
            found += [
                Carrier(k, x, int(label), *held)
                for (k, _), x, label, held in zip(read, inputs, labels, regions, strict=True)
                if held is not None
            ]
        return found

    def bare(self, snapshot: Snapshot, receivers: Array) -> Array:
        """Receivers (n, ...) without what each one hangs on most; as they are, where none is sure.

        Of a finding's pull nothing is then lost to what a receiver itself has of the same.
        """
        others, parts = np.roll(receivers, 1, 0), []
        for start in range(0, min(len(receivers), BARED), CHUNK):
            some = slice(start, start + CHUNK)
            parts.append(self._run(bared, snapshot, receivers[some], others[some]))
        found = np.concatenate(parts)
        return found if len(found) >= FEWEST_BARED else receivers

    def pulls(
        self,
        snapshot: Snapshot,
        donors: Sequence[Carrier],
        receivers: Array,
        each: int,
        places: NDArray[np.int64],
        at: Sequence[int] | None = None,
    ) -> NDArray[np.float32]:
        """How far each donor's region decides (d,); see `studies.pulls.pulls`.

        Numbers `at` (d,), or those of the row, say which receivers each one gives to, so that a
        donor's regions are compared by the same.
        """
        numbers = list(range(len(donors)) if at is None else at)
        found = np.full(len(donors), np.nan, np.float32)
        for start in range(0, len(donors), CHUNK):
            some = slice(start, start + CHUNK)
            masks = np.stack([self._modality.mask_in(one.region, one.x) for one in donors[some]])
            inputs, labels = _given(donors[some])
            starts = [number * each for number in numbers[some]]
            found[some] = self._run(
                pulls, snapshot, inputs, labels, masks, receivers, each, starts, places
            )
        return found

    def strong(
        self,
        snapshot: Snapshot,
        looked: Sequence[Carrier],
        receivers: Array,
        each: int,
        places: NDArray[np.int64],
        least: float,
    ) -> list[Carrier]:
        """Those whose region has a pull of `least`, with the narrower one where that keeps it.

        What stands round an artefact differs from sample to sample, so that regions which hold
        much of it look unlike.
        """
        pulls = self.pulls(snapshot, looked, receivers, each, places)
        found = {k: one for k, one in enumerate(looked) if pulls[k] >= least}
        narrow = {
            k: replace(one, region=one.narrower)
            for k, one in found.items()
            if one.narrower is not None
        }
        if narrow:
            again = self.pulls(
                snapshot, list(narrow.values()), receivers, each, places, list(narrow)
            )
            found |= {
                k: one
                for (k, one), now in zip(narrow.items(), again, strict=True)
                if now >= max(least, KEPT * pulls[k])
            }
        return list(found.values())

    def placed(
        self, snapshot: Snapshot, group: Sequence[Carrier], receivers: Array, each: int
    ) -> list[Carrier]:
        """Each with its region moved to where it decides most, by ever smaller steps.

        A map is coarser than what it shows, so that regions hold a part of it, each another one.
        """
        found: list[Carrier] = []
        for start in range(0, len(group), FEW):
            some = group[start : start + FEW]
            neighbours = [
                self._modality.beside(one.region, self._modality.extent(one.x), STEPS[0])
                for one in some
            ]
            if self._closed or not any(neighbours):
                found += some
                continue
            inputs, labels = _given(some)
            starts = [number * each for number in range(start, start + len(some))]
            regions = [one.region for one in some]
            regions = self._run(
                climbed, snapshot, inputs, labels, regions, receivers, each, starts, STEPS
            )
            found += [
                replace(one, region=region) for one, region in zip(some, regions, strict=True)
            ]
        return found

    def carriers(self, finding: Finding) -> list[Carrier]:
        """The samples of a finding, with its regions in them."""
        found = []
        for index, roi in zip(finding.index, finding.regions, strict=True):
            sample = self._read_train(index)
            region = self._modality.region(roi, "region", self._modality.extent(sample.input))
            found.append(Carrier(index, sample.input, int(sample.target), region))
        return found

    def search(
        self,
        group: Sequence[Carrier],
        most: int,
        seconds: float = math.inf,
        known: Places | None = None,
    ) -> Places:
        """Where it is in the training data: in at most so many samples, for at most as long.

        A search that is `known` goes on where it came to.
        """
        until = time.monotonic() + seconds
        modality = self._modality
        indices = np.random.default_rng(self._seed).permutation(self._num_train)[:most]
        others = np.stack([self._read_train(int(k)).input for k in indices[:TYPICAL]])
        try:
            templates = [modality.template(one.x, one.region, others) for one in group[:TEMPLATES]]
        except ValueError:  # of this kind nothing is looked for
            return Places({}, tuple(dict.fromkeys(one.region for one in group)))
        best: dict[int, float] = {}
        reached = 0 if known is None else known.reached
        boxes = {} if known is None else dict(known.boxes)
        while reached < len(indices):
            if self._closed or time.monotonic() > until:
                break
            start, reached = reached, min(reached + SEARCH_CHUNK, len(indices))
            some = indices[start:reached]
            inputs = np.stack([self._read_train(int(k)).input for k in some])
            for template in templates:
                scores, found, same = self._worker.run(modality.find, inputs, template)
                for k in np.flatnonzero(same):
                    index = int(some[k])
                    if scores[k] > best.get(index, -np.inf):
                        best[index] = float(scores[k])
                        boxes[index] = tuple(round(float(v), 5) for v in found[k])
        return Places(boxes, (), reached)

    def alike(
        self, marked: Sequence[Carrier], there: Sequence[Carrier], others: Array
    ) -> BoolArray:
        """(n, m) of bool: whether what is in each of `marked` is what is in each of `there`."""
        found: BoolArray = self._worker.run(
            alike, self._modality, _marked(marked), _marked(there), others[:TYPICAL]
        )
        return found

    def _run(self, function: Callable[..., Any], snapshot: Snapshot, *given: Any) -> Any:
        return self._worker.run(function, snapshot, *given, imports=snapshot.explainer)


def _given(carriers: Sequence[Carrier]) -> tuple[Array, NDArray[np.int64]]:
    """Their inputs (n, ...) and labels (n,)."""
    return np.stack([one.x for one in carriers]), np.array([one.label for one in carriers])


def _marked(carriers: Sequence[Carrier]) -> tuple[Array, list[Region]]:
    return np.stack([one.x for one in carriers]), [one.region for one in carriers]


def unlooked(explainer: str, structure: bytes | Exception, *, labelled: bool, several: bool) -> str:
    """Why a model cannot be looked at, in words; "" where it can."""
    if not labelled:
        return "only classifiers of one class a sample are looked at"
    if several:
        return "models of several inputs are not looked at"
    if isinstance(structure, Exception):
        return f"the model cannot be rebuilt in a worker: {structure}"
    return "" if explainer else "the backend has nothing that rebuilds its model in a worker"


def snapshot_of(
    backend: Any, structure: bytes | Exception, modality: Modality
) -> Callable[[], Snapshot]:
    """Copy a backend's weights, between two steps; what it gives may be called again.

    Raises
    ------
    Exception
        Where the model is no longer the one that was given.
    """
    sent = b"" if isinstance(structure, Exception) else structure
    arrays = {spec.name: np.empty(spec.shape, spec.dtype) for spec in backend.weight_specs()}
    finish = backend.copy_weights(list(arrays.values()))
    # The last part of a device's copy is waited for on the thread that needs the weights.

    finishing = threading.Lock()

    def made() -> Snapshot:
        nonlocal finish
        with finishing:  # good for one call: after it the device's memory is another copy's
            if finish is not None:
                finish()
                finish = None
        return Snapshot(backend.explainer, sent, arrays, modality)

    return made


def by_turns(group: Sequence[Carrier]) -> list[Carrier]:
    """One of each class, then a second one of each, ..."""
    seen: dict[int, int] = {}
    order = []
    for one in group:
        seen[one.label] = seen.get(one.label, 0) + 1
        order.append(seen[one.label])
    return [group[k] for k in np.argsort(order, kind="stable")]
