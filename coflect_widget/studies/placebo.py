"""Interventions that mark a random region: as large, of the same kind, and as often."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from coflect_widget.events import Found, InterventionRecord, StrokeRecord
from coflect_widget.modalities.base import Array, BoolArray, Corners, Modality

#: Places that are drawn, of which the one that has least of what is marked is taken.
DRAWN = 64
#: Samples that are looked at for one that has what is marked by its values.
LOOKED = 200


def placebo_of(
    record: InterventionRecord,
    modality: Modality,
    read: Callable[[int], Array],
    num_train: int,
    rng: np.random.Generator,
) -> InterventionRecord:
    """The intervention with each region at a random other place.

    Parameters
    ----------
    read : callable (index) -> ndarray (...)
        A training sample's input.

    Raises
    ------
    ValueError
        If no other place can be marked.
    """
    strokes: list[StrokeRecord] = []
    for stroke in record.strokes:
        strokes += _moved(stroke, modality, read, num_train, rng)
    found = record.found
    if found is not None:
        boxes = []
        for index, box in zip(found.index, found.box, strict=True):
            x = read(index)
            extent = modality.extent(x)
            marked = modality.mask_in(modality.region({"box": list(box)}, "found", extent), x)
            boxes.append(_box(_elsewhere(marked, x, modality, rng)))
        found = Found(of=found.of, index=list(found.index), box=boxes)
    return record.model_copy(update={"strokes": strokes, "found": found})


def _moved(
    stroke: StrokeRecord,
    modality: Modality,
    read: Callable[[int], Array],
    num_train: int,
    rng: np.random.Generator,
) -> list[StrokeRecord]:
    """The stroke elsewhere: in its own sample, or in all where it is in all."""
    sample = stroke.sample
    candidates = [sample] if sample is not None else rng.permutation(num_train)[:LOOKED].tolist()
    for index in candidates:
        x = read(index)
        region = modality.region(stroke.roi, stroke.kind, modality.extent(x))
        marked = modality.mask_in(region, x)
        if not marked.any():
            continue
        wanders = modality.pattern(region, x) is not None
        places = modality.marked_by(_elsewhere(marked, x, modality, rng))
        where = {"sample": index} if wanders else {}
        return [stroke.model_copy(update={"roi": one.to_json(), **where}) for one in places]
    raise ValueError("nothing has what is marked, so no random region of its kind can be drawn")


def _elsewhere(
    marked: BoolArray, x: Array, modality: Modality, rng: np.random.Generator
) -> BoolArray:
    """A place of the same shape that shares least with what is marked, in one piece if it was.

    What a stroke takes along in other samples, such as a corner's mirror images, is avoided too: it
    would do as much as the place itself.
    """
    taken = np.logical_or.reduce([marked, *modality.alike(marked)])
    best: tuple[int, int, int] | None = None
    for _ in range(DRAWN):
        drawn = modality.elsewhere(marked, x, rng)
        if drawn.sum() == 0:
            continue
        shared = int((drawn & marked).sum())
        score = shared, int((drawn & taken).sum()), int(_sides(drawn) != _sides(marked))
        if best is None or score < best:
            best, found = score, drawn
        if best == (0, 0, 0):
            break
    if best is None or best[0] == marked.sum():
        raise ValueError("there is no other place of that shape, so no random region can be drawn")
    return found


def _sides(mask: BoolArray) -> tuple[int, ...]:
    return tuple(int(np.ptp(at)) for at in np.nonzero(mask))


def _box(mask: BoolArray) -> Corners:
    low = [at.min() / side for at, side in zip(np.nonzero(mask), mask.shape, strict=True)]
    high = [(at.max() + 1) / side for at, side in zip(np.nonzero(mask), mask.shape, strict=True)]
    return tuple(round(float(v), 5) for v in (*low[::-1], *high[::-1]))
