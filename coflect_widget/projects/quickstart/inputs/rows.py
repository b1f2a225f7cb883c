"""Rows of a table: numbers scaled, categories as one-hot columns, gaps filled and marked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from coflect_widget.modalities.table import Table
from coflect_widget.modalities.table.ranges import Ranges, measured
from coflect_widget.projects.quickstart import requested
from coflect_widget.projects.quickstart.columns import Column
from coflect_widget.projects.quickstart.goals.clusters import Clusters
from coflect_widget.projects.quickstart.inputs.features import Feature, features_from, fitted
from coflect_widget.projects.quickstart.inputs.of_rows import OfRows
from coflect_widget.projects.quickstart.moments import clock, even, sharing
from coflect_widget.projects.quickstart.sheet import Sheet

_USED = ("number", "category", "time")
_RANGES = ("low", "high", "mean", "scale")


class Rows(OfRows):
    """A table; see `Inputs`."""

    name: ClassVar[str] = "table"
    words: ClassVar[str] = "a table, whose rows have nothing to do with each other"
    goals: ClassVar[tuple[str, ...]] = (*OfRows.goals, Clusters.name)
    by_column: ClassVar[bool] = True
    steps: ClassVar[int] = 4000

    def __init__(self) -> None:
        self.features: list[Feature] = []
        self.ranges: Ranges | None = None
        self.said: list[str] = []

    @property
    def sources(self) -> list[str]:
        return list(dict.fromkeys(feature.source for feature in self.features))

    @classmethod
    def suits(cls, sheet: Sheet, columns: Sequence[Column], target: Column) -> str:
        used = cls.uses(columns)
        others = [column for column in columns if column not in used]
        # One figure beside a text or a picture is what is said of it, or a second target.
        if not used or (others and len(used) < 2):
            return ""
        time = clock(sheet, columns)
        one_clock = time is not None and not sharing(sheet, time) and even(sheet, time)
        if one_clock and target.kind == "number":
            return ""  # moments of one clock have to do with each other
        return f"{len(used)} columns of numbers, categories or times"

    @classmethod
    def uses(cls, columns: Sequence[Column]) -> list[Column]:
        return [column for column in columns if column.kind in _USED]

    def fit(self, sheet: Sheet, columns: Sequence[Column]) -> None:
        for column in self.uses(columns):
            features, said = fitted(column, sheet.cells[column.name])
            self.features += features
            self.said += said
        if not self.features:
            raise ValueError("no column of the training part says anything")
        self.ranges = measured(self.transform(sheet), complete=True)

    def transform(self, sheet: Sheet) -> NDArray[np.float32]:
        parts = [feature.columns_of(sheet.cells[feature.source]) for feature in self.features]
        return np.ascontiguousarray(np.concatenate(parts, 1), np.float32)

    def requested(self, row: Mapping[str, Any]) -> Sheet:
        cells: dict[str, NDArray[Any]] = {}
        for feature in self.features:
            name = feature.source
            if feature.kind in ("number", "gap"):
                cells[name] = np.array([requested.number(row, name, self.marks.get(name, ""))])
                continue
            word = requested.word(row, name)
            if feature.kind != "category":
                requested.moment(word, name)
            cells[name] = np.array([word], object)
        return Sheet("a request", cells)

    def wanted(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for feature in self.features:
            if feature.kind == "category":
                found[feature.source] = f"one of {', '.join(feature.categories)}; or null"
            elif feature.kind in ("number", "gap"):
                found[feature.source] = "a number, or null"
            else:
                found[feature.source] = "a date, such as 2024-03-01 12:30, or null"
        return found

    def network(self, x: NDArray[Any], outputs: int) -> dict[str, Any]:
        places = np.cumsum([0, *(feature.width for feature in self.features)])
        at = [int(p) for p, f in zip(places, self.features, strict=False) if f.measured]
        return {
            "net": "table", "columns": int(x.shape[1]), "numbers": at, "outputs": outputs,
            "rows": len(x),
        }  # fmt: skip

    def arguments(self) -> dict[str, Any]:
        columns: list[str] = []
        mean: list[float] = []
        std: list[float] = []
        groups: dict[str, list[str]] = {}
        codes: dict[str, list[str]] = {}
        for feature in self.features:
            names = _free(feature.names, columns)
            if len(names) > 1:
                groups[_free([feature.label], [*groups, *columns, *names])[0]] = names
            elif feature.codes:
                codes[names[0]] = list(feature.codes)
            columns += names
            mean += [feature.mean] * feature.width
            std += [feature.std] * feature.width
        table = Table(columns, groups=groups, codes=codes, mean=mean, std=std)
        table.ranges = self.ranges
        return {"inputs": table}

    def plain(self, sheet: Sheet) -> Callable[[Sheet], Any]:
        del sheet
        return self.transform

    def state(self) -> dict[str, Any]:
        ranges = self.ranges
        return {
            "features": [feature.state() for feature in self.features],
            "ranges": None
            if ranges is None
            else {name: getattr(ranges, name).tolist() for name in _RANGES},
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Rows:
        rows = cls()
        rows.features = features_from(state["features"])
        ranges = state.get("ranges")  # runs of before have none, and maps of them by less
        if ranges is not None:
            found = [np.array(ranges[name], np.float32) for name in _RANGES]
            width = sum(feature.width for feature in rows.features)
            if any(one.shape != (width,) or not np.isfinite(one).all() for one in found):
                raise ValueError("ranges that are not those of the features")
            low, high, mean, scale = found
            rows.ranges = Ranges(low, high, mean, scale)
        return rows


def _free(names: Sequence[str], taken: Sequence[str]) -> list[str]:
    """The names, with a number where one is taken."""
    found: list[str] = []
    for name in names:
        free, k = name or "column", 2
        while free in taken or free in found:
            free, k = f"{name} {k}", k + 1
        found.append(free)
    return found
