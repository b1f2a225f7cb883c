"""Series: one a row, as an array or as a wide row of steps; scaled by channel."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from coflect_widget.projects.quickstart import requested
from coflect_widget.projects.quickstart.columns import Column, numbers, unit_of
from coflect_widget.projects.quickstart.inputs.of_rows import OfRows
from coflect_widget.projects.quickstart.sheet import Sheet

#: Numbered columns that may be the steps of a series.
_STEPS = 16
#: Sides of arrays (A, B) that a series may have as channels.
_CHANNELS = 16
_NUMBERED = re.compile(r"(.*?)[_ ]?(\d+)$")


class Series(OfRows):
    """Curves (C, L), a row each; see `Inputs`."""

    name: ClassVar[str] = "series"
    words: ClassVar[str] = "series, one a row"
    by_column: ClassVar[bool] = False
    steps: ClassVar[int] = 1200

    def __init__(self) -> None:
        self.columns: list[str] = []
        self.shape: tuple[int, int] = (0, 0)
        self.mean: list[float] = []
        self.std: list[float] = []
        self.said: list[str] = []

    @property
    def sources(self) -> list[str]:
        return self.columns

    @classmethod
    def suits(cls, sheet: Sheet, columns: Sequence[Column], target: Column) -> str:
        used = cls.uses(columns)
        if not used:
            return ""
        if used[0].kind == "array":
            shape = sheet.cells[used[0].name].shape[1:]
            if len(shape) > 2 or sheet.cells[used[0].name].dtype == np.uint8:
                return ""
            if len(shape) == 2 and min(shape) > _CHANNELS:
                return ""
            return f"arrays of {' x '.join(map(str, shape))}"
        return f"{len(used)} columns of numbers, numbered in order as steps are"

    @classmethod
    def uses(cls, columns: Sequence[Column]) -> list[Column]:
        arrays = [column for column in columns if column.kind == "array"]
        return arrays[:1] or _steps(columns)

    def fit(self, sheet: Sheet, columns: Sequence[Column]) -> None:
        self._measure(sheet, [column.name for column in self.uses(columns)])

    def _measure(self, sheet: Sheet, names: list[str]) -> None:
        """Learn shape and scale of the curves in these columns."""
        self.columns = names
        curves = self._curves(sheet)
        self.shape = (curves.shape[1], curves.shape[2])
        with np.errstate(invalid="ignore"):
            self.mean = [float(v) for v in np.nan_to_num(np.nanmean(curves, (0, 2)))]
            stds = np.nan_to_num(np.nanstd(curves, (0, 2)))
        self.std = [unit_of(mean, float(v)) for mean, v in zip(self.mean, stds, strict=True)]
        gaps = int(np.isnan(curves).reshape(len(curves), -1).any(1).sum())
        if gaps:
            self.said = [f"{gaps:,} series have gaps: straight lines fill them."]

    def _curves(self, sheet: Sheet) -> NDArray[np.float64]:
        """(N, C, L) with NaN in gaps."""
        parts = [sheet.cells[name] for name in self.columns]
        if parts[0].ndim == 1:
            return np.stack([numbers(part) for part in parts], 1)[:, None]
        values = parts[0].astype(np.float64)
        if values.ndim == 2:
            return values[:, None]
        # Steps are the longer side.
        return values if values.shape[1] <= values.shape[2] else values.transpose(0, 2, 1)

    def transform(self, sheet: Sheet) -> NDArray[np.float32]:
        curves = self._curves(sheet)
        if curves.shape[1:] != self.shape:
            raise ValueError(
                f"series of {curves.shape[1]} channels and {curves.shape[2]} steps; those of the "
                f"training part have {self.shape[0]} and {self.shape[1]}"
            )
        curves = np.where(np.isinf(curves), np.nan, curves)
        for row in np.argwhere(np.isnan(curves).any(2)):
            curve = curves[tuple(row)]
            empty = np.isnan(curve)
            there = np.flatnonzero(~empty)
            curve[empty] = (
                np.interp(np.flatnonzero(empty), there, curve[there])
                if len(there)
                else self.mean[row[1]]
            )
        scaled = (curves - np.array(self.mean)[:, None]) / np.array(self.std)[:, None]
        found: NDArray[np.float32] = scaled.astype(np.float32)
        return found

    def requested(self, row: Mapping[str, Any]) -> Sheet:
        if len(self.columns) > 1:
            steps = {
                name: np.array([requested.number(row, name, self.marks.get(name, ""))])
                for name in self.columns
            }
            return Sheet("a request", steps)
        (name,) = self.columns
        curve = np.atleast_2d(requested.curve(row, name))
        if curve.shape != self.shape:
            raise requested.FieldError(name, f"expected {self.wanted()[name]}")
        return Sheet("a request", {name: curve[None]})

    def wanted(self) -> dict[str, str]:
        if len(self.columns) > 1:
            return dict.fromkeys(self.columns, "a number, or null")
        channels, length = self.shape
        lists = f"{channels} lists of {length} numbers" if channels > 1 else f"{length} numbers"
        return {self.columns[0]: lists}

    def network(self, x: NDArray[Any], outputs: int) -> dict[str, Any]:
        channels, length = map(int, x.shape[1:])
        return {"net": "series", "channels": channels, "length": length, "outputs": outputs}

    def arguments(self) -> dict[str, Any]:
        return {"inputs": "series"}

    def plain(self, sheet: Sheet) -> Callable[[Sheet], Any]:
        del sheet
        return lambda other: self.transform(other).reshape(len(other), -1)

    def state(self) -> dict[str, Any]:
        return {
            "columns": self.columns, "shape": list(self.shape), "mean": self.mean, "std": self.std,
        }  # fmt: skip

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        series = cls()
        series.columns = [str(name) for name in state["columns"]]
        channels, length = state["shape"]
        series.shape = (int(channels), int(length))
        series.mean = [float(v) for v in state["mean"]]
        series.std = [float(v) for v in state["std"]]
        if not (
            series.columns
            and len(series.mean) == len(series.std) == channels >= 1
            and min(series.std) > 0
        ):
            raise ValueError("series without a column, or scales that are none")
        return series


def _steps(columns: Sequence[Column]) -> list[Column]:
    """Columns of numbers whose names count up: most of all that there are."""
    counted: dict[str, list[tuple[int, Column]]] = {}
    for column in columns:
        found = _NUMBERED.fullmatch(column.name)
        if column.kind == "number" and found:
            counted.setdefault(found[1], []).append((int(found[2]), column))
    best = max(counted.values(), key=len, default=[])
    if len(best) < _STEPS or len(best) < 0.8 * len(columns):
        return []
    best.sort(key=lambda one: one[0])
    places = [place for place, _ in best]
    return [c for _, c in best] if places == list(range(places[0], places[0] + len(best))) else []
