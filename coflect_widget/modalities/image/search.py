"""The same artefact in other pictures: where a patch looks like the one that was marked.

Template matching by the mean squared difference of colours, at every place of every picture.
Pictures are made smaller first where the patch is large, so that the work does not grow with
its area. Plain numpy; `scan` runs in a worker process.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coflect_widget.modalities.image.places import describe
from coflect_widget.modalities.image.regions import BoolArray, Roi, rasterise

Floats = NDArray[np.float32]

#: Longer side that a template is made smaller to, in pixels.
LONGEST = 8
#: A hand draws up to a pixel too wide: that much of a template's edge is left out, where it can.
EDGE = 1
#: Score from which a patch looks the same, at a like place and elsewhere.
SAME_THERE = 0.80
SAME_ANYWHERE = 0.90
#: Scores this near to the best, up to so many pixels beside it, are a tie: see `_middle`.
TIE = 0.02
BESIDE = 2


@dataclass(frozen=True, slots=True)
class Template:
    """What is looked for.

    Attributes
    ----------
    patch : ndarray (C, h, w)
        Its pixels, at the scale of the search.
    inside : ndarray (h, w) of bool
        The pixels that count.
    scale : int
        Side of the square of image pixels that became one.
    origin : (float, float)
        Left and top of the patch in its own picture, in pixels of the search.
    box : (x0, y0, x1, y1)
        What was drawn, as fractions.
    typical : float
        Mean squared difference to what stands in other places of pictures.
    """

    patch: Floats
    inside: BoolArray
    scale: int
    origin: tuple[int, int]
    box: tuple[float, float, float, float]
    typical: float


def make_template(image: Floats, roi: Roi, others: Floats) -> Template:
    """What `roi` marks in `image` (C, H, W), to be looked for.

    Parameters
    ----------
    others : ndarray (n, C, H, W)
        Some other pictures; they tell how different places usually are.

    Raises
    ------
    ValueError
        If the region is so large that there is nothing to move it over.
    """
    _, height, width = image.shape
    mask = rasterise(roi, height, width)
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    if (bottom - top) * 2 > height and (right - left) * 2 > width:
        raise ValueError(
            f"{describe(roi)} is more than half the picture wide and high; mark the artefact "
            "alone to have it found elsewhere"
        )
    box = (left / width, top / height, right / width, bottom / height)
    scale = max(1, int(np.ceil(max(bottom - top, right - left) / LONGEST)))
    small, small_mask = shrink(image[None], scale)[0], shrink(mask[None, None], scale)[0, 0] > 0.5
    if not small_mask.any():
        small_mask = shrink(mask[None, None], scale)[0, 0] > 0
    core = _core(small_mask)
    rows, columns = np.flatnonzero(core.any(1)), np.flatnonzero(core.any(0))
    cut = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
    patch, inside = small[:, cut[0], cut[1]], core[cut]
    template = Template(patch, inside, scale, (int(columns[0]), int(rows[0])), box, 1.0)
    typical = float(np.median(differences(shrink(others, scale), template)))
    return Template(patch, inside, scale, template.origin, box, max(typical, 1e-9))


def scan(images: Floats, template: Template) -> tuple[Floats, Floats, BoolArray]:
    """The best place in each of `images` (n, C, H, W).

    Returns
    -------
    score (n,), box (n, 4) as fractions, and whether it looks the same (n,)
    """
    count, _, height, width = images.shape
    found = differences(shrink(images, template.scale), template)  # (n, h, w)
    scores = 1 - np.sqrt(found / template.typical)
    like = _like_places(scores.shape[1:], template)
    passes = scores - np.where(like, SAME_THERE, SAME_ANYWHERE)
    best = passes.reshape(count, -1).argmax(1)
    y, x = np.unravel_index(best, scores.shape[1:])
    score = scores[np.arange(count), y, x]
    y, x = _middle(passes, y, x)
    shift = np.stack([x - template.origin[0], y - template.origin[1]], 1) * template.scale
    x0, y0, x1, y1 = template.box
    moved = np.stack([shift[:, 0] / width, shift[:, 1] / height], 1)
    wide, high = x1 - x0, y1 - y0
    left = np.clip(x0 + moved[:, 0], 0, 1 - wide)
    top = np.clip(y0 + moved[:, 1], 0, 1 - high)
    box = np.stack([left, top, left + wide, top + high], 1).astype(np.float32)
    same = passes.reshape(count, -1).max(1) >= 0
    return score.astype(np.float32), box, same


def _middle(
    scores: Floats, y: NDArray[np.int64], x: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The middle of the places about (y, x) that are as good as it.

    Without its edge a patch of one colour fits at several places of itself; the first of them
    would leave a line of it outside the box.
    """
    padded = np.pad(scores, [(0, 0), (BESIDE, BESIDE), (BESIDE, BESIDE)], constant_values=-np.inf)
    around = np.arange(2 * BESIDE + 1)
    row = np.arange(len(scores))[:, None, None]
    near = padded[row, y[:, None, None] + around[:, None], x[:, None, None] + around]
    tied = near >= scores[np.arange(len(scores)), y, x][:, None, None] - TIE
    count = tied.sum((1, 2))
    down = np.rint((tied.sum(2) * (around - BESIDE)).sum(1) / count).astype(np.int64)
    right = np.rint((tied.sum(1) * (around - BESIDE)).sum(1) / count).astype(np.int64)
    return y + down, x + right


def differences(images: Floats, template: Template) -> Floats:
    """Mean squared difference at each place: (n, H - h + 1, W - w + 1)."""
    channels, height, width = template.patch.shape
    high, wide = images.shape[2] - height + 1, images.shape[3] - width + 1
    total = np.zeros((len(images), high, wide), np.float32)
    square = np.empty_like(total)  # one for all: fresh memory at each turn costs more than the sums
    for y, x in np.argwhere(template.inside):
        for channel in range(channels):
            part = images[:, channel, y : y + high, x : x + wide]
            np.subtract(part, template.patch[channel, y, x], out=square)
            total += np.square(square, out=square)
    total /= channels * int(template.inside.sum())
    return total


def shrink(images: NDArray[np.generic], scale: int) -> Floats:
    """(n, C, H, W) with each square of `scale` pixels averaged; what is left over is cut off."""
    if scale == 1:
        return images.astype(np.float32)
    count, channels, height, width = images.shape
    high, wide = height // scale, width // scale
    cut = images[:, :, : high * scale, : wide * scale].astype(np.float32)
    small: Floats = cut.reshape(count, channels, high, scale, wide, scale).mean((3, 5))
    return small


def _core(mask: BoolArray) -> BoolArray:
    """The mask without its outermost pixels, if at least 2 x 2 are left."""
    padded = np.pad(mask, EDGE)
    height, width = mask.shape
    core = mask.copy()
    for dy in range(2 * EDGE + 1):
        for dx in range(2 * EDGE + 1):
            core &= padded[dy : dy + height, dx : dx + width]
    wide_enough = core.any() and core.any(0).sum() >= 2 and core.any(1).sum() >= 2
    return core if wide_enough else mask


def _like_places(size: tuple[int, ...], template: Template) -> BoolArray:
    """(h, w) whether a patch there is about where the template was, or at a mirror image of it."""
    height, width = size
    x, y = template.origin
    near = np.zeros((height, width), np.bool_)
    for row in (y, height - 1 - y):
        for column in (x, width - 1 - x):
            rows = slice(max(0, row - 2), row + 3)
            near[rows, max(0, column - 2) : column + 3] = True
    return near
