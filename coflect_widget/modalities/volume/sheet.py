"""Volumes as pictures: their slices side by side, row by row, on one sheet."""

from __future__ import annotations

import math
from typing import Any

import array_api_compat as compat


def grid(depth: int) -> tuple[int, int]:
    """Rows and columns of slices on a sheet, as near to a square as can be."""
    depth = max(depth, 1)
    columns = math.isqrt(depth - 1) + 1
    return -(-depth // columns), columns


def to_sheet(x: Any) -> Any:
    """Volumes (..., D, H, W), of numpy or a framework, as sheets (..., rows x H, columns x W).

    Where there are more places than slices the rest is 0.
    """
    xp = compat.array_namespace(x)
    *lead, depth, height, width = x.shape
    rows, columns = grid(depth)
    missing = rows * columns - depth
    if missing:
        empty = xp.zeros((*lead, missing, height, width), dtype=x.dtype, device=compat.device(x))
        x = xp.concat([x, empty], axis=len(lead))
    x = xp.reshape(x, (*lead, rows, columns, height, width))
    n = len(lead)
    x = xp.permute_dims(x, (*range(n), n, n + 2, n + 1, n + 3))
    return xp.reshape(x, (*lead, rows * height, columns * width))


def from_sheet(sheet: Any, depth: int) -> Any:
    """The way back: volumes (..., depth, H, W)."""
    xp = compat.array_namespace(sheet)
    *lead, high, wide = sheet.shape
    rows, columns = grid(depth)
    n = len(lead)
    x = xp.reshape(sheet, (*lead, rows, high // rows, columns, wide // columns))
    x = xp.permute_dims(x, (*range(n), n, n + 2, n + 1, n + 3))
    x = xp.reshape(x, (*lead, rows * columns, high // rows, wide // columns))
    return x[(..., slice(depth), slice(None), slice(None))]


def slices(values: Any, depth: int) -> Any:
    """A map, or a picture, of a volume, slice by slice.

    Parameters
    ----------
    values : ndarray (..., rows x H, columns x W)
        Such as `Explanation.map` of a volume: its slices side by side, row by row.
    depth : int
        How many slices the volume has.

    Returns
    -------
    ndarray (..., depth, H, W)

    Raises
    ------
    ValueError
        If no volume of so many slices has such a sheet.
    """
    rows, columns = grid(depth)
    if depth < 1 or values.ndim < 2 or values.shape[-2] % rows or values.shape[-1] % columns:
        raise ValueError(
            f"values of shape {values.shape} are not {depth} slices in {rows} rows and {columns} "
            "columns; pass the map of a volume, session.explain(index).map, and the number of its "
            "slices"
        )
    return from_sheet(values, depth)
