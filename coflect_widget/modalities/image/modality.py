"""Pictures as a kind of input."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np

from coflect_widget.config import DisplayConfig
from coflect_widget.modalities.base import (
    Array,
    BoolArray,
    Corners,
    Map,
    Modality,
    Region,
    Rendering,
)
from coflect_widget.modalities.image import focus, moving, places, search, words
from coflect_widget.modalities.image.inputs import is_picture, no_picture, unscaled
from coflect_widget.modalities.image.regions import Roi, parse_roi, parse_rois, rasterise
from coflect_widget.modalities.image.render import to_picture
from coflect_widget.modalities.image.value_range import find_window
from coflect_widget.modalities.units import Units

#: Share of the picture that `Modality.heaviest` looks for.
WINDOW = 0.06
#: Of its sides, what `Modality.narrower` tries; a square of fewer pixels looks like many others.
NARROWER, FEWEST = 0.75, 5
#: Share of the picture up to which a place has mirror images.
WIDEST_MIRROR = 0.1
#: Fine enough to tell whether two regions share pixels, whatever the picture's size.
_RASTER = (64, 64)


class Image(Units):
    """Pictures (C, H, W); the extent is (H, W), and channels are marked together."""

    name = "image"
    noun, nouns = "picture", "pictures"
    axes = 2
    methods: tuple[str, ...] = ("consensus", "livecam", "gradcam", "smoothgrad")
    layers = True
    reach: tuple[float, ...] = (0.1, 0.1)
    examples: tuple[str, ...] = words.EXAMPLES
    synonyms: Mapping[str, str] = words.SYNONYMS
    fillers = words.FILLERS

    # --- what a sample is ----------------------------------------------------------------------

    def recognises(self, x: Any) -> bool:
        """Three dimensions, the last two more than lines."""
        return is_picture(tuple(x.shape))

    def check(self, x: Any, argument: str) -> None:
        """See `Modality.check`."""
        problem = no_picture(tuple(x.shape), argument, whole=_whole(x))
        if problem is not None:
            raise ValueError(problem)

    def assumed(self, x: Array) -> str:
        """Whether whole numbers are what the model expects."""
        largest = unscaled(x)
        if not largest:
            return ""
        return (
            f"Inputs are whole numbers up to {largest}, as unscaled pictures are, and are given to "
            f"the model as they are; where it expects 0 to 1, divide them by {largest}."
        )

    # --- what a person marks -------------------------------------------------------------------

    def region(self, value: Any, argument: str, extent: tuple[int, ...] | None = None) -> Region:
        """A box, a polygon or a boolean mask (H, W)."""
        return parse_roi(value, argument, _size(extent))

    def regions(
        self, value: Any, argument: str, extent: tuple[int, ...] | None = None
    ) -> tuple[Region, ...]:
        """One of them or a list; an array may be either."""
        return parse_rois(value, argument, _size(extent))

    def read(self, words_: str, *, bare: bool) -> tuple[str, tuple[Region, ...]] | str:
        """Halves, quarters, corners, the centre, the borders, and coordinates."""
        return words.read_regions(words_, bare=bare)

    def describe(self, regions: Sequence[Region]) -> str:
        """See `Modality.describe`."""
        return places.describe_all(cast("Sequence[Roi]", regions))

    # --- masks ---------------------------------------------------------------------------------

    def mask(self, region: Region, extent: tuple[int, ...]) -> BoolArray:
        """The pixels whose centre is inside."""
        return rasterise(cast("Roi", region), *extent)

    def marked_by(self, mask: BoolArray) -> tuple[Region, ...]:
        """The pixels themselves."""
        return (self.region(mask, "region"),)

    def overlap(self, one: Region, other: Region) -> bool:
        """See `Modality.overlap`."""
        return bool((self.mask(one, _RASTER) & self.mask(other, _RASTER)).any())

    def alike(self, mask: BoolArray) -> list[BoolArray]:
        """The place and, where it is small, its mirror images.

        An artefact in one corner of a picture may be in another corner of the next.
        """
        if not mask.any():
            return []
        if mask.mean() > WIDEST_MIRROR:
            return [mask]
        return [mask, mask[:, ::-1].copy(), mask[::-1].copy(), mask[::-1, ::-1].copy()]

    # --- maps ----------------------------------------------------------------------------------

    def parts(self, method: str) -> tuple[str, ...]:
        """A class-activation map, which knows the region, and SmoothGrad, which knows its edges."""
        return ("gradcam" if method == "gradcam" else "livecam", "smoothgrad")

    def smooth(self, values: Map) -> Map:
        """See `Modality.smooth`."""
        return focus.smoothed(values)

    def focus(self, values: Map) -> Corners | None:
        """(x0, y0, x1, y1)."""
        return focus.focus_bbox(values)

    def window(self, extent: tuple[int, ...]) -> tuple[int, ...]:
        """A square of 6 % of the picture."""
        height, width = extent
        side = max(1, round((WINDOW * height * width) ** 0.5))
        return min(side, height), min(side, width)

    def narrower(self, values: Map, region: Region) -> Region | None:
        """A square of three quarters of its sides; None where that has less than five pixels."""
        sides = [round(NARROWER * side) for side in self.window(values.shape)]
        if min(sides) < FEWEST:
            return None
        return self._holds_most(np.where(self.mask(region, values.shape), values, 0), sides)

    def beside(self, region: Region, extent: tuple[int, ...], share: float) -> list[Region]:
        """Eight squares round it."""
        return self._moved_box(region, extent, share, (0, 1))

    # --- the same in other samples ---------------------------------------------------------------

    def template(self, x: Array, region: Region, others: Array) -> search.Template:
        """The pixels that are marked."""
        return search.make_template(x, cast("Roi", region), others)

    def find(self, inputs: Array, template: Any) -> tuple[Map, Map, BoolArray]:
        """By the mean squared difference of colours, at every place."""
        return search.scan(inputs, template)

    def wanders(self, readings: Sequence[Array]) -> str:
        """Whether it is shifted, cropped, turned or mirrored."""
        if not moving.moves(readings):
            return ""
        return (
            "which shifts, crops, turns or mirrors its pictures at random. A stroke is kept as a "
            "place in the picture"
        )

    # --- the screen ----------------------------------------------------------------------------

    def fit_display(
        self, display: DisplayConfig, x: Array, probes: Sequence[Array]
    ) -> tuple[DisplayConfig, str]:
        """Black and white for data whose pictures could not be made out otherwise."""
        for name in ("mean", "std"):
            values = getattr(display, name)
            if values is not None and len(values) not in (1, len(x)):
                raise ValueError(
                    f"config['display'][{name!r}] = {values!r} has {len(values)} values for images "
                    f"of {len(x)} channels; give one for each channel, or one for all"
                )
        chosen = display.channels
        if chosen is not None and max(chosen) >= len(x):
            raise ValueError(
                f"config['display']['channels'] = {chosen!r}: the images have {len(x)} channels, "
                f"0 to {len(x) - 1}"
            )
        if any(given is not None for given in (display.mean, display.std, display.window)):
            return display, ""
        window = find_window(probes, chosen)
        if window is None:
            return display, ""
        return display.model_copy(update={"window": (window.black, window.white)}), str(window)

    def render(self, x: Array, display: DisplayConfig) -> Rendering:
        """The picture as RGB."""
        return Rendering(to_picture(x, display))


def _size(extent: tuple[int, ...] | None) -> tuple[int, int] | None:
    return None if extent is None else (extent[0], extent[1])


def _whole(x: Any) -> bool:
    """Whether the values are whole numbers, as token ids are."""
    values = np.asarray(x)
    if values.dtype.kind != "f":
        return True
    return bool(values.size and values.max() > 1 and (values == values.round()).all())


#: Pictures hold no settings: one object serves all.
IMAGE: Modality = Image()
