"""The guidance in force as arrays, and which rows a guided pass sees; for backends without Torch.

The rules are those of `torch_plan` and `torch_rows`, which say why; here they are numpy's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coflect_widget.guidance.roi import BoolArray
from coflect_widget.guidance.state import (
    WIDEST_MIRROR,
    ActiveStroke,
    GuidanceState,
    Located,
    masks,
    mirrored,
)

Array = NDArray[np.float32]
Numbers = NDArray[np.int64]
ReadRows = Callable[[Sequence[int]], tuple[Array, Numbers]]

#: A swap reaches past what was drawn by these shares of its reach, in turn.
MARGINS = (0.0, 1 / 3, 2 / 3, 1.0)
#: Most pixels of that reach, as a share of the picture's longer side.
WIDEST_REACH = 0.1


@dataclass(frozen=True, slots=True)
class General:
    """Strokes that are about no single sample, for G groups of rows; group 0 is every sample."""

    look: BoolArray  # (G, H, W)
    ignore: BoolArray  # (G, H, W)
    look_strength: Array  # (G,)
    ignore_strength: Array  # (G,)
    classes: Numbers  # (G - 1,) the class of each group but the first

    def group(self, labels: Numbers) -> Numbers:
        """(n,) the group of each row."""
        if len(self.classes) == 0:
            return np.zeros_like(labels)
        same = labels[:, None] == self.classes
        return np.where(same.any(1), same.argmax(1) + 1, 0)


@dataclass(frozen=True, slots=True)
class Places:
    """Where an artefact is known to be, sample by sample."""

    index: Numbers  # (n,) sorted
    box: Numbers  # (n, 4) pixels: left, top, right, bottom
    strength: float

    def find(self, indices: Numbers) -> tuple[BoolArray, Numbers]:
        """(B,) whether each sample is known, and (B, 4) its box, of no meaning where it is not."""
        at = np.searchsorted(self.index, indices).clip(max=len(self.index) - 1)
        return self.index[at] == indices, self.box[at]


@dataclass(frozen=True, slots=True)
class Plan:
    """A GuidanceState as arrays; A annotated samples, M margins, K like places."""

    samples: Numbers  # (A,) their indices, sorted
    inputs: Array  # (A, C, H, W)
    labels: Numbers  # (A,)
    look: BoolArray  # (A, H, W)
    ignore: BoolArray  # (A, H, W)
    swap: BoolArray  # (M, A, H, W): what is ignored, grown
    look_strength: Array  # (A,)
    ignore_strength: Array  # (A,)
    like: BoolArray  # (M, K, H, W): what is swapped in ordinary rows, grown likewise
    like_strength: float
    general: General
    located: tuple[Places, ...]

    @property
    def looks(self) -> bool:
        """Whether anything is to be looked at."""
        return bool((self.look_strength > 0).any() or (self.general.look_strength > 0).any())

    @property
    def reaches_others(self) -> bool:
        """Whether anything is to be ignored in samples that nobody drew on."""
        of_all = self.like_strength > 0 or bool(self.located)
        return of_all or bool((self.general.ignore_strength > 0).any())

    @property
    def ignores(self) -> bool:
        """Whether anything is to be ignored."""
        return bool((self.ignore_strength > 0).any()) or self.reaches_others


def make_plan(
    state: GuidanceState, read_rows: ReadRows, image_size: tuple[int, int]
) -> Plan | None:
    """What the losses need of `state`; None where nothing in it has strength.

    `read_rows` gives inputs (n, C, H, W) and labels (n,) of samples.
    """
    height, width = image_size
    strokes = [stroke for stroke in state.strokes if stroke.strength > 0]
    located = [entry for entry in state.located if entry.strength > 0 and entry.index]
    if not strokes and not located:
        return None
    samples = sorted({s.sample for s in strokes if s.sample is not None})
    inputs, labels = read_rows(samples or [0])
    own = [
        masks([s for s in strokes if s.concerns(sample, int(label))], height, width)
        for sample, label in zip(samples, labels, strict=False)
    ]
    general = _general(strokes, height, width)
    found_elsewhere = {entry.of for entry in located}
    places: dict[bytes, BoolArray] = {}
    like_strength = 0.0
    for stroke in strokes:
        spreads = stroke.spreads and stroke.id not in found_elsewhere
        if stroke.kind == "ignore" and stroke.sample is not None and spreads:
            drawn = masks([s for s in strokes if s.sample == stroke.sample], height, width)
            like_strength = max(like_strength, stroke.strength)
            for place in mirrored(drawn.ignore):
                places.setdefault(place.tobytes(), place & ~general.look[0])

    def stack(values: Sequence[BoolArray]) -> BoolArray:
        return np.array(values, dtype=np.bool_).reshape(-1, height, width)

    looked, ignored = stack([m.look for m in own]), stack([m.ignore for m in own])
    like = stack([place for place in places.values() if place.any()])
    return Plan(
        samples=np.array(samples, dtype=np.int64),
        inputs=inputs[: len(samples)],
        labels=labels[: len(samples)],
        look=looked,
        ignore=ignored,
        swap=np.stack([grown(ignored, share) & ~looked for share in MARGINS]),
        look_strength=np.array([m.look_strength for m in own], np.float32),
        ignore_strength=np.array([m.ignore_strength for m in own], np.float32),
        like=np.stack([grown(like, share) & ~general.look[0] for share in MARGINS]),
        like_strength=like_strength,
        general=general,
        located=tuple(_places(entry, height, width) for entry in located),
    )


def grown(places: BoolArray, share: float) -> BoolArray:
    """Places (n, H, W) and all pixels around them within `share` of their reach.

    That is a quarter of a place's longer side; none where it is large.
    """
    most = round(WIDEST_REACH * max(places.shape[1:]))
    found = places.copy()
    for number, place in enumerate(places):
        longer = max(int(place.any(1).sum()), int(place.any(0).sum()))
        margin = round(share * min((longer + 2) // 4, most))
        if margin > 0 and place.mean() <= WIDEST_MIRROR:
            wide = np.pad(place, margin)
            height, width = place.shape
            around = range(2 * margin + 1)
            found[number] = np.any(
                [wide[y : y + height, x : x + width] for y in around for x in around], axis=0
            )
    return found


def _general(strokes: Sequence[ActiveStroke], height: int, width: int) -> General:
    wide = [s for s in strokes if s.sample is None]
    classes = sorted({s.label for s in wide if s.label is not None})
    groups = [masks([s for s in wide if s.label is None], height, width)]
    groups += [masks([s for s in wide if s.label in (None, c)], height, width) for c in classes]
    return General(
        look=np.stack([g.look for g in groups]),
        ignore=np.stack([g.ignore for g in groups]),
        look_strength=np.array([g.look_strength for g in groups], np.float32),
        ignore_strength=np.array([g.ignore_strength for g in groups], np.float32),
        classes=np.array(classes, dtype=np.int64),
    )


def _places(entry: Located, height: int, width: int) -> Places:
    index = np.array(entry.index, dtype=np.int64)
    order = np.argsort(index, kind="stable")
    pixels = np.array(entry.boxes)[order] * (width, height, width, height)
    return Places(index[order], pixels.round().astype(np.int64), entry.strength)


def look_as_ignore(plan: Plan) -> Plan:
    """Looking at a region, said as ignoring all the rest of those samples."""
    general = plan.general

    def rest(look: BoolArray, strength: Array, ignore: BoolArray) -> Any:
        return np.where((strength > 0)[:, None, None], ~look, ignore)

    own = rest(plan.look, plan.look_strength, plan.ignore)
    return replace(
        plan,
        ignore=own,
        swap=np.broadcast_to(own, plan.swap.shape),
        ignore_strength=np.maximum(plan.look_strength, plan.ignore_strength),
        look_strength=np.zeros_like(plan.look_strength),
        general=replace(
            general,
            ignore=rest(general.look, general.look_strength, general.ignore),
            ignore_strength=np.maximum(general.look_strength, general.ignore_strength),
            look_strength=np.zeros_like(general.look_strength),
        ),
    )
