"""Measures what interventions did: weights before, weights some steps after, a worker compares.

The training thread only copies weights, at the step of an intervention and once when its effect
is due. Reading samples and computing happen in a thread and a process of their own.
"""

from __future__ import annotations

import itertools
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from coflect_widget.backends.base import Sample, WeightSpec
from coflect_widget.events import Effect, InterventionRecord
from coflect_widget.guidance.state import Kind, union
from coflect_widget.modalities.base import Array, BoolArray, Modality
from coflect_widget.studies.effect import CLASSES, PLACES, compare
from coflect_widget.studies.measuring import measure
from coflect_widget.studies.readings import Places, Readings, Request
from coflect_widget.tasks.base import Placed, Task
from coflect_widget.workers.idle_worker import IdleWorker

#: Samples that receive an annotated region, and annotated samples that give theirs.
RECEIVERS = 200
DONORS = 16
#: Samples that are looked at for such.
MOST_READ = 50 * DONORS
#: Interventions that come in this share of the steps of a measurement are measured from the
#: first one's step: what five boxes did, drawn one after the other, none of them did alone.
TOGETHER = 0.1
#: Places that the same figures are taken at, to see what comes by itself.
ELSEWHERE = 64
#: Newest epochs whose accuracies tell how far it swings by itself; with fewer falls or rises than
#: `FEWEST_FALLS` between them, `SWING` is assumed.
EPOCHS = 10
FEWEST_FALLS = 3
SWING = 0.1
#: Interventions whose effect may be waiting; the oldest goes without.
MOST_WAITING = 64
#: Steps below which a training that ends early tells nothing of an effect.
FEWEST_STEPS = 10

Weights = dict[str, NDArray[Any]]
Copy = Callable[[Sequence[NDArray[Any]]], Callable[[], None] | None]
#: Gives weights, once they are there.
Copied = Callable[[], Weights]


@dataclass(slots=True)
class _Waiting:
    """An intervention between its step and its measurement."""

    record: InterventionRecord
    step: int
    due: int
    before: Copied
    after: Copied | None = None
    at: int = 0
    swing: float = 0.0  #: fall of the accuracy that comes by itself
    others: int = 0  #: changes of the guidance up to there, its own left out


