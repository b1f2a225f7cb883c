"""Whether a picture lies elsewhere each time that it is read: a stroke is kept as a place.

Two readings may differ by noise or colours, which move nothing, or by a shift, a crop, a turn or a
mirror image. It is the latter where the second reading, so changed, is clearly more like the first
than it is as it stands.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_SIDE = 48  # pixels at most that are compared
_OVERLAP = 0.4  # share of a picture that a shift must leave in sight
#: A change counts where it explains so much of what is different, and gives such a likeness.
_EXPLAINED, _ALIKE = 0.4, 0.6
_ZOOMS = (0.5, 0.6, 0.7, 0.8, 0.9, 1.1, 1.25, 1.4, 1.6, 2.0)
_TURNS = (-30, -20, -10, -5, 5, 10, 20, 30)  # degrees
#: Height and width of parts, as shares: what the shifts leave in sight, and the whole.
_PARTS = ((1, 1), (1, 0.7), (0.7, 1), (1, 0.45), (0.45, 1), (0.7, 0.7))
#: Sides of a neighbourhood, the share of the whole's variance that it needs, and the correlation
#: with which it counts as the same.
_NEAR, _TEXTURE, _SAME_PLACE = 5, 1e-6, 0.98
#: Share of the picture in place that no movement leaves.
_STAYS = 0.9
#: So many times as much must be in place after a movement.
_MORE = 1.5
_PAIRS = 5  # of readings that are compared, at most


def moves(readings: Sequence[NDArray[Any]]) -> bool:
    """Whether one sample, read several times, (C, H, W) each, lies at different places."""
    pictures = [_gray(x) for x in readings]
    if len({picture.shape for picture in pictures}) > 1:
        return True
    pairs = [(a, b) for a, b in combinations(pictures, 2) if not np.allclose(a, b, atol=1e-4)]
    return any(_moved(a, b) for a, b in pairs[:_PAIRS])


def _gray(x: NDArray[Any]) -> Array:
    """One channel of mean 0, and at most `_SIDE` pixels long; colours and contrast do not count."""
    from scipy import ndimage  # type: ignore[import-untyped]  # scipy ships no types

    x = np.nan_to_num(np.asarray(x, dtype=np.float64))
    x = x.reshape(-1, *x.shape[-2:])
    spread = x.std((1, 2), keepdims=True)
    gray = ((x - x.mean((1, 2), keepdims=True)) / np.where(spread > 0, spread, 1)).mean(0)
    step = -(-max(gray.shape) // _SIDE)
    height, width = (side // step * step for side in gray.shape)
    small = gray[:height, :width].reshape(height // step, step, width // step, step).mean((1, 3))
    # Blur moves nothing either: little is left of it where both are blurred.
    blurred = ndimage.gaussian_filter(small, 1)
    centred: Array = blurred - blurred.mean()
    return centred


def _moved(a: Array, b: Array) -> bool:
    in_place = _same_spots(a, b)
    if in_place >= _STAYS:
        return False
    before = _likeness(a, b)
    search = _Search(a)
    for changed, seen in _changed(b):
        found, down, right = search.best(changed, seen)
        if found >= _ALIKE and 1 - found <= (1 - _EXPLAINED) * (1 - before):
            # A patch that was erased here and there is alike too, but nothing around it is.
            one, other = _overlap(a, changed, down, right)
            if _same_spots(one, other) >= _MORE * in_place:
                return True
    return False


def _changed(b: Array) -> Iterator[tuple[Array, Array]]:
    """A picture as it stands, mirrored, turned and zoomed; and where there is something of it."""
    from scipy import ndimage

    seen = np.ones_like(b)
    for flipped in (b, b[:, ::-1], b[::-1], b[::-1, ::-1]):
        yield flipped, seen
    if b.shape[0] == b.shape[1]:
        yield np.rot90(b), seen
        yield np.rot90(b, 3), seen
    middle = (np.array(b.shape) - 1) / 2
    angles = np.deg2rad(_TURNS)
    rotations = [np.array([[np.cos(t), -np.sin(t)], [np.sin(t), np.cos(t)]]) for t in angles]
    for matrix in (*(np.eye(2) / zoom for zoom in _ZOOMS), *rotations):
        for picture in (b, b[:, ::-1]):
            where = {"offset": middle - matrix @ middle, "order": 1}
            there = ndimage.affine_transform(seen, matrix, **where) > 0.99
            yield ndimage.affine_transform(picture, matrix, **where) * there, there.astype(float)


class _Search:
    """The largest correlation of a picture with another one, over all shifts."""

    def __init__(self, a: Array) -> None:
        self._shape = a.shape
        self._padded = tuple(2 * side for side in a.shape)
        self._seen = self._transform(np.ones_like(a))
        self._a = self._transform(a)
        self._squares = self._transform(a * a)

    def _transform(self, x: Array) -> Any:
        return np.fft.rfft2(x, self._padded)

    def _sums(self, one: Any, other: Any) -> Array:
        """Sum of products at each shift."""
        return np.fft.irfft2(one * np.conj(other), self._padded)

    def best(self, b: Array, seen: Array) -> tuple[float, int, int]:
        """It, in [-1, 1], and how far down and right `b` is shifted; 0 where it is not `seen`."""
        there, of_b, squares = (self._transform(x) for x in (seen, b, b * b))
        count = self._sums(self._seen, there)
        enough = count >= _OVERLAP * b.size
        count = np.where(enough, count, 1)
        sum_a, sum_b = self._sums(self._a, there), self._sums(self._seen, of_b)
        both = self._sums(self._a, of_b) - sum_a * sum_b / count
        var_a = self._sums(self._squares, there) - sum_a**2 / count
        var_b = self._sums(self._seen, squares) - sum_b**2 / count
        # Where little but background overlaps, anything is alike.
        least = 0.1 * np.array([var_a.max(), var_b.max()])
        enough &= (var_a > least[0]) & (var_b > least[1])
        found = np.where(enough, both / np.sqrt(np.where(enough, var_a * var_b, 1)), -1)
        place = np.unravel_index(int(found.argmax()), found.shape)
        down, right = (
            int(at) if at < side else int(at) - 2 * side
            for at, side in zip(place, self._shape, strict=True)
        )
        return float(found.max()), down, right


def _overlap(a: Array, b: Array, down: int, right: int) -> tuple[Array, Array]:
    """Where `a` and the shifted `b` lie on each other."""
    height, width = a.shape[0] - abs(down), a.shape[1] - abs(right)
    one = a[max(down, 0) :, max(right, 0) :][:height, :width]
    other = b[max(-down, 0) :, max(-right, 0) :][:height, :width]
    return one, other


def _same_spots(a: Array, b: Array) -> float:
    """Share of what can be seen that is just the same in both, spot by spot."""
    from scipy import ndimage

    def mean(x: Array) -> Array:
        near: Array = ndimage.uniform_filter(x, _NEAR)
        return near

    mean_a, mean_b = mean(a), mean(b)
    var_a, var_b = (np.maximum(mean(x * x) - mean(x) ** 2, 0) for x in (a, b))
    textured = (var_a > _TEXTURE * a.var()) & (var_b > _TEXTURE * b.var())
    both = (mean(a * b) - mean_a * mean_b)[textured]
    alike = both > _SAME_PLACE * np.sqrt(var_a * var_b)[textured]
    return float(alike.mean()) if alike.size else 0.0


def _likeness(a: Array, b: Array) -> float:
    """Correlation of two pictures as they stand: the largest of some parts, as of shifts.

    Otherwise a shift that leaves an erased corner out would look like a movement.
    """
    least = (0.1 * a.var(), 0.1 * b.var())
    found = [-1.0]
    for high, wide in _PARTS:
        height, width = round(high * a.shape[0]), round(wide * a.shape[1])
        for rows in (slice(0, height), slice(a.shape[0] - height, None)):
            for columns in (slice(0, width), slice(a.shape[1] - width, None)):
                one, other = a[rows, columns], b[rows, columns]
                if one.var() > least[0] and other.var() > least[1]:
                    found.append(float(np.corrcoef(one.ravel(), other.ravel())[0, 1]))
    return max(found)
