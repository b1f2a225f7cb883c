"""Data as they were given: named columns of equal length, whatever stands in their cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Which part of the data a row was put into by whoever collected them.
TRAIN, VALIDATION, TEST = 0, 1, 2


@dataclass(frozen=True)
class Sheet:
    """Columns (N, ...) by name.

    Attributes
    ----------
    source : str
        What was given, in a person's words.
    cells : mapping of str to ndarray (N, ...)
        float64 with NaN for an empty cell, datetime64 with NaT, objects that are str or None; or
        arrays of more axes, such as pictures (N, C, H, W) and series (N, C, L).
    said : tuple of str
        Sentences about how it was read.
    folder : Path or None
        Where files that cells name are.
    target : str or None
        The column to be predicted, where the form of the data says it, as folders of classes do.
    part : ndarray (N,) or None
        `TRAIN`, `VALIDATION` or `TEST` of each row, where the data say it.
    """

    source: str
    cells: Mapping[str, NDArray[Any]]
    said: tuple[str, ...] = ()
    folder: Path | None = None
    target: str | None = None
    part: NDArray[np.int64] | None = field(default=None, compare=False)

    def __len__(self) -> int:
        return len(next(iter(self.cells.values()))) if self.cells else 0

    @property
    def names(self) -> tuple[str, ...]:
        """Of the columns."""
        return tuple(self.cells)

    def rows(self, chosen: Sequence[int] | NDArray[Any]) -> Sheet:
        """These rows, by number or by a mask (N,)."""
        at = np.asarray(chosen)
        cells = {name: values[at] for name, values in self.cells.items()}
        return replace(self, cells=cells, part=None if self.part is None else self.part[at])

    def having(self, cells: Mapping[str, NDArray[Any]], **changed: Any) -> Sheet:
        """The same with other columns."""
        return replace(self, cells=cells, **changed)