class EffectWatch:
    """Keeps the weights of interventions' steps and has their effects measured.

    Parameters
    ----------
    worker : IdleWorker
    explainer : str
        Import path of what rebuilds the model in the worker.
    structure : bytes
        The model.
    specs, copy
        As of the snapshots: the weights by name, and what copies them.
    read_train, read_val : callable (index) -> Sample
    num_train, num_val : int
    modality : Modality
    extent : tuple of int
        Of a sample.
    after : int
        Steps from an intervention to its measurement.
    tell : callable (Effect)
        Called on this object's thread.
    task : Task, optional
        Where places have a class each, effects are measured by their overlap.

    Attributes
    ----------
    due : float
        Step at which `step_done` has something to do; infinite where nothing waits.
    """

    def __init__(
        self,
        worker: IdleWorker,
        explainer: str,
        structure: bytes,
        specs: Sequence[WeightSpec],
        copy: Copy,
        read_train: Callable[[int], Sample],
        read_val: Callable[[int], Sample],
        num_train: int,
        num_val: int,
        modality: Modality,
        extent: tuple[int, ...],
        after: int,
        seed: int,
        tell: Callable[[Effect], Any],
        problem: Callable[[str], Any],
        task: Task | None = None,
    ) -> None:
        self._worker = worker
        self._placed = cast("Placed", task) if task is not None and task.placed else None
        self._explainer = explainer
        self._structure = structure
        self._specs = specs
        self._copy = copy
        self._read = {"train": read_train, "val": read_val}
        self._counts = {"train": num_train, "val": num_val}
        self._modality = modality
        self._extent = extent
        self._after = after
        self._seed = seed
        self._tell = tell
        self._problem = problem
        self.due = float("inf")
        self._waiting: list[_Waiting] = []
        self._changes: list[int] = []  # steps at which the guidance changed
        self._accuracies: deque[float] = deque(maxlen=EPOCHS)
        self._ready: deque[_Waiting] = deque()
        self._changed = threading.Condition()
        self._busy = False
        self._thread: threading.Thread | None = None
        self._copies = ThreadPoolExecutor(1, "coflect-weights")
        self._closed = False

    # --- at a step boundary, on the training thread or while nothing trains --------------------

    def applied(self, record: InterventionRecord, step: int) -> None:
        """An intervention came into force at `step`, with these weights."""
        self._changes.append(step)
        if record.clears:  # what was given before is in force no longer
            self._waiting = []
            self._set_due()
        if self._after == 0 or (not record.strokes and record.found is None):
            return
        near = (w for w in self._waiting if step - w.step <= TOGETHER * self._after)
        first = next(near, None)
        if first is None:
            before = self._weights()
            if before is None:
                return
            waiting = _Waiting(record, step, step + self._after, before)
        else:
            waiting = _Waiting(record, first.step, first.due, first.before)
        self._waiting = [*self._waiting, waiting][-MOST_WAITING:]
        self._set_due()

    def undone(self, intervention: str, step: int) -> None:
        """It is out of force: its effect is not to be measured any more."""
        self._changes.append(step)
        self._waiting = [w for w in self._waiting if w.record.id != intervention]
        self._set_due()

    def validated(self, accuracy: float) -> None:
        """An epoch has ended with this accuracy on the validation data."""
        self._accuracies.append(accuracy)

    @property
    def open(self) -> list[str]:
        """Interventions whose effect is still to be measured."""
        return [waiting.record.id for waiting in self._waiting]

    @property
    def _swing(self) -> float:
        """Largest fall of the accuracy from one epoch to the next."""
        falls = [a - b for a, b in itertools.pairwise(self._accuracies)]
        return max(falls, default=0.0) if len(falls) >= FEWEST_FALLS else SWING

    def step_done(self, step: int) -> None:
        """Take the weights for what is due; to be called when `step` has reached `due`."""
        ready = [w for w in self._waiting if w.due <= step]
        self._waiting = [w for w in self._waiting if w.due > step]
        self._set_due()
        self._hand_over(ready, step)

    def ended(self, step: int) -> None:
        """Training ended: what waits is measured now, if it had some steps."""
        ready = [w for w in self._waiting if step - w.step >= FEWEST_STEPS]
        self._waiting = [w for w in self._waiting if step - w.step < FEWEST_STEPS]
        self._set_due()
        self._hand_over(ready, step)

    def _set_due(self) -> None:
        self.due = min((w.due for w in self._waiting), default=float("inf"))

    def _hand_over(self, ready: list[_Waiting], step: int) -> None:
        if not ready:
            return
        weights = self._weights()
        if weights is None:
            return
        with self._changed:
            for waiting in ready:
                waiting.after, waiting.at = weights, step
                waiting.others = sum(waiting.step <= s <= step for s in self._changes) - 1
                waiting.swing = self._swing
                self._ready.append(waiting)
            earliest = min((w.step for w in self._waiting), default=step)
            self._changes = [s for s in self._changes if s >= earliest]
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(
                    target=self._serve, name="coflect-effects", daemon=True
                )
                self._thread.start()
            self._changed.notify_all()

    def _weights(self) -> Copied | None:
        """The present weights; None where the model is no longer the one that was given."""
        arrays = {spec.name: np.empty(spec.shape, spec.dtype) for spec in self._specs}
        try:
            finish = self._copy(list(arrays.values()))
        except Exception as error:  # noqa: BLE001 - a measurement ends no training
            self._problem(f"Effects are not measured: {error}")
            return None
        if finish is None:
            return lambda: arrays
        copied = self._copies.submit(finish)  # a device copies beside the training

        def weights() -> Weights:
            copied.result()
            return arrays

        return weights

    # --- any thread --------------------------------------------------------------------------

    def wait(self, timeout: float) -> bool:
        """Until everything that is due has been measured; False after `timeout` seconds."""
        with self._changed:
            return self._changed.wait_for(
                lambda: self._closed or not (self._ready or self._busy), timeout
            )

    def close(self) -> None:
        """Measure nothing more."""
        with self._changed:
            self._closed = True
            self._ready.clear()
            self._changed.notify_all()
        self._copies.shutdown(wait=False)

    # --- on this object's thread ---------------------------------------------------------------

    def _serve(self) -> None:
        while True:
            with self._changed:
                self._busy = False
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._closed or self._ready)
                if self._closed:
                    return
                waiting, self._busy = self._ready.popleft(), True
            try:
                self._tell(self._effect(waiting))
            except BaseException as error:  # noqa: BLE001 - the next one may do better
                if not self._closed:
                    self._problem(f"effect of {waiting.record.id} was not measured: {error!r}")

    def _effect(self, waiting: _Waiting) -> Effect:
        after = waiting.after
        assert after is not None  # noqa: S101 - narrows the type
        record = waiting.record
        kinds: list[Kind] = sorted({stroke.kind for stroke in record.strokes}) or ["ignore"]
        readings: dict[Kind, tuple[Readings, Readings]] = {}
        for kind in kinds:
            request = self._request(record, kind)
            before, later = (
                self._worker.run(
                    measure,
                    self._explainer,
                    self._structure,
                    weights(),
                    request,
                    imports=self._explainer,
                )
                for weights in (waiting.before, after)
            )
            readings[kind] = (before, later)
            guess = np.unique(request.labels, return_counts=True)[1].max() / len(request.labels)
            guess = guess if self._placed is None else self._placed.chance()
        return compare(
            record.id,
            readings,
            waiting.step,
            waiting.at,
            waiting.others,
            waiting.swing,
            guess,
            "validation" if self._counts["val"] else "training",
            self._seed,
            self._modality.nouns,
            CLASSES if self._placed is None else PLACES,
        )

    def carriers(
        self, record: InterventionRecord, kind: Kind
    ) -> tuple[list[Sample], list[BoolArray]]:
        """Samples that carry the region of that kind, and the region (E) in each.

        Raises
        ------
        ValueError
            If none was found.
        """
        return self._donors(record, kind, np.random.default_rng(self._seed))

    def _request(self, record: InterventionRecord, kind: Kind) -> Request:
        rng = np.random.default_rng(self._seed)
        donors, masks = self._donors(record, kind, rng)
        where = "val" if self._counts["val"] else "train"
        chosen = rng.permutation(self._counts[where])[:RECEIVERS]
        receivers = [self._read[where](int(k)) for k in chosen]
        labels = np.array([s.target for s in receivers])
        donor_labels = np.array([s.target for s in donors])
        # each receiver gets a donor of another class, in turn
        partner = np.full(len(receivers), -1)
        for number, label in enumerate(labels):
            others = np.flatnonzero(donor_labels != label)
            if self._placed is not None:  # all of them: classes are those of places
                others = np.arange(len(donors))
            if len(others):
                partner[number] = others[number % len(others)]
        # never what was trained on, where there are two
        region, *edges = self._modality.parts(self._modality.methods[0])
        return Request(
            modality=self._modality,
            receivers=np.stack([s.input for s in receivers]),
            labels=labels,
            donor=partner,
            donors=np.stack([s.input for s in donors]),
            donor_labels=donor_labels,
            masks=np.stack(masks),
            elsewhere=self._modality.moves(self._extent, ELSEWHERE, rng),
            explainer=edges[0] if edges and kind == "look" else region,
            places=None if self._placed is None else self._places(receivers, donors),
        )

    def _places(self, receivers: Sequence[Sample], donors: Sequence[Sample]) -> Places:
        assert self._placed is not None  # noqa: S101 - narrows the type
        masks = [np.stack([np.asarray(s.targets) for s in each]) for each in (receivers, donors)]
        return Places(self._placed, *(mask.astype(np.int64) for mask in masks))

    def _donors(
        self, record: InterventionRecord, kind: Kind, rng: np.random.Generator
    ) -> tuple[list[Sample], list[BoolArray]]:
        """Samples that carry the region of that kind, and the region in each."""
        modality, extent = self._modality, self._extent
        if record.found is not None:
            picked = rng.permutation(len(record.found.index))[:DONORS]
            samples = [record.found.index[k] for k in picked]
            boxes = [{"box": list(record.found.box[k])} for k in picked]
            drawn = [union([modality.region(box, "found")], modality, extent) for box in boxes]
        else:
            strokes = [stroke for stroke in record.strokes if stroke.kind == kind]
            regions = [modality.region(s.roi, kind) for s in strokes]
            samples = [s.sample for s in strokes if s.sample is not None][:1]
            own = self._read["train"](samples[0]).input if samples else None
            carried = [modality.pattern(region, own) for region in regions]
            wanders = all(pattern is not None for pattern in carried)

            def marked(x: Array) -> BoolArray:
                if wanders:
                    each = [modality.occurrences(pattern, x[None])[0] for pattern in carried]
                    found: BoolArray = np.logical_or.reduce(each)
                    return found
                return union(regions, modality, extent, x)

            if not samples or (wanders and strokes[0].spreads):
                others = self._carriers(marked, strokes[0].label, rng)
                samples = list(dict.fromkeys([*samples, *others]))  # its own surely has it
            drawn = [marked(self._read["train"](int(k)).input) for k in samples]
        if not samples:
            raise ValueError("no sample of that class, or with what is marked, was found")
        return [self._read["train"](int(k)) for k in samples], drawn

    def _carriers(
        self, marked: Callable[[Array], BoolArray], label: int | None, rng: np.random.Generator
    ) -> list[int]:
        """Some samples, of the class where one is named, that have what is marked."""
        found: list[int] = []
        for k in rng.permutation(self._counts["train"])[:MOST_READ].tolist():
            if len(found) == DONORS:
                break
            sample = self._read["train"](k)
            if label in (None, sample.target) and marked(sample.input).any():
                found.append(k)
        return found
