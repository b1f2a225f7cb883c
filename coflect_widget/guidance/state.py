"""What guidance is in force: the strokes and their strength, and the pixels they mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from coflect_widget import events
from coflect_widget.guidance.roi import BoolArray, Roi, rasterise

Kind = events.StrokeKind
Scope = events.Scope

#: Share of the picture up to which a place has mirror images.
WIDEST_MIRROR = 0.1


@dataclass(frozen=True, slots=True)
class ActiveStroke:
    """One region that the loss respects now.

    Attributes
    ----------
    kind : {"look", "ignore"}
    roi : Roi
    sample : int or None
        Index in the training data; None means every sample, or all of `label`.
    strength : float
        In [0, 1], relative to the task loss.
    id : str
        The intervention it came with.
    label : int or None
        Without a sample: the class that it is about.
    spreads : bool
        Whether what is ignored in this sample may be swapped at like places of others too.
    """

    kind: Kind
    roi: Roi
    sample: int | None
    strength: float
    id: str
    label: int | None = None
    spreads: bool = True

    def concerns(self, sample: int, label: int) -> bool:
        """Whether it marks pixels of this sample, which is of class `label`."""
        if self.sample is not None:
            return self.sample == sample
        return self.label in (None, label)


@dataclass(frozen=True, slots=True)
class Located:
    """An ignored artefact at its own place in each of n samples: what a person confirmed.

    Attributes
    ----------
    index : tuple of int (n,)
        Indices in the training data.
    boxes : tuple of (x0, y0, x1, y1) (n,)
        Fractions of width and height.
    strength : float
    id : str
        The intervention by which they were confirmed.
    of : str
        The intervention whose stroke it is.
    """

    index: tuple[int, ...]
    boxes: tuple[tuple[float, float, float, float], ...]
    strength: float
    id: str
    of: str


@dataclass(frozen=True, slots=True)
class GuidanceState:
    """All strokes in force, oldest first, and the strength that new ones get."""

    strokes: tuple[ActiveStroke, ...] = ()
    focus: float = 0.3
    located: tuple[Located, ...] = ()


@dataclass(frozen=True, slots=True)
class SampleMasks:
    """The strokes of one sample as pixels.

    Attributes
    ----------
    look, ignore : ndarray (H, W) of bool
        No pixel is in both.
    look_strength, ignore_strength : float
        Greatest strength among the strokes that still mark a pixel; 0 where none does.
    """

    look: BoolArray
    ignore: BoolArray
    look_strength: float
    ignore_strength: float


def masks(strokes: Sequence[ActiveStroke], height: int, width: int) -> SampleMasks:
    """Rasterise strokes that concern one image; where kinds contradict, the later one wins."""
    owner = np.full((height, width), -1, dtype=np.int64)
    for number, stroke in enumerate(strokes):
        owner[rasterise(stroke.roi, height, width)] = number
    found: dict[Kind, tuple[BoolArray, float]] = {}
    for kind in ("look", "ignore"):
        kept = [
            number
            for number, stroke in enumerate(strokes)
            if stroke.kind == kind and stroke.strength > 0 and (owner == number).any()
        ]
        strength = max((strokes[number].strength for number in kept), default=0.0)
        found[kind] = (np.isin(owner, kept), strength)
    return SampleMasks(found["look"][0], found["ignore"][0], found["look"][1], found["ignore"][1])


def mirrored(place: BoolArray) -> list[BoolArray]:
    """The place and, where it is small, its mirror images; none where it marks nothing."""
    if not place.any():
        return []
    if place.mean() > WIDEST_MIRROR:
        return [place]
    return [place, place[:, ::-1].copy(), place[::-1].copy(), place[::-1, ::-1].copy()]
