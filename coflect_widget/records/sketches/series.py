"""A series in a cell: its curves, the map behind them as coloured stretches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from coflect_widget.records.cells import picture_tag, png
from coflect_widget.records.sketches.marked import COLOURS, WARM, Marks

#: Channels that are shown, in a list and alone.
_FEW, _MANY = 1, 4
#: Width and height of a channel in a list and alone, in pixels; drawn twice as fine.
_SMALL, _LARGE, _FINE = (230, 56), (560, 96), 2
_LINE, _FRAME, _GROUND, _WORDS = (31, 111, 235), (208, 212, 217), (255, 255, 255), (80, 86, 94)


def draw(
    content: Mapping[str, Any], heat: NDArray[np.float32] | None, marks: Marks, *, small: bool
) -> str:
    """See `sketch`; of many channels those that the map, or a mark, says most of."""
    channels, length = content["channels"], int(content["length"])
    if length < 1 or not channels:
        raise ValueError("a series has steps and channels")
    rows = None if heat is None else _by_channel(heat, len(channels), length)
    masks = [(kind, _by_channel(mask, len(channels), length)) for kind, mask in marks]
    telling = np.zeros(len(channels)) if rows is None else rows.max(1).astype(float)
    for _, mask in masks:
        telling = telling + 2 * mask.any(1)
    most = _FEW if small else _MANY
    chosen = sorted(np.argsort(-telling, kind="stable")[:most].tolist())
    width, height = (_FINE * side for side in (_SMALL if small else _LARGE))
    drawn = [
        _channel(
            np.array([np.nan if v is None else float(v) for v in channels[at]["values"]]),
            None if rows is None else rows[at],
            [(kind, mask[at]) for kind, mask in masks if kind in COLOURS],
            (width, height),
            str(channels[at]["name"]) if len(channels) > 1 else "",
        )
        for at in chosen
    ]
    what = "the curve" if len(channels) == 1 else f"{len(chosen)} of {len(channels)} channels"
    alt = f"{what} over {length} steps"
    return picture_tag(png(np.concatenate(drawn)), alt, width // _FINE)


def _by_channel(values: NDArray[Any], channels: int, length: int) -> NDArray[Any]:
    """A map of all channels together, or one each, as (channels, steps)."""
    if len(values) % length or len(values) // length not in (1, channels):
        if len(values) % length or len(values) // length < channels:
            raise ValueError("the map is not one of this series")
        values = values[: channels * length]  # of many channels the first are drawn
    found: NDArray[Any] = np.broadcast_to(values.reshape(-1, length), (channels, length))
    return found


def _channel(
    values: NDArray[np.float64],
    heat: NDArray[np.float32] | None,
    masks: Marks,
    size: tuple[int, int],
    name: str,
) -> NDArray[np.uint8]:
    width, height = size
    ground = np.full((height, width, 3), _GROUND, np.float32)
    if heat is not None:
        at = np.arange(width) * len(heat) // width
        bins = heat[at]
        if len(heat) > width:  # no peak of a long series is lost
            edges = np.arange(width) * len(heat) // width
            bins = np.maximum.reduceat(heat, edges)
        share = 0.6 * np.where(bins < 0.05, 0, bins.clip(0, 1))[None, :, None]
        ground = (ground * (1 - share) + np.array(WARM) * share).astype(np.float32)
    image = Image.fromarray(ground.round().astype(np.uint8))
    pen = ImageDraw.Draw(image)
    pen.rectangle([0, 0, width - 1, height - 1], outline=_FRAME, width=_FINE)
    known = values[np.isfinite(values)]
    if len(known):
        low, high = float(known.min()), float(known.max())
        low, high = (low, high) if high > low else (low - 1, high + 1)
        x = (np.arange(len(values)) + 0.5) / len(values) * width
        y = height * (0.94 - 0.88 * (values - low) / (high - low))
        gaps = np.flatnonzero(~np.isfinite(values))
        for part in np.split(np.arange(len(values)), gaps):
            points = [(float(x[i]), float(y[i])) for i in part if np.isfinite(values[i])]
            if len(points) > 1:
                pen.line(points, fill=_LINE, width=2 * _FINE, joint="curve")
            elif points:
                pen.point(points, fill=_LINE)
    for kind, mask in masks:
        for first, stop in _stretches(mask):
            left, right = (round(edge / len(mask) * (width - 1)) for edge in (first, stop))
            pen.rectangle([left, 1, max(right, left + 4), height - 2], outline=COLOURS[kind],
                          width=2 * _FINE)  # fmt: skip
    if name:
        pen.text((10, 6), name, fill=_WORDS, font_size=11 * _FINE)
    return np.asarray(image)


def _stretches(mask: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Where a mask begins and ends, half open."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(np.int8), [0]])))
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]
