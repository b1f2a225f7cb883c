"""DataFrames of pandas and polars, neither of which is imported: whoever gives one has it."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coflect_widget.projects.quickstart.sheet import Sheet


def is_frame(data: Any) -> bool:
    """Whether it is a DataFrame."""
    return hasattr(data, "to_pandas") or (hasattr(data, "iloc") and hasattr(data, "columns"))


def from_frame(frame: Any) -> Sheet:
    """Its columns; an index of times is a column too.

    Raises
    ------
    ValueError
        If it is empty, or two columns have one name.
    """
    names = [str(name) for name in frame.columns]
    twice = [name for name, n in Counter(names).items() if n > 1]
    if twice:
        raise ValueError(f"two columns are called {twice[0]!r}; give each a name of its own")
    if not len(frame) or not names:
        raise ValueError(f"the DataFrame has shape {tuple(frame.shape)}: it needs rows and columns")
    cells = {}
    index = _moments(getattr(frame, "index", None))
    if index is not None and np.asarray(index).dtype.kind == "M":
        cells[str(getattr(index, "name", None) or "time")] = _column(index)
    for place, name in enumerate(names):
        column = frame.iloc[:, place] if hasattr(frame, "iloc") else frame[name]
        cells[name] = _column(column)
    return Sheet("the DataFrame", cells)


def _moments(column: Any) -> Any:
    """Moments of a zone in UTC, and periods as their begin; other columns and indexes as they are.

    Days of a zone, and so its months, stay what its calendar says: in UTC their hour jumps.
    An array has neither a zone nor periods: both would be objects.
    """
    kind = str(getattr(column, "dtype", ""))
    of = getattr(column, "dt", column)  # a Series has it, an index is it
    if kind.startswith("period[") and hasattr(of, "to_timestamp"):
        return of.to_timestamp()
    if kind.startswith("datetime64[") and "," in kind and hasattr(of, "tz_convert"):
        local = of.tz_localize(None)
        midnights = local.normalize() if of is column else local.dt.normalize()
        days = local.is_unique and bool((local == midnights).all())
        return local if days else of.tz_convert(None)
    return column


def _column(column: Any) -> NDArray[Any]:
    """Numbers, times, or str and None."""
    values = np.asarray(_moments(column))
    if values.dtype.kind in "fiu":
        return values.astype(np.float64)
    if values.dtype.kind == "M":
        return values.astype("datetime64[s]")
    found = np.empty(len(values), object)
    for k, cell in enumerate(values):
        # what pandas puts into an empty cell differs from itself, or cannot be compared
        found[k] = None if cell is None or _empty(cell) else str(cell)
    return found


def _empty(cell: Any) -> bool:
    try:
        return bool(cell != cell)
    except (TypeError, ValueError):
        return True
