"""How one column of a table becomes columns of numbers, as it is fitted on the training part."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from coflect_widget.projects.quickstart.columns import Column, numbers, times, unit_of, words_of
from coflect_widget.projects.quickstart.same import places_of

#: Categories that get a column of their own: so many, and each in at least so many rows.
_MOST, _LEAST = 50, 5
OTHER, MISSING = "other", "missing"
_DAY = 86_400.0
#: What is read of a moment, and of how many values it is.
_CLOCK = {"month": 12, "weekday": 7, "hour": 24}


@dataclass(frozen=True)
class Feature:
    """One feature of the network's inputs.

    Attributes
    ----------
    kind : {"number", "gap", "category", "days", "month", "weekday", "hour"}
    source, label : str
        The column that it is made of, and what it is called.
    mean, std : float
        Of numbers; 0 and 1 of others.
    fill : float
        What stands in empty cells of numbers.
    categories : tuple of str
    """

    kind: Literal["number", "gap", "category", "days", "month", "weekday", "hour"]
    source: str
    label: str
    mean: float = 0.0
    std: float = 1.0
    fill: float = 0.0
    categories: tuple[str, ...] = ()

    @property
    def width(self) -> int:
        """Columns of the network's input."""
        return max(1, len(self.categories))

    @property
    def names(self) -> list[str]:
        """Of these columns."""
        return [f"{self.label}={c}" for c in self.categories] or [self.label]

    @property
    def codes(self) -> tuple[str, ...]:
        """What 0 and 1 stand for."""
        return ("there", "missing") if self.kind == "gap" else ()

    @property
    def measured(self) -> bool:
        """Whether it is a number rather than one of a few values."""
        return self.kind in ("number", "days")

    def columns_of(self, cells: NDArray[Any]) -> NDArray[np.float64]:
        """Cells (N,) as columns (N, width)."""
        if self.kind == "category":
            words = [word or MISSING for word in words_of(cells)]
            places = np.array(places_of(words, self.categories), np.int64)
            if OTHER in self.categories:
                places[places < 0] = self.categories.index(OTHER)
            found = np.zeros((len(words), self.width))
            rows = np.flatnonzero(places >= 0)  # one that training has not seen is none of them
            found[rows, places[rows]] = 1
            return found
        if self.kind == "number":
            values = numbers(cells)
            return ((np.where(np.isnan(values), self.fill, values) - self.mean) / self.std)[:, None]
        if self.kind == "gap":
            return np.isnan(numbers(cells)).astype(np.float64)[:, None]
        moments = times(cells)
        values = _of_time(moments, self.kind)
        return ((np.where(np.isnat(moments), self.fill, values) - self.mean) / self.std)[:, None]

    def state(self) -> dict[str, Any]:
        """Plain values."""
        return {**asdict(self), "categories": list(self.categories)}


def features_from(state: Sequence[Mapping[str, Any]]) -> list[Feature]:
    """What `Feature.state` gave.

    Raises
    ------
    ValueError
        If a value is not of its kind.
    """
    found = []
    for one in state:
        kind = one["kind"]
        if kind not in ("number", "gap", "category", "days", *_CLOCK) or not float(one["std"]) > 0:
            raise ValueError(f"a feature of kind {kind!r} that is none")
        found.append(
            Feature(
                kind,
                str(one["source"]),
                str(one["label"]),
                float(one["mean"]),
                float(one["std"]),
                float(one["fill"]),
                tuple(str(name) for name in one["categories"]),
            )
        )
    return found


def fitted(column: Column, cells: NDArray[Any]) -> tuple[list[Feature], list[str]]:
    """Features of a column of the training part, and what is to be said of them."""
    if column.kind == "category":
        return _category(column, cells)
    if column.kind == "time":
        return _time(column, cells), []
    values = numbers(cells)
    there = values[~np.isnan(values)]
    if not len(there) or there.min() == there.max():
        return [], [f"{column.name!r} has one value in the training part: left out."]
    middle = float(np.median(there))
    filled = np.where(np.isnan(values), middle, values)
    found = [_scaled("number", column.name, column.name, filled, middle)]
    if len(there) == len(values):
        return found, []
    gaps = len(values) - len(there)
    found.append(Feature("gap", column.name, f"{column.name} missing"))
    return found, [
        f"{column.name!r}: {gaps:,} empty cells of the training part hold its middle value, "
        f"{middle:g}, and a column says so."
    ]


def _category(column: Column, cells: NDArray[Any]) -> tuple[list[Feature], list[str]]:
    counts = Counter(word or MISSING for word in words_of(cells))
    kept = [word for word, n in counts.most_common(_MOST) if n >= _LEAST]
    rare = sum(n for word, n in counts.items() if word not in kept)
    said = []
    if rare and kept:
        said.append(f"{column.name!r}: {rare:,} rows hold rare categories, taken together.")
        kept = [word for word in kept if word != OTHER] + [OTHER]
    if len(kept) < 2:
        return [], [f"{column.name!r} has one frequent category in the training part: left out."]
    ordered = sorted(kept, key=lambda word: (word in (OTHER, MISSING), word))
    return [Feature("category", column.name, column.name, categories=tuple(ordered))], said


def _time(column: Column, cells: NDArray[Any]) -> list[Feature]:
    moments = times(cells)
    there = moments[~np.isnat(moments)]
    found = []
    for kind in ("days", *_CLOCK):
        values = _of_time(there, kind)
        if not len(values) or values.min() == values.max():
            continue
        label = column.name if kind == "days" else f"{column.name} {kind}"
        found.append(_scaled(kind, column.name, label, values, float(np.median(values))))
    return found


def _of_time(moments: NDArray[Any], kind: str) -> NDArray[np.float64]:
    """Days since 1970, month 1 to 12, weekday 0 (Monday) to 6, or hour."""
    seconds = moments.astype("datetime64[s]").astype(np.int64).astype(np.float64)
    if kind == "days":
        return seconds / _DAY
    if kind == "weekday":
        return (seconds // _DAY + 3) % 7
    if kind == "hour":
        return seconds % _DAY // 3600
    return moments.astype("datetime64[M]").astype(np.int64).astype(np.float64) % 12 + 1


def _scaled(
    kind: Any, source: str, label: str, values: NDArray[np.float64], fill: float
) -> Feature:
    mean = float(values.mean())
    return Feature(kind, source, label, mean, unit_of(mean, float(values.std())), fill)
