"""A timeline: rows are moments, and what comes next is told from a window of those before."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from coflect_widget.projects.quickstart import requested
from coflect_widget.projects.quickstart.columns import Column, numbers, times
from coflect_widget.projects.quickstart.inputs.series import Series
from coflect_widget.projects.quickstart.moments import (
    clock,
    even,
    following,
    sharing,
    starts,
)
from coflect_widget.projects.quickstart.sheet import Sheet

#: The array that windows are in, (n, C, L).
WINDOW = "window"
#: Moments that are told ahead, and those of a window, which has so many times as many.
_AHEAD, _BACK, _LEAST = 12, 8, 16


class Timeline(Series):
    """Windows along time; see `Inputs`."""

    name: ClassVar[str] = "timeline"
    words: ClassVar[str] = "a timeline, whose rows are moments one after another"
    goals: ClassVar[tuple[str, ...]] = ("forecast",)
    steps: ClassVar[int] = 1500
    least_ahead: ClassVar[int] = 1

    def __init__(self) -> None:
        super().__init__()
        self.time = ""
        self.channels: list[str] = []
        self.noted: list[str] = []
        self.ahead = 0

    @classmethod
    def suits(cls, sheet: Sheet, columns: Sequence[Column], target: Column) -> str:
        time = clock(sheet, columns)
        if time is None or target.kind != "number":
            return ""
        evenly = "at even distances" if even(sheet, time) else "at uneven distances"
        others = sharing(sheet, time)
        own = (
            f"all but {others:,} rows have a time of their own"
            if others
            else "each row has a time of its own"
        )
        return f"{own} in {time.name!r}, {evenly}"

    @classmethod
    def uses(cls, columns: Sequence[Column]) -> list[Column]:
        time = [column for column in columns if column.kind == "time"][:1]
        return [*time, *(c for c in columns if c.kind == "number")] if time else []

    @classmethod
    def unusable(cls, sheet: Sheet, columns: Sequence[Column]) -> tuple[list[int], str]:
        moments = times(sheet.cells[cls.uses(columns)[0].name])
        return np.flatnonzero(np.isnat(moments)).tolist(), "rows have no moment"

    def samples(self, sheet: Sheet, columns: Sequence[Column], target: str) -> Sheet:
        used = self.uses(columns)
        self.time = used[0].name
        self.channels = [target, *(column.name for column in used[1:])]
        rows = self._in_order(sheet)
        self.ahead = max(1, min(_AHEAD, rows.shape[1] // 40))
        length = max(_LEAST, min(_BACK * self.ahead, rows.shape[1] // 6))
        first, part = starts(rows.shape[1], length, self.ahead)
        if len(first) < 2:
            raise ValueError(f"{rows.shape[1]} moments are too few for windows of {length}")
        self.noted = [
            f"{self.ahead} moments of {target!r} are told from the {length} before them. The parts "
            "follow one another in time.",
            *self._doubled(sheet),
        ]
        return sheet.having(self._windows(rows, first, length), part=part)

    def _doubled(self, sheet: Sheet) -> list[str]:
        moments = times(sheet.cells[self.time])
        again = len(moments) - len(np.unique(moments))
        return [f"{again:,} rows have the moment of another, and follow it."] if again else []

    def judged(self, sheet: Sheet) -> Sheet:
        if WINDOW in sheet.cells:
            return sheet
        rows, length = self._in_order(self._known(sheet)), self.shape[1]
        count = rows.shape[1] - length - self.ahead + 1
        if count < 1:
            raise ValueError(
                f"{rows.shape[1]} moments; {length} before and {self.ahead} after are needed"
            )
        return sheet.having(self._windows(rows, range(count), length))

    def _windows(
        self, rows: NDArray[np.float64], first: Iterable[int], length: int
    ) -> dict[str, NDArray[np.float64]]:
        ends = [k + length for k in first]
        return {
            WINDOW: np.stack([rows[:, k - length : k] for k in ends]),
            self.channels[0]: np.stack([rows[0, k : k + self.ahead] for k in ends]),
        }

    @classmethod
    def told_by(cls, columns: Sequence[Column]) -> list[Column]:
        del columns
        return [Column(WINDOW, "array")]

    def asked(self, sheet: Sheet) -> Sheet:
        if WINDOW in sheet.cells:
            return sheet
        known, length = self._known(sheet), self.shape[1]
        if len(known) < length:
            raise ValueError(f"{len(known)} moments; the last {length} are needed to tell the next")
        return known.having({WINDOW: self._in_order(known)[None, :, -length:]})

    def _known(self, sheet: Sheet) -> Sheet:
        """The rows that have a moment."""
        needed = [self.time, *self.channels]
        missing = [name for name in needed if name not in sheet.cells]
        if missing:
            raise ValueError(f"the rows have no column {missing[0]!r}; needed are {needed}")
        return sheet.rows(~np.isnat(times(sheet.cells[self.time])))

    def _in_order(self, sheet: Sheet) -> NDArray[np.float64]:
        """Channels (C, T) in order of time; lines fill gaps from both sides."""
        order = np.argsort(times(sheet.cells[self.time]), kind="stable")
        rows = np.stack([numbers(sheet.cells[name])[order] for name in self.channels])
        for row in rows:
            empty = ~np.isfinite(row)
            if empty.all():
                raise ValueError("a column of the timeline holds no number")
            row[empty] = np.interp(np.flatnonzero(empty), np.flatnonzero(~empty), row[~empty])
        return rows

    def fit(self, sheet: Sheet, columns: Sequence[Column]) -> None:
        del columns
        self._measure(sheet, [WINDOW])
        self.said = [*self.noted, *self.said]

    def requested(self, row: Mapping[str, Any]) -> Sheet:
        moments = requested.listed(row, self.time)
        for moment in moments:
            requested.moment(requested.word({self.time: moment}, self.time), self.time)
        cells: dict[str, NDArray[Any]] = {self.time: np.array(moments, object)}
        for name in self.channels:
            values = requested.curve(row, name, self.marks.get(name, ""))
            if values.shape != (len(moments),):
                raise requested.FieldError(name, f"expected {len(moments)} numbers, as of the time")
            if not np.isfinite(values).any():
                raise requested.FieldError(name, "expected at least one number")
            cells[name] = values
        if sum(moment is not None for moment in moments) < self.shape[1]:
            raise requested.FieldError(self.time, f"expected {self.shape[1]} moments, or more")
        return Sheet("a request", cells)

    def following(self, sheet: Sheet, count: int) -> list[str]:
        try:
            return [str(moment) for moment in following(times(sheet.cells[self.time]), count)]
        except ValueError as error:
            raise requested.FieldError(self.time, str(error)) from None

    def wanted(self) -> dict[str, str]:
        length = self.shape[1]
        return {
            self.time: f"the last {length} dates, or more",
            **dict.fromkeys(self.channels, "a number for each of them; null is a gap"),
        }

    def network(self, x: NDArray[Any], outputs: int) -> dict[str, Any]:
        return {**super().network(x, outputs), "net": "forecast"}

    def state(self) -> dict[str, Any]:
        return {
            **super().state(),
            "time": self.time,
            "channels": self.channels,
            "ahead": self.ahead,
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        timeline = super().from_state(state)
        timeline.time = str(state["time"])
        timeline.channels = [str(name) for name in state["channels"]]
        timeline.ahead = int(state["ahead"])
        if not timeline.channels or timeline.ahead < cls.least_ahead:
            raise ValueError("a timeline of no column, or that tells nothing")
        return timeline
