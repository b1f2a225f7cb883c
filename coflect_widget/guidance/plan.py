"""The guidance in force as masks and strengths: what the losses of every framework need of it.

Where this file says E: the axes of a sample's extent, (H, W) of a picture.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from coflect_widget.guidance.state import ActiveStroke, GuidanceState, Kind, Located, masks
from coflect_widget.modalities.base import BoolArray, Modality, Pattern, over

Array = NDArray[np.float32]
Numbers = NDArray[np.int64]
#: Indices -> inputs (n, ...) and labels (n,), arrays of the framework.
ReadRows = Callable[[Sequence[int]], tuple[Any, Any]]
#: What a plan is made of: ndarray, or the tensors of a framework.
A = TypeVar("A")

#: A swap reaches past what was drawn by these shares of its `reach`, in turn: a hand is not exact.
MARGINS = (0.0, 1 / 3, 2 / 3, 1.0)
#: Share of the extent up to which a place has a reach.
WIDEST_PLACE = 0.1
#: Of the rows of a fill, the share that annotated samples may take where ordinary rows help too.
ANNOTATED_SHARE = 1 / 8
#: Of rows at strength s, 1 - (1 - s) ** this take part in an exchange: 97 % at 0.3.
TAKING_PART = 10
#: Share of the extent up to which all like places are swapped at once.
WIDEST_FILL = 0.5
#: Of rows whose place is exchanged for one where an artefact may be known, the share that get it.
SHOWN = 0.1
#: Rows that are looked at for one that shows no artefact there.
TRIES = 8


#: Places that differ by so many units are one that was drawn or found a little beside itself;
BESIDE = 2.0
#: of so many different ones none recurs.
MOST_RECURRING = 500


@dataclass(frozen=True, slots=True)
class General(Generic[A]):
    """Strokes that are about no single sample, for G groups of rows.

    Group 0 holds what is said of every sample; each class of which more is said has a group of
    its own.
    """

    look: A  # (G, E) of bool
    ignore: A  # (G, E) of bool
    look_strength: A  # (G,)
    ignore_strength: A  # (G,)
    classes: A  # (G - 1,) the class of each group but the first


@dataclass(frozen=True, slots=True)
class Places(Generic[A]):
    """Where an artefact is known to be, sample by sample; all boxes are of one size.

    What is swapped must not tell a row's class, for then that is learned. Hence one size,
    whoever drew which box for which class, and hence a row whose own place is not known has
    one of the others swapped.
    """

    index: A  # (n,) sorted
    box: A  # (n, 2 x axes) units: the low corner and the high one, in the order of the mask's axes
    strength: A  # (n,)


@dataclass(frozen=True, slots=True)
class Carried:
    """What is marked in each row that has it, wherever it is there; see `Modality.pattern`."""

    kind: Kind
    pattern: Pattern
    strength: float
    label: int | None  # the class that it is about


@dataclass(frozen=True, slots=True)
class Plan(Generic[A]):
    """A GuidanceState as arrays; N annotated samples, M margins, K like places."""

    samples: A  # (N,) their indices, sorted
    inputs: Any  # (N, ..., E) as the framework read them
    labels: Any  # (N,), or (N, L) where a sample has several
    look: A  # (N, E) of bool
    ignore: A  # (N, E) of bool
    swap: A  # (M, N, E) of bool: what is ignored, grown by 0, 1, ... units
    look_strength: A  # (N,)
    ignore_strength: A  # (N,)
    like: A  # (M, K, E) of bool: what is swapped in ordinary rows, grown likewise
    like_strength: float
    general: General[A]
    located: tuple[Places[A], ...]
    looks: bool  # anything is to be looked at
    ignores: bool  # anything is to be ignored
    reaches_others: bool  # anything is to be ignored in samples that nobody drew on
    found_all: bool  # all that is to be ignored was found, sample by sample, or is carried
    carried: tuple[Carried, ...] = ()


def make_plan(
    state: GuidanceState, read_rows: ReadRows, modality: Modality
) -> Plan[NDArray[Any]] | None:
    """What the losses need of `state`; None where nothing in it has strength."""
    strokes = [stroke for stroke in state.strokes if stroke.strength > 0]
    located = [entry for entry in state.located if entry.strength > 0 and entry.index]
    if not strokes and not located:
        return None
    samples = sorted({s.sample for s in strokes if s.sample is not None})
    # without a sample of their own, any one tells shape and type
    inputs, labels = read_rows(samples or [0])
    if samples and labels.ndim == 1 and (labels < 0).any():  # a person has left these out
        samples = [s for s, label in zip(samples, labels, strict=True) if label >= 0]
        inputs, labels = read_rows(samples or [0])
    extent = modality.extent(inputs[0])
    rows = [_plain(inputs[k]) for k in range(len(samples))]
    own = [
        masks([s for s in strokes if s.concerns(sample, _class(label))], modality, extent, x)
        for sample, label, x in zip(samples, labels, rows, strict=False)
    ]
    carried: list[Carried] = []
    general = _general(strokes, modality, extent)
    found_elsewhere = {entry.of for entry in located}
    places: dict[bytes, BoolArray] = {}
    like_strength = 0.0
    for stroke in strokes:
        if stroke.sample is None:
            carried += _carried(stroke, modality, None)
        if stroke.kind != "ignore" or stroke.sample is None:
            continue
        if stroke.id in found_elsewhere:  # of several, the first is what was searched for
            found_elsewhere.remove(stroke.id)
        elif stroke.spreads:
            there = [
                s
                for s in strokes
                if s.sample == stroke.sample and (s.kind == "look" or s is stroke)
            ]
            drawn = masks(there, modality, extent)
            if stroke.sample in samples:
                carried += _carried(stroke, modality, rows[samples.index(stroke.sample)])
            for place in modality.alike(drawn.ignore):
                like_strength = max(like_strength, stroke.strength)
                places.setdefault(place.tobytes(), place & ~general.look[0])

    def stack(values: Sequence[BoolArray]) -> BoolArray:
        return np.array(values, dtype=np.bool_).reshape(-1, *extent)

    looked, ignored = stack([m.look for m in own]), stack([m.ignore for m in own])
    like = stack([place for place in places.values() if place.any()])
    look_strength = np.array([m.look_strength for m in own], np.float32)
    ignore_strength = np.array([m.ignore_strength for m in own], np.float32)
    everywhere = bool((general.ignore_strength > 0).any())
    ignored_elsewhere = any(each.kind == "ignore" for each in carried)
    reaches_others = like_strength > 0 or bool(located) or everywhere or ignored_elsewhere
    return Plan(
        samples=np.array(samples, dtype=np.int64),
        inputs=inputs[: len(samples)],
        labels=labels[: len(samples)],
        look=looked,
        ignore=ignored,
        swap=np.stack([grown(ignored, share, modality.reach) & ~looked for share in MARGINS]),
        look_strength=look_strength,
        ignore_strength=ignore_strength,
        like=np.stack([grown(like, share, modality.reach) & ~general.look[0] for share in MARGINS]),
        like_strength=like_strength,
        general=general,
        located=located_places(located, extent),
        looks=bool((look_strength > 0).any() or (general.look_strength > 0).any())
        or any(each.kind == "look" for each in carried),
        ignores=bool((ignore_strength > 0).any()) or reaches_others,
        reaches_others=reaches_others,
        found_all=(bool(located) or ignored_elsewhere) and like_strength == 0 and not everywhere,
        carried=tuple(carried),
    )


def _plain(x: Any) -> NDArray[Any]:
    """A row of a framework's inputs in numpy."""
    found: NDArray[Any] = np.asarray(x.detach().cpu() if hasattr(x, "detach") else x)
    return found


