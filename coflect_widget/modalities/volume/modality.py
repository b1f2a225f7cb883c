"""Volumes as a kind of input: slices side by side, of which single ones or all are marked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coflect_widget.modalities.base import Array, BoolArray, Modality, Region
from coflect_widget.modalities.image import Image
from coflect_widget.modalities.image.regions import Box, parse_roi
from coflect_widget.modalities.volume.sheet import from_sheet, grid, to_sheet

_FORMS = (
    "a box (x0, y0, x1, y1) of all slices, or of one {'slice': 3, 'box': (x0, y0, x1, y1)}, in "
    "fractions of a slice"
)


class Volume(Image):
    """Volumes (C, D, H, W), kept as pictures (C, rows x H, columns x W) of their slices.

    The extent is that of such a sheet, and a map of it is one of all slices. The model gets the
    volumes as they are.

    Parameters
    ----------
    depth : int
        Slices of a volume; 0 where no volume was seen so far.
    """

    name = "volume"
    noun, nouns = "volume", "volumes"
    methods: tuple[str, ...] = ("smoothgrad",)
    layers = False
    lays_out = True

    def __init__(self, depth: int = 0) -> None:
        self.depth = depth
        rows, columns = grid(depth)
        share = Image.reach[0]
        self.reach = (share / rows, share / columns)  # never into the next slice but one

    def recognises(self, x: Any) -> bool:
        """Four dimensions, the last two more than lines."""
        return len(x.shape) == 4 and min(x.shape[1:]) > 1

    def unpacked(self, inputs: Any, argument: str) -> tuple[Modality, Any]:
        """All volumes (N, C, D, H, W) as sheets, or one (C, D, H, W).

        Raises
        ------
        ValueError
            If they have another number of slices than those seen before.
        """
        shape = tuple(inputs.shape)
        if len(shape) not in (4, 5) or min(shape[-3:]) < 2:
            raise ValueError(
                f"{argument} has inputs of shape {shape[-4:]}; a volume has four dimensions "
                "(C, D, H, W): of volumes without channels pass volumes[:, None]"
            )
        depth = shape[-3]
        if self.depth not in (0, depth):
            raise ValueError(
                f"{argument} has volumes of {depth} slices, and those before have {self.depth}; "
                "give all as many"
            )
        return Volume(depth), to_sheet(inputs)

    def as_given(self, inputs: Any) -> Any:
        """Volumes (B, C, D, H, W) of sheets (B, C, rows x H, columns x W)."""
        return from_sheet(inputs, self.depth)

    def assumed(self, x: Array) -> str:
        """What inputs of four dimensions were taken for."""
        del x
        return (
            f"Inputs (C, D, H, W) were taken for volumes of {self.depth} slices, which are drawn "
            "side by side."
        )

    def regions(
        self, value: Any, argument: str, extent: tuple[int, ...] | None = None
    ) -> tuple[Region, ...]:
        """Boxes on the sheet: of a box of all slices, of one slice, or as the screen sends them."""
        many = isinstance(value, list) and not _is_box(value)
        found: list[Region] = []
        for place, one in enumerate(value if many else [value]):
            found += self._boxes(one, f"{argument}[{place}]" if many else argument, extent)
        return tuple(found)

    def region(self, value: Any, argument: str, extent: tuple[int, ...] | None = None) -> Region:
        """As the screen sends it, or one slice's."""
        if isinstance(value, Mapping) and "slice" in value:
            return self._boxes(value, argument, extent)[0]
        return super().region(value, argument, extent)

    def _boxes(self, value: Any, argument: str, extent: tuple[int, ...] | None) -> Sequence[Region]:
        if value is None:
            return ()
        if isinstance(value, Mapping) and "slice" in value:
            number = value["slice"]
            if not isinstance(number, int | np.integer) or not 0 <= number < self.depth:
                raise ValueError(
                    f"{argument}={value!r}: slice is a number from 0 to {self.depth - 1}; pass "
                    f"{_FORMS}"
                )
            box = parse_roi(value.get("box"), f"{argument}['box']")
            if not isinstance(box, Box):
                raise ValueError(f"{argument}={value!r}: pass {_FORMS}")
            return (self._on(box, int(number)),)
        if _is_box(value):
            box = parse_roi(value, argument)
            assert isinstance(box, Box)  # noqa: S101 - narrows the type
            return tuple(self._on(box, number) for number in range(self.depth))
        return (super().region(value, argument, extent),)

    def _on(self, box: Box, number: int) -> Box:
        """A box of a slice where that is on the sheet."""
        rows, columns = grid(self.depth)
        row, column = divmod(number, columns)
        return Box(
            (column + box.x0) / columns,
            (row + box.y0) / rows,
            (column + box.x1) / columns,
            (row + box.y1) / rows,
        )

    def alike(self, mask: BoolArray) -> list[BoolArray]:
        """The same place: a mirror image of a sheet would be another slice."""
        return [mask] if mask.any() else []

    def elsewhere(self, mask: BoolArray, x: Array, rng: np.random.Generator) -> BoolArray:
        """Moved, and mirrored or not, within each slice and from slice to slice."""
        found: BoolArray = to_sheet(super().elsewhere(from_sheet(mask, self.depth), x, rng))
        return found

    def moves(
        self, extent: tuple[int, ...], count: int, rng: np.random.Generator
    ) -> NDArray[np.int64]:
        """By slices (n, 3), and by rows and columns of a slice."""
        rows, columns = grid(self.depth)
        return super().moves((self.depth, extent[0] // rows, extent[1] // columns), count, rng)

    def moved(self, masks: BoolArray, inputs: Array, by: NDArray[np.int64]) -> BoolArray:
        """See `Modality.moved`."""
        found: BoolArray = to_sheet(super().moved(from_sheet(masks, self.depth), inputs, by))
        return found

    def window(self, extent: tuple[int, ...]) -> tuple[int, ...]:
        """A square of 6 % of a slice."""
        rows, columns = grid(self.depth)
        return super().window((extent[0] // rows, extent[1] // columns))

    def beside(self, region: Region, extent: tuple[int, ...], share: float) -> list[Region]:
        """None: what is beside it on the sheet may be of another slice."""
        del region, extent, share
        return []


def _is_box(value: Any) -> bool:
    return isinstance(value, tuple | list) and len(value) == 4 and not hasattr(value[0], "__len__")


#: A volume whose slices nobody has counted so far.
VOLUME: Modality = Volume()
