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

from coflect_widget.record.folder import write_whole

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
