"""Columns by their names, as the rows of one table (N, F)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray


def is_columns(given: Any) -> bool:
    """Whether inputs are columns by their names."""
    return isinstance(given, Mapping) or hasattr(given, "columns")


def rows_of(given: Any, names: list[str], argument: str, words: str) -> NDArray[np.float32]:
    """(N, F) float32 of a mapping of columns, or a DataFrame.

    `words` says what to do with columns of words.

    Raises
    ------
    ValueError
        If a column is missing or has no numbers.
    """
    check_columns(given, names, argument)
    columns = []
    for name in names:
        values = np.asarray(given[name])
        if values.dtype.kind not in "iufb":
            raise ValueError(
                f"{argument} has the column {name!r} of type {values.dtype}, and the model takes "
                f"numbers there: {words}"
            )
        columns.append(values.reshape(len(values)).astype(np.float32))
    return np.stack(columns, 1)


def check_columns(given: Any, names: list[str], argument: str) -> None:
    """Raise ValueError unless a mapping has all columns that the model takes."""
    missing = [name for name in names if name not in given]
    if missing:
        raise ValueError(
            f"{argument} has no column {', '.join(map(repr, missing))}, which the model takes; "
            f"give a mapping with {', '.join(map(repr, names))}"
        )


class Rows:
    """Items ({name: value}, label, ...) as (row, label, ...)."""

    def __init__(self, items: Any, names: list[str], argument: str) -> None:
        self._items, self._names, self._argument = items, names, argument

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        given, *rest = self._items[index]
        check_columns(given, self._names, f"{self._argument}[{index}]")
        row = [float(np.asarray(given[name]).reshape(())) for name in self._names]
        return (np.array(row, np.float32), *rest)
