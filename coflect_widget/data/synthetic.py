"""Coloured shapes on texture: made on the spot, and where the shape is, is known.

The form is the class; place, size, turn, colour and ground are chance, so that nothing else
gives the class away.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from coflect_widget.data.arrays import ArrayDataset

_Plane = NDArray[np.float64]

_OVER = 3  # each pixel is the mean of so many points a side, for soft edges


def _triangle(u: _Plane, v: _Plane) -> NDArray[np.bool_]:
    inside: NDArray[np.bool_] = (v < 0.5) & (v > np.sqrt(3) * np.abs(u) - 1)
    return inside


def _star(u: _Plane, v: _Plane) -> NDArray[np.bool_]:
    inside: NDArray[np.bool_] = np.hypot(u, v) < 0.6 + 0.4 * np.cos(5 * np.arctan2(v, u))
    return inside


#: Name of each class, and whether the point (u, v) is inside; the unit circle encloses all.
_SHAPES: dict[str, Callable[[_Plane, _Plane], NDArray[np.bool_]]] = {
    "circle": lambda u, v: np.hypot(u, v) < 0.9,
    "square": lambda u, v: np.maximum(np.abs(u), np.abs(v)) < 0.7,
    "triangle": _triangle,
    "cross": lambda u, v: (np.minimum(np.abs(u), np.abs(v)) < 0.28) & (np.hypot(u, v) < 1),
    "ring": lambda u, v: np.abs(np.hypot(u, v) - 0.75) < 0.2,
    "bar": lambda u, v: (np.abs(u) < 0.95) & (np.abs(v) < 0.28),
    "crescent": lambda u, v: (np.hypot(u, v) < 0.95) & (np.hypot(u - 0.5, v) > 0.75),
    "star": _star,
}


def synthetic(n: int = 2000, classes: int = 4, size: int = 32, seed: int = 0) -> ArrayDataset:
    """Images of one coloured shape each, on a textured ground with noise.

    Sample i depends on (i, classes, size, seed) alone: it is the same whatever `n` is.
    Classes take turns, so that any stretch of the set is balanced.

    Parameters
    ----------
    n : int
        Samples, at least 1.
    classes : int
        From 2 to 8: circle, square, triangle, cross, ring, bar, crescent, star.
    size : int
        Height and width in pixels, at least 16.
    seed : int
        Not negative. Another seed gives other pictures, as for a test set.

    Returns
    -------
    ArrayDataset
        Images (n, 3, size, size) float32 in [0, 1]; `boxes` (n, 4) float32 enclose the shape,
        (x0, y0, x1, y1) as fractions of width and height.

    Raises
    ------
    ValueError
        If a parameter is out of range.
    """
    if n < 1:
        raise ValueError(f"n = {n}; expected at least 1 sample")
    if not 2 <= classes <= len(_SHAPES):
        raise ValueError(f"classes = {classes}; expected 2 to {len(_SHAPES)}")
    if size < 16:
        raise ValueError(f"size = {size}; expected at least 16 pixels, or shapes blur together")
    if seed < 0:
        raise ValueError(f"seed = {seed}; expected 0 or more")
    names = list(_SHAPES)[:classes]
    images = np.empty((n, 3, size, size), np.float32)
    boxes = np.empty((n, 4), np.float32)
    labels = np.arange(n) % classes
    points = (np.arange(size * _OVER) + 0.5) / (size * _OVER)
    y, x = np.meshgrid(points, points, indexing="ij")
    for index in range(n):
        rng = np.random.default_rng((seed, index))
        images[index], boxes[index] = _draw(names[labels[index]], x, y, rng)
    return ArrayDataset(images, labels, names, boxes)


def _draw(
    shape: str, x: _Plane, y: _Plane, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """One picture (3, H, W) in [0, 1] and its box (4,); `x`, `y` are fine grids in [0, 1]."""
    radius = rng.uniform(0.18, 0.36)
    at_x, at_y = rng.uniform(radius, 1 - radius, 2)
    turn = rng.uniform(0, 2 * np.pi)
    u = (np.cos(turn) * (x - at_x) + np.sin(turn) * (y - at_y)) / radius
    v = (np.cos(turn) * (y - at_y) - np.sin(turn) * (x - at_x)) / radius
    cover = _shrink(_SHAPES[shape](u, v).astype(np.float64))  # (H, W), share of the pixel

    ground = _shrink(_texture(x, y, rng))  # (H, W) in [0, 1]
    tint, colour = _two_colours(rng)
    picture = tint[:, None, None] * (0.6 + 0.4 * ground)
    picture += cover * (colour[:, None, None] - picture)
    picture += rng.normal(0, 0.06, picture.shape)

    size = len(cover)
    rows = np.flatnonzero((cover >= 0.5).any(axis=1))
    columns = np.flatnonzero((cover >= 0.5).any(axis=0))
    box = np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]) / size
    return np.clip(picture, 0, 1), box


def _texture(x: _Plane, y: _Plane, rng: np.random.Generator) -> _Plane:
    waves = np.zeros_like(x)
    for _ in range(2):
        angle, phase = rng.uniform(0, 2 * np.pi, 2)
        frequency = rng.uniform(2, 7)  # waves across the picture
        along = np.cos(angle) * x + np.sin(angle) * y
        waves += np.sin(2 * np.pi * frequency * along + phase)
    return 0.5 + waves / 4


def _two_colours(rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Colours of ground and shape (3,), never so close that the shape is lost."""
    ground = rng.uniform(0.15, 0.85, 3)
    while True:
        shape = rng.uniform(0.1, 0.95, 3)
        if np.linalg.norm(shape - ground) > 0.45:
            return ground, shape


def _shrink(plane: _Plane) -> _Plane:
    size = len(plane) // _OVER
    means: _Plane = plane.reshape(size, _OVER, size, _OVER).mean(axis=(1, 3))
    return means
