"""Rows that are moments of one clock: whether a column of times is one, and windows along it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from coflect_widget.projects.quickstart.columns import Column, times
from coflect_widget.projects.quickstart.sheet import TEST, TRAIN, VALIDATION, Sheet

#: Of the rows so many have a moment of their own, at least: others are doubled, or have none.
_OWN = 0.9
#: A clock has so many steps of one length, within a tenth.
_EVEN = 0.9
_LEAST = 100
#: Where validation and test part begin, as shares of all moments.
_BEGINS = (0.7, 0.85)


def clock(sheet: Sheet, columns: Sequence[Column]) -> Column | None:
    """The one column of times, if nearly all rows are moments of their own."""
    found = [column for column in columns if column.kind == "time"]
    if len(found) != 1 or len(sheet) < _LEAST or found[0].distinct < _OWN * len(sheet):
        return None
    return found[0]


def sharing(sheet: Sheet, column: Column) -> int:
    """Rows of a clock that have no moment, or that of another row."""
    return len(sheet) - column.distinct


def even(sheet: Sheet, column: Column) -> bool:
    """Whether nearly all moments follow at one distance."""
    moments = times(sheet.cells[column.name])
    steps = np.diff(np.sort(moments[~np.isnat(moments)])).astype(np.int64)
    middle = float(np.median(steps))
    return float(np.mean(np.abs(steps - middle) <= 0.1 * middle)) >= _EVEN


def code_of(size: int) -> int:
    """Length of the code from which a window of so many numbers is told again."""
    return max(2, size // 8)


def inside(count: int, length: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First rows (n,) of windows of `length` rows that lie in one part wholly, and their parts."""
    low, high = (round(share * count) for share in _BEGINS)
    parts = ((TRAIN, 0, low), (VALIDATION, low, high), (TEST, high, count))
    first = [np.arange(begin, end - length + 1) for _, begin, end in parts]
    found = [np.full(len(f), part) for f, (part, *_) in zip(first, parts, strict=True)]
    if not all(map(len, first)):
        raise ValueError(f"{count} moments are too few for windows of {length}")
    return np.concatenate(first), np.concatenate(found)


def following(moments: NDArray[np.datetime64], count: int) -> NDArray[np.datetime64]:
    """The next `count` moments (count,) of a clock, by its months or else by its usual step.

    Moments that are all on the last day of a month go on so.

    Raises
    ------
    ValueError
        If fewer than two moments (N,) differ.
    """
    known = np.unique(moments[~np.isnat(moments)]).astype("datetime64[s]")
    if len(known) < 2:
        raise ValueError("fewer than two moments differ")
    ahead = np.arange(1, count + 1)
    days, months = known.astype("datetime64[D]"), known.astype("datetime64[M]")
    apart = np.unique(np.diff(months).astype(int))
    by_months = len(apart) == 1 and apart[0] >= 1
    next_months = months[-1] + apart[0] * ahead
    if by_months and (days == _last_days(months)).all() and len(np.unique(known - days)) == 1:
        after = _last_days(next_months).astype("datetime64[s]") + (known[-1] - days[-1])
    elif by_months and len(np.unique(known - months)) == 1:
        after = next_months.astype("datetime64[s]") + (known[-1] - months[-1])
    else:
        step = np.timedelta64(int(np.median(np.diff(known).astype(np.int64))), "s")
        after = known[-1] + step * ahead
    found: NDArray[np.datetime64] = after
    return found


def _last_days(months: NDArray[np.datetime64]) -> NDArray[np.datetime64]:
    found: NDArray[np.datetime64] = (months + 1).astype("datetime64[D]") - 1
    return found


def starts(count: int, length: int, ahead: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First rows (n,) of windows of `length` rows with `ahead` after them, and their parts (n,).

    What is to be told lies in one part alone; a window may begin in the part before, whose rows
    are known by then.
    """
    first = np.arange(count - length - ahead + 1)
    told, ends = first + length, first + length + ahead
    low, high = (round(share * count) for share in _BEGINS)
    part = np.full(len(first), -1)
    part[ends <= low] = TRAIN
    part[(told >= low) & (ends <= high)] = VALIDATION
    part[told >= high] = TEST
    kept = part >= 0
    return first[kept], part[kept]
