"""``scalars.csv``: one row a record of metrics, one column a metric, for spreadsheets and pandas.

The header grows when a metric appears; the file is then written anew beside the old one.
"""

from __future__ import annotations

import csv
import io
import math
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coflect_widget.events import LARGEST
from coflect_widget.records.folder import write_whole

_FIXED = ("step", "epoch", "split")


class ScalarsFile:
    """Collects rows in memory until `flush`; used by one thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._columns: list[str] = list(_FIXED)
        self._rows: list[dict[str, object]] = []
        self._exists = False

    def add(
        self, step: int, epoch: int, split: str | None, values: Mapping[str, float | None]
    ) -> None:
        """Append one row; a missing or non-finite metric is an empty cell."""
        self._rows.append({"step": step, "epoch": epoch, "split": split or "", **values})

    def flush(self) -> None:
        """Write the waiting rows. Raises OSError, with the rows kept, if the disk refuses."""
        if not self._rows:
            return
        new = [name for row in self._rows for name in row if name not in self._columns]
        columns = [*self._columns, *dict.fromkeys(new)]
        text = io.StringIO()
        writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
        if new or not self._exists:
            writer.writeheader()
            if self._exists:
                with self._path.open(newline="", encoding="utf-8") as file:
                    writer.writerows(csv.DictReader(file))
        writer.writerows(_cells(row) for row in self._rows)
        if new or not self._exists:
            write_whole(self._path, text.getvalue())
        else:
            before = self._path.stat().st_size
            try:
                with self._path.open("a", encoding="utf-8", newline="") as file:
                    file.write(text.getvalue())
            except OSError:
                with suppress(OSError):
                    os.truncate(self._path, before)  # no half of a line
                raise
        self._columns, self._exists = columns, True
        self._rows.clear()


def _cells(row: Mapping[str, object]) -> dict[str, object]:
    return {
        name: f"{value:.7g}" if isinstance(value, float) else value
        for name, value in row.items()
        if value is not None and not (isinstance(value, float) and not math.isfinite(value))
    }


def read_scalars(text: str) -> dict[str, NDArray[Any]]:
    """Columns of a ``scalars.csv``; only whole rows are data.

    A row is whole where its line has an end and as many cells as the header, and step, epoch and
    metrics are numbers: a number that was cut off in its middle is a number too, and a wrong one.
    """
    whole = text[: text.rfind("\n") + 1]
    rows = csv.reader(io.StringIO(whole.replace("\0", "\N{REPLACEMENT CHARACTER}")))
    names = next(rows, [])
    if names[: len(_FIXED)] != list(_FIXED) or len(set(names)) < len(names):
        return {}
    kept = [cells for cells in (_parsed(row, len(names)) for row in rows) if cells is not None]
    kinds = {"step": np.int64, "epoch": np.int64, "split": np.str_}
    return {
        name: np.array([cells[k] for cells in kept], dtype=kinds.get(name, np.float64))
        for k, name in enumerate(names)
    }


def _parsed(row: list[str], columns: int) -> list[Any] | None:
    """The cells of one row, or None where it is not whole."""
    if len(row) != columns:
        return None
    try:
        step, epoch, split = int(row[0]), int(row[1]), row[2]
        metrics = [float(cell) if cell else math.nan for cell in row[3:]]
    except ValueError:
        return None
    if not (0 <= step <= LARGEST and 0 <= epoch <= LARGEST and split in ("train", "val", "")):
        return None
    return [step, epoch, split, *metrics]
