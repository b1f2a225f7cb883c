"""What is asked of a snapshot to find an intervention's effect, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be measured: r pictures that receive, d that carry the region.

    `donor` says for each receiver whose region it gets; the two are of different classes.
    """

    receivers: Floats  # (r, C, H, W)
    labels: NDArray[np.int64]  # (r,)
    donor: NDArray[np.int64]  # (r,)
    donors: Floats  # (d, C, H, W)
    donor_labels: NDArray[np.int64]  # (d,)
    masks: NDArray[np.bool_]  # (d, H, W)
    explainer: str  # "livecam" or "smoothgrad"


@dataclass(frozen=True, slots=True)
class Readings:
    """One model's answers.

    `drawn` is whether a receiver is named after the donor, without and with the donor's region.
    """

    loss: Floats  # (r,)
    right: Floats  # (r,)
    p_true_swapped: Floats  # (r,) of the receiver's class, with the donor's region
    drawn_plain: Floats  # (r,)
    drawn_swapped: Floats  # (r,)
    p_true: Floats  # (copies of d,) of the donors' classes
    inside: (
        Floats  # (copies of d,) share of the explainer's energy inside; NaN where there is no map
    )
    explainer: str
