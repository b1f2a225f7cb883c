"""Which rows a guided pass sees, and what is exchanged in them; for arrays of any framework.

A row is one sample. Its mask is over the sample's extent: (H, W) of a picture (C, H, W), (L,) of a
text (L,). Where this file says B, N, G, M, K or E: rows of a
batch, annotated samples, groups, margins, like places, and the axes of the extent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import array_api_compat as compat
import numpy as np

from coflect_widget.guidance.plan import (
    ANNOTATED_SHARE,
    MARGINS,
    SHOWN,
    TAKING_PART,
    TRIES,
    WIDEST_FILL,
    General,
    Places,
    Plan,
)
from coflect_widget.guidance.state import Kind
from coflect_widget.modalities.base import Modality, over


class Swapped(NamedTuple):
    """n rows as they are, and the same rows with what is to be ignored taken from others."""

    original: Any  # (n, ..., E)
    swapped: Any  # (n, ..., E)
    targets: Any  # (n,) or (n, classes)
    strength: Any  # (n,)


class Marked(NamedTuple):
    """n rows with the places that shall, or shall not, matter."""

    inputs: Any  # (n, ..., E)
    targets: Any  # (n,) or (n, classes)
    region: Any  # (n, E) of float, 0 or 1
    strength: Any  # (n,)


class RowChooser:
    """Draws the rows of guided passes, from a generator of its own.

    Its numbers depend on the seed and on how often it was asked since `restart`, so that
    guidance moves no other random number and equal runs stay equal. They are drawn in numpy for
    every framework: the same seed exchanges the same rows in all of them.
    """

    def __init__(self, seed: int, modality: Modality) -> None:
        self._seed = seed
        self._modality = modality
        self._random = np.random.default_rng(seed)

    def restart(self) -> None:
        """Begin the sequence anew."""
        self._random = np.random.default_rng(self._seed)

    def kept(self) -> dict[str, Any]:
        """Where the sequence is, for a checkpoint."""
        state: dict[str, Any] = dict(self._random.bit_generator.state)
        return state

    def take(self, kept: Mapping[str, Any]) -> None:
        """Go on where `kept` was."""
        self._random.bit_generator.state = dict(kept)

    def marked(
        self, plan: Plan[Any], kind: str, inputs: Any, targets: Any, count: int, least: int = 0
    ) -> Marked | None:
        """At most `count` rows that have a stroke of `kind`, annotated samples first.

        Fewer than `least` are joined by rows of the batch without strength.
        """
        xp = compat.array_namespace(inputs)
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
        group = _group(xp, general, targets)
        wide, wide_strength = wide[group], wide_strength[group]
        here, carried = self._carried(xp, plan, "look" if look else "ignore", inputs, targets)
        if here is not None:
            wide, wide_strength = wide | here, xp.maximum(wide_strength, carried)
        few = count
        if kind == "ignore" and plan.like_strength > 0:
            # half of the rows for places that only other samples may show it at
            wide = wide | xp.any(plan.like[0], axis=0)
            wide_strength = xp.clip(wide_strength, plan.like_strength, None)
            few = max(1, count // 2)
        a = self._some(inputs, own_strength != 0, few)
        o = self._some(inputs, wide_strength > 0, count - len(a))
        if len(a) + len(o) == 0:
            return None
        b = self._beside(inputs, least - len(a) - len(o))
        region = xp.concat([own[a], wide[o], xp.zeros_like(wide[b])])
        return Marked(
            inputs=xp.concat([xp.astype(plan.inputs[a], inputs.dtype), inputs[o], inputs[b]]),
            targets=xp.concat([_like(xp, plan.labels[a], targets), targets[o], targets[b]]),
            region=xp.astype(region, xp.float32),
            strength=xp.concat(
                [own_strength[a], wide_strength[o], xp.zeros_like(wide_strength[b])]
            ),
        )

    def swapped(
        self,
        plan: Plan[Any],
        inputs: Any,
        targets: Any,
        indices: Any | None,
        count: int,
        least: int = 0,
    ) -> Swapped | None:
        """At most `count` rows in which what is to be ignored is another sample's.

        Fewer than `least` are joined by rows of the batch, unchanged and without strength.

        Parameters
        ----------
        inputs : array (B, ..., E)
        targets : array (B,) or (B, classes)
        indices : array (B,) or None
            Their places in the training data; None where nobody knows.
        """
        xp = compat.array_namespace(inputs)
        batch = len(inputs)
        margin = int(self._random.integers(len(MARGINS)))
        place, strength, known, box = self._ordinary(xp, plan, inputs, targets, indices, margin)
        here, carried = self._carried(xp, plan, "ignore", inputs, targets)
        if here is not None:
            place, strength = place | here, xp.maximum(strength, carried)
        helpful = strength > 0
        few = max(1, round(ANNOTATED_SHARE * count)) if bool(xp.any(helpful)) else count
        a = self._some(inputs, plan.ignore_strength != 0, min(few, count))
        o = self._some(inputs, helpful, count - len(a))
        if len(a) + len(o) == 0:
            return None
        swap = xp.concat([plan.swap[margin][a], place[o]])
        x = xp.concat([xp.astype(plan.inputs[a], inputs.dtype), inputs[o]])
        if batch == 1:
            shape = (len(x), *x.shape[1 : x.ndim - swap.ndim + 1], *[1] * (swap.ndim - 1))
            values = xp.astype(_to(inputs, self._random.random(shape, np.float32)), x.dtype)
            low, high = xp.min(inputs), xp.max(inputs)
            other = xp.broadcast_to(low + (high - low) * values, x.shape)
        else:
            start = xp.concat([xp.zeros_like(a), o])
            step = _to(inputs, self._random.integers(1, batch, size=len(x)))
            donor = (start + step) % batch
            other = inputs[donor]
            if bool(xp.any(known)):
                other = self._from_known(xp, other, donor, o, len(a), known, box)
            other = self._modality.laid_out(other, x)
            if here is not None:
                swap = swap | self._carried(xp, plan, "ignore", other, targets[donor])[0]
        b = self._beside(inputs, least - len(x))
        return Swapped(
            original=xp.concat([x, inputs[b]]),
            swapped=xp.concat([self._modality.exchange(swap, x, other), inputs[b]]),
            targets=xp.concat([_like(xp, plan.labels[a], targets), targets[o], targets[b]]),
            strength=xp.concat([plan.ignore_strength[a], strength[o], xp.zeros_like(strength[b])]),
        )

    def counterfactual(
        self, plan: Plan[Any], inputs: Any, targets: Any, indices: Any | None
    ) -> Any:
        """The batch (B, ..., E) with what is to be ignored exchanged among its rows.

        Each row takes part with a probability that grows with its strength. The donors are a
        permutation of the rows, so that the batch as a whole has the same values as before.
        """
        xp = compat.array_namespace(inputs)
        batch = len(inputs)
        margin = int(self._random.integers(len(MARGINS)))
        place, strength, known, box = self._ordinary(xp, plan, inputs, targets, indices, margin)
        if indices is not None and len(plan.samples):
            at = xp.clip(xp.searchsorted(plan.samples, indices), None, len(plan.samples) - 1)
            here = plan.samples[at] == indices
            place = place | (plan.swap[margin][at] & over(here, place))
            own = xp.where(here, plan.ignore_strength[at], xp.zeros_like(strength))
            strength = xp.maximum(strength, own)
        rows = _to(inputs, np.arange(batch))
        donor = (rows + int(self._random.integers(1, batch))) % batch
        other = inputs[donor]
        if bool(xp.any(known)):
            other = self._from_known(xp, other, donor, rows, 0, known, box)
        other = self._modality.laid_out(other, inputs)
        # A row takes what is carried there from its donor too: to be seen with any class it must
        # come as often as it goes.
        for values, labels in ((inputs, targets), (other, targets[donor])):
            at, carried = self._carried(xp, plan, "ignore", values, labels)
            if at is not None:
                place, strength = place | at, xp.maximum(strength, carried)
        drawn = _to(inputs, self._random.random(batch))
        taking_part = drawn < 1 - (1 - strength) ** TAKING_PART
        swap = place & over(taking_part, place)
        return self._modality.exchange(swap, inputs, other)

    def exchanged(
        self, plan: Plan[Any], inputs: Any, targets: Any, indices: Any | None
    ) -> tuple[Any, Any]:
        """`counterfactual`, and its targets (B, ...)."""
        return self.counterfactual(plan, inputs, targets, indices), targets

    def _carried(
        self, xp: Any, plan: Plan[Any], kind: Kind, inputs: Any, targets: Any
    ) -> tuple[Any, Any]:
        """Where rows (B, ...) carry what is marked, (B, E), and how strongly it is, (B,).

        None and None where nothing of that kind is carried.
        """
        labels = targets if targets.ndim == 1 else xp.argmax(targets, axis=1)
        found: Any = None
        strength: Any = None
        for each in plan.carried:
            if each.kind != kind:
                continue
            at = self._modality.occurrences(each.pattern, inputs)
            if each.label is not None:
                at = at & over(labels == each.label, at)
            has = xp.any(xp.reshape(at, (len(at), -1)), axis=1)
            own = xp.astype(has, xp.float32) * each.strength
            found = at if found is None else found | at
            strength = own if strength is None else xp.maximum(strength, own)
        return found, strength

    def _ordinary(
        self, xp: Any, plan: Plan[Any], inputs: Any, targets: Any, indices: Any, margin: int
    ) -> tuple[Any, Any, Any, Any]:
        """Of each row: places to swap (B, E), strength (B,), if its artefact is known; a box.

        In that box (B, 2 x axes) an artefact of another row may be shown.
        """
        general, batch = plan.general, len(targets)
        group = _group(xp, general, targets)
        place, strength = general.ignore[group], general.ignore_strength[group]
        extent = tuple(place.shape[1:])
        if plan.like_strength > 0:
            like = plan.like[margin]
            union = xp.any(like, axis=0)
            if float(xp.mean(xp.astype(union, xp.float32))) <= WIDEST_FILL:
                place = place | union
            else:
                # all at once would leave too little to see
                place = place | like[_to(inputs, self._random.integers(len(like), size=batch))]
            strength = xp.clip(strength, plan.like_strength, None)
        known = _to(inputs, np.zeros(batch, np.bool_))
        box = _to(inputs, np.zeros((batch, 2 * len(extent)), np.int64))
        for places in plan.located if indices is not None else ():
            here, at = _find(xp, places, indices)
            # no own place: one of the others, for an untouched row would tell its class
            drawn = _to(inputs, self._random.integers(len(places.index), size=batch))
            at = xp.where(here, at, drawn)
            where = places.box[at]
            place = place | _boxes(xp, self._wider(xp, where, MARGINS[margin], extent), extent)
            strength = xp.maximum(strength, places.strength[at])
            known, box = known | here, xp.where((here | ~known)[:, None], where, box)
        return place, strength, known, box

    def _wider(self, xp: Any, box: Any, share: float, extent: tuple[int, ...]) -> Any:
        """Boxes (B, 2 x axes), each side moved out by `share` of a quarter of the longest one.

        As in `plan.grown`, along each axis as far as the modality's reach goes.
        """
        axes, reach = len(extent), self._modality.reach
        sides = [box[:, axes + a] - box[:, a] for a in range(axes) if reach[a]]
        if not sides:
            return box
        longest = xp.max(xp.stack(sides, axis=1), axis=1)
        margins = []
        for share_of_longest in reach:
            most = xp.clip((longest + 2) // 4, None, round(share_of_longest * max(extent)))
            margins.append(xp.astype(xp.round(xp.astype(most, xp.float32) * share), xp.int64))
        return box + xp.stack([-m for m in margins] + margins, axis=1)

    def _from_known(
        self, xp: Any, other: Any, donor: Any, o: Any, first: int, known: Any, box: Any
    ) -> Any:
        """Donors for rows whose place is known: most show no artefact there, some show one.

        A model that used an artefact learns anew the sooner it seldom meets one; never to meet
        one would leave alone what it made of them.
        """
        n, axes = len(o), box.shape[1] // 2
        extent = other.shape[other.ndim - axes :]
        given, place, rows = donor[first:], box[o], _to(other, np.arange(len(o)))
        low, high = place[:, :axes], place[:, axes:]
        near = (high - low + 2) // 4  # as far as a swap may reach past its box
        free, pick = _to(other, np.zeros(n, np.bool_)), rows
        for further in range(min(TRIES, n)):
            one = (rows + further) % n
            theirs = box[given[one]]
            apart = (theirs[:, :axes] >= high + near) | (low - near >= theirs[:, axes:])
            fits = (xp.any(apart, axis=1) | ~known[given[one]]) & (given[one] != o)
            pick = xp.where(fits & ~free, one, pick)
            free = free | fits
        # By their middles, whatever their sizes: boxes of one size are often of one class.
        shift = (box[given][:, :axes] + box[given][:, axes:] - low - high) // 2
        shown = known[given] & (_to(other, self._random.random(n)) < SHOWN)
        pick = xp.where(shown, rows, pick)
        shift = xp.where(shown[:, None], shift, xp.zeros_like(shift))
        taken = _shifted(xp, other[first:], pick, shift, extent)
        return taken if first == 0 else xp.concat([other[:first], taken])

    def _some(self, like: Any, wanted: Any, most: int) -> Any:
        """At most `most` of the rows that are `wanted`, (rows,) of bool, in random order."""
        xp = compat.array_namespace(like)
        (found,) = xp.nonzero(wanted)
        return found[_to(like, self._random.permutation(len(found))[: max(0, most)])]

    def _beside(self, inputs: Any, missing: int) -> Any:
        """Rows of the batch that join a pass; where none are missing no number is drawn."""
        drawn = self._random.permutation(len(inputs) if missing > 0 else 0)
        return _to(inputs, drawn[: max(0, missing)].astype(np.int64))


def _to(like: Any, values: Any) -> Any:
    """A numpy array as one of `like`'s kind, on its device."""
    return compat.array_namespace(like).asarray(values, device=compat.device(like))


