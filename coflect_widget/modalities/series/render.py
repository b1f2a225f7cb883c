"""A series as curves: a small picture for lists, and its values for the browser to draw."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from coflect_widget.modalities.base import Array

#: Points of a curve that are sent to the browser, at most; an even number.
MOST_POINTS = 600
#: Channels that are sent; of more, the first.
MOST_CHANNELS = 32
#: Least height of the picture and of a channel's band, the share of that which stays free, and
#: the picture's width.
_HEIGHT, _BAND, _FREE, _NARROWEST, _WIDEST = 64, 16, 0.06, 96, 256
_GROUND = 255
#: The first channels have one each, in turn.
_COLOURS = np.array(
    [(31, 119, 180), (214, 96, 20), (44, 130, 60), (160, 50, 60), (110, 80, 160), (110, 80, 70)],
    np.uint8,
)


def picture(x: Array) -> NDArray[np.uint8]:
    """The curves of (C, L) below each other as RGB (h, w, 3), each between its own ends.

    A channel's band is where the channel's row of a map (C, L) lies.
    """
    width = int(np.clip(x.shape[1], _NARROWEST, _WIDEST))
    height = max(_HEIGHT, _BAND * min(len(x), MOST_CHANNELS))
    drawn = np.full((height, width, 3), _GROUND, np.uint8)
    rows = np.arange(height)[:, None]
    for number, values in enumerate(x[:height]):
        first, stop = (height * edge // len(x) for edge in (number, number + 1))
        low, high = _columns(values, width)
        least, most = float(low.min()), float(high.max())
        room = max(0.0, (stop - first) * (1 - 2 * _FREE) - 1)
        scale = room / (most - least) if most > least else 0.0
        at = first + (stop - first) * _FREE + (0 if scale else room / 2)
        top = np.rint(at + (most - high) * scale).astype(int)
        bottom = np.rint(at + (most - low) * scale).astype(int)
        drawn[(rows >= top) & (rows <= bottom)] = _COLOURS[number % len(_COLOURS)]
    return drawn


def _columns(values: Array, width: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Lowest and highest value of a curve in each column of a picture, without gaps."""
    values = np.nan_to_num(np.asarray(values, np.float64))
    at = np.linspace(0, len(values) - 1, 4 * width * max(1, -(-len(values) // (4 * width))))
    cells = np.interp(at, np.arange(len(values)), values).reshape(width, -1)
    low, high = cells.min(1), cells.max(1)
    # up to half the way to the columns beside, so that a steep curve has no gaps
    ends = (cells[:-1, -1] + cells[1:, 0]) / 2
    low[1:], high[1:] = np.minimum(low[1:], ends), np.maximum(high[1:], ends)
    low[:-1], high[:-1] = np.minimum(low[:-1], ends), np.maximum(high[:-1], ends)
    return low, high


def content(x: Array) -> dict[str, Any]:
    """The curves as JSON.

    ``{"kind": "series", "channels": [{"name": "0", "values": [...]}], "length": L}``. Of more than
    `MOST_POINTS` steps the lowest and the highest of each stretch are kept, in their order, so that
    no peak is lost.
    """
    return {
        "kind": "series",
        "channels": [
            {"name": str(number), "values": _thinned(np.asarray(values, np.float64))}
            for number, values in enumerate(x[:MOST_CHANNELS])
        ],
        "length": int(x.shape[1]),
    }


def _thinned(values: NDArray[np.float64]) -> list[float]:
    values = np.nan_to_num(values)
    if len(values) > MOST_POINTS:
        stretches = np.array_split(values, MOST_POINTS // 2)
        values = np.concatenate(
            [part[sorted((int(part.argmin()), int(part.argmax())))] for part in stretches]
        )
    return [float(f"{value:.5g}") for value in values]
