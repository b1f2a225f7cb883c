"""What a cell shows, without the widget, of a sample that is no picture: its words, curves, values.

One file a kind of content. A content may come from a run folder of anybody: one that is not of
its kind's form is not drawn, and its text is never markup.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from coflect_widget.records.sketches import parts, series, table, text
from coflect_widget.records.sketches.marked import Marks


class _Draw(Protocol):
    def __call__(
        self,
        content: Mapping[str, Any],
        heat: NDArray[np.float32] | None,
        marks: Marks,
        *,
        small: bool,
    ) -> str: ...


_ALONE: Mapping[str, _Draw] = {
    "text": text.draw,
    "series": series.draw,
    "table": table.draw,
}


def _one(
    content: Mapping[str, Any], heat: NDArray[np.float32] | None, marks: Marks, *, small: bool
) -> str:
    """One part of a sample with several inputs."""
    drawn = _ALONE.get(str(content.get("kind")))
    return "" if drawn is None else drawn(content, heat, marks, small=small)


_DRAW: Mapping[str, _Draw] = {**_ALONE, "parts": partial(parts.draw, one=_one)}


def sketch(
    content: Mapping[str, Any] | None,
    heat: NDArray[np.floating] | None = None,
    marks: Sequence[tuple[str, NDArray[np.bool_]]] = (),
    *,
    small: bool = False,
) -> str:
    """A sample as HTML, coloured by a map; "" where a picture is all there is of it.

    Parameters
    ----------
    content : mapping or None
        What a browser draws of it (`Modality.content`).
    heat : ndarray of float in [0, 1], any shape, or None
        The map: a value a unit, the last axis first.
    marks : sequence of ("look" or "ignore", ndarray of bool)
        What was marked on it, as masks of the map's size.
    small : bool
        For a list: the most telling words, channel or features alone.
    """
    draw = _DRAW.get(str((content or {}).get("kind")))
    if content is None or draw is None:
        return ""
    flat = None if heat is None else np.nan_to_num(np.asarray(heat, np.float32).ravel())
    masks = [(kind, np.asarray(mask, np.bool_).ravel()) for kind, mask in marks]
    try:
        return draw(content, flat, masks, small=small)
    except (KeyError, TypeError, ValueError, IndexError, OverflowError):
        return ""  # not of its kind's form: the picture in its place still shows something
