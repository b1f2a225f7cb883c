"""The guidance in force as tensors on the model's device."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from coflect_widget.guidance.roi import BoolArray
from coflect_widget.guidance.state import (
    WIDEST_MIRROR,
    ActiveStroke,
    GuidanceState,
    Located,
    masks,
    mirrored,
)

#: A swap reaches past what was drawn by these shares of its `reach`, in turn: a hand is not exact.
MARGINS = (0.0, 1 / 3, 2 / 3, 1.0)
#: Most pixels of that reach, as a share of the picture's longer side.
WIDEST_REACH = 0.1

ReadRows = Callable[[Sequence[int]], tuple[Tensor, Tensor]]


@dataclass(frozen=True, slots=True)
class General:
    """Strokes that are about no single sample, for G groups of rows.

    Group 0 holds what is said of every sample; each class of which more is said has a group of
    its own.
    """

    look: Tensor  # (G, H, W) of bool
    ignore: Tensor  # (G, H, W) of bool
    look_strength: Tensor  # (G,)
    ignore_strength: Tensor  # (G,)
    classes: Tensor  # (G - 1,) the class of each group but the first

    def group(self, targets: Tensor) -> Tensor:
        """(n,) the group of each row, from its label or its probabilities."""
        labels = targets if targets.ndim == 1 else targets.argmax(1)
        if len(self.classes) == 0:
            return torch.zeros_like(labels)
        same = labels[:, None] == self.classes
        return torch.where(same.any(1), same.int().argmax(1) + 1, torch.zeros_like(labels))

    @property
    def strongest(self) -> Tensor:
        """(G,) strength of what is said of each group."""
        return torch.maximum(self.look_strength, self.ignore_strength)


@dataclass(frozen=True, slots=True)
class Places:
    """Where an artefact is known to be, sample by sample."""

    index: Tensor  # (n,) sorted
    box: Tensor  # (n, 4) pixels: left, top, right, bottom
    strength: float

    def find(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """(B,) whether each sample is known, and (B, 4) its box, of no meaning where it is not."""
        at = torch.searchsorted(self.index, indices).clamp(max=len(self.index) - 1)
        return self.index[at] == indices, self.box[at]


@dataclass(frozen=True, slots=True)
class Plan:
    """A GuidanceState as tensors; A annotated samples, M margins, K like places."""

    samples: Tensor  # (A,) their indices, sorted
    inputs: Tensor  # (A, C, H, W)
    targets: Tensor  # (A,)
    look: Tensor  # (A, H, W) of bool
    ignore: Tensor  # (A, H, W) of bool
    swap: Tensor  # (M, A, H, W) of bool: what is ignored, grown by 0, 1, ... pixels
    look_strength: Tensor  # (A,)
    ignore_strength: Tensor  # (A,)
    like: Tensor  # (M, K, H, W) of bool: what is swapped in ordinary rows, grown likewise
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
        of_some = bool((self.ignore_strength > 0).any()) or bool(self.located)
        return of_some or bool((self.general.ignore_strength > 0).any())


def make_plan(
    state: GuidanceState,
    read_rows: ReadRows,
    image_size: tuple[int, int],
    device: torch.device,
) -> Plan | None:
    """What the losses need of `state`; None where nothing in it has strength."""
    height, width = image_size
    strokes = [stroke for stroke in state.strokes if stroke.strength > 0]
    located = [entry for entry in state.located if entry.strength > 0 and entry.index]
    if not strokes and not located:
        return None

    samples = sorted({s.sample for s in strokes if s.sample is not None})
    # without a sample of their own, any one tells shape and type
    inputs, targets = read_rows(samples or [0])
    labels = [int(label) for label in targets]
    own = [
        masks([s for s in strokes if s.concerns(sample, label)], height, width)
        for sample, label in zip(samples, labels, strict=False)
    ]
    general = _general(strokes, height, width, device)
    never = general.look[0].cpu().numpy()
    found_elsewhere = {entry.of for entry in located}
    places: dict[bytes, BoolArray] = {}
    like_strength = 0.0
    for stroke in strokes:
        spreads = stroke.spreads and stroke.id not in found_elsewhere
        if stroke.kind == "ignore" and stroke.sample is not None and spreads:
            drawn = masks([s for s in strokes if s.sample == stroke.sample], height, width)
            like_strength = max(like_strength, stroke.strength)
            # an artefact in one corner of this picture may be in another corner of the next
            for place in mirrored(drawn.ignore):
                places.setdefault(place.tobytes(), place & ~never)
    found = [place for place in places.values() if place.any()]

    def stack(values: Sequence[BoolArray]) -> Tensor:
        array = np.array(values, dtype=np.bool_).reshape(-1, height, width)
        return torch.from_numpy(array).to(device)

    # What is drawn is grown; what is named, such as "borders", means just that.
    looked, ignored = stack([m.look for m in own]), stack([m.ignore for m in own])
    like = stack(found)

    def column(values: list[float]) -> Tensor:
        return torch.tensor(values, dtype=torch.float32, device=device)

    kept = len(samples)
    return Plan(
        samples=torch.tensor(samples, dtype=torch.int64, device=device),
        inputs=inputs.detach()[:kept],
        targets=targets[:kept],
        look=looked,
        ignore=ignored,
        swap=torch.stack([grown(ignored, k) & ~looked for k in MARGINS]),
        look_strength=column([m.look_strength for m in own]),
        ignore_strength=column([m.ignore_strength for m in own]),
        like=torch.stack([grown(like, k) & ~general.look[0] for k in MARGINS]),
        like_strength=like_strength,
        general=general,
        located=tuple(_places(entry, height, width, device) for entry in located),
    )


def reach(places: Tensor) -> Tensor:
    """(n,) pixels by which a swap may go past each place (n, H, W): a quarter of its longer side.

    None where the place is large: who marks all of the background follows the object's outline.
    """
    rows, columns = places.any(2).sum(1), places.any(1).sum(1)
    most = round(WIDEST_REACH * max(places.shape[1:]))
    quarter = ((torch.maximum(rows, columns) + 2) // 4).clamp(max=most)
    small = places.float().mean((1, 2)) <= WIDEST_MIRROR
    return quarter * small.long()


def grown(places: Tensor, share: float) -> Tensor:
    """Places (n, H, W) and all pixels around them within `share` of their reach."""
    margins = (share * reach(places)).round().long()
    found = places.clone()
    for margin in sorted(set(margins.tolist())):
        if margin > 0:
            wide = F.max_pool2d(places[:, None].float(), 2 * margin + 1, 1, margin)[:, 0] > 0
            found = torch.where((margins == margin)[:, None, None], wide, found)
    return found


def _general(
    strokes: Sequence[ActiveStroke], height: int, width: int, device: torch.device
) -> General:
    wide = [s for s in strokes if s.sample is None]
    classes = sorted({s.label for s in wide if s.label is not None})
    groups = [masks([s for s in wide if s.label is None], height, width)]
    groups += [masks([s for s in wide if s.label in (None, c)], height, width) for c in classes]
    return General(
        look=torch.from_numpy(np.stack([g.look for g in groups])).to(device),
        ignore=torch.from_numpy(np.stack([g.ignore for g in groups])).to(device),
        look_strength=torch.tensor([g.look_strength for g in groups], device=device),
        ignore_strength=torch.tensor([g.ignore_strength for g in groups], device=device),
        classes=torch.tensor(classes, dtype=torch.int64, device=device),
    )


def _places(entry: Located, height: int, width: int, device: torch.device) -> Places:
    index = np.array(entry.index, dtype=np.int64)
    order = np.argsort(index, kind="stable")
    pixels = np.array(entry.boxes)[order] * (width, height, width, height)
    return Places(
        index=torch.from_numpy(index[order]).to(device),
        box=torch.from_numpy(pixels.round().astype(np.int64)).to(device),
        strength=entry.strength,
    )


def look_as_ignore(plan: Plan) -> Plan:
    """Looking at a region, said as ignoring all the rest of those samples."""
    general = plan.general

    def rest(look: Tensor, strength: Tensor, ignore: Tensor) -> Tensor:
        return torch.where((strength > 0)[:, None, None], ~look, ignore)

    own = rest(plan.look, plan.look_strength, plan.ignore)
    return replace(
        plan,
        ignore=own,
        swap=own.expand_as(plan.swap),
        ignore_strength=torch.maximum(plan.look_strength, plan.ignore_strength),
        look_strength=torch.zeros_like(plan.look_strength),
        general=replace(
            general,
            ignore=rest(general.look, general.look_strength, general.ignore),
            ignore_strength=general.strongest,
            look_strength=torch.zeros_like(general.look_strength),
        ),
    )
