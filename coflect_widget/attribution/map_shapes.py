"""Which shapes of a layer's output can be maps of the input; no framework needed."""

from __future__ import annotations

import math

#: A map must have at least so many rows and columns to be chosen.
SMALLEST_MAP = 7
#: Class and register tokens that may stand before the patches.
MOST_EXTRA_TOKENS = 5


def fits(grid: tuple[int, ...], size: tuple[int, int]) -> bool:
    """Whether (h, w) can be a reduced (H, W): smaller, with the same sides up to rounding."""
    (h, w), (height, width) = grid, size
    if not (2 <= h <= height and 2 <= w <= width):
        return False
    return abs(h / height - w / width) <= 1 / height + 1 / width


def token_grid(
    tokens: int, size: tuple[int, int], grids: list[tuple[int, int]]
) -> tuple[int, int] | None:
    """Rows and columns of a row of tokens, or None where they form no grid.

    `grids` are those that earlier layers of the model had.
    """
    for grid in reversed(grids):  # the patch embedding has told already
        if 0 <= tokens - math.prod(grid) <= MOST_EXTRA_TOKENS:
            return grid
    for extra in (0, 1, 2):
        patches = tokens - extra
        rows = round(math.sqrt(max(patches, 0) * size[0] / size[1]))
        if rows >= 2 and patches % rows == 0 and fits((rows, patches // rows), size):
            return (rows, patches // rows)
    return None
