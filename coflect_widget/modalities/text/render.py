"""A small picture of a text, for lists and places that show no words."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_HIGH = 24  # rows
_WIDE = 4  # columns of a place
_LETTERS = 12  # of a word that is as high as the strip
_INK = np.array([(52, 73, 94), (90, 110, 130), (70, 92, 118), (110, 126, 140)], np.uint8)


def strip(length: int, words: Sequence[tuple[str, Sequence[int]]]) -> NDArray[np.uint8]:
    """RGB (h, w, 3): a bar for each word, as high as the word is long; equal words look alike."""
    picture = np.full((_HIGH, length * _WIDE, 3), 255, np.uint8)
    for text, places in words:
        high = max(2, round(_HIGH * min(len(text), _LETTERS) / _LETTERS))
        ink = _INK[zlib.crc32(text.encode()) % len(_INK)]
        for place in places:
            last = place == places[-1]
            left, right = place * _WIDE, (place + 1) * _WIDE - last
            picture[_HIGH - high :, left:right] = ink
    return picture
