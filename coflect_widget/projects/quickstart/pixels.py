"""A picture that is opened, as pixels of one size: the same of a file and of a request."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

#: Shades of grey of more than 8 bits; Pillow's own conversion cuts them off at 255.
DEEP = ("I;16", "I;16L", "I;16B", "I;16N", "I", "F")
#: What is white in pictures of shades that go so far.
_WHITES = (1, 255, 4_095, 65_535)
_SMOOTH = Image.Resampling.BILINEAR


def pixels_of(
    picture: Any, channels: int, side: int, white: float | None = 0.0
) -> NDArray[np.float32]:
    """Pixels (C, side, side) from 0 to 255.

    Parameters
    ----------
    picture : PIL.Image.Image
    channels : int
        1 for shades of grey, 3 for colours.
    side : int
    white : float or None
        The shade that becomes 255 where there are more than 256; larger ones do too. 0 takes the
        largest that the picture's mode has. With None Pillow converts, which cuts off at 255.

    Raises
    ------
    ValueError
        If it holds values of which nobody can say what is white.
    """
    if picture.mode in DEEP and white is not None:
        small = Image.fromarray(_to_255(picture, white)).resize((side, side), _SMOOTH)
        return np.repeat(np.asarray(small, np.float32)[None], channels, 0)
    mode = "L" if channels == 1 else "RGB"
    found = np.asarray(picture.convert(mode).resize((side, side), _SMOOTH), np.float32)
    return np.ascontiguousarray(found.reshape(side, side, channels).transpose(2, 0, 1))


def check(picture: Any) -> None:
    """Read the picture, and see that it has a white.

    Raises
    ------
    OSError, ValueError, SyntaxError
        If it cannot be read, as Pillow says it, or has none.
    """
    picture.load()
    if picture.mode in DEEP:
        _to_255(picture, 0)


def white_of(picture: Any) -> float:
    """The least usual white that holds all of its shades; 0 where it has 256 at most."""
    if picture.mode not in DEEP:
        return 0.0
    largest = float(np.asarray(picture).max())
    return float(next((white for white in _WHITES if white >= largest), _WHITES[-1]))


def _to_255(picture: Any, white: float) -> NDArray[np.float32]:
    """Shades (H, W) of a picture of 16 or 32 bits."""
    values: NDArray[np.float32] = np.asarray(picture, np.float32)
    low, high = float(values.min()), float(values.max())
    whole = picture.mode != "F"
    if not (low >= 0 and high <= (65_535 if whole else 255)):  # NaN is neither
        wanted = "0 to 65,535" if whole else "0 to 1, or 0 to 255"
        raise ValueError(f"shades of grey from {low:g} to {high:g}; expected {wanted}")
    white = white or (_WHITES[-1] if whole else 1 if high <= 1 else 255)
    found: NDArray[np.float32] = np.minimum(values * np.float32(255 / white), np.float32(255))
    return found
