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

#: Rows are so often equal by chance, as answers to a few questions are, that they count as single.
_BY_CHANCE = 0.5


def groups(sheet: Sheet, columns: Sequence[Column]) -> NDArray[np.int64]:
    """Number (N,) of each row's group: rows are in one where all these columns are equal."""
    parts = [_keys(sheet, column) for column in columns]
    if not parts:
        return np.arange(len(sheet))
    seen: dict[tuple[Any, ...], int] = {}
    return np.array([seen.setdefault(key, len(seen)) for key in zip(*parts, strict=True)], np.int64)


def apart(groups_: NDArray[np.int64]) -> bool:
    """Whether groups are to be kept together: not where nearly all rows are equal to others."""
    return len(np.unique(groups_)) > _BY_CHANCE * len(groups_)


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
