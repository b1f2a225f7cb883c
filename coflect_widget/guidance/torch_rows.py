"""Which rows a guided pass sees, and what is swapped in them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from coflect_widget.guidance.plan import (
    ANNOTATED_SHARE,
    MARGINS,
    SHOWN,
    TAKING_PART,
    TRIES,
    WIDEST_FILL,
    WIDEST_REACH,
    General,
    Places,
    Plan,
)


@dataclass(frozen=True, slots=True)
class Swapped:
    """n rows as they are, and the same rows with what is to be ignored taken from others."""

    original: Tensor  # (n, C, H, W)
    swapped: Tensor  # (n, C, H, W)
    targets: Tensor  # (n,) or (n, classes)
    strength: Tensor  # (n,)


@dataclass(frozen=True, slots=True)
class Marked:
    """n rows with the pixels that shall, or shall not, matter."""

    inputs: Tensor  # (n, C, H, W)
    targets: Tensor  # (n,) or (n, classes)
    region: Tensor  # (n, H, W) of float, 0 or 1
    strength: Tensor  # (n,)


class RowChooser:
    """Draws the rows of guided passes, from a generator of its own.

    Its numbers depend on the seed and on how often it was asked since `restart`, so that
    guidance moves no other random number and equal runs stay equal.
    """

    def __init__(self, seed: int, device: torch.device) -> None:
        self._seed = seed
        self._device = device
        self._generator = torch.Generator()

    def restart(self) -> None:
        """Begin the sequence anew."""
        self._generator.manual_seed(self._seed)

    def marked(
        self,
        plan: Plan[Tensor],
        kind: str,
        inputs: Tensor,
        targets: Tensor,
        count: int,
        least: int = 0,
    ) -> Marked | None:
        """At most `count` rows that have a stroke of `kind`, annotated samples first.

        Fewer than `least` are joined by rows of the batch without strength.
        """
        general = plan.general
        if kind == "look":
            own, own_strength = plan.look, plan.look_strength
            wide, wide_strength = general.look, general.look_strength
        else:
            own, own_strength = plan.ignore, plan.ignore_strength
            wide, wide_strength = general.ignore, general.ignore_strength
        with_own = own_strength.nonzero()[:, 0]
        group = _group(general, targets)
        wide, wide_strength = wide[group], wide_strength[group]
        few = count
        if kind == "ignore" and plan.like_strength > 0:
            # half of the rows for places that only other samples may show it at
            wide = wide | plan.like[0].any(0)
            wide_strength = wide_strength.clamp(min=plan.like_strength)
            few = max(1, count // 2)
        a = with_own[self._some(len(with_own), few)]
        with_wide = (wide_strength > 0).nonzero()[:, 0]
        o = with_wide[self._some(len(with_wide), count - len(a))]
        if len(a) + len(o) == 0:
            return None
        beside = self._beside(len(inputs), least - len(a) - len(o))
        return Marked(
            inputs=torch.cat([plan.inputs[a].to(inputs.dtype), inputs[o], inputs[beside]]),
            targets=torch.cat([_like(plan.labels[a], targets), targets[o], targets[beside]]),
            region=torch.cat([own[a], wide[o], torch.zeros_like(wide[beside])]).float(),
            strength=_padded(torch.cat([own_strength[a], wide_strength[o]]), len(beside)),
        )

    def swapped(
        self,
        plan: Plan[Tensor],
        inputs: Tensor,
        targets: Tensor,
        indices: Tensor | None,
        count: int,
        least: int = 0,
    ) -> Swapped | None:
        """At most `count` rows in which what is to be ignored is another picture's.

        Fewer than `least` are joined by rows of the batch, unchanged and without strength.

        Parameters
        ----------
        inputs : Tensor (B, C, H, W)
        targets : Tensor (B,) or (B, classes)
        indices : Tensor (B,) or None
            Their places in the training data; None where nobody knows.
        """
        device, batch = self._device, len(inputs)
        margin = int(torch.randint(len(MARGINS), (1,), generator=self._generator))
        place, strength, known, box = self._ordinary(plan, targets, indices, margin)
        helpful = (strength > 0).nonzero()[:, 0]
        own = plan.ignore_strength.nonzero()[:, 0]
        few = max(1, round(ANNOTATED_SHARE * count)) if len(helpful) else count
        a = own[self._some(len(own), min(few, count))]
        o = helpful[self._some(len(helpful), count - len(a))]
        if len(a) + len(o) == 0:
            return None
        swap = torch.cat([plan.swap[margin][a], place[o]])
        x = torch.cat([plan.inputs[a].to(inputs.dtype), inputs[o]])
        if batch == 1:
            shape = (len(x), x.shape[1], 1, 1)
            values = torch.rand(shape, generator=self._generator).to(x)
            low, high = inputs.amin(), inputs.amax()
            other = (low + (high - low) * values).expand_as(x)
        else:
            start = torch.cat([torch.zeros_like(a), o])
            step = torch.randint(1, batch, (len(x),), generator=self._generator).to(device)
            donor = (start + step) % batch
            other = inputs[donor]
            if bool(known.any()):
                other = self._from_known(other, donor, o, len(a), known, box)
        beside = self._beside(batch, least - len(x))
        return Swapped(
            original=torch.cat([x, inputs[beside]]),
            swapped=torch.cat([torch.where(swap[:, None], other, x), inputs[beside]]),
            targets=torch.cat([_like(plan.labels[a], targets), targets[o], targets[beside]]),
            strength=_padded(torch.cat([plan.ignore_strength[a], strength[o]]), len(beside)),
        )

    def counterfactual(
        self, plan: Plan[Tensor], inputs: Tensor, targets: Tensor, indices: Tensor | None
    ) -> Tensor:
        """The batch with what is to be ignored exchanged among its rows.

        Each row takes part with a probability that grows with its strength. The donors are a
        permutation of the rows, so that the batch as a whole has the same pixels as before.
        """
        batch = len(inputs)
        margin = int(torch.randint(len(MARGINS), (1,), generator=self._generator))
        place, strength, known, box = self._ordinary(plan, targets, indices, margin)
        if indices is not None and len(plan.samples):
            at = torch.searchsorted(plan.samples, indices).clamp(max=len(plan.samples) - 1)
            here = plan.samples[at] == indices
            place = place | (plan.swap[margin][at] & here[:, None, None])
            own = torch.where(here, plan.ignore_strength[at], torch.zeros_like(strength))
            strength = torch.maximum(strength, own)
        step = int(torch.randint(1, batch, (1,), generator=self._generator))
        rows = torch.arange(batch, device=self._device)
        donor = (rows + step) % batch
        other = inputs[donor]
        if bool(known.any()):
            other = self._from_known(other, donor, rows, 0, known, box)
        drawn = torch.rand(batch, generator=self._generator).to(self._device)
        taking_part = drawn < 1 - (1 - strength) ** TAKING_PART
        swap = place & taking_part[:, None, None]
        return torch.where(swap[:, None], other, inputs)

    def _ordinary(
        self, plan: Plan[Tensor], targets: Tensor, indices: Tensor | None, margin: int
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Of each row: pixels to swap (B, H, W), strength (B,), if its artefact is known; a box.

        In that box (B, 4) an artefact of another row may be shown.
        """
        general, batch = plan.general, len(targets)
        group = _group(general, targets)
        place = general.ignore[group]
        strength = general.ignore_strength[group]
        if plan.like_strength > 0:
            like = plan.like[margin]
            union = like.any(0)
            if float(union.float().mean()) <= WIDEST_FILL:
                place = place | union
            else:
                # all at once would leave too little to see
                drawn = torch.randint(len(like), (batch,), generator=self._generator)
                place = place | like[drawn.to(self._device)]
            strength = strength.clamp(min=plan.like_strength)
        known = torch.zeros(batch, dtype=torch.bool, device=self._device)
        box = torch.zeros(batch, 4, dtype=torch.int64, device=self._device)
        if indices is not None:
            for places in plan.located:
                here, at = _find(places, indices)
                drawn = torch.randint(len(places.index), (batch,), generator=self._generator)
                # no own place: one of the others, for an untouched row would tell its class
                at = torch.where(here, at, drawn.to(self._device))
                where = places.box[at]
                wide = _wider(where, MARGINS[margin], place.shape[1:])
                place = place | _boxes(wide, place.shape[1:])
                strength = torch.maximum(strength, places.strength[at])
                known, box = known | here, torch.where((here | ~known)[:, None], where, box)
        return place, strength, known, box

    def _from_known(
        self, other: Tensor, donor: Tensor, o: Tensor, first: int, known: Tensor, box: Tensor
    ) -> Tensor:
        """Donors for rows whose place is known: most show no artefact there, some show one.

        A model that used an artefact learns anew the sooner it seldom meets one; never to meet
        one would leave alone what it made of them.
        """
        n, height, width = len(o), *other.shape[2:]
        given, place = donor[first:], box[o]
        rows = torch.arange(n, device=self._device)
        near = (place[:, 2:] - place[:, :2] + 2) // 4  # as far as a swap may reach past its box
        free = torch.zeros(n, dtype=torch.bool, device=self._device)
        pick = rows
        for further in range(min(TRIES, n)):
            one = (rows + further) % n
            theirs = box[given[one]]
            apart = (theirs[:, :2] >= place[:, 2:] + near) | (place[:, :2] - near >= theirs[:, 2:])
            fits = (apart.any(1) | ~known[given[one]]) & (given[one] != o)
            pick = torch.where(fits & ~free, one, pick)
            free = free | fits
        # By their middles, whatever their sizes: boxes of one size are often of one class.
        shift = (box[given, :2] + box[given, 2:] - place[:, :2] - place[:, 2:]) // 2
        coin = torch.rand(n, generator=self._generator).to(self._device) < SHOWN
        shown = known[given] & coin
        pick = torch.where(shown, rows, pick)
        shift = torch.where(shown[:, None], shift, torch.zeros_like(shift))
        x = (torch.arange(width, device=self._device) + shift[:, :1]).clamp(0, width - 1)
        y = (torch.arange(height, device=self._device) + shift[:, 1:]).clamp(0, height - 1)
        taken = other[first:][pick[:, None, None], :, y[:, :, None], x[:, None, :]]
        return torch.cat([other[:first], taken.permute(0, 3, 1, 2)])

    def _some(self, count: int, wanted: int) -> Tensor:
        """`wanted` different numbers below `count`, at random."""
        drawn = torch.randperm(count, generator=self._generator)[: max(0, wanted)]
        return drawn.to(self._device)

    def _beside(self, batch: int, missing: int) -> Tensor:
        """Rows of the batch that join a pass; where none are missing no number is drawn."""
        return self._some(batch if missing > 0 else 0, missing)


