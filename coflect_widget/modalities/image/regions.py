"""Regions of interest: what a person may hand over, checked, and turned into pixels.

Three forms, each with a JSON form; coordinates are fractions of width and height, origin top
left, so that a region means the same on the screen, in a file and at any image size.

========  ==========================================  ====================================
form      in Python                                   in JSON
========  ==========================================  ====================================
box       ``(x0, y0, x1, y1)``                        ``{"box": [x0, y0, x1, y1]}``
polygon   ``[(x, y), (x, y), (x, y), ...]``           ``{"polygon": [[x, y], ...]}``
mask      boolean array (H, W)                        ``{"mask": {"height", "width", "rle"}}``
========  ==========================================  ====================================

``rle`` holds the lengths of the runs, row by row, outside and inside in turn, beginning with
outside (0 where the first pixel is inside).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAX_POINTS = 1000
MAX_PIXELS = 1 << 24

BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Box:
    """Rectangle with x0 < x1 and y0 < y1, all in [0, 1]."""

    x0: float
    y0: float
    x1: float
    y1: float

    def to_json(self) -> dict[str, Any]:
        """The JSON form."""
        return {"box": [self.x0, self.y0, self.x1, self.y1]}


@dataclass(frozen=True, slots=True)
class Polygon:
    """At least three corners, in order, that do not cross; coordinates in [0, 1]."""

    points: tuple[tuple[float, float], ...]

    def to_json(self) -> dict[str, Any]:
        """The JSON form."""
        return {"polygon": [list(point) for point in self.points]}


@dataclass(frozen=True, slots=True)
class Mask:
    """Brushed pixels of a `height` x `width` raster, as run lengths (outside first)."""

    height: int
    width: int
    rle: tuple[int, ...]

    def to_json(self) -> dict[str, Any]:
        """The JSON form."""
        return {"mask": {"height": self.height, "width": self.width, "rle": list(self.rle)}}

    def pixels(self) -> BoolArray:
        """The mask as a boolean array (height, width)."""
        inside = np.arange(len(self.rle)) % 2 == 1
        return np.repeat(inside, self.rle).reshape(self.height, self.width)


Roi = Box | Polygon | Mask


def parse_roi(value: Any, argument: str = "look", extent: tuple[int, int] | None = None) -> Roi:
    """Check one region in any of its forms.

    Parameters
    ----------
    value : Roi, sequence, ndarray or mapping
        A form of the table above.
    argument : str
        Name of the argument that the error messages speak of.
    extent : (int, int), optional
        Height and width that a mask must have.

    Raises
    ------
    ValueError
        If it is empty, leaves [0, 1], crosses itself, has the wrong shape or type, or is no
        region at all. The message names argument, value and remedy.
    """
    if isinstance(value, Box | Polygon | Mask):
        value = value.to_json()
    if isinstance(value, Mapping):
        return _from_json(value, argument, extent)
    if isinstance(value, np.ndarray):
        if value.dtype == np.bool_:
            return _mask(value, argument, extent)
        if value.ndim == 2 and value.shape[1] not in (2, 4):
            raise ValueError(
                f"{argument} is an array of shape {value.shape} and type {value.dtype}; a mask "
                "must be boolean, as in mask > 0.5"
            )
        value = value.tolist()
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        if len(value) == 4 and all(_is_number(v) for v in value):
            return _box(value, argument)
        if value and all(_is_bool_row(row) for row in value):
            if len({len(row) for row in value}) != 1:
                raise ValueError(f"{argument}: the rows of the mask differ in length")
            return _mask(np.array(value, dtype=np.bool_), argument, extent)
        if value and all(_is_pair(point) for point in value):
            return _polygon(value, argument)
    raise ValueError(
        f"{argument}={_short(value)}: expected a box (x0, y0, x1, y1), a polygon "
        "[(x, y), (x, y), (x, y), ...] or a boolean mask (H, W); for example "
        f"{argument}=(0.7, 0.7, 0.95, 0.95)"
    )


def parse_rois(
    value: Any, argument: str = "look", extent: tuple[int, int] | None = None
) -> tuple[Roi, ...]:
    """Check one region or a list of them; None and an empty list give ``()``.

    Raises
    ------
    ValueError
        As `parse_roi`, with the position in the list as part of the argument's name.
    """
    if value is None:
        return ()
    many = False
    if isinstance(value, np.ndarray):
        many = value.ndim == 3 or (value.ndim == 2 and value.shape[1] == 4 and value.dtype != bool)
    elif isinstance(value, Sequence) and not isinstance(value, str | bytes):
        one_polygon = all(_is_pair(v) for v in value)
        one_box = len(value) == 4 and all(_is_number(v) for v in value)
        one_mask = all(_is_bool_row(v) for v in value)
        numbers = any(_is_number(v) for v in value)
        many = not value or not (one_polygon or one_box or one_mask or numbers)
    if not many:
        return (parse_roi(value, argument, extent),)
    return tuple(parse_roi(v, f"{argument}[{i}]", extent) for i, v in enumerate(value))


def rasterise(roi: Roi, height: int, width: int) -> BoolArray:
    """Pixels of a `height` x `width` image that belong to `roi`.

    A pixel belongs if its centre is inside; a centre exactly on a left or upper edge is
    inside, on a right or lower edge outside, so that neighbouring regions share no pixel. A
    region too thin to hold any centre marks the one pixel at its middle.

    Returns
    -------
    ndarray (height, width) of bool
    """
    x = (np.arange(width) + 0.5) / width
    y = (np.arange(height) + 0.5) / height
    match roi:
        case Box():
            inside = ((y >= roi.y0) & (y < roi.y1))[:, None] & ((x >= roi.x0) & (x < roi.x1))
            middle = ((roi.x0 + roi.x1) / 2, (roi.y0 + roi.y1) / 2)
        case Polygon():
            points = np.array(roi.points)
            inside = _even_odd(points, x, y)
            middle = _middle(points)
        case Mask():
            pixels = roi.pixels()
            rows = np.minimum((y * roi.height).astype(np.int64), roi.height - 1)
            columns = np.minimum((x * roi.width).astype(np.int64), roi.width - 1)
            inside = pixels[rows][:, columns]
            first = int(np.flatnonzero(pixels)[0])
            middle = (
                (first % roi.width + 0.5) / roi.width,
                (first // roi.width + 0.5) / roi.height,
            )
    if not inside.any():
        inside[min(int(middle[1] * height), height - 1), min(int(middle[0] * width), width - 1)] = (
            True
        )
    return inside


def _from_json(value: Mapping[Any, Any], argument: str, extent: tuple[int, int] | None) -> Roi:
    forms = [form for form in ("box", "polygon", "mask") if form in value]
    if len(forms) != 1 or len(value) != 1:
        raise ValueError(
            f"{argument}={_short(value)}: expected exactly one of the keys 'box', 'polygon', 'mask'"
        )
    inner = value[forms[0]]
    if forms[0] == "mask":
        return _mask_from_json(inner, argument, extent)
    if isinstance(inner, Sequence) and not isinstance(inner, str | bytes):
        if forms[0] == "box" and len(inner) == 4 and all(_is_number(v) for v in inner):
            return _box(inner, argument)
        if forms[0] == "polygon" and all(_is_pair(v) for v in inner):
            return _polygon(inner, argument)
    wanted = "[x0, y0, x1, y1]" if forms[0] == "box" else "[[x, y], [x, y], [x, y], ...]"
    raise ValueError(f"{argument}={_short(value)}: a {forms[0]} is written {wanted}")


def _box(value: Sequence[Any], argument: str) -> Box:
    numbers = [_fraction(v, argument, value) for v in value]
    x0, y0, x1, y1 = numbers
    if not (x0 < x1 and y0 < y1):
        raise ValueError(
            f"{argument}={_short(value)} is an empty box; it needs x0 < x1 and y0 < y1 "
            "(left, top, right, bottom)"
        )
    return Box(x0, y0, x1, y1)


def _polygon(value: Sequence[Any], argument: str) -> Polygon:
    points: list[tuple[float, float]] = []
    for x, y in value:
        point = (_fraction(x, argument, value), _fraction(y, argument, value))
        if not points or points[-1] != point:  # a slow pointer repeats itself
            points.append(point)
    if len(points) > 1 and points[0] == points[-1]:  # closed by hand
        points.pop()
    if len(points) < 3:
        raise ValueError(
            f"{argument}={_short(value)} has {len(points)} different points; a polygon needs at "
            "least 3"
        )
    if len(points) > MAX_POINTS:
        raise ValueError(
            f"{argument} is a polygon of {len(points)} points; at most {MAX_POINTS} are taken, "
            "so leave out every second one, or give a mask"
        )
    corners = np.array(points)
    if abs(_area(corners)) < 1e-9:
        raise ValueError(f"{argument}={_short(value)} encloses no area; draw round the region")
    if _crosses_itself(corners):
        raise ValueError(
            f"{argument}={_short(value)} crosses itself; give its points in order round the "
            "region, or two polygons"
        )
    return Polygon(tuple(points))


def _mask(value: BoolArray, argument: str, extent: tuple[int, int] | None) -> Mask:
    if value.ndim != 2:
        raise ValueError(
            f"{argument} is a mask of shape {value.shape}; expected two dimensions (H, W)"
        )
    if extent is not None and value.shape != tuple(extent):
        raise ValueError(
            f"{argument} is a mask of shape {value.shape}; the images have (H, W) = "
            f"{tuple(extent)}, give one value for each pixel"
        )
    if not value.any():
        raise ValueError(f"{argument} is a mask without a single True pixel; mark the region")
    flat = np.concatenate([[False], value.ravel()])
    edges = np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]), [value.size]])
    return Mask(int(value.shape[0]), int(value.shape[1]), tuple(np.diff(edges).tolist()))


def _mask_from_json(value: Any, argument: str, extent: tuple[int, int] | None) -> Mask:
    form = f'{argument}: a mask is written {{"height": H, "width": W, "rle": [runs]}}'
    if not isinstance(value, Mapping) or set(value) != {"height", "width", "rle"}:
        raise ValueError(f"{form}, not {_short(value)}")
    height, width, rle = value["height"], value["width"], value["rle"]
    if not (isinstance(rle, Sequence) and not isinstance(rle, str | bytes)):
        raise ValueError(f"{form}, not {_short(value)}")
    whole = [height, width, *rle]
    if not all(isinstance(v, int) and not isinstance(v, bool) and v >= 0 for v in whole):
        raise ValueError(f"{form}, all of them whole numbers from 0 on, not {_short(value)}")
    if not 0 < height * width <= MAX_PIXELS or sum(rle) != height * width:
        raise ValueError(
            f"{argument}: the runs of the mask add up to {sum(rle)}, but it is said to be "
            f"{height} x {width} (at most {MAX_PIXELS} pixels); the two must agree"
        )
    return _mask(Mask(height, width, tuple(rle)).pixels(), argument, extent)


def _area(points: NDArray[np.float64]) -> float:
    x, y = points.T
    return float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2


def _crosses_itself(points: NDArray[np.float64]) -> bool:
    """Whether two edges cross properly; touching and running along each other are allowed."""
    start, end = points, np.roll(points, -1, axis=0)  # (P, 2) each

    def side(p: NDArray[np.float64]) -> NDArray[np.float64]:
        """Which side of edge i point j is on: (P, P), positive, negative, or 0 for on it."""
        along = (end - start)[:, None]
        to = p[None] - start[:, None]
        cross = along[..., 0] * to[..., 1] - along[..., 1] * to[..., 0]
        return np.sign(np.where(np.abs(cross) < 1e-12, 0.0, cross))

    parted = side(start) * side(end) < 0
    return bool((parted & parted.T).any())


def _even_odd(
    points: NDArray[np.float64], x: NDArray[np.float64], y: NDArray[np.float64]
) -> BoolArray:
    inside = np.zeros((len(y), len(x)), dtype=np.bool_)
    for (ax, ay), (bx, by) in zip(points, np.roll(points, -1, axis=0), strict=True):
        rows = np.flatnonzero((ay <= y) != (by <= y))
        if rows.size:
            crossing = ax + (y[rows] - ay) * ((bx - ax) / (by - ay))
            inside[rows] ^= x[None, :] >= crossing[:, None]
    return inside


def _middle(points: NDArray[np.float64]) -> tuple[float, float]:
    """A point of the polygon: its centre of mass, or where that is outside, one on its edge."""
    x, y = points.T
    cross = x * np.roll(y, -1) - np.roll(x, -1) * y
    if abs(cross.sum()) > 1e-12:
        centre_x = float(((x + np.roll(x, -1)) * cross).sum() / (3 * cross.sum()))
        centre_y = float(((y + np.roll(y, -1)) * cross).sum() / (3 * cross.sum()))
        if _even_odd(points, np.array([centre_x]), np.array([centre_y])).any():
            return centre_x, centre_y
    return float(x[0] + x[1]) / 2, float(y[0] + y[1]) / 2


def _fraction(value: Any, argument: str, whole: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{argument}={_short(whole)} has a coordinate that is not a number")
    if not 0.0 <= number <= 1.0:
        raise ValueError(
            f"{argument}={_short(whole)}: {number:g} is outside [0, 1]; coordinates are fractions "
            "of width and height, so divide pixels by the image's width and height"
        )
    return number


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)


def _is_pair(value: Any) -> bool:
    return (
        isinstance(value, Sequence | np.ndarray)
        and not isinstance(value, str | bytes)
        and len(value) == 2
        and all(_is_number(v) for v in value)
    )


def _is_bool_row(value: Any) -> bool:
    return (
        isinstance(value, Sequence)
        and not isinstance(value, str | bytes)
        and len(value) > 0
        and all(isinstance(v, bool | np.bool_) for v in value)
    )


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 120 else text[:117] + "..."
