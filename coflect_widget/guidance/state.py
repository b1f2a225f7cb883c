"""What guidance is in force: the strokes and their strength, and the units they mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from coflect_widget import events
from coflect_widget.modalities.base import Array, BoolArray, Corners, Modality, Region

Kind = events.StrokeKind
Scope = events.Scope


@dataclass(frozen=True, slots=True)
class ActiveStroke:
    """One region that the loss respects now.

    Attributes
    ----------
    kind : {"look", "ignore"}
    region : Region
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
    region: Region
    sample: int | None
    strength: float
    id: str
    label: int | None = None
    spreads: bool = True

    def concerns(self, sample: int, label: int) -> bool:
        """Whether it marks something in this sample, which is of class `label`."""
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
    boxes : tuple of corners (n,)
        In fractions of the extent, as `modalities.base.Corners`.
    strength : float
    id : str
        The intervention by which they were confirmed.
    of : str
        The intervention whose stroke it is.
    """

    index: tuple[int, ...]
    boxes: tuple[Corners, ...]
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
    """The strokes of one sample as masks.

    Attributes
    ----------
    look, ignore : ndarray (E) of bool
        Nothing is in both.
    look_strength, ignore_strength : float
        Greatest strength among the strokes that still mark something; 0 where none does.
    """

    look: BoolArray
    ignore: BoolArray
    look_strength: float
    ignore_strength: float


def union(
    regions: Sequence[Region], modality: Modality, extent: tuple[int, ...], x: Array | None = None
) -> BoolArray:
    """All that is in one of the regions (E), of the sample's input `x` where it is known."""
    found = np.zeros(extent, np.bool_)
    for region in regions:
        found |= modality.mask(region, extent) if x is None else modality.mask_in(region, x)
    return found


def masks(
    strokes: Sequence[ActiveStroke],
    modality: Modality,
    extent: tuple[int, ...],
    x: Array | None = None,
) -> SampleMasks:
    """Masks of strokes that concern one sample; where kinds contradict, the later one wins.

    `x` is the sample's input, where it is known.
    """
    owner = np.full(extent, -1, dtype=np.int64)
    for number, stroke in enumerate(strokes):
        owner[union([stroke.region], modality, extent, x)] = number
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
