"""What a snapshot depends on, sample by sample: the heaviest region, and how far it decides.

All of it runs in a worker.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coflect_widget.attribution.consensus import NOISE_BATCH, consensus, normalise
from coflect_widget.attribution.methods import load
from coflect_widget.attribution.worker import Explainer
from coflect_widget.backends.errors import NoSuitableLayerError
from coflect_widget.modalities.base import Array, BoolArray, Map, Modality, Region

#: Probability of its own class from which a sample is confidently right.
CONFIDENT = 0.7
_BATCH = 64
_SIGMA = 0.15  # of SmoothGrad, as `attribution.smoothgrad_sigma`
_OVERLAP = 0.25  # of two masks, their intersection over their union, from which they are one place

Weights = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A model at one step, for a worker."""

    explainer: str  # import path of what rebuilds the model
    structure: bytes
    weights: Weights
    modality: Modality

    def load(self) -> Explainer:
        """The model with its weights."""
        found: Explainer = load(self.explainer, self.structure)
        found.load_weights(self.weights)
        return found


def heaviest_regions(
    snapshot: Snapshot, inputs: Array, labels: NDArray[np.int64], wanted: int
) -> list[tuple[Region, Region | None] | None]:
    """Of each of inputs (n, ...) that is confidently right, where most of its map is; else None.

    Beside the region stands the narrower one within it, of kinds that have one. At most `wanted`
    are looked at.
    """
    model = snapshot.load()
    sure = _probabilities(model, inputs)[np.arange(len(labels)), labels] >= CONFIDENT
    sure &= np.cumsum(sure) <= wanted
    found: list[tuple[Region, Region | None] | None] = []
    for x, label, each in zip(inputs, labels, sure, strict=True):
        values = _map(model, x, int(label), snapshot.modality) if each else None
        region = None if values is None else snapshot.modality.heaviest(values)
        found.append(
            None if values is None or region is None
            else (region, snapshot.modality.narrower(values, region))
        )  # fmt: skip
    return found


def bared(snapshot: Snapshot, inputs: Array, others: Array) -> Array:
    """Those of inputs (n, ...) that the model is sure of, without what each one hangs on most.

    There it has what is at that place in its one of `others` (n, ...). Where an artefact is in
    every sample and wanders, a sample that keeps its own is named after both.
    """
    seen = _probabilities(snapshot.load(), inputs).argmax(1)
    regions = heaviest_regions(snapshot, inputs, seen, len(inputs))
    modality = snapshot.modality
    known = {k: held[0] for k, held in enumerate(regions) if held is not None}
    if not known:
        return inputs[:0]
    masks = [modality.mask_in(region, inputs[k]) for k, region in known.items()]
    kept = list(known)
    found: Array = modality.put(np.stack(masks), inputs[kept], others[kept]).astype(inputs.dtype)
    return found


def pulls(
    snapshot: Snapshot,
    donors: Array,
    labels: NDArray[np.int64],
    masks: BoolArray,
    receivers: Array,
    each: int,
    starts: Sequence[int],
    moves: NDArray[np.int64],
) -> NDArray[np.float32]:
    """How far what is marked decides, of each donor (d,).

    Share of receivers that are named after the donor once they have what is marked in it, less
    the mean of that share for the same shape at other places. Every donor gives to at most `each`
    receivers, which the model sees as another class; NaN where there are none.

    Parameters
    ----------
    donors : ndarray (d, ...)
    labels : ndarray (d,)
        The classes that the model sees in them.
    masks : ndarray (d, E) of bool
    receivers : ndarray (r, ...)
    starts : sequence of int (d,)
        Where each donor's receivers begin among those of another class.
    moves : ndarray (m, axes)
        Of `Modality.moves`.
    """
    model, modality = snapshot.load(), snapshot.modality
    seen = _probabilities(model, receivers).argmax(1)
    found = np.full(len(donors), np.nan, np.float32)
    for k, (donor, label, mask) in enumerate(zip(donors, labels, masks, strict=True)):
        chosen = _others(receivers, seen, int(label), starts[k], each)
        if not len(chosen):
            continue
        elsewhere = [modality.moved(mask[None], donor[None], by)[0] for by in moves]
        here, *there = _named(model, modality, donor, int(label), [mask, *elsewhere], chosen)
        found[k] = here - (float(np.mean(there)) if there else 0.0)
    return found


