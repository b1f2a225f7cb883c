"""What most kinds of input share."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import array_api_compat as compat
import numpy as np
from numpy.typing import NDArray

from coflect_widget.config import DisplayConfig
from coflect_widget.modalities.base import (
    Array,
    BoolArray,
    Corners,
    Map,
    Modality,
    Pattern,
    Region,
    Rendering,
    is_flat,
    over,
)


class Units:
    """Kinds of input whose extent is the last `axes` axes of the input.

    What is not here a kind says itself: `name`, `region`, `describe`, `mask`, `render`.
    """

    noun, nouns = "sample", "samples"
    axes = 1
    methods: tuple[str, ...] = ("smoothgrad",)
    layers = False
    whole = False
    lays_out = False
    reach: tuple[float, ...] = (0.0,)
    examples: tuple[str, ...] = ()
    synonyms: Mapping[str, str] = {}
    fillers: frozenset[str] = frozenset()
    members: Sequence[Any] = ()
    donors: Array | None = None
    by_exchange = False

    def recognises(self, x: Any) -> bool:
        """Never by itself: a person names it."""
        del x
        return False

    def check(self, x: Any, argument: str) -> None:
        """See `Modality.check`."""
        if len(x.shape) < self.axes:
            raise ValueError(
                f"{argument} has inputs of shape {tuple(x.shape)}; an input needs at least "
                f"{self.axes} axes"
            )

    def unpacked(self, inputs: Any, argument: str) -> tuple[Any, Any]:
        """As they are."""
        del argument
        return self, inputs

    def as_given(self, inputs: Any) -> Any:
        """As they are."""
        return inputs

    def fitted(
        self, inputs: Iterable[Array], argument: str, numbers: Sequence[int] | None = None
    ) -> Any:
        """As it is."""
        del inputs, argument, numbers
        return self

    def filled(self, x: Any, length: int) -> Any:
        """None: inputs have one shape."""
        del x, length

    def numbered(self, count: int) -> Modality:
        """As it is."""
        del count
        same: Any = self
        known: Modality = same
        return known

    def assumed(self, x: Array) -> str:
        """Nothing."""
        del x
        return ""

    def extent(self, x: Any) -> tuple[int, ...]:
        """See `Modality.extent`."""
        return tuple(int(side) for side in x.shape[len(x.shape) - self.axes :])

    def without_layers(self) -> Modality | None:
        """A person has to say."""
        return None

    def told_by_layers(self, masks: BoolArray) -> bool:
        """Each unit has its place in a layer's map."""
        del masks
        return True

    def region(self, value: Any, argument: str, extent: tuple[int, ...] | None = None) -> Region:
        """See `Modality.region`."""
        raise NotImplementedError

    def regions(
        self, value: Any, argument: str, extent: tuple[int, ...] | None = None
    ) -> tuple[Region, ...]:
        """A list is several regions, all else is one."""
        if value is None:
            return ()
        if not isinstance(value, list):
            return (self.region(value, argument, extent),)
        return tuple(self.region(v, f"{argument}[{i}]", extent) for i, v in enumerate(value))

    def read(self, words: str, *, bare: bool) -> tuple[str, tuple[Region, ...]] | str:
        """No words name a region."""
        del words, bare
        return "there is no such instruction"

    def describe(self, regions: Sequence[Region]) -> str:
        """See `Modality.describe`."""
        raise NotImplementedError

    def mask(self, region: Region, extent: tuple[int, ...]) -> BoolArray:
        """See `Modality.mask`."""
        raise NotImplementedError

    def mask_in(self, region: Region, x: Array) -> BoolArray:
        """The same units in all samples."""
        return self.mask(region, self.extent(x))

    def rest(self, masks: BoolArray) -> BoolArray:
        """All else."""
        return ~masks

    def overlap(self, one: Region, other: Region) -> bool:
        """Regions are different things, or the same."""
        return one == other

    def alike(self, mask: BoolArray) -> list[BoolArray]:
        """The same place."""
        return [mask] if mask.any() else []

    def pattern(self, region: Region, x: Array | None) -> Pattern | None:
        """The place is meant."""
        del region, x
        return None

    def occurrences(self, pattern: Pattern, x: Any) -> Any:
        """Nothing is known by its values."""
        raise NotImplementedError

    def laid_out(self, other: Any, x: Any) -> Any:
        """As it is: samples are of one size."""
        del x
        return other

    def exchange(self, mask: Any, x: Any, other: Any) -> Any:
        """See `Modality.exchange`; axes before those of the extent are exchanged together."""
        return compat.array_namespace(x).where(over(mask, x), other, x)

    def put(self, masks: BoolArray, inputs: Array, donors: Array) -> Array:
        """At the same place."""
        found: Array = self.exchange(masks, inputs, donors)
        return found

    def elsewhere(self, mask: BoolArray, x: Array, rng: np.random.Generator) -> BoolArray:
        """Moved round the edges, and mirrored or not, along each axis."""
        del x
        by = tuple(int(rng.integers(side)) for side in mask.shape)
        moved = np.roll(mask, by, tuple(range(mask.ndim)))
        found: BoolArray = moved[tuple(slice(None, None, rng.choice((-1, 1))) for _ in by)]
        return found

    def marked_by(self, mask: BoolArray) -> tuple[Region, ...]:
        """A box for each run along the last axis; along the others it has what is set there."""
        rows = mask.reshape(-1, mask.shape[-1]).any(0)
        edges = np.flatnonzero(np.diff(np.concatenate([[False], rows, [False]])))
        found = []
        for start, stop in edges.reshape(-1, 2).tolist():
            at = np.nonzero(mask[..., start:stop])[:-1]
            low = [*(int(one.min()) for one in at), start]
            high = [*(int(one.max()) + 1 for one in at), stop]
            shares = [
                [place / side for place, side in zip(each, mask.shape, strict=True)][::-1]
                for each in (low, high)
            ]
            found.append(self.region({"box": [*shares[0], *shares[1]]}, "region", mask.shape))
        return tuple(found)

    def moves(
        self, extent: tuple[int, ...], count: int, rng: np.random.Generator
    ) -> NDArray[np.int64]:
        """Round the edges, in units along each axis."""
        places = rng.permutation(int(np.prod(extent)) - 1)[:count] + 1  # 0 is the mask itself
        return np.stack(np.unravel_index(places, extent), 1).astype(np.int64)

    def moved(self, masks: BoolArray, inputs: Array, by: NDArray[np.int64]) -> BoolArray:
        """See `Modality.moved`."""
        del inputs
        return np.roll(masks, tuple(int(n) for n in by), tuple(range(1, masks.ndim)))

    def baseline(self, x: Array) -> Array:
        """The mean over the extent."""
        axes = tuple(range(x.ndim - self.axes, x.ndim))
        mean: Array = x.mean(axes, keepdims=True)
        return mean

    def blank(self, shape: Sequence[int]) -> Array:
        """A slope."""
        values = np.linspace(0, 1, int(np.prod(shape)), dtype=np.float32)
        return values.reshape(tuple(shape))

    def jitter(self, inputs: Array, share: float, rng: np.random.Generator) -> Array:
        """Gaussian noise."""
        noise = rng.standard_normal(inputs.shape, dtype=np.float32)
        changed: Array = inputs + float(np.ptp(inputs)) * share * noise
        return changed

    def spread(self, x: Array, share: float) -> Any:
        """By the range of all values."""
        return share * float(x.max() - x.min())

    def parts(self, method: str) -> tuple[str, ...]:
        """The method alone."""
        return (method,)

    def to_units(self, values: Any, inputs: Any) -> Any:
        """The mean over the axes that the extent has not."""
        del inputs
        axes = tuple(range(1, values.ndim - self.axes))
        return compat.array_namespace(values).mean(values, axis=axes) if axes else values

    def smooth(self, values: Map) -> Map:
        """As it is: neighbours need not have anything to do with each other."""
        return values

    def focus(self, values: Map) -> Corners | None:
        """Round the strongest unit."""
        if is_flat(values):
            return None
        at = np.unravel_index(int(np.argmax(values)), values.shape)
        low = [place / side for place, side in zip(at, values.shape, strict=True)]
        high = [(place + 1) / side for place, side in zip(at, values.shape, strict=True)]
        return tuple(float(v) for v in (*low[::-1], *high[::-1]))

    def window(self, extent: tuple[int, ...]) -> tuple[int, ...]:
        """Sides, in units, of the region that `heaviest` looks for: a single unit."""
        return (1,) * len(extent)

    def heaviest(self, values: Map) -> Region | None:
        """The box with the sides of `window` that holds most; each unit counts once."""
        return None if is_flat(values) else self._holds_most(values, self.window(values.shape))

    def narrower(self, values: Map, region: Region) -> Region | None:
        """None: few units have no smaller part."""
        del values, region
        return None

    def beside(self, region: Region, extent: tuple[int, ...], share: float) -> list[Region]:
        """None: neighbours need not have anything to do with each other."""
        del region, extent, share
        return []

    def _moved_box(
        self, region: Region, extent: tuple[int, ...], share: float, axes: Sequence[int]
    ) -> list[Region]:
        """A box after steps along `axes` of the extent, and slantwise; not where it is."""
        low, high = (
            np.rint(np.multiply(corner[::-1], extent)).astype(np.int64)
            for corner in np.reshape(region.to_json()["box"], (2, -1))
        )
        sides = high - low
        step = np.maximum(1, np.rint(share * sides)).astype(np.int64)
        begins: dict[tuple[int, ...], None] = {}
        for turn in itertools.product((-1, 0, 1), repeat=len(axes)):
            begin = low.copy()
            begin[list(axes)] += np.array(turn) * step[list(axes)]
            begins[tuple(np.clip(begin, 0, extent - sides).tolist())] = None
        begins.pop(tuple(low.tolist()), None)
        return [self._box(begin, begin + sides, extent) for begin in begins]

    def _box(self, low: Any, high: Any, extent: tuple[int, ...]) -> Region:
        begin, end = (
            [int(at) / length for at, length in zip(corner, extent, strict=True)][::-1]
            for corner in (low, high)
        )
        return self.region({"box": [*begin, *end]}, "region", extent)

    def _holds_most(self, values: Map, sides: Sequence[int]) -> Region:
        sums = np.asarray(values, np.float64)
        for axis, side in enumerate(sides):
            sums = np.lib.stride_tricks.sliding_window_view(sums, side, axis).sum(-1)
        low = np.unravel_index(int(sums.argmax()), sums.shape)
        return self._box(low, np.add(low, sides), values.shape)

    def template(self, x: Array, region: Region, others: Array) -> Any:
        """See `Modality.template`."""
        del x, region, others
        raise ValueError(
            "nothing is looked for in other samples: what is marked has the same place in all of "
            "them; leave scope= out, or give scope='everywhere', to have it ignored there too"
        )

    def find(self, inputs: Array, template: Any) -> tuple[Map, Map, BoolArray]:
        """See `Modality.find`."""
        raise NotImplementedError

    def wanders(self, readings: Sequence[Array]) -> str:
        """A unit is the same unit each time."""
        del readings
        return ""

    def fit_display(
        self, display: DisplayConfig, x: Array, probes: Sequence[Array]
    ) -> tuple[DisplayConfig, str]:
        """As it is."""
        del x, probes
        return display, ""

    def render(self, x: Array, display: DisplayConfig) -> Rendering:
        """See `Modality.render`."""
        raise NotImplementedError

    def on_picture(self, values: Array) -> Array:
        """All."""
        return values

    def content(self, x: Array, display: DisplayConfig) -> Mapping[str, Any] | None:
        """The picture is all."""
        del x, display
        return None
