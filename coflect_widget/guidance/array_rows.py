"""Which rows a guided pass sees, and what is swapped in them; the rules of `torch_rows`."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from coflect_widget.guidance.plan import (
    ANNOTATED_SHARE,
    MARGINS,
    SHOWN,
    TAKING_PART,
    TRIES,
    WIDEST_FILL,
    WIDEST_REACH,
    Array,
    General,
    Numbers,
    Places,
    Plan,
)
from coflect_widget.guidance.roi import BoolArray


class Swapped(NamedTuple):
    """n rows as they are, and the same rows with what is to be ignored taken from others."""

    original: Any  # (n, C, H, W)
    swapped: Any  # (n, C, H, W)
    labels: Any  # (n,)
    strength: Any  # (n,)


class Marked(NamedTuple):
    """n rows with the pixels that shall, or shall not, matter."""

    inputs: Any  # (n, C, H, W)
    labels: Any  # (n,)
    region: Any  # (n, H, W) of float, 0 or 1
    strength: Any  # (n,)


class RowChooser:
    """Draws the rows of guided passes, from a generator of its own."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._random = np.random.default_rng(seed)

    def restart(self) -> None:
        """Begin the sequence anew."""
        self._random = np.random.default_rng(self._seed)

    def marked(
        self,
        plan: Plan[NDArray[Any]],
        kind: str,
        inputs: Array,
        labels: Numbers,
        count: int,
        least: int = 0,
    ) -> Marked | None:
        """At most `count` rows that have a stroke of `kind`, annotated samples first.

        Fewer than `least` are joined by rows of the batch without strength.
        """
        general = plan.general
        look = kind == "look"
        own, own_strength = (
            (plan.look, plan.look_strength) if look else (plan.ignore, plan.ignore_strength)
        )
        wide, wide_strength = (
            (general.look, general.look_strength)
            if look
            else (general.ignore, general.ignore_strength)
        )
        with_own = np.flatnonzero(own_strength)
        group = _group(general, labels)
        wide, wide_strength = wide[group], wide_strength[group]
        few = count
        if kind == "ignore" and plan.like_strength > 0:
            # half of the rows for places that only other samples may show it at
            wide = wide | plan.like[0].any(0)
            wide_strength = wide_strength.clip(min=np.float32(plan.like_strength))
            few = max(1, count // 2)
        a = with_own[self._some(len(with_own), few)]
        with_wide = np.flatnonzero(wide_strength > 0)
        o = with_wide[self._some(len(with_wide), count - len(a))]
        if len(a) + len(o) == 0:
            return None
        beside = self._beside(len(inputs), least - len(a) - len(o))
        return Marked(
            inputs=np.concatenate([plan.inputs[a], inputs[o], inputs[beside]]),
            labels=np.concatenate([plan.labels[a], labels[o], labels[beside]]),
            region=np.concatenate([own[a], wide[o], np.zeros_like(wide[beside])]).astype(
                np.float32
            ),
            strength=_padded(np.concatenate([own_strength[a], wide_strength[o]]), len(beside)),
        )

    def swapped(
        self,
        plan: Plan[NDArray[Any]],
        inputs: Array,
        labels: Numbers,
        indices: Numbers | None,
        count: int,
        least: int = 0,
    ) -> Swapped | None:
        """At most `count` rows in which what is to be ignored is another picture's.

        Fewer than `least` are joined by rows of the batch, unchanged and without strength.

        Parameters
        ----------
        inputs : ndarray (B, C, H, W)
        labels : ndarray (B,)
        indices : ndarray (B,) or None
            Their places in the training data; None where nobody knows.
        """
        batch = len(inputs)
        margin = int(self._random.integers(len(MARGINS)))
        place, strength, known, box = self._ordinary(plan, labels, indices, margin)
        helpful, own = np.flatnonzero(strength > 0), np.flatnonzero(plan.ignore_strength)
        few = max(1, round(ANNOTATED_SHARE * count)) if len(helpful) else count
        a = own[self._some(len(own), min(few, count))]
        o = helpful[self._some(len(helpful), count - len(a))]
        if len(a) + len(o) == 0:
            return None
        swap = np.concatenate([plan.swap[margin][a], place[o]])
        x = np.concatenate([plan.inputs[a], inputs[o]])
        if batch == 1:
            values = self._random.random((len(x), x.shape[1], 1, 1), dtype=np.float32)
            low, high = inputs.min(), inputs.max()
            other = np.broadcast_to(low + (high - low) * values, x.shape)
        else:
            start = np.concatenate([np.zeros_like(a), o])
            donor = (start + self._random.integers(1, batch, size=len(x))) % batch
            other = inputs[donor]
            if known.any():
                other = self._from_known(other, donor, o, len(a), known, box)
        beside = self._beside(batch, least - len(x))
        return Swapped(
            original=np.concatenate([x, inputs[beside]]),
            swapped=np.concatenate([np.where(swap[:, None], other, x), inputs[beside]]),
            labels=np.concatenate([plan.labels[a], labels[o], labels[beside]]),
            strength=_padded(np.concatenate([plan.ignore_strength[a], strength[o]]), len(beside)),
        )

    def counterfactual(
        self, plan: Plan[NDArray[Any]], inputs: Array, labels: Numbers, indices: Numbers | None
    ) -> Array:
        """The batch (B, C, H, W) with what is to be ignored exchanged among its rows."""
        batch = len(inputs)
        margin = int(self._random.integers(len(MARGINS)))
        place, strength, known, box = self._ordinary(plan, labels, indices, margin)
        if indices is not None and len(plan.samples):
            at = np.searchsorted(plan.samples, indices).clip(max=len(plan.samples) - 1)
            here = plan.samples[at] == indices
            place = place | (plan.swap[margin][at] & here[:, None, None])
            strength = np.maximum(strength, np.where(here, plan.ignore_strength[at], 0))
        rows = np.arange(batch)
        donor = (rows + int(self._random.integers(1, batch))) % batch
        other = inputs[donor]
        if known.any():
            other = self._from_known(other, donor, rows, 0, known, box)
        taking_part = self._random.random(batch) < 1 - (1 - strength) ** TAKING_PART
        swap = place & taking_part[:, None, None]
        return np.where(swap[:, None], other, inputs)

    def _ordinary(
        self, plan: Plan[NDArray[Any]], labels: Numbers, indices: Numbers | None, margin: int
    ) -> tuple[BoolArray, Array, BoolArray, Numbers]:
        """Of each row: pixels to swap (B, H, W), strength (B,), if its artefact is known, where."""
        general, batch = plan.general, len(labels)
        group = _group(general, labels)
        place, strength = general.ignore[group], general.ignore_strength[group]
        if plan.like_strength > 0:
            like = plan.like[margin]
            union = like.any(0)
            if union.mean() <= WIDEST_FILL:
                place = place | union
            else:
                # all at once would leave too little to see
                place = place | like[self._random.integers(len(like), size=batch)]
            strength = strength.clip(min=np.float32(plan.like_strength))
        known = np.zeros(batch, dtype=np.bool_)
        box = np.zeros((batch, 4), dtype=np.int64)
        for places in plan.located:
            if indices is None:
                break
            here, at = _find(places, indices)
            # no own place: one of the others, for an untouched row would tell its class
            at = np.where(here, at, self._random.integers(len(places.index), size=batch))
            where = places.box[at]
            wide = _wider(where, MARGINS[margin], place.shape[1:])
            place = place | _boxes(wide, place.shape[1:])
            strength = np.maximum(strength, places.strength[at])
            known, box = known | here, np.where((here | ~known)[:, None], where, box)
        return place, strength, known, box

    def _from_known(
        self, other: Array, donor: Numbers, o: Numbers, first: int, known: BoolArray, box: Numbers
    ) -> Array:
        """Donors for rows whose place is known: most show no artefact there, some show one."""
        n, height, width = len(o), *other.shape[2:]
        given, place, rows = donor[first:], box[o], np.arange(len(o))
        near = (place[:, 2:] - place[:, :2] + 2) // 4  # as far as a swap may reach past its box
        free, pick = np.zeros(n, dtype=np.bool_), rows
        for further in range(min(TRIES, n)):
            one = (rows + further) % n
            theirs = box[given[one]]
            apart = (theirs[:, :2] >= place[:, 2:] + near) | (place[:, :2] - near >= theirs[:, 2:])
            fits = (apart.any(1) | ~known[given[one]]) & (given[one] != o)
            pick = np.where(fits & ~free, one, pick)
            free = free | fits
        shift = (box[given, :2] + box[given, 2:] - place[:, :2] - place[:, 2:]) // 2
        shown = known[given] & (self._random.random(n) < SHOWN)
        pick, shift = np.where(shown, rows, pick), np.where(shown[:, None], shift, 0)
        x = (np.arange(width) + shift[:, :1]).clip(0, width - 1)
        y = (np.arange(height) + shift[:, 1:]).clip(0, height - 1)
        taken = other[first:][pick[:, None, None], :, y[:, :, None], x[:, None, :]]
        return np.concatenate([other[:first], np.moveaxis(taken, 3, 1)])

    def _some(self, count: int, wanted: int) -> NDArray[np.int64]:
        """`wanted` different numbers below `count`, at random."""
        return self._random.permutation(count)[: max(0, wanted)]

    def _beside(self, batch: int, missing: int) -> NDArray[np.int64]:
        """Rows of the batch that join a pass; where none are missing no number is drawn."""
        return self._some(batch if missing > 0 else 0, missing)


def _padded(strength: Array, more: int) -> Array:
    """(n + more,) the strengths, and 0 for the rest."""
    return np.pad(strength, (0, more))


def _group(general: General[NDArray[Any]], labels: Numbers) -> Numbers:
    """(B,) the group of each row."""
    if len(general.classes) == 0:
        return np.zeros_like(labels)
    same = labels[:, None] == general.classes
    return np.where(same.any(1), same.argmax(1) + 1, 0)


def _find(places: Places[NDArray[Any]], indices: Numbers) -> tuple[BoolArray, Numbers]:
    """(B,) whether each sample is known, and (B,) its number among them if so."""
    at = np.searchsorted(places.index, indices).clip(max=len(places.index) - 1)
    return places.index[at] == indices, at


def _wider(box: Numbers, share: float, size: tuple[int, ...]) -> Numbers:
    """Boxes (B, 4) in pixels, each side moved out by `share` of a quarter of the longer one."""
    longer = (box[:, 2:] - box[:, :2]).max(1)
    reach = ((longer + 2) // 4).clip(max=round(WIDEST_REACH * max(size)))
    margin = np.round(reach * share).astype(np.int64)
    found: Numbers = box + np.stack([-margin, -margin, margin, margin], 1)
    return found


def _boxes(box: Numbers, size: tuple[int, ...]) -> BoolArray:
    """Boxes (B, 4) in pixels as masks (B, H, W)."""
    y, x = np.arange(size[0]), np.arange(size[1])
    rows = (y >= box[:, 1:2]) & (y < box[:, 3:4])
    columns = (x >= box[:, 0:1]) & (x < box[:, 2:3])
    found: BoolArray = rows[:, :, None] & columns[:, None, :]
    return found