def climbed(
    snapshot: Snapshot,
    donors: Array,
    labels: NDArray[np.int64],
    regions: Sequence[Region],
    receivers: Array,
    each: int,
    starts: Sequence[int],
    steps: Sequence[float],
) -> list[Region]:
    """The regions, each moved to where it decides most: by steps, in shares of its sides.

    Parameters
    ----------
    donors, labels, receivers, each, starts
        As of `pulls`.
    regions : sequence of Region (d,)
    """
    model, modality = snapshot.load(), snapshot.modality
    seen = _probabilities(model, receivers).argmax(1)
    found = []
    for k, (donor, label, region) in enumerate(zip(donors, labels, regions, strict=True)):
        chosen = _others(receivers, seen, int(label), starts[k], each)
        best, now = -1.0, region
        for share in steps if len(chosen) else ():
            tried = modality.beside(now, modality.extent(donor), share)
            tried = tried if best >= 0 else [now, *tried]
            if not tried:
                break
            masks = [modality.mask_in(one, donor) for one in tried]
            pulls = _named(model, modality, donor, int(label), masks, chosen)
            at = int(np.argmax(pulls))  # of equal ones the first: where it is
            if pulls[at] > best:
                best, now = pulls[at], tried[at]
            if best == 1:
                break
        found.append(now)
    return found


def _others(receivers: Array, seen: NDArray[np.int64], label: int, start: int, each: int) -> Array:
    """At most `each` receivers that the model sees as another class than `label`."""
    others = np.flatnonzero(seen != label)
    if not len(others):
        return receivers[:0]
    places = range(start, start + min(each, len(others)))
    return receivers[np.take(others, places, mode="wrap")]


def _named(
    model: Explainer,
    modality: Modality,
    donor: Array,
    label: int,
    masks: Sequence[BoolArray],
    chosen: Array,
) -> list[float]:
    """Share of receivers that are named after the donor, with what each mask (E) marks in it."""
    put = [
        modality.put(
            np.repeat(mask[None], len(chosen), 0), chosen, np.repeat(donor[None], len(chosen), 0)
        )
        for mask in masks
    ]
    seen = _probabilities(model, np.concatenate(put).astype(chosen.dtype)).argmax(1)
    return [float(share) for share in (seen == label).reshape(len(masks), -1).mean(1)]


def alike(
    modality: Modality,
    marked: tuple[Array, Sequence[Region]],
    there: tuple[Array, Sequence[Region]],
    others: Array,
) -> BoolArray:
    """Whether what region i marks in input i is found where region j is in input j.

    Where nothing can be looked for, equal regions are the same.

    Parameters
    ----------
    marked : ndarray (n, ...) and n regions
        What is looked for.
    there : ndarray (m, ...) and m regions
        Where it may be.
    others : ndarray (k, ...)
        See `Modality.template`.

    Returns
    -------
    ndarray (n, m) of bool
    """
    inputs, regions = there
    masks = [modality.mask_in(region, x) for region, x in zip(regions, inputs, strict=True)]
    found = np.array([[one == other for other in regions] for one in marked[1]], np.bool_)
    for i, (x, region) in enumerate(zip(*marked, strict=True)):
        try:
            template = modality.template(x, region, others)
        except ValueError:
            continue
        found[i] = False
        _, boxes, same = modality.find(inputs, template)
        for j in np.flatnonzero(same):
            box = {"box": [float(v) for v in boxes[j]]}
            place = modality.region(box, "found", modality.extent(inputs[j]))
            found[i, j] = one_place(modality.mask_in(place, inputs[j]), masks[j])
    return found


def one_place(one: BoolArray, other: BoolArray) -> bool:
    """Whether two masks (E) mark the same place."""
    return float((one & other).sum()) >= _OVERLAP * float((one | other).sum())


def _map(model: Explainer, x: Array, label: int, modality: Modality) -> Map:
    """The consensus map of the sample's own class."""
    parts = modality.parts(modality.methods[0])

    def run() -> Mapping[str, Any]:
        return model.explain(x[None], label, parts, NOISE_BATCH, _SIGMA, None, 0, modality)

    try:
        found = run()
    except NoSuitableLayerError:
        parts = parts[1:] or ("smoothgrad",)
        found = run()
    made = [normalise(found[part]) for part in parts]
    return made[0] if len(made) == 1 else consensus(made[0], made[1], modality.smooth)


def _probabilities(model: Explainer, inputs: Array) -> NDArray[np.float32]:
    """(n, classes) of inputs (n, ...)."""
    parts = [model.logits(inputs[at : at + _BATCH]) for at in range(0, len(inputs), _BATCH)]
    logits = np.concatenate(parts)
    shares = np.exp(logits - logits.max(1, keepdims=True))
    found: NDArray[np.float32] = shares / shares.sum(1, keepdims=True)
    return found
