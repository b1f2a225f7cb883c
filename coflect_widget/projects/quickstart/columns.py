"""What a column holds, by rule: numbers, categories, sentences, times, names of files, or nothing.

A rule that is not sure says so: `Column.doubt` is what a person is told.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from coflect_widget.projects.quickstart.marks import LARGEST, marks_of, number_of, said_of

Kind = Literal[
    "number", "category", "text", "time", "file", "array", "identity", "constant", "empty"
]
#: Whole numbers below this are what they were written as.
_EXACT = 2**53
#: Deviation of equal numbers, at most, in parts of their mean.
_ROUNDING = 1e-9
#: Endings of files that Pillow reads.
PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
#: What Pillow may take a file for: of others it starts programs, such as Ghostscript of PostScript.
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM")
#: A column is of numbers, times or files where so many of its cells are.
_MOST = 0.9
#: Words in the mean cell from which a column holds sentences, and how many cells differ then.
_SENTENCE, _DIFFERENT = 3.5, 0.5
#: More categories than this, and than this share of the rows, are names of things.
_CATEGORIES, _SHARE = 50, 0.5
#: Of a column that is called so, cells are sentences even where they are short.
_TEXTS, _SHORT = ("text", "review", "comment", "sentence", "message", "tweet", "title", "body",
                  "description", "content", "question", "headline"), 1.5  # fmt: skip
_IDENTITY = re.compile(r"(^|_| )(id|uuid|guid|key|index|row|nr|no)$|^unnamed|^$", re.IGNORECASE)
_CLOCK = r"[ T]\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?"
_TIME = re.compile(
    r"(\d{4}[-/.]\d{1,2}([-/.]\d{1,2})?|\d{1,2}\.\d{1,2}\.\d{4})"
    rf"({_CLOCK}(Z|[+-]\d{{2}}:?\d{{2}})?)?$"
)
#: With dots the day is first; with slashes that hangs on the country.
_DAY_FIRST = re.compile(r"(\d{1,2})\.(\d{1,2})\.(\d{4})")
_UNCERTAIN = re.compile(
    rf"\d{{1,2}}/\d{{1,2}}/\d{{2,4}}({_CLOCK}(Z|[+-]\d{{2}}:?\d{{2}}| ?[AaPp][Mm])?)?$"
)


@dataclass(frozen=True, slots=True)
class Column:
    """One column.

    Attributes
    ----------
    name : str
    kind : str
    missing : int
        Empty cells, and those that are no number or time where all others are.
    distinct : int
        Different values among the others; 0 where that was not counted.
    whole : bool
        Numbers without fractions.
    doubt : str
        What was taken for granted, as sentences; or "".
    marks : str
        How its numbers are written, as of `marks_of`.
    """

    name: str
    kind: Kind
    missing: int = 0
    distinct: int = 0
    whole: bool = False
    doubt: str = ""
    marks: str = ""


def column_of(name: str, values: NDArray[Any]) -> Column:
    """What stands in a column (N, ...)."""
    if values.ndim > 1:
        return Column(name, "array")
    if values.dtype.kind == "M":
        empty = np.isnat(values)
        return Column(name, "time", int(empty.sum()), len(np.unique(values[~empty])))
    if values.dtype.kind == "f":
        read = numbers(values)
        missing = int(np.isnan(read).sum())
        beyond = missing - int(np.isnan(values).sum())
        found = _of_numbers(name, read, missing)
        said = f"{beyond} cells of {name!r} are infinite, or beyond 1e30: taken for missing."
        return replace(found, doubt=said) if beyond else found
    there = [cell for cell in values if cell is not None]
    missing = len(values) - len(there)
    if not there:
        return Column(name, "empty", missing)
    marks, unsure = marks_of(there)
    read = numbers(there, marks)
    odd = int(np.isnan(read).sum())
    if odd <= (1 - _MOST) * len(there):
        doubts = [said_of(name, marks, unsure)]
        if odd:
            shown = next(c for c, v in zip(there, read, strict=True) if np.isnan(v))
            cells = f"{odd} cell{'s' * (odd > 1)}"
            doubts.append(
                f"{cells} of {name!r} hold no number, such as {shown[:40]!r}: taken for missing."
            )
        found = _of_numbers(name, read, missing + odd)
        return replace(found, doubt=" ".join(filter(None, doubts)), marks=marks)
    different = len(set(there))
    if different == 1:
        return Column(name, "constant", missing, 1)
    sampled = there[:: -(-len(there) // 2000)]
    if np.mean([bool(_TIME.match(cell)) for cell in sampled]) >= _MOST:
        seen = times(there)
        odd = int(np.isnat(seen).sum())
        return Column(name, "time", missing + odd, len(np.unique(seen[~np.isnat(seen)])))
    if np.mean([cell.lower().endswith(PICTURES) for cell in sampled]) >= _MOST:
        return Column(name, "file", missing, different)
    if np.mean([bool(_UNCERTAIN.match(cell)) for cell in sampled]) >= _MOST:
        kind: Kind = "category" if different <= _CATEGORIES else "identity"
        said = f"{name!r} holds dates such as {there[0][:40]!r}, whose month is not certain: "
        return Column(name, kind, missing, different, doubt=f"{said}write them as 2024-03-31.")
    words = float(np.mean([len(cell.split()) for cell in sampled]))
    least = _SHORT if name.casefold().endswith(_TEXTS) else _SENTENCE
    if words >= least and different > _DIFFERENT * len(there):
        return Column(name, "text", missing, different)
    if different > max(_CATEGORIES, _SHARE * len(there)) or (
        different == len(there) and _IDENTITY.search(name) and different > 2
    ):
        return Column(name, "identity", missing, different)
    return Column(name, "category", missing, different)


def _of_numbers(name: str, values: NDArray[np.float64], missing: int) -> Column:
    there = values[~np.isnan(values)]
    if not len(there):
        return Column(name, "empty", missing)
    different = np.unique(there)
    whole = bool((there == np.round(there)).all())
    kind: Kind = "number"
    if len(different) == 1:
        kind = "constant"
    elif whole and len(different) == len(there) and len(there) > 2:
        # Row numbers count up by one; other whole numbers that never repeat need the name.
        steps = np.diff(there)
        if bool((steps == 1).all()) or _IDENTITY.search(name):
            kind = "identity"
    return Column(name, kind, missing, len(different), whole)


def numbers(cells: Sequence[Any] | NDArray[Any], marks: str = "") -> NDArray[np.float64]:
    """Cells (N,) as numbers; NaN where one is none.

    Parameters
    ----------
    cells : sequence or ndarray (N,)
    marks : str
        How the column is written, as of `marks_of`; by these cells where it is "".
    """
    if isinstance(cells, np.ndarray) and cells.dtype.kind in "fiub":
        found: NDArray[np.float64] = cells.astype(np.float64)
        return np.where(np.abs(found) <= LARGEST, found, np.nan)
    marks = marks or marks_of(cells)[0]
    return np.array([_number(cell, marks) for cell in cells], np.float64)


def as_read(column: Column, cells: NDArray[Any]) -> NDArray[Any]:
    """Cells (N,) as a column that was found reads them.

    Of a column of numbers those that hold none are empty, and those with commas are numbers.
    """
    if column.kind != "number" or cells.dtype.kind != "O" or not (column.marks or column.doubt):
        return cells
    read = numbers(cells, column.marks)
    if column.marks:
        return read
    found = cells.copy()
    found[np.isnan(read)] = None
    return found


def unit_of(mean: float, std: float) -> float:
    """What to divide by: the deviation, or 1 where it is rounding alone, of equal numbers."""
    return std if std > _ROUNDING * abs(mean) else 1.0


def _number(cell: Any, marks: str) -> float:
    if isinstance(cell, str):
        return number_of(cell, marks)
    return float(cell) if isinstance(cell, int | float | np.number) else np.nan


def times(cells: Sequence[Any] | NDArray[Any]) -> NDArray[np.datetime64]:
    """Cells (N,) as moments in UTC; NaT where one is none."""
    if isinstance(cells, np.ndarray) and cells.dtype.kind == "M":
        return cells.astype("datetime64[s]")
    return np.array([_time(cell) for cell in cells], "datetime64[s]")


def _time(cell: Any) -> np.datetime64:
    import datetime as dt

    text = "" if cell is None else str(cell).strip()
    if not _TIME.match(text):
        return np.datetime64("NaT")
    text = _DAY_FIRST.sub(r"\3-\2-\1", text, count=1)
    date, _, clock = text.replace("T", " ").partition(" ")
    pieces = re.split("[-/.]", date)
    padded = "-".join(piece.zfill(2) for piece in (*pieces, "1")[:3])
    if clock and len(clock.partition(":")[0]) == 1:
        clock = f"0{clock}"
    try:
        moment = dt.datetime.fromisoformat(f"{padded} {clock}".strip())
        if moment.tzinfo is not None:
            moment = moment.astimezone(dt.UTC).replace(tzinfo=None)
    except (ValueError, OverflowError):  # no day of the calendar, or in UTC none of years 1 to 9999
        return np.datetime64("NaT")
    return np.datetime64(moment, "s")


def words_of(values: NDArray[Any]) -> list[str]:
    """Cells (N,) as categories are written; "" where one is empty."""
    if values.dtype.kind == "f":
        return ["" if np.isnan(v) else written(v) for v in values]
    if values.dtype.kind == "M":
        return ["" if np.isnat(v) else str(v) for v in values]
    return ["" if v is None else str(v).strip() for v in values]


def written(value: float) -> str:
    """A number as the name of a category: a whole one without a point, whatever its length."""
    whole = float(value).is_integer() and abs(value) < _EXACT
    return f"{value:.0f}" if whole else f"{value:.12g}"
