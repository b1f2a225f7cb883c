"""Which shapes of a layer's output can be maps of the input; no framework needed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol, TypeVar

from coflect_widget.modalities.errors import NoSuitableLayerError

#: A map must have at least so many rows and columns to be chosen.
SMALLEST_MAP = 7
#: Class and register tokens that may stand before the patches.
MOST_EXTRA_TOKENS = 5


class HasGrid(Protocol):
    """A layer whose output is spatial."""

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of its map."""


L = TypeVar("L", bound=HasGrid)


def choose(layers: Sequence[tuple[L, bool]], kind: str) -> L:
    """The last layer before pooling whose map is large enough and matters for the output.

    Where none is as large as `SMALLEST_MAP`, the largest is taken.

    Parameters
    ----------
    layers : sequence of (layer, matters)
        In the order of computing.
    kind : {"module", "layer"}
        What the framework calls them.

    Raises
    ------
    NoSuitableLayerError
        If there is none.
    """
    useful = [layer for layer, matters in layers if matters] or [layer for layer, _ in layers]
    if not useful:
        raise NoSuitableLayerError(
            f"no {kind} of the model gives a map of at least 2 x 2, so LiveCAM has nothing to "
            'read; set config["attribution"]["method"] = "smoothgrad", which needs none'
        )
    large = [layer for layer in useful if min(layer.grid) >= SMALLEST_MAP]
    if large:
        return large[-1]
    most = max(math.prod(layer.grid) for layer in useful)
    return [layer for layer in useful if math.prod(layer.grid) == most][-1]


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