def _shifted(xp: Any, x: Any, rows: Any, shift: Any, extent: tuple[int, ...]) -> Any:
    """Of x (m, ..., E) the given rows (n,), each moved by `shift` (n, axes); edges repeat."""
    axes, n = len(extent), len(rows)
    places = rows.reshape(n, *[1] * axes)
    at: list[Any] = [places, *[slice(None)] * (x.ndim - 1 - axes)]
    for axis, length in enumerate(extent):
        moved = xp.clip(_to(x, np.arange(length)) + shift[:, axis : axis + 1], 0, length - 1)
        at.append(moved.reshape(n, *[1] * axis, length, *[1] * (axes - axis - 1)))
    taken = x[tuple(at)]
    if x.ndim - 1 == axes:
        return taken
    # Indices apart from one another: numpy and torch put their axes first, (n, E, ...).
    order = (0, *range(axes + 1, x.ndim), *range(1, axes + 1))
    return xp.permute_dims(taken, order)


def _group(xp: Any, general: General[Any], targets: Any) -> Any:
    """(B,) the group of each row, from its label or its probabilities."""
    labels = targets if targets.ndim == 1 else xp.argmax(targets, axis=1)
    if len(general.classes) == 0:
        return xp.zeros_like(labels)
    same = labels[:, None] == general.classes
    number = xp.argmax(xp.astype(same, xp.int32), axis=1) + 1
    return xp.where(xp.any(same, axis=1), number, xp.zeros_like(number))


def _find(xp: Any, places: Places[Any], indices: Any) -> tuple[Any, Any]:
    """(B,) whether each sample is known, and (B,) its number among them if so."""
    at = xp.clip(xp.searchsorted(places.index, indices), None, len(places.index) - 1)
    return places.index[at] == indices, at


def _boxes(xp: Any, box: Any, extent: tuple[int, ...]) -> Any:
    """Boxes (B, 2 x axes) as masks (B, E)."""
    axes, found = len(extent), None
    for axis, length in enumerate(extent):
        at = _to(box, np.arange(length))
        inside = (at >= box[:, axis : axis + 1]) & (at < box[:, axes + axis : axes + axis + 1])
        inside = inside.reshape(len(box), *[1] * axis, length, *[1] * (axes - axis - 1))
        found = inside if found is None else found & inside
    return found


def _like(xp: Any, labels: Any, targets: Any) -> Any:
    """Labels in the form of `targets`: as they are, or as probabilities."""
    if labels.ndim < targets.ndim:
        labels = labels[:, None] == _to(labels, np.arange(targets.shape[1]))
    return xp.astype(labels, targets.dtype)