def _padded(strength: Tensor, more: int) -> Tensor:
    """(n + more,) the strengths, and 0 for the rest."""
    return torch.nn.functional.pad(strength, (0, more))


def _group(general: General[Tensor], targets: Tensor) -> Tensor:
    """(B,) the group of each row, from its label or its probabilities."""
    labels = targets if targets.ndim == 1 else targets.argmax(1)
    if len(general.classes) == 0:
        return torch.zeros_like(labels)
    same = labels[:, None] == general.classes
    return torch.where(same.any(1), same.int().argmax(1) + 1, torch.zeros_like(labels))


def _find(places: Places[Tensor], indices: Tensor) -> tuple[Tensor, Tensor]:
    """(B,) whether each sample is known, and (B,) its number among them if so."""
    at = torch.searchsorted(places.index, indices).clamp(max=len(places.index) - 1)
    return places.index[at] == indices, at


def _wider(box: Tensor, share: float, size: tuple[int, ...]) -> Tensor:
    """Boxes (B, 4) in pixels, each side moved out by `share` of a quarter of the longer one."""
    longer = (box[:, 2:] - box[:, :2]).amax(1)
    margin = (((longer + 2) // 4).clamp(max=round(WIDEST_REACH * max(size))) * share).round().long()
    return box + torch.stack([-margin, -margin, margin, margin], 1)


def _boxes(box: Tensor, size: tuple[int, ...]) -> Tensor:
    """Boxes (B, 4) in pixels as masks (B, H, W)."""
    y = torch.arange(size[0], device=box.device)
    x = torch.arange(size[1], device=box.device)
    rows = (y >= box[:, 1:2]) & (y < box[:, 3:4])
    columns = (x >= box[:, 0:1]) & (x < box[:, 2:3])
    return rows[:, :, None] & columns[:, None, :]


def _like(labels: Tensor, targets: Tensor) -> Tensor:
    """Labels in the form of `targets`: as they are, or as probabilities."""
    if targets.ndim == 2:
        labels = torch.nn.functional.one_hot(labels, targets.shape[1])
    return labels.to(targets.dtype)
