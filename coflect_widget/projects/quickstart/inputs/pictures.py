"""Pictures: files or arrays, brought to one size, values from 0 to 1."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from coflect_widget.projects.quickstart import requested
from coflect_widget.projects.quickstart.columns import FORMATS, Column
from coflect_widget.projects.quickstart.inputs.of_rows import OfRows
from coflect_widget.projects.quickstart.pixels import DEEP, check, pixels_of, white_of
from coflect_widget.projects.quickstart.sheet import Sheet

#: Sides that pictures are brought to; the largest that the data have and that memory has room for.
_SIDES = (96, 64, 48, 32, 28)
_MOST_BYTES = 2**30
_LOOKED_AT = 200
#: What an array of pictures has as channels.
_CHANNELS = (1, 3)
_SMALLEST = 8
#: Pixels of the side that a plain baseline sees.
_PLAIN = 16


class Pictures(OfRows):
    """Pictures (C, H, W); see `Inputs`."""

    name: ClassVar[str] = "image"
    words: ClassVar[str] = "pictures"
    by_column: ClassVar[bool] = False
    steps: ClassVar[int] = 1500

    def __init__(self) -> None:
        self.column = ""
        self.side = 0
        self.channels = 0
        self.scale = 1.0
        self.white: float | None = 0.0
        self.said: list[str] = []

    @property
    def sources(self) -> list[str]:
        return [self.column]

    @classmethod
    def suits(cls, sheet: Sheet, columns: Sequence[Column], target: Column) -> str:
        used = cls.uses(columns)
        if not used:
            return ""
        name = used[0].name
        if used[0].kind == "file":
            return f"files of pictures in {name!r}"
        values = sheet.cells[name]
        shape = values.shape[1:]
        if len(shape) == 2 and min(shape) >= _SMALLEST:
            return f"arrays of {shape[0]} x {shape[1]}"
        if len(shape) == 3 and (shape[0] in _CHANNELS or shape[2] in _CHANNELS):
            return f"arrays of {' x '.join(map(str, shape))}"
        return ""

    @classmethod
    def uses(cls, columns: Sequence[Column]) -> list[Column]:
        return [column for column in columns if column.kind in ("file", "array")][:1]

    @classmethod
    def unusable(cls, sheet: Sheet, columns: Sequence[Column]) -> tuple[list[int], str]:
        column = cls.uses(columns)[0]
        found = []
        if column.kind == "file":
            for row, cell in enumerate(sheet.cells[column.name]):
                try:
                    with _opened(sheet.folder, cell) as picture:
                        check(picture)
                except (OSError, ValueError, SyntaxError):  # what Pillow raises for what is none
                    found.append(row)
        return found, (
            f"files are no pictures, are not there, lie outside of {sheet.folder}, or hold shades "
            "of grey beyond 65,535"
        )

    def fit(self, sheet: Sheet, columns: Sequence[Column]) -> None:
        self.column = self.uses(columns)[0].name
        values = sheet.cells[self.column]
        if values.ndim > 1:
            pictures = _with_channels(values)
            self.channels = pictures.shape[1]
            size = min(pictures.shape[2:])
            top = float(values.max())
            self.scale = 255.0 if values.dtype == np.uint8 or top > 1.5 else 1.0
            if values.dtype != np.uint8 and (top > 255 or float(values.min()) < 0):
                raise ValueError(
                    f"pictures hold values from {float(values.min()):g} to {top:g}; give 0 to 1, "
                    "or 0 to 255"
                )
        else:
            sizes, modes, whites = [], set(), [0.0]
            for cell in values[:: -(-len(values) // _LOOKED_AT)]:
                with _opened(sheet.folder, cell) as picture:
                    sizes.append(min(picture.size))
                    modes.add(picture.mode)
                    whites.append(white_of(picture))
            self.white = max(whites)
            size = int(np.median(sizes))
            self.channels = 1 if modes <= {"L", "1", *DEEP} else 3
            self.scale = 255.0
        a_pixel = 4 * self.channels * len(sheet)
        fitting = [side for side in _SIDES if side <= size and side**2 * a_pixel <= _MOST_BYTES]
        self.side = fitting[0] if fitting else _SIDES[-1]
        self.said = [f"Pictures are brought to {self.side} x {self.side} pixels."]

    def transform(self, sheet: Sheet) -> NDArray[np.float32]:
        values = sheet.cells[self.column]
        side = (self.side, self.side)
        found = np.empty((len(values), self.channels, *side), np.float32)
        if values.ndim > 1:
            pictures = _with_channels(values)
            if pictures.shape[2:] == side:
                return np.ascontiguousarray(pictures / self.scale, np.float32)
            for row, picture in enumerate(pictures):
                for channel, plane in enumerate(picture):
                    small = Image.fromarray(plane.astype(np.float32)).resize(side, _SMOOTH)
                    found[row, channel] = np.asarray(small) / self.scale
            return found
        for row, cell in enumerate(values):
            with _opened(sheet.folder, cell) as picture:
                found[row] = pixels_of(picture, self.channels, self.side, self.white) / 255
        return found

    def requested(self, row: Mapping[str, Any]) -> Sheet:
        pixels = requested.picture(row, self.column, self.channels, self.side, self.white)
        return Sheet("a request", {self.column: pixels[None] * np.float32(self.scale / 255)})

    def weight(self, row: Mapping[str, Any]) -> int:
        return requested.pixels(row, self.column)

    def wanted(self) -> dict[str, str]:
        return {self.column: "a picture file, such as a PNG, in base64"}

    def network(self, x: NDArray[Any], outputs: int) -> dict[str, Any]:
        return {
            "net": "image",
            "channels": self.channels,
            "outputs": outputs,
            "mean": [float(v) for v in x.mean((0, 2, 3))],
            "std": [float(v) or 1.0 for v in x.std((0, 2, 3))],
            "halved": self.side >= 64,
        }

    def arguments(self) -> dict[str, Any]:
        return {"inputs": "image"}

    def plain(self, sheet: Sheet) -> Callable[[Sheet], Any]:
        del sheet

        def small(other: Sheet) -> NDArray[np.float32]:
            x = self.transform(other)
            step = max(1, self.side // _PLAIN)
            fits = x[:, :, : self.side // step * step, : self.side // step * step]
            n, c, h, w = fits.shape
            means = fits.reshape(n, c, h // step, step, w // step, step).mean((3, 5))
            flat: NDArray[np.float32] = means.reshape(n, -1)
            return flat

        return small

    def state(self) -> dict[str, Any]:
        return {
            "column": self.column, "side": self.side, "channels": self.channels,
            "scale": self.scale, "white": self.white,
        }  # fmt: skip

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Pictures:
        pictures = cls()
        pictures.column = str(state["column"])
        pictures.side, pictures.channels = int(state["side"]), int(state["channels"])
        pictures.scale = float(state["scale"])
        white = state.get("white")  # a run of before had all shades cut off at 255
        pictures.white = None if white is None else float(white)
        if pictures.side not in _SIDES or pictures.channels not in _CHANNELS or pictures.scale <= 0:
            raise ValueError("pictures of a size that is none")
        return pictures


_SMOOTH = Image.Resampling.BILINEAR


def _opened(folder: Path | None, cell: Any) -> Any:
    """A picture inside of the folder; one that would fill the memory is refused."""
    if not isinstance(cell, str):
        raise ValueError("there is no picture")
    base = (folder or Path()).resolve()
    file = (base / cell).resolve()
    if not file.is_relative_to(base):
        raise ValueError(f"{cell!r} lies outside of {base}")
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            return Image.open(file, formats=FORMATS)
        except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
            raise ValueError(f"{cell!r} has too many pixels: {error}") from None


def _with_channels(values: NDArray[Any]) -> NDArray[Any]:
    """(N, C, H, W) of pictures (N, H, W), (N, H, W, C) or (N, C, H, W)."""
    if values.ndim == 3:
        return values[:, None]
    return values if values.shape[1] in _CHANNELS else values.transpose(0, 3, 1, 2)
