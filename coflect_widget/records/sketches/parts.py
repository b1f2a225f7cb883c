"""A sample of several inputs in a cell: each part as its kind is sketched, below its name."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from coflect_widget.records import cells
from coflect_widget.records.pictures import MAX_PIXELS, laid_on
from coflect_widget.records.sketches.marked import COLOURS, Marks

#: Longer side of a picture, alone and in a list.
_SIDE, _SMALL = 192, 72


class DrawOne(Protocol):
    """Draws one part by its content."""

    def __call__(
        self,
        content: Mapping[str, Any],
        heat: NDArray[np.float32] | None,
        marks: Marks,
        *,
        small: bool,
    ) -> str:
        """As HTML; "" where it is of no known kind."""


def draw(
    content: Mapping[str, Any],
    heat: NDArray[np.float32] | None,
    marks: Marks,
    *,
    small: bool,
    one: DrawOne,
) -> str:
    """See `sketch`; `one` draws a part that is no picture."""
    found = []
    for part in content["parts"]:
        first, last = (int(place) for place in part["units"])
        own = None if heat is None else heat[first:last]
        marked = [(kind, mask[first:last]) for kind, mask in marks]
        if part["content"] is None:
            extent = [int(side) for side in part["extent"]]
            drawn = _picture(str(part["picture"]), extent, own, marked, small=small)
        else:
            drawn = one(part["content"], own, marked, small=small)
        name = html.escape(str(part["name"]))
        head = f'<div style="font-weight:600">{name}</div>'
        found.append(
            '<div style="display:inline-block;vertical-align:top;max-width:280px;'
            f'margin:0 12px 6px 0">{head}{drawn}</div>'
        )
    return "".join(found)


def _picture(
    file: str,
    extent: list[int],
    heat: NDArray[np.float32] | None,
    marks: Marks,
    *,
    small: bool,
) -> str:
    """A PNG file in base64, under its part of the map and what is marked."""
    try:
        with Image.open(io.BytesIO(base64.b64decode(file, validate=True)), formats=["PNG"]) as png:
            if png.width * png.height > MAX_PIXELS:
                return ""
            picture = np.asarray(png.convert("RGB"))
    except OSError:
        return ""
    shown = cells.fitted(picture, _SMALL if small else _SIDE)
    if heat is not None:
        shown = cells.over(shown, laid_on(heat.reshape(extent), shown.shape[:2]))
    drawn = shown.copy()
    for kind, mask in marks:
        inside = laid_on(mask.reshape(extent), shown.shape[:2])
        kept = np.logical_and.reduce(
            [np.roll(inside, by, axis) for axis in (0, 1) for by in (-2, 2)]
        )
        drawn[inside & ~kept] = COLOURS[kind]
    return cells.picture_tag(cells.png(drawn), "")
