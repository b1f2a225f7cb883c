"""Rows that are there more than once: they are counted, and kept together when data are divided."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coflect_widget.projects.quickstart.columns import Column
from coflect_widget.projects.quickstart.sheet import Sheet

#: Where so many rows are equal to others they are so by chance, as answers to a few questions are;
#: if all columns are categories, or whole numbers of so few values.
_BY_CHANCE, _FEW = 0.5, 20


def groups(sheet: Sheet, columns: Sequence[Column]) -> NDArray[np.int64]:
    """Number (N,) of each row's group: rows are in one where all these columns are equal."""
    parts = [_keys(sheet, column) for column in columns]
    if not parts:
        return np.arange(len(sheet))
    seen: dict[tuple[Any, ...], int] = {}
    return np.array([seen.setdefault(key, len(seen)) for key in zip(*parts, strict=True)], np.int64)


def by_chance(
    groups_: NDArray[np.int64], whole: NDArray[np.int64], columns: Sequence[Column]
) -> bool:
    """Whether equal rows are different ones that look alike, and need not be kept together.

    Measurements are not equal by chance; nor are rows of which each is there as often with its
    target, as in a file that was appended to itself. Of a design in which each combination was
    tried as often the targets differ.

    Parameters
    ----------
    groups_, whole : ndarray (N,)
        Numbers of `groups`, without the target's column and with it.
    columns : sequence of Column
        Those of `groups_`.
    """
    if len(np.unique(groups_)) > _BY_CHANCE * len(groups_) or not all(map(_of_few, columns)):
        return False
    return bool(np.gcd.reduce(np.unique(whole, return_counts=True)[1]) == 1)


def _of_few(column: Column) -> bool:
    few = column.whole and column.distinct <= _FEW
    return column.kind == "category" or (column.kind == "number" and few)


def _keys(sheet: Sheet, column: Column) -> list[Any]:
    values = sheet.cells[column.name]
    if values.ndim > 1:
        rows = np.ascontiguousarray(values).reshape(len(values), -1)
        return [hashlib.blake2b(row.tobytes(), digest_size=16).digest() for row in rows]
    if column.kind == "file":
        return _of_files(values, sheet.folder)
    if values.dtype.kind == "f":
        return ["" if np.isnan(v) else float(v) for v in values]
    return [str(v) for v in values]


def _of_files(values: NDArray[Any], folder: Path | None) -> list[Any]:
    """A file's size, and what it holds where another one is as large."""
    sizes: list[int] = []
    for cell in values:
        try:
            sizes.append(((folder or Path()) / str(cell)).stat().st_size)
        except OSError:
            sizes.append(-1)
    count = Counter(sizes)
    found: list[Any] = []
    for cell, size in zip(values, sizes, strict=True):
        if size >= 0 and count[size] > 1:
            content = ((folder or Path()) / str(cell)).read_bytes()
            found.append(hashlib.blake2b(content, digest_size=16).digest())
        else:
            found.append((size, str(cell)) if size < 0 else size)
    return found
