"""A region in words: what was drawn, how much of the picture it is, and where."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from coflect_widget.modalities.image.regions import Box, Mask, Polygon, Roi, rasterise

#: Cells a side in which places are looked at; fine enough for thirds of a picture.
_CELLS = 48
#: Share of a side from which on a region goes all across it.
_ACROSS = 0.85
#: Share of a region's cells that its largest piece needs for the rest to be no place of its own.
_MAINLY = 0.8
#: Places that are named one by one, and regions that are.
_MOST_PLACES, _MOST_REGIONS = 3, 4
_FORMS = {Box: "a box", Polygon: "an outlined region", Mask: "a painted region"}

_Cells = NDArray[np.bool_]


def describe(roi: Roi) -> str:
    """One region in words, such as "a painted region (7 % of the picture, lower right)"."""
    return f"{_FORMS[type(roi)]} ({_extent(_share(roi), _cells(roi))})"


def describe_all(rois: Sequence[Roi]) -> str:
    """Several regions in words: each by itself, or, where they are many, their number and sum."""
    if len(rois) <= _MOST_REGIONS:
        return " and ".join(map(describe, rois))
    together = np.logical_or.reduce([_cells(roi) for roi in rois])
    return f"{len(rois)} regions (together {_extent(float(together.mean()), together)})"


def place(roi: Roi) -> str:
    """Where it is, such as "lower right", "across the top" or "around the edge"."""
    return _place(_cells(roi))


def _extent(share: float, cells: _Cells) -> str:
    if share >= 0.995:
        return "the whole picture"
    percent = "<1" if share < 0.005 else f"{100 * share:.0f}"
    return f"{percent} % of the picture, {_place(cells)}"


def _share(roi: Roi) -> float:
    match roi:
        case Box():
            return (roi.x1 - roi.x0) * (roi.y1 - roi.y0)
        case Polygon():
            x, y = np.array(roi.points).T
            return abs(float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))) / 2
        case Mask():
            return sum(roi.rle[1::2]) / (roi.height * roi.width)


def _cells(roi: Roi) -> _Cells:
    """The region on a grid of `_CELLS` x `_CELLS`."""
    if not isinstance(roi, Mask):
        return rasterise(roi, _CELLS, _CELLS)
    if roi.height < _CELLS or roi.width < _CELLS:
        return rasterise(roi, _CELLS, _CELLS)
    # A cell belongs if one of its pixels does: a thin line of the brush stays one line.
    y, x = np.nonzero(roi.pixels())
    cells = np.zeros((_CELLS, _CELLS), np.bool_)
    cells[y * _CELLS // roi.height, x * _CELLS // roi.width] = True
    return cells


def _place(cells: _Cells) -> str:
    edge = np.ones_like(cells)
    edge[1:-1, 1:-1] = False
    third = slice(_CELLS // 3, -(_CELLS // 3))
    if cells[edge].mean() > 0.7 and not cells[third, third].any():
        return "around the edge"
    pieces = sorted(_pieces(cells), key=lambda piece: (-piece.sum(), int(piece.argmax())))
    if pieces[0].sum() >= _MAINLY * cells.sum():
        return _of_piece(pieces[0])
    names = list(dict.fromkeys(map(_of_piece, pieces)))
    return "in several places" if len(names) > _MOST_PLACES else " and ".join(names)


def _of_piece(cells: _Cells) -> str:
    rows, columns = np.flatnonzero(cells.any(1)), np.flatnonzero(cells.any(0))
    top, bottom = rows[0] / _CELLS, (rows[-1] + 1) / _CELLS
    left, right = columns[0] / _CELLS, (columns[-1] + 1) / _CELLS
    wide, tall = right - left >= _ACROSS, bottom - top >= _ACROSS
    down = _third((top + bottom) / 2, "upper", "lower")
    across = _third((left + right) / 2, "left", "right")
    if wide and tall:
        return "all across it"
    if wide:
        return {"upper": "across the top", "lower": "across the bottom"}.get(
            down, "across the middle"
        )
    if tall:
        return f"down the {across} side" if across else "down the middle"
    if down and across:
        return f"{down} {across}"
    return across or {"upper": "top", "lower": "bottom"}.get(down, "centre")


def _third(middle: float, first: str, last: str) -> str:
    return first if middle < 1 / 3 else last if middle > 2 / 3 else ""


def _pieces(cells: _Cells) -> list[_Cells]:
    """The parts of a region that do not touch each other, corners counted as touching."""
    left = {(int(y), int(x)) for y, x in np.argwhere(cells)}
    pieces = []
    while left:
        waiting, piece = [left.pop()], np.zeros_like(cells)
        while waiting:
            y, x = waiting.pop()
            piece[y, x] = True
            near = {(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)} & left
            left -= near
            waiting += near
        pieces.append(piece)
    return pieces
