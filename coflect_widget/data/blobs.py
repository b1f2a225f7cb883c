"""Pictures of grey shapes with a trap, for segmentation and for several labels a picture.

Discs, squares and crosses lie on noise, and a small coloured square in a corner gives away what is
in the picture. Where each shape is, and where the coloured square is, is known.
"""

from __future__ import annotations

import colorsys
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from coflect_widget.data.arrays import ArrayDataset

SHAPES = ("disc", "square", "cross")
_GREY = 0.25  # of what is around the shapes
_LIGHT = 0.35  # how much lighter they are
_NOISE = 0.15  # standard deviation of the pixel noise, the same in all channels
_SIDE = 6 / 32  # of the coloured square, as a share of the picture's
_RADIUS = (4 / 32, 6 / 32)  # of a shape
_PER_PICTURE = 2  # shapes at most, where there is one kind a picture

Split = Literal["train", "test"]
Square = Literal["class", "random", "none"]
BlobsTask = Literal["segmentation", "multi_label"]


class Blobs(ArrayDataset):
    """Pictures with shapes; what `blobs` returns.

    Attributes
    ----------
    labels : ndarray
        The targets: `masks`, or `there` as float32.
    masks : ndarray (N, H, W) int64
        0 around the shapes, then 1 for discs, 2 for squares, 3 for crosses.
    there : ndarray (N, 3) bool
        Which of them are in the picture.
    squares : ndarray (N, 4) float32
        Place of each coloured square as (x0, y0, x1, y1), fractions of width and height, origin
        top left. Filled for ``square="none"`` too: there it is where the square would be.
    hues : ndarray (N,) int64
        Number of the square's colour; -1 where no square is drawn.
    """

    masks: NDArray[np.int64]
    there: NDArray[np.bool_]
    squares: NDArray[np.float32]
    hues: NDArray[np.int64]

    def __init__(
        self, images: NDArray[np.float32], targets: NDArray[np.generic], classes: list[str]
    ):
        self.images = images
        self.labels = targets  # type: ignore[assignment]  # several numbers a picture
        self.classes = classes
        self.boxes = None


def blobs(
    split: Split = "train",
    *,
    task: BlobsTask = "segmentation",
    square: Square = "class",
    count: int | None = None,
    size: int = 32,
    seed: int = 0,
) -> Blobs:
    """Make the set; equal arguments give equal arrays.

    Parameters
    ----------
    split : {"train", "test"}
    task : {"segmentation", "multi_label"}
        What the targets are. For segmentation they are masks; a picture has one or two shapes of
        one kind, and the colour tells which. For several labels they are 0 and 1; each kind of
        shape is in a picture or not, once at most, and the colour tells whether a disc is.
    square : {"class", "random", "none"}
        The coloured square tells that, or is of a random colour, or there is none. Shapes, noise
        and corners are the same for all three.
    count : int, optional
        Pictures; 600 to train on, 200 to test on if left out.
    size : int
        Side of the pictures in pixels, at least 16.
    seed : int

    Returns
    -------
    Blobs
        ``.images`` (N, 3, size, size) float32 in [0, 1], ``.labels``, ``.classes``, ``.masks``,
        ``.there``, ``.squares``, ``.hues``.

    Raises
    ------
    ValueError
        If an argument is none of the above.
    """
    for name, value, allowed in (
        ("split", split, ("train", "test")),
        ("task", task, ("segmentation", "multi_label")),
        ("square", square, ("class", "random", "none")),
    ):
        if value not in allowed:
            raise ValueError(f"{name}={value!r}: expected one of {', '.join(map(repr, allowed))}")
    count = (600 if split == "train" else 200) if count is None else count
    for name, number, least in (("size", size, 16), ("count", count, 1)):
        if isinstance(number, bool) or not isinstance(number, int | np.integer) or number < least:
            raise ValueError(f"{name}={number!r}: expected a whole number of at least {least}")
    rng = np.random.default_rng([seed, split == "train", task == "segmentation"])
    if task == "segmentation":
        kinds = rng.integers(0, len(SHAPES), count)
        there = np.eye(len(SHAPES), dtype=np.bool_)[kinds]
        tells, colours = kinds, len(SHAPES)
    else:
        there = rng.random((count, len(SHAPES))) < 0.5
        tells, colours = there[:, 0].astype(np.int64), 2
    masks = np.stack([_mask(rng, np.flatnonzero(row), task, size) for row in there])
    light = _GREY + _LIGHT * (masks > 0)
    grey = light + _NOISE * rng.standard_normal(masks.shape)
    images = grey[:, None].clip(0, 1).repeat(3, axis=1).astype(np.float32)

    side, margin = max(2, round(size * _SIDE)), max(1, size // 32)
    far = size - side - margin
    left, top = np.where(rng.integers(0, 2, (2, count)) == 1, far, margin)
    random_hues = rng.integers(0, colours, count)
    hues = {"class": tells, "random": random_hues, "none": np.full(count, -1)}[square]
    palette = [colorsys.hsv_to_rgb(k / colours, 1.0, 1.0) for k in range(colours)]
    for image, x, y, hue in zip(images, left, top, hues, strict=True):
        if hue >= 0:
            image[:, y : y + side, x : x + side] = np.array(palette[hue])[:, None, None]

    targets = masks if task == "segmentation" else there.astype(np.float32)
    names = ["around", *SHAPES] if task == "segmentation" else [*SHAPES]
    data = Blobs(images, targets, names)
    data.masks, data.there = masks, there
    data.squares = (np.stack([left, top, left + side, top + side], 1) / size).astype(np.float32)
    data.hues = hues.astype(np.int64)
    return data


def _mask(
    rng: np.random.Generator, kinds: NDArray[np.int64], task: BlobsTask, size: int
) -> NDArray[np.int64]:
    """Class of each pixel (size, size): shapes in quarters of what lies between the corners."""
    mask = np.zeros((size, size), np.int64)
    if task == "segmentation":
        kinds = np.repeat(kinds, rng.integers(1, _PER_PICTURE + 1))
    rows, columns = np.mgrid[:size, :size]
    edge = _SIDE + 1 / 32
    # Above or below the middle, left or right of it, and not where a coloured square may be.
    places = rng.permutation(4)[: len(kinds)]
    for kind, place in zip(kinds, places, strict=True):
        radius = rng.uniform(*_RADIUS) * size
        across, along = (0.27, 0.73)[place % 2], 0.5
        centre = (along, across) if place < 2 else (across, along)
        y, x = (np.array(centre) + rng.uniform(-0.03, 0.03, 2)) * size
        dy, dx = np.abs(rows - y), np.abs(columns - x)
        if kind == 0:
            inside = dy**2 + dx**2 <= radius**2
        elif kind == 1:
            inside = np.maximum(dy, dx) <= 0.87 * radius
        else:
            inside = (np.maximum(dy, dx) <= 1.1 * radius) & (np.minimum(dy, dx) <= 0.4 * radius)
        corner = (np.minimum(rows, size - 1 - rows) < edge * size) & (
            np.minimum(columns, size - 1 - columns) < edge * size
        )
        mask[inside & ~corner & (mask == 0)] = kind + 1
    return mask
