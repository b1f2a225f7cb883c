"""What data hold, before anything is decided: columns, gaps, doubles. Nothing is asked here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from coflect_widget.projects.quickstart.columns import Column, as_read, column_of
from coflect_widget.projects.quickstart.duplicates import groups
from coflect_widget.projects.quickstart.goals.base import spelled
from coflect_widget.projects.quickstart.reading import read
from coflect_widget.projects.quickstart.sheet import Sheet

#: Columns that a text lists.
_LISTED = 24
_WORDS = {
    "number": "numbers", "category": "categories", "text": "texts", "time": "times",
    "file": "files of pictures", "array": "arrays", "identity": "a name or number of the row",
    "constant": "one value everywhere", "empty": "nothing",
}  # fmt: skip
#: Columns that say nothing of a row.
SILENT = ("identity", "constant", "empty")


@dataclass(frozen=True)
class Look:
    """What was found in data; ``print(look)`` says it.

    Attributes
    ----------
    sheet : Sheet
    columns : tuple of Column
    doubles : int
        Rows that are equal to an earlier one in all columns that say something.
    said : tuple of str
        What is worth knowing, a sentence each.
    """

    sheet: Sheet
    columns: tuple[Column, ...]
    doubles: int
    said: tuple[str, ...]

    def column(self, name: str) -> Column:
        """By its name."""
        return next(column for column in self.columns if column.name == name)

    @property
    def speaking(self) -> tuple[Column, ...]:
        """Columns that say something of a row."""
        return tuple(column for column in self.columns if column.kind not in SILENT)

    def __str__(self) -> str:
        rows, n = len(self.sheet), len(self.columns)
        lines = [f"{self.sheet.source}: {rows:,} rows, {n} column{'s' * (n > 1)}"]
        wide = max(len(_shown(column.name)) for column in self.columns[:_LISTED])
        lines += [f"  {_shown(c.name):{wide}}  {self._about(c)}" for c in self.columns[:_LISTED]]
        if n > _LISTED:
            lines.append(f"  and {n - _LISTED} more")
        return "\n".join([*lines, *self.said])

    def _about(self, column: Column) -> str:
        said = [_WORDS[column.kind]]
        if column.kind == "array":
            shape = " x ".join(map(str, self.sheet.cells[column.name].shape[1:]))
            said = [f"arrays of {shape}"]
        elif column.kind in ("category", "number"):
            said.append(f"{column.distinct:,} different")
        if column.missing:
            share = column.missing / max(1, len(self.sheet))
            said.append(f"{column.missing:,} missing ({share:.1%})")
        return ", ".join(said)


def look(data: Any) -> Look:
    """Look at data; nothing is asked, built or written.

    Parameters
    ----------
    data
        What `quickstart` takes.

    Returns
    -------
    Look

    Raises
    ------
    FileNotFoundError, TypeError, ValueError
        If it cannot be read.
    """
    sheet = read(data)
    columns = tuple(column_of(name, values) for name, values in sheet.cells.items())
    sheet = sheet.having({c.name: as_read(c, sheet.cells[c.name]) for c in columns})
    speaking = [column for column in columns if column.kind not in SILENT]
    if not speaking:
        raise ValueError(
            f"{sheet.source}: no column says anything of a row: "
            + ", ".join(f"{_shown(c.name)} holds {_WORDS[c.kind]}" for c in columns[:8])
        )
    number = groups(sheet, speaking)
    doubles = len(number) - len(np.unique(number))
    said = [*sheet.said, *(column.doubt for column in columns if column.doubt)]
    said += _silent(columns)
    if doubles:
        said.append(f"{doubles:,} rows are there more than once.")
    return Look(sheet, columns, doubles, tuple(said))


def _silent(columns: Sequence[Column]) -> list[str]:
    found = []
    for kind in SILENT:
        names = [_shown(column.name) for column in columns if column.kind == kind]
        if names:
            verb = "holds" if len(names) == 1 else "hold"
            found.append(f"{spelled(names, 6)} {verb} {_WORDS[kind]}: left out.")
    return found


def _shown(name: str) -> str:
    return name if name else "(no name)"
