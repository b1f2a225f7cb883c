"""Series as a kind of input."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

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
    Region,
    Rendering,
    is_flat,
)
from coflect_widget.modalities.series import regions, render, search, words
from coflect_widget.modalities.series.regions import Span
from coflect_widget.modalities.strongest import strongest
from coflect_widget.modalities.units import Units

#: Share of the length that `Modality.heaviest` looks for.
WINDOW = 1 / 12
#: The longer side of a gray picture is at most so many times the shorter.
_SQUARE = 4
#: Share of its maximum that belongs to the strongest stretch of a map.
_STRONG = 0.5


class Series(Units):
    """Series (C, L); the extent is (C, L), so that one channel can be marked alone.

    Parameters
    ----------
    layers : bool
        Whether the model has a layer along time whose output can be a map: one with convolutions.
    """

    name = "series"
    noun, nouns = "series", "series"
    axes = 2
    reach: tuple[float, ...] = (0.0, 0.1)
    examples: tuple[str, ...] = words.EXAMPLES
    synonyms: Mapping[str, str] = words.SYNONYMS
    fillers = words.FILLERS

    def __init__(self, *, layers: bool = True) -> None:
        self.layers = layers
        cams = ("consensus", "livecam", "gradcam") if layers else ()
        self.methods: tuple[str, ...] = (*cams, "smoothgrad")

    # --- what a sample is ----------------------------------------------------------------------

    def recognises(self, x: Any) -> bool:
        """Two axes, of floating point and with more than one step."""
        shape = tuple(x.shape)
        return len(shape) == 2 and shape[1] > 1 and np.asarray(x).dtype.kind == "f"

    def check(self, x: Any, argument: str) -> None:
        """See `Modality.check`."""
        shape = tuple(x.shape)
        if len(shape) != 2:
            remedy = "give series (N, C, L)"
            if len(shape) == 1:
                remedy += ", of one channel for example series[:, None]"
            raise ValueError(
                f"{argument} has inputs of shape {shape}; a series has two axes, channels and "
                f"steps (C, L): {remedy}"
            )
        if shape[1] < 2:
            raise ValueError(
                f"{argument} has inputs of shape {shape}: series of {shape[1]} step. Series are "
                "(N, C, L): of values (N, C), a table, give inputs (N, C) without the last axis; "
                "of (N, L, C) turn them with series.transpose(0, 2, 1)"
            )
        values = np.asarray(x)
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            step = np.argwhere(~np.isfinite(values))[0]
            raise ValueError(
                f"{argument} has a series with {values[tuple(step)]} in channel {step[0]} at step "
                f"{step[1]}; fill gaps first, for example numpy.nan_to_num(series), and cut series "
                "of several lengths or pad them with 0 to one"
            )

    def fitted(
        self, inputs: Iterable[Array], argument: str, numbers: Sequence[int] | None = None
    ) -> Series:
        """As it is; a gap in a series is named."""
        for place, x in enumerate(inputs):
            if not np.isfinite(x).all():
                self.check(x, f"{argument}[{place if numbers is None else numbers[place]}]")
        return self

    def filled(self, x: Any, length: int) -> Any:
        """See `Modality.filled`: with 0."""
        xp = compat.array_namespace(x)
        shape = (*x.shape[:-1], max(0, length - x.shape[-1]))
        return xp.concat([x, xp.zeros(shape, dtype=x.dtype, device=compat.device(x))], axis=-1)

    def assumed(self, x: Array) -> str:
        """Which axis was taken for time, where it could be the other, or a picture's height."""
        channels, length = x.shape
        if channels > length:
            return (
                f"Inputs of shape {(channels, length)} are taken as series of {channels} channels "
                f"and {length} steps (C, L). Where the steps come first, turn them with "
                "series.transpose(0, 2, 1), and turn them back in the model's forward, "
                "x.transpose(1, 2)."
            )
        if channels > 1 and length <= _SQUARE * channels:
            return (
                f"Inputs of shape {(channels, length)} are taken as series of {channels} channels "
                f"and {length} steps (C, L); of gray pictures add the channel, for example "
                "images[:, None], and turn series with their steps first with "
                "series.transpose(0, 2, 1)."
            )
        return ""

    def without_layers(self) -> Modality:
        """Of recurrent nets and transformers, whose layers have mixed the steps."""
        return Series(layers=False)

    def told_by_layers(self, masks: BoolArray) -> bool:
        """Where the channels are marked together: a layer's map has one value for them all."""
        return bool((masks == masks[:, :1]).all())

    # --- what a person marks -------------------------------------------------------------------

    def region(self, value: Any, argument: str, extent: tuple[int, ...] | None = None) -> Region:
        """Steps, an interval or a channel."""
        return regions.parse(value, argument, extent)

    def read(self, words_: str, *, bare: bool) -> tuple[str, tuple[Region, ...]] | str:
        """Steps, parts of the length, and channels."""
        return words.read_regions(words_, bare=bare)

    def describe(self, regions_: Sequence[Region]) -> str:
        """Each by itself."""
        return " and ".join(regions.describe(cast("Span", region)) for region in regions_)

    # --- masks ---------------------------------------------------------------------------------

    def mask(self, region: Region, extent: tuple[int, ...]) -> BoolArray:
        """The steps whose middle is inside, of its channels."""
        return regions.mask(cast("Span", region), extent)

    def overlap(self, one: Region, other: Region) -> bool:
        """See `Modality.overlap`."""
        return regions.overlap(cast("Span", one), cast("Span", other))

    def elsewhere(self, mask: BoolArray, x: Array, rng: np.random.Generator) -> BoolArray:
        """Moved in time, round the ends, and turned round in time or not; channels stay."""
        del x
        moved = np.roll(mask, int(rng.integers(mask.shape[1])), 1)
        found: BoolArray = moved[:, :: rng.choice((-1, 1))]
        return found

    def moves(
        self, extent: tuple[int, ...], count: int, rng: np.random.Generator
    ) -> NDArray[np.int64]:
        """In time, round the ends; of no channels (n, 2)."""
        steps = rng.permutation(extent[1] - 1)[:count] + 1
        return np.stack([np.zeros_like(steps), steps], 1).astype(np.int64)

    def baseline(self, x: Array) -> Array:
        """The mean of each channel."""
        mean: Array = x.mean(1, keepdims=True)
        return mean

    def jitter(self, inputs: Array, share: float, rng: np.random.Generator) -> Array:
        """Gaussian noise, of each channel by its own range."""
        noise = rng.standard_normal(inputs.shape, dtype=np.float32)
        span = np.ptp(inputs, axis=(0, 2), keepdims=True)
        changed: Array = (inputs + span * share * noise).astype(np.float32)
        return changed

    # --- maps ----------------------------------------------------------------------------------

    def spread(self, x: Array, share: float) -> Any:
        """By the range of each channel (C, 1): they may be of different scales."""
        wide: Array = (share * np.ptp(x, axis=1, keepdims=True)).astype(np.float32)
        return wide

    def parts(self, method: str) -> tuple[str, ...]:
        """A class-activation map, where the model has one, and SmoothGrad."""
        if not self.layers:
            return ("smoothgrad",)
        return ("gradcam" if method == "gradcam" else "livecam", "smoothgrad")

    def to_units(self, values: Any, inputs: Any) -> Any:
        """Gradient magnitudes times how far each value lies from its channel's mean.

        A gradient alone says where a change would matter, also where the curve is flat. Zeros that
        fill a series up at its end have none.
        """
        xp = compat.array_namespace(inputs)
        there = xp.flip(xp.any(inputs != 0, axis=-2, keepdims=True), axis=-1)
        there = xp.flip(xp.cumulative_sum(xp.astype(there, xp.int64), axis=-1) > 0, axis=-1)
        there = xp.astype(there, inputs.dtype)
        steps = xp.clip(xp.sum(there, axis=-1, keepdims=True), 1, None)
        mean = xp.sum(inputs * there, axis=-1, keepdims=True) / steps
        return values * (abs(inputs - mean) * there)

    def smooth(self, values: Map) -> Map:
        """A map (C, L) without its grain: a Gaussian along time of 1/32 of the length.

        Each channel counts by its share of the step's largest value, for a layer's map, which this
        one is multiplied with, has one value for all channels.
        """
        from scipy import ndimage  # type: ignore[import-untyped]  # scipy ships no types

        smoothed = ndimage.gaussian_filter1d(values, values.shape[1] / 32, axis=1, mode="nearest")
        largest = np.maximum(smoothed.max(0), np.finfo(np.float32).tiny)
        found: Map = (smoothed * (smoothed / largest)).astype(np.float32)
        return found

    def focus(self, values: Map) -> Corners | None:
        """The stretch of the channels' strongest values (t0, c0, t1, c1)."""
        from scipy import ndimage

        if is_flat(values):
            return None
        channels, length = values.shape
        smooth = ndimage.gaussian_filter1d(values, length / 64, axis=1, mode="nearest")
        rows, steps = strongest(smooth, _STRONG)
        return (
            steps.start / length,
            rows.start / channels,
            steps.stop / length,
            rows.stop / channels,
        )

    def window(self, extent: tuple[int, ...]) -> tuple[int, ...]:
        """A twelfth of the length, of all channels."""
        return extent[0], max(1, round(WINDOW * extent[1]))

    def beside(self, region: Region, extent: tuple[int, ...], share: float) -> list[Region]:
        """Earlier and later."""
        return self._moved_box(region, extent, share, (1,))

    # --- the same in other samples ---------------------------------------------------------------

    def template(self, x: Array, region: Region, others: Array) -> search.Template:
        """The curve that is marked, without its level."""
        return search.make_template(x, self.mask(region, x.shape), others)

    def find(self, inputs: Array, template: Any) -> tuple[Map, Map, BoolArray]:
        """By the mean squared difference of curves, at every step."""
        return search.scan(inputs, template)

    # --- the screen ----------------------------------------------------------------------------

    def content(self, x: Array, display: DisplayConfig) -> Mapping[str, Any] | None:
        """The curves."""
        del display
        return render.content(x)

    def render(self, x: Array, display: DisplayConfig) -> Rendering:
        """The curves below each other."""
        del display
        return Rendering(render.picture(x))


#: Series hold no settings: one object serves all.
SERIES: Modality = Series()
