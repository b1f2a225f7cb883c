"""What is asked of a snapshot to find an intervention's effect, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coflect_widget.modalities.base import Modality
from coflect_widget.tasks.base import Placed

Floats = NDArray[np.float32]

#: Other places whose pull is measured; each takes as long as the region itself.
PULLED = 4


@dataclass(frozen=True, slots=True)
class Places:
    """What a task with a class for each place adds to a request.

    Attributes
    ----------
    task : Placed
    truths, donor_truths : ndarray (r, E) and (d, E) of int64
        Class of each place; `task.void` or less than 0 where a place has none.
    """

    task: Placed
    truths: NDArray[np.int64]
    donor_truths: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be measured: r samples that receive, d that carry the region.

    `donor` says for each receiver whose region it gets; the two are of different classes, and
    it is -1 where there is none of another class. Whatever is measured of the region is measured
    of the same shape at other places too, which `elsewhere` gives as `Modality.moves` of it.
    """

    modality: Modality
    receivers: Floats  # (r, ...)
    labels: NDArray[np.int64]  # (r,)
    donor: NDArray[np.int64]  # (r,)
    donors: Floats  # (d, ...)
    donor_labels: NDArray[np.int64]  # (d,)
    masks: NDArray[np.bool_]  # (d, E)
    elsewhere: NDArray[np.int64]  # (e, ...) moves; of the first `PULLED` the pull is measured
    explainer: str  # one of `Modality.parts`
    places: Places | None = None


@dataclass(frozen=True, slots=True)
class Readings:
    """One model's answers; NaN where a receiver has no donor, or a sample no map.

    `drawn` is whether a receiver is named after the donor, without and with the donor's region.
    `inside` is the share of the explainer's energy in the region, of each donor and of noisy
    copies of it.
    """

    loss: Floats  # (r,)
    right: Floats  # (r,)
    p_true_swapped: Floats  # (r,) of the receiver's class, with the donor's region
    drawn_plain: Floats  # (r,)
    drawn_swapped: Floats  # (r,)
    drawn_elsewhere: Floats  # (PULLED, r) with what the donor has at another place
    p_true: Floats  # (copies of d,) of the donors' classes
    inside: Floats  # (copies of d,)
    inside_elsewhere: Floats  # (e, copies of d)
    explainer: str