def _carried(
    stroke: ActiveStroke, modality: Modality, x: NDArray[Any] | None
) -> tuple[Carried, ...]:
    pattern = modality.pattern(stroke.region, x)
    if pattern is None:
        return ()
    return (Carried(stroke.kind, pattern, stroke.strength, stroke.label),)


def mapped(plan: Plan[NDArray[Any]], move: Callable[[NDArray[Any]], Any]) -> Plan[Any]:
    """The same plan, each array by `move`; its inputs and labels are the framework's already."""
    names = [field.name for field in fields(General)]
    general: General[Any] = General(**{n: move(getattr(plan.general, n)) for n in names})
    located: tuple[Any, ...] = tuple(
        Places(move(p.index), move(p.box), move(p.strength)) for p in plan.located
    )
    named = ("samples", "look", "ignore", "swap", "look_strength", "ignore_strength", "like")
    arrays: dict[str, Any] = {name: move(getattr(plan, name)) for name in named}
    moved: Any = replace(plan, general=general, located=located, **arrays)
    found: Plan[Any] = moved
    return found


def _class(label: Any) -> int:
    """The class of a sample; -1 where it has several labels."""
    return -1 if label.ndim else int(label)


def grown(places: BoolArray, share: float, reach: Sequence[float]) -> BoolArray:
    """Places (n, E) and all units around them within `share` of their reach.

    That is a quarter of a place's longest side, along each axis at most `reach` of the extent's
    longest; none where the place is large: who marks all of the background follows the object's
    outline.
    """
    most = [round(axis * max(places.shape[1:])) for axis in reach]
    found = places.copy()
    for number, place in enumerate(places if any(most) else ()):
        margins = [round(share * min((_longest(place, most) + 2) // 4, axis)) for axis in most]
        if any(margins) and place.mean() <= WIDEST_PLACE:
            wide = np.pad(place, [(margin, margin) for margin in margins])
            for start in np.ndindex(*(2 * margin + 1 for margin in margins)):
                cut = (slice(a, a + side) for a, side in zip(start, place.shape, strict=True))
                found[number] |= wide[tuple(cut)]
    return found


def _longest(place: BoolArray, most: Sequence[int]) -> int:
    """Along the axis where it is most, of those with a reach, how many units it is in."""
    axes = range(place.ndim)
    return max(
        int(place.any(tuple(a for a in axes if a != axis)).sum()) for axis in axes if most[axis]
    )


def _general(
    strokes: Sequence[ActiveStroke], modality: Modality, extent: tuple[int, ...]
) -> General[NDArray[Any]]:
    wide = [s for s in strokes if s.sample is None]
    classes = sorted({s.label for s in wide if s.label is not None})
    groups = [masks([s for s in wide if s.label is None], modality, extent)]
    groups += [masks([s for s in wide if s.label in (None, c)], modality, extent) for c in classes]
    return General(
        look=np.stack([g.look for g in groups]),
        ignore=np.stack([g.ignore for g in groups]),
        look_strength=np.array([g.look_strength for g in groups], np.float32),
        ignore_strength=np.array([g.ignore_strength for g in groups], np.float32),
        classes=np.array(classes, dtype=np.int64),
    )


def located_places(
    entries: Sequence[Located], extent: tuple[int, ...]
) -> tuple[Places[NDArray[Any]], ...]:
    """What was found by many strokes, gathered: boxes of about one size are of one artefact."""
    open_: list[tuple[Array, dict[int, tuple[list[Array], float]]]] = []
    for entry in entries:
        # corners have the last axis first, and so has what is counted here until its end
        boxes = np.array(entry.boxes, np.float32) * np.array(extent[::-1] * 2, np.float32)
        boxes = boxes.reshape(-1, 2, len(extent))  # of each the low corner and the high one
        size = (boxes[:, 1] - boxes[:, 0]).max(0)
        known = next((g for at, g in open_ if (np.abs(size - at) <= _near(at)).all()), None)
        if known is None:
            known = {}
            open_.append((size, known))
        for index, box in zip(entry.index, boxes, strict=True):
            found, strength = known.get(index, ([], 0.0))
            known[index] = ([*found, box], max(strength, entry.strength))
    return tuple(places for _, known in open_ for places in _gathered(known))


def _near(size: Array) -> Array:
    """Difference of sizes and places up to which two drawn boxes may mean the same."""
    found: Array = np.maximum(2.0, size / 3).astype(np.float32)
    return found


def _gathered(known: dict[int, tuple[list[Array], float]]) -> list[Places[NDArray[Any]]]:
    """Samples and their boxes as Places; a second place in one sample goes to a second one."""
    index, boxes, strength = [], [], []
    more: dict[int, tuple[list[Array], float]] = {}
    for k, (found, strong) in sorted(known.items()):
        middles = [(low + high) / 2 for low, high in found]
        near = _near(found[0][1] - found[0][0])
        apart = [(np.abs(middle - middles[0]) > near).any() for middle in middles]
        here = [box for box, far in zip(found, apart, strict=True) if not far]
        index.append(k)
        boxes.append(np.concatenate([np.mean([(low + high) / 2 for low, high in here], 0),
                                     np.max([high - low for low, high in here], 0)]))  # fmt: skip
        strength.append(strong)
        if any(apart):
            more[k] = ([box for box, far in zip(found, apart, strict=True) if far], strong)
    middle, size = np.split(np.array(boxes, np.float32), 2, axis=1)
    size = np.ceil(size.max(0) - 0.01)
    corner = np.floor(_settled(middle) - size / 2 + 0.5)
    places: Places[NDArray[Any]] = Places(
        np.array(index, np.int64),
        np.concatenate([corner[:, ::-1], (corner + size)[:, ::-1]], 1).astype(np.int64),
        np.array(strength, np.float32),
    )
    return [places, *(_gathered(more) if more else [])]


def _settled(middle: Array) -> Array:
    """Middles (n, axes), each moved to the mean of those beside it, where places recur."""
    different, which = np.unique(middle.round(1), axis=0, return_inverse=True)
    if len(different) > MOST_RECURRING:
        return middle
    count = np.bincount(which.ravel(), minlength=len(different))
    beside = (np.abs(different[:, None] - different) <= BESIDE).all(2) * count
    found: Array = ((beside @ different) / beside.sum(1, keepdims=True))[which.ravel()]
    return found


def look_as_ignore(
    plan: Plan[NDArray[Any]], rest_of: Callable[[BoolArray], BoolArray]
) -> Plan[NDArray[Any]]:
    """Looking at a region, said as ignoring all the rest of those samples (`Modality.rest`)."""
    general = plan.general

    def rest(look: BoolArray, strength: Array, ignore: BoolArray) -> Any:
        return np.where(over(strength > 0, look), rest_of(look), ignore)

    own = rest(plan.look, plan.look_strength, plan.ignore)
    strongest = np.maximum(general.look_strength, general.ignore_strength)
    return replace(
        plan,
        ignore=own,
        swap=np.broadcast_to(own, plan.swap.shape),
        ignore_strength=np.maximum(plan.look_strength, plan.ignore_strength),
        look_strength=np.zeros_like(plan.look_strength),
        general=replace(
            general,
            ignore=rest(general.look, general.look_strength, general.ignore),
            ignore_strength=strongest,
            look_strength=np.zeros_like(general.look_strength),
        ),
        looks=False,
        ignores=True,
        reaches_others=plan.reaches_others or bool((strongest > 0).any()),
    )
