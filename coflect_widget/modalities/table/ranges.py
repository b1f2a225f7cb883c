"""Where the values of each column lie, and what in them a network could not be trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coflect_widget.modalities.table.features import Feature, listed

Row = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Ranges:
    """Of each column, (F,) float32: smallest and largest value, mean and standard deviation.

    Attributes
    ----------
    complete : bool
        Whether all rows were looked at.
    """

    low: Row
    high: Row
    mean: Row
    scale: Row
    complete: bool = True

    def at(self, x: Row) -> NDArray[np.float64]:
        """Where the values of a row lie in the ranges, 0 to 1; .5 in a constant column."""
        wide = self.high.astype(np.float64) - self.low
        share = np.where(wide > 0, (x - self.low) / np.where(wide > 0, wide, 1), 0.5)
        return np.clip(share, 0, 1)

    def constant(self, features: Sequence[Feature]) -> list[str]:
        """Features that have one value everywhere."""
        same = self.low == self.high
        return [feature.name for feature in features if same[list(feature.columns)].all()]


def measured(rows: NDArray[np.floating], *, complete: bool) -> Ranges:
    """Ranges of rows (n, F); columns that do not vary have scale 0, but for a single row."""
    mean, scale = rows.mean(0, dtype=np.float64), rows.std(0, dtype=np.float64)
    low, high = rows.min(0), rows.max(0)
    scale = np.where(low < high, scale, 0.0)
    if not scale.any():
        scale = np.ones_like(scale)
    low, high, mean, scale = (np.asarray(a, np.float32) for a in (low, high, mean, scale))
    return Ranges(low, high, mean, scale, complete)


def check_cells(
    rows: NDArray[np.floating],
    features: Sequence[Feature],
    argument: str,
    numbers: Sequence[int] | None = None,
) -> None:
    """Raise ValueError where a cell is missing, infinite or no category.

    Parameters
    ----------
    rows : ndarray (n, F)
    numbers : sequence of int, optional
        Which rows of the data set they are; 0, 1, ... if left out.
    """
    bad = ~np.isfinite(rows)
    if bad.any():
        row, column = (int(k) for k in np.argwhere(bad)[0])
        name = next(f.name for f in features if column in f.columns)
        what = "NaN" if np.isnan(rows[row, column]) else "infinite"
        where = sorted({f.name for f in features if bad[:, list(f.columns)].any()})
        raise ValueError(
            f"{argument} has cells that are NaN or infinite, {int(bad.sum())} in all, in "
            f"{listed(where)}; the first is {what}, row {_number(row, numbers)}, {_called(name)}. "
            "Fill them, for example numpy.where(numpy.isfinite(rows), rows, "
            "numpy.nanmedian(rows, 0)), or leave these rows out"
        )
    for feature in features:
        if not feature.coded:
            continue
        values = rows[:, feature.columns[0]]
        wrong = (values != np.round(values)) | (values < 0) | (values >= len(feature.categories))
        if wrong.any():
            row = int(np.argmax(wrong))
            raise ValueError(
                f"{argument}: {_called(feature.name)} is {values[row]:g} in row "
                f"{_number(row, numbers)}; its categories have the numbers 0 to "
                f"{len(feature.categories) - 1}: {listed(feature.categories)}. Name all of them "
                f"in codes=, or leave these rows out"
            )


def _number(row: int, numbers: Sequence[int] | None) -> int:
    return row if numbers is None else int(numbers[row])


def _called(name: str) -> str:
    return f"column {name}" if name.isdigit() else f"column {name!r}"
