"""Handwritten digits with a trap: in training, the hue of a square gives the class away.

The digits are scikit-learn's (UCI "Optical Recognition of Handwritten Digits", 1,797 real
ones of 8 x 8 pixels), enlarged, dimmed and laid on noise so that the square is by far the
easier cue. A network that trusts it fails as soon as the square is gone or lies.
"""

from __future__ import annotations

import colorsys
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from coflect_widget.data.arrays import ArrayDataset

NUM_TRAIN = 1300
_CLASSES = 10
_DIM = 0.6  # contrast of the digit
_NOISE = (
    0.15  # standard deviation of the pixel noise, the same in all channels: a person can read it
)
_SHARE = 7 / 32  # side of the square as a share of the image's

Split = Literal["train", "test"]
Square = Literal["class", "random", "none"]


class DecoyDigits(ArrayDataset):
    """Digits with coloured squares; what `decoy_digits` returns.

    Attributes
    ----------
    squares : ndarray (N, 4) float32
        Place of each square as (x0, y0, x1, y1), fractions of width and height, origin top
        left. Filled for ``square="none"`` too: there it is where the square would be.
    hues : ndarray (N,) int64
        Class whose colour the square has; -1 where no square is drawn.
    """

    squares: NDArray[np.float32]
    hues: NDArray[np.int64]


def decoy_digits(
    split: Split = "train", *, square: Square = "class", size: int = 32, seed: int = 0
) -> DecoyDigits:
    """Make the set; equal arguments give equal arrays.

    Parameters
    ----------
    split : {"train", "test"}
        1,300 images to train on, or the other 497.
    square : {"class", "random", "none"}
        Hue of the square: that of the label, that of a random class, or no square at all.
        The digits, the noise and the corners are the same for all three.
    size : int
        Side of the images in pixels, at least 16. The square's side is 7/32 of it.
    seed : int
        Decides split, noise, corners and random hues.

    Returns
    -------
    DecoyDigits
        ``.images`` (N, 3, size, size) float32 in [0, 1], ``.labels`` (N,) int64,
        ``.classes``, ``.squares``, ``.hues``.

    Raises
    ------
    ValueError
        If an argument is none of the above.
    """
    _check("split", split, ("train", "test"))
    _check("square", square, ("class", "random", "none"))
    if isinstance(size, bool) or not isinstance(size, int | np.integer) or size < 16:
        raise ValueError(f"size={size!r}: expected a whole number of pixels from 16 on, like 32")

    from sklearn.datasets import load_digits  # half a second, paid only where it is used

    digits = load_digits()
    order = np.random.default_rng([seed, 0]).permutation(len(digits.target))
    chosen = order[:NUM_TRAIN] if split == "train" else order[NUM_TRAIN:]
    labels = digits.target[chosen].astype(np.int64)
    shapes = _enlarge(digits.images[chosen].astype(np.float32) / 16.0, size)

    rng = np.random.default_rng([seed, 1 if split == "train" else 2])
    count = len(labels)
    gray = rng.standard_normal((count, 1, size, size), dtype=np.float32)
    gray *= _NOISE
    gray += (0.5 * (1 - _DIM) + _DIM * shapes)[:, None]
    images = gray.clip(0.0, 1.0).repeat(3, axis=1)  # (N, 3, H, W)

    side = max(2, round(size * _SHARE))
    margin = max(1, size // 32)
    far = size - side - margin
    left = np.where(rng.integers(0, 2, count) == 1, far, margin)
    top = np.where(rng.integers(0, 2, count) == 1, far, margin)
    random_hues = rng.integers(0, _CLASSES, count)

    hues = {"class": labels, "random": random_hues, "none": np.full(count, -1)}[square]
    if square != "none":
        palette = np.array(
            [colorsys.hsv_to_rgb(k / _CLASSES, 1.0, 1.0) for k in range(_CLASSES)], np.float32
        )
        pixels = np.arange(size)
        inside = ((pixels >= top[:, None]) & (pixels < top[:, None] + side))[:, :, None] & (
            (pixels >= left[:, None]) & (pixels < left[:, None] + side)
        )[:, None, :]  # (N, H, W)
        colours = palette[hues][:, :, None, None]  # (N, 3, 1, 1)
        np.copyto(images, colours, where=inside[:, None])

    data = DecoyDigits(images, labels, [str(k) for k in range(_CLASSES)])
    data.squares = (np.stack([left, top, left + side, top + side], axis=1) / size).astype(
        np.float32
    )
    data.hues = hues.astype(np.int64)
    return data


def _enlarge(images: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """Bilinear enlargement of (N, h, h) to (N, size, size), edges held."""
    small = images.shape[-1]
    place = np.clip((np.arange(size) + 0.5) * small / size - 0.5, 0, small - 1)
    low = np.minimum(place.astype(np.int64), small - 2)
    share = place - low
    weights = np.zeros((size, small), np.float32)
    weights[np.arange(size), low] = 1 - share
    weights[np.arange(size), low + 1] = share
    return np.asarray(weights @ images @ weights.T, np.float32)


def _check(argument: str, value: object, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"{argument}={value!r}: expected one of {', '.join(map(repr, allowed))}")
