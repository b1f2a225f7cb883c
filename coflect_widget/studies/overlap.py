"""What a segmentation does with a region: how much IoU the region of another picture costs."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from coflect_widget.attribution.worker import Explainer
from coflect_widget.studies.readings import PULLED, Floats, Readings, Request
from coflect_widget.tasks.base import Placed

#: Pictures whose outputs for each place are in memory at once.
_BATCH = 16
#: Target of a place that does not count.
_NONE = -1


def overlap_readings(
    snapshot: Explainer, request: Request, energy: tuple[Floats, Floats, str]
) -> Readings:
    """As `measuring.take_readings`, for a task with a class for each place.

    What is counted lies beside the place that is exchanged: within it another picture is to be
    seen. "Drawn" is what is missing of the IoU there.

    Parameters
    ----------
    energy
        `Readings.inside`, `inside_elsewhere` and `explainer`.
    """
    places, modality = request.places, request.modality
    assert places is not None  # noqa: S101 - narrows the type
    task, truths = places.task, places.truths
    said, loss = _said(snapshot, task, request.receivers, truths)

    def missing(found: NDArray[np.uint8], masks: NDArray[np.bool_]) -> Floats:
        return 1 - _quality(task, found, np.where(masks[request.donor], _NONE, truths))

    def exchanged(masks: NDArray[np.bool_]) -> Floats:
        given = modality.put(masks[request.donor], request.receivers, request.donors[request.donor])
        found, _ = _said(snapshot, task, given.astype(request.receivers.dtype), truths)
        return missing(found, masks)

    plain, after = missing(said, request.masks), exchanged(request.masks)
    moved = [modality.moved(request.masks, request.donors, by) for by in request.elsewhere[:PULLED]]
    own, _ = _said(snapshot, task, request.donors, places.donor_truths)
    inside, elsewhere, used = energy
    return Readings(
        loss=loss,
        right=_quality(task, said, truths),
        p_true_swapped=1 - after,
        drawn_plain=plain,
        drawn_swapped=after,
        drawn_elsewhere=np.stack([plain + exchanged(m) - missing(said, m) for m in moved]),
        p_true=_quality(task, own, places.donor_truths),
        inside=inside,
        inside_elsewhere=elsewhere,
        explainer=used,
    )


def _said(
    snapshot: Any, task: Placed, inputs: Floats, truths: NDArray[np.int64]
) -> tuple[NDArray[np.uint8], Floats]:
    """Class of each place (n, E) that the model gives, and each sample's loss (n,)."""
    found, losses = [], []
    for first in range(0, len(inputs), _BATCH):
        part = slice(first, first + _BATCH)
        outputs = snapshot.places(inputs[part])
        found.append(outputs.argmax(1).astype(np.uint8))
        losses.append(task.losses(outputs, truths[part]))
    return np.concatenate(found), np.concatenate(losses)


def _quality(task: Placed, said: NDArray[np.uint8], truths: NDArray[np.int64]) -> Floats:
    """IoU of each sample (n,)."""
    found = []
    for first in range(0, len(said), _BATCH):
        part = slice(first, first + _BATCH)
        outputs = np.moveaxis(np.eye(task.classes, dtype=np.float32)[said[part]], -1, 1)
        found.append(task.summarise(outputs, truths[part]).quality)
    return np.concatenate(found).astype(np.float32)
