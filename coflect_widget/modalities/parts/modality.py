"""Samples of several inputs as a kind of input: a row of numbers in which each input has a part.

A sample `x` is a row (T,) of float32, one part after the other, and its extent (U,) is that of the
parts, one after the other: (H x W,) of a picture, then (L,) of a text. All that is asked of a part
its own kind answers.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import array_api_compat as compat
import numpy as np
from numpy.typing import NDArray

from coflect_widget.config import DisplayConfig
from coflect_widget.modalities.base import (
    Array,
    BoolArray,
    Map,
    Modality,
    Pattern,
    Region,
    Rendering,
    is_flat,
)
from coflect_widget.modalities.parts.part import Part, PartRegion, UnreadRegion
from coflect_widget.modalities.parts.reading import read_words, regions_of, unread
from coflect_widget.modalities.parts.render import content
from coflect_widget.modalities.units import Units

#: Rows of the data that are kept for the exchange that measures shares, and their bytes.
_DONORS, _FEWEST, _BYTES = 32, 8, 2**22


class Parts(Units):
    """Several inputs, each of its own kind.

    Parameters
    ----------
    kinds : mapping of str to Modality, optional
        The kinds that a person has named; those of other inputs are found by the data.

    Attributes
    ----------
    members : tuple of Part
        () until the data are known.
    donors : ndarray (n, T) of float32 or None
        A few rows of the training data.
    """

    name = "parts"
    methods: tuple[str, ...] = ("consensus", "smoothgrad")
    by_exchange = True

    def __init__(self, kinds: Mapping[str, Modality] | None = None) -> None:
        self.kinds = dict(kinds or {})
        self.members: tuple[Part, ...] = ()
        self.donors: Array | None = None

    def of(self, parts: Sequence[Part]) -> Parts:
        """The same with the parts that a sample has."""
        other = copy.copy(self)
        other.members = tuple(parts)
        words = [part.name for part in parts]
        other.examples = tuple(
            f"ignore {part.name}: {example.removeprefix('ignore ')}"
            for part in parts
            for example in part.modality.examples[:2]
            if example.startswith("ignore ")
        )
        known = [part.modality.synonyms for part in parts]
        other.synonyms = {
            word: said for one in known for word, said in one.items() if word not in words
        }
        other.fillers = frozenset.intersection(*(part.modality.fillers for part in parts))
        return other

    def with_kind(self, name: str, change: Callable[[Modality], Modality]) -> Parts:
        """The same with another kind of one part."""
        other = copy.copy(self)
        other.members = tuple(
            replace(part, modality=change(part.modality)) if part.name == name else part
            for part in self.members
        )
        return other

    # --- what a sample is ----------------------------------------------------------------------

    def check(self, x: Any, argument: str) -> None:
        """See `Modality.check`."""
        if not self.members:
            raise ValueError(
                f"inputs= names kinds of several inputs, {', '.join(map(repr, self.kinds))}, and "
                f"{argument} has one; leave inputs= out, or give a dict of arrays"
            )
        width = self.members[-1].stop
        if tuple(x.shape) != (width,):
            raise ValueError(
                f"{argument} has samples of shape {tuple(x.shape)}; expected rows of {width} "
                f"numbers, those of {self._named()}"
            )

    def _named(self) -> str:
        return ", ".join(repr(part.name) for part in self.members)

    def fitted(
        self, inputs: Iterable[Array], argument: str, numbers: Sequence[int] | None = None
    ) -> Parts:
        """With what each part's kind learns, and a few rows of the training data."""
        rows = inputs if isinstance(inputs, np.ndarray) else np.stack(list(inputs))
        other = self
        for part in self.members:
            where = f"the input {part.name!r} of {argument}"
            kind = part.modality.fitted(part.of(rows), where, numbers)
            other = other.with_kind(part.name, lambda _, kind=kind: kind)  # type: ignore[misc]
        if other.donors is None:
            other = copy.copy(other)
            most = max(_FEWEST, min(_DONORS, _BYTES // max(1, rows[:1].nbytes)))
            spread = np.linspace(0, len(rows) - 1, min(most, len(rows))).round().astype(np.int64)
            other.donors = np.array(rows[spread], np.float32)
        return other

    def assumed(self, x: Array) -> str:
        """What is assumed of each part."""
        guessed = [part for part in self.members if part.name not in self.kinds]
        if not guessed:
            return ""
        named = ", ".join(f"{part.name!r} of the kind {part.modality.name!r}" for part in guessed)
        said = [f"Several inputs were found: {named}; inputs={{name: kind}} says it otherwise."]
        said += [
            f"Of {part.name!r}: {more}"
            for part in guessed
            if (more := part.modality.assumed(part.of(x)))
        ]
        return " ".join(said)

    def extent(self, x: Any) -> tuple[int, ...]:
        """All units of all parts, one after the other."""
        del x
        return (self.members[-1].last,)

    # --- what a person marks -------------------------------------------------------------------

    def region(self, value: Any, argument: str, extent: tuple[int, ...] | None = None) -> Region:
        """``{name: region}``, a region that fits one part alone, or the JSON form."""
        if not self.members and isinstance(value, Mapping) and "part" in value:
            return UnreadRegion.of(value)
        found = self.regions(value, argument, extent)
        if len(found) != 1:
            raise ValueError(f"{argument}={value!r} is not one region; give {{name: region}}")
        return found[0]

    def regions(
        self, value: Any, argument: str, extent: tuple[int, ...] | None = None
    ) -> tuple[Region, ...]:
        """``{name: region or list of regions}``, or a list of what `region` takes."""
        del extent
        if value is None:
            return ()
        if not self.members and isinstance(value, Mapping) and "part" not in value:
            return unread(value)  # for who has the data
        if isinstance(value, PartRegion):
            return (value,)
        if isinstance(value, list) and all(isinstance(v, Mapping | PartRegion) for v in value):
            return tuple(
                region
                for k, one in enumerate(value)
                for region in self.regions(one, f"{argument}[{k}]")
            )
        return regions_of(self.members, value, argument)

    def read(self, words: str, *, bare: bool) -> tuple[str, tuple[Region, ...]] | str:
        """``part: words`` in the words of the part's kind, or words that one part alone reads."""
        return read_words(self.members, words, bare=bare)

    def describe(self, regions: Sequence[Region]) -> str:
        """In the words of each part's kind."""
        said = []
        for part in self.members:
            inner = [r.inner for r in _of_parts(regions) if r.part == part.name]
            if inner:
                said.append(f"{part.modality.describe(inner)} of {part.name}")
        return " and ".join(said) or "a region"

    def member(self, name: str) -> Part:
        """The part of that name.

        Raises
        ------
        ValueError
            If there is none.
        """
        for part in self.members:
            if part.name == name:
                return part
        raise ValueError(f"there is no input {name!r}; there are {self._named()}")

    # --- masks ---------------------------------------------------------------------------------

    def _placed(self, part: Part, mask: Any, xp: Any = np) -> Any:
        """A mask (..., E) of one part as one of the whole (..., U)."""
        lead = mask.shape[: mask.ndim - len(part.extent)]
        flat = mask.reshape((*lead, part.last - part.first))
        where = {} if xp is np else {"device": compat.device(mask)}
        before = xp.zeros((*lead, part.first), dtype=flat.dtype, **where)
        rest = self.members[-1].last - part.last
        after = xp.zeros((*lead, rest), dtype=flat.dtype, **where)
        return xp.concat([before, flat, after], axis=-1)

    def mask(self, region: Region, extent: tuple[int, ...]) -> BoolArray:
        """See `Modality.mask`."""
        del extent
        [one] = _of_parts([region])
        part = self.member(one.part)
        found: BoolArray = self._placed(part, part.modality.mask(one.inner, part.extent))
        return found

    def mask_in(self, region: Region, x: Array) -> BoolArray:
        """See `Modality.mask_in`."""
        [one] = _of_parts([region])
        part = self.member(one.part)
        found: BoolArray = self._placed(part, part.modality.mask_in(one.inner, part.of(x)))
        return found

    def rest(self, masks: BoolArray) -> BoolArray:
        """All else of the same part; nothing of parts without a mark."""
        found = np.zeros_like(masks)
        for part in self.members:
            cut = masks[..., part.first : part.last]
            found[..., part.first : part.last] = ~cut & cut.any(-1, keepdims=True)
        return found

    def overlap(self, one: Region, other: Region) -> bool:
        """Whether they are of one part and share a unit."""
        a, b = _of_parts([one, other])
        return a.part == b.part and self.member(a.part).modality.overlap(a.inner, b.inner)

    def alike(self, mask: BoolArray) -> list[BoolArray]:
        """What each part's kind says of its marks."""
        return [
            self._placed(part, place)
            for part, own in self._marked(mask)
            for place in part.modality.alike(own)
        ]

    def _marked(self, mask: BoolArray) -> list[tuple[Part, BoolArray]]:
        """Parts with a mark, and their masks (..., E)."""
        return [(part, own) for part in self.members if (own := np.asarray(part.units(mask))).any()]

    def pattern(self, region: Region, x: Array | None) -> Pattern | None:
        """The part's name, and what its kind says."""
        [one] = _of_parts([region])
        part = self.member(one.part)
        found = part.modality.pattern(one.inner, None if x is None else part.of(x))
        return None if found is None else (one.part, found)

    def occurrences(self, pattern: Pattern, x: Any) -> Any:
        """See `Modality.occurrences`."""
        name, inner = cast("tuple[str, Any]", pattern)
        part = self.member(name)
        at = part.modality.occurrences(inner, part.of(x))
        return self._placed(part, at, compat.array_namespace(x))

    def _joined(self, x: Any, each: Sequence[Any]) -> Any:
        """Parts (B, *shape) as rows (B, T) of the type of `x`."""
        xp = compat.array_namespace(x)
        rows = [part.reshape((len(part), -1)) for part in each]
        rows = [row if row.dtype == x.dtype else xp.astype(row, x.dtype) for row in rows]
        return xp.concat(rows, axis=1)

    def laid_out(self, other: Any, x: Any) -> Any:
        """See `Modality.laid_out`."""
        each = [p.modality.laid_out(p.of(other), p.of(x)) for p in self.members]
        return self._joined(x, each)

    def exchange(self, mask: Any, x: Any, other: Any) -> Any:
        """See `Modality.exchange`; what is NaN in a single row stands for the part's `baseline`."""
        nothing = [False] * len(self.members)
        if isinstance(other, np.ndarray) and len(other) == 1:
            nothing = [bool(np.isnan(other[:, p.start : p.stop]).all()) for p in self.members]
        each = []
        for part, empty in zip(self.members, nothing, strict=True):
            own = part.of(x)
            theirs = part.modality.baseline(own[0])[None] if empty else part.of(other)
            each.append(part.modality.exchange(part.units(mask), own, theirs))
        return self._joined(x, each)

    def put(self, masks: BoolArray, inputs: Array, donors: Array) -> Array:
        """See `Modality.put`."""
        each = [p.modality.put(p.units(masks), p.of(inputs), p.of(donors)) for p in self.members]
        found: Array = self._joined(inputs, each)
        return found

    def elsewhere(self, mask: BoolArray, x: Array, rng: np.random.Generator) -> BoolArray:
        """In the same part; where a part has no room for it, as many units of the others."""
        found = np.zeros_like(mask)
        for part, own in self._marked(mask):
            if own.mean() <= 0.5:
                moved = part.modality.elsewhere(own, part.of(x), rng)
                found[part.first : part.last] |= moved.ravel()
                continue
            free = np.flatnonzero(~mask & ~found)
            free = free[(free < part.first) | (free >= part.last)]
            found[rng.choice(free, min(int(own.sum()), len(free)), replace=False)] = True
        return found

    def moves(
        self, extent: tuple[int, ...], count: int, rng: np.random.Generator
    ) -> NDArray[np.int64]:
        """Seeds, from which each part's own moves are drawn."""
        del extent
        return rng.choice(1 << 30, (count, 1), replace=False).astype(np.int64)

    def moved(self, masks: BoolArray, inputs: Array, by: NDArray[np.int64]) -> BoolArray:
        """Each in its part."""
        found = np.zeros_like(masks)
        rows = np.broadcast_to(inputs, (len(masks), *inputs.shape[1:]))
        for part, own in self._marked(masks):
            rng = np.random.default_rng(int(by[0]))
            steps = part.modality.moves(part.extent, 1, rng)
            if len(steps):
                moved = part.modality.moved(own, part.of(rows), steps[0])
                found[:, part.first : part.last] = moved.reshape(len(moved), -1)
        return found

    def baseline(self, x: Array) -> Array:
        """NaN, which `exchange` takes for what stands for nothing in each part."""
        return np.full(x.shape, np.nan, np.float32)

    def blank(self, shape: Sequence[int]) -> Array:
        """A blank of each part."""
        del shape
        each = [p.modality.blank(p.shape)[None] for p in self.members]
        found: Array = self._joined(np.zeros((1, 0), np.float32), each)[0]
        return found

    def jitter(self, inputs: Array, share: float, rng: np.random.Generator) -> Array:
        """Each part as its kind does."""
        each = [p.modality.jitter(p.of(inputs), share, rng) for p in self.members]
        found: Array = self._joined(inputs, each)
        return found

    # --- maps ----------------------------------------------------------------------------------

    def smooth(self, values: Map) -> Map:
        """Each part as its kind does."""
        each = [np.ravel(p.modality.smooth(p.units(values))) for p in self.members]
        return np.concatenate(each).astype(np.float32)

    def focus(self, values: Map) -> tuple[float, ...] | None:
        """None: what has the strongest units may be a box in one part and a span in another."""
        del values
        return None

    def heaviest(self, values: Map) -> Region | None:
        """That of the part with the largest value."""
        if is_flat(values):
            return None
        part = max(self.members, key=lambda one: float(values[one.first : one.last].max()))
        found = part.modality.heaviest(part.units(values))
        return None if found is None else PartRegion(part.name, found)

    def maps(self, values: Map) -> dict[str, Map]:
        """A map (U,) as one (E) for each part."""
        return {part.name: part.units(values) for part in self.members}

    # --- the same in other samples ---------------------------------------------------------------

    def template(self, x: Array, region: Region, others: Array) -> Any:
        """See `Modality.template`."""
        del x, region, others
        raise ValueError(
            "samples of several inputs are not searched for it; what is marked of a text is "
            "exchanged wherever it stands, and scope='everywhere' ignores a place in all of them"
        )

    def wanders(self, readings: Sequence[Array]) -> str:
        """What the kind of a part says, the first that says anything."""
        said = (p.modality.wanders([p.of(x) for x in readings]) for p in self.members)
        return next((words for words in said if words), "")

    # --- the screen ----------------------------------------------------------------------------

    def fit_display(
        self, display: DisplayConfig, x: Array, probes: Sequence[Array]
    ) -> tuple[DisplayConfig, str]:
        """As the parts' kinds do, one after the other."""
        said = []
        for part in self.members:
            own = [part.of(row) for row in probes]
            display, words = part.modality.fit_display(display, part.of(x), own)
            said += [words] if words else []
        return display, " ".join(said)

    def _shown(self) -> Part:
        """The part that stands for the sample in small: a picture, or else the first."""
        return next((part for part in self.members if len(part.extent) > 1), self.members[0])

    def render(self, x: Array, display: DisplayConfig) -> Rendering:
        """What is shown of one part."""
        part = self._shown()
        return part.modality.render(part.of(x), display)

    def on_picture(self, values: Array) -> Array:
        """That of the part that is shown."""
        found: Array = self._shown().units(values)
        return found

    def content(self, x: Array, display: DisplayConfig) -> Mapping[str, Any] | None:
        """The parts, each with its place in the map and what its kind draws, or a picture."""
        return content(self.members, x, display, self._shown())


def _of_parts(regions: Sequence[Region]) -> list[PartRegion]:
    found = [region for region in regions if isinstance(region, PartRegion)]
    if len(found) < len(regions):
        raise ValueError("a region of another kind of samples: it names no input")
    return found


#: Of no data yet.
PARTS: Modality = Parts()
