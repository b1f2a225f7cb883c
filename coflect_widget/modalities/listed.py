"""Samples of which nothing can be drawn, and what can be drawn of items of any form."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coflect_widget.config import DisplayConfig
from coflect_widget.modalities.base import (
    Array,
    BoolArray,
    Modality,
    Region,
    Rendering,
)
from coflect_widget.modalities.image import IMAGE
from coflect_widget.modalities.image.inputs import is_picture
from coflect_widget.modalities.text import TEXT
from coflect_widget.modalities.units import Units

#: Where items with names mostly have what a person would look at; then come all other names.
_NAMES = ("pixel_values", "image", "img", "input_ids", "ids", "tokens")
_SIDE = 24
_GREY = 235
_CHANNELS = (1, 3, 4)


class Listed(Units):
    """A sample is its number (1,): it has a place in lists, and no picture."""

    name = "item"
    noun, nouns = "sample", "samples"

    def region(self, value: Any, argument: str, extent: tuple[int, ...] | None = None) -> Region:
        """Nothing can be marked."""
        del value, extent
        raise ValueError(
            f"{argument}: samples that are listed by their number have no place to be marked"
        )

    def describe(self, regions: Sequence[Region]) -> str:
        """There are none."""
        del regions
        return "nothing"

    def mask(self, region: Region, extent: tuple[int, ...]) -> BoolArray:
        """Nothing."""
        del region
        return np.zeros(extent, np.bool_)

    def render(self, x: Array, display: DisplayConfig) -> Rendering:
        """A plain tile."""
        del x, display
        return Rendering(np.full((_SIDE, _SIDE, 3), _GREY, np.uint8))


LISTED: Modality = Listed()


def drawable(item: Any) -> Array | None:
    """The first picture (C, H, W), or else the first row of ids (L,), that an item has.

    Parameters
    ----------
    item : mapping, sequence, array or tensor
        As a data set gives it; what lies deeper is not looked at.

    Returns
    -------
    float32 in [0, 1] for bytes and as it is for other pictures, int64 for ids; None where there is
    neither
    """
    arrays = [array for each in _members(item) if (array := _array(each)) is not None]
    for array in arrays:
        if is_picture(array.shape) and array.shape[0] in _CHANNELS:
            whole = array.dtype == np.uint8
            return array.astype(np.float32) / 255 if whole else array.astype(np.float32)
    return next((a.astype(np.int64) for a in arrays if TEXT.recognises(a)), None)


def kind_of_items(found: Sequence[Array | None], ids: int, known: Modality | None) -> Modality:
    """What items are whose `drawable` is this, of some of them.

    Parameters
    ----------
    ids : int
        How many the model looks up; 0 where it looks up none, and rows of whole numbers are none.
    known : Modality or None
        What a person said.
    """
    arrays = [array for array in found if array is not None]
    if known is LISTED or not arrays or len(arrays) < len(found):
        return LISTED
    if all(is_picture(array.shape) for array in arrays):
        return IMAGE if known is None or known.whole else known
    if all(_is_row(array, ids) for array in arrays):
        return (known if known is not None and known.whole else TEXT).numbered(ids)
    return LISTED


def _is_row(array: NDArray[Any], ids: int) -> bool:
    return array.ndim == 1 and len(array) > 0 and array.min() >= 0 and array.max() < ids


def _members(item: Any) -> Iterator[Any]:
    if isinstance(item, Mapping):
        yield from (item[name] for name in _NAMES if name in item)
        yield from (value for name, value in item.items() if name not in _NAMES)
    elif isinstance(item, list | tuple) and not all(isinstance(each, int) for each in item):
        yield from item
    else:
        yield item


def _array(value: Any) -> Array | None:
    """An array, tensor or list of whole numbers, in numpy; None for all else."""
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        value = value.float() if value.is_floating_point() else value  # numpy has no bfloat16
    elif isinstance(value, list):
        if not value or not all(isinstance(each, int) for each in value):
            return None
    elif not isinstance(value, np.ndarray):
        return None
    array = np.asarray(value)
    return array if array.dtype.kind in "iuf" else None
