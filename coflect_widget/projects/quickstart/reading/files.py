"""One file of rows: separated text, JSON, JSON lines, plain text, series of the UCR archive."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coflect_widget.projects.quickstart.columns import numbers
from coflect_widget.projects.quickstart.reading.text_of_file import decoded, lines_of, rows_of
from coflect_widget.projects.quickstart.sheet import TEST, TRAIN, Sheet

#: How people write that a cell is empty.
EMPTY = frozenset({"", "na", "n/a", "#n/a", "nan", "null", "?", "-", "--"})
_LONGEST_NAME = 40


def from_file(file: Path) -> Sheet:
    """Rows of a file, by its ending.

    Raises
    ------
    ValueError
        If it cannot be read.
    """
    read = _READERS.get(file.suffix.lower())
    if read is None:
        raise ValueError(
            f"{file} ends in {file.suffix or 'nothing'}; read are {', '.join(sorted(_READERS))}. "
            "Read others yourself, for example with pandas, and give the DataFrame"
        )
    try:
        return read(file)
    except RecursionError:
        raise ValueError(f"{file} is nested too deeply") from None
    except ValueError as error:
        text = str(error)
        raise ValueError(text if str(file) in text else f"{file}: {text}") from None


def _separated(file: Path) -> Sheet:
    text, said = decoded(file)
    rows, more = rows_of(text)
    names, rows, named = _names(rows)
    if not rows:
        raise ValueError("it has names of columns and no row")
    return Sheet(
        file.name, _columns(names, rows), (*said, *more, *named), folder=file.resolve().parent
    )


def _lines(file: Path) -> Sheet:
    """A .txt: rows where lines are separated alike, and else a text a line."""
    text, _ = decoded(file)
    lines = [line for line in lines_of(text) if line.strip()]
    tabs = {line.count("\t") for line in lines}
    if tabs and len(tabs) == 1 and tabs != {0}:
        return _separated(file)
    return Sheet(file.name, {"text": _objects(lines)}, folder=file.resolve().parent)


def _json(file: Path) -> Sheet:
    text, said = decoded(file)
    found = json.loads(text, parse_constant=lambda _: None)
    if isinstance(found, Mapping):  # {"data": [...]}, or a list a column
        lists = {k: v for k, v in found.items() if isinstance(v, list)}
        if len(lists) == 1:
            found = next(iter(lists.values()))
        elif lists and len({len(v) for v in lists.values()}) == 1:
            found = [
                dict(zip(lists, row, strict=True)) for row in zip(*lists.values(), strict=True)
            ]
    return _records(file, found, said)


def _json_lines(file: Path) -> Sheet:
    text, said = decoded(file)
    found, broken = [], 0
    for line in lines_of(text):
        if line.strip():
            try:
                found.append(json.loads(line, parse_constant=lambda _: None))
            except json.JSONDecodeError:
                broken += 1
    if broken:
        said = [*said, f"{broken} line{'s are' if broken > 1 else ' is'} no JSON: left out."]
    return _records(file, found, said)


def _records(file: Path, found: Any, said: Sequence[str]) -> Sheet:
    if not isinstance(found, list) or not found:
        raise ValueError("expected a list of objects, or an object a line, one for each row")
    if all(isinstance(one, str) for one in found):
        return Sheet(file.name, {"text": _objects(found)}, tuple(said))
    rows = [one for one in found if isinstance(one, Mapping)]
    if len(rows) < len(found):
        raise ValueError(f"{len(found) - len(rows)} of {len(found)} rows are no objects")
    names = list(dict.fromkeys(str(name) for row in rows for name in row))
    cells = {name: _objects([_cell(row.get(name)) for row in rows]) for name in names}
    return Sheet(file.name, cells, tuple(said), folder=file.resolve().parent)


def _cell(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value)


def _series(file: Path) -> Sheet:
    """A .ts file: equally long series, one a line; its neighbour _TEST.ts is the test part."""
    parts = [(file, TRAIN)]
    said = []
    other = file.with_name(file.name.replace("_TRAIN", "_TEST"))
    if other != file and other.is_file():
        parts.append((other, TEST))
        said.append(f"{other.name} lies beside it and is the test part.")
    curves: list[NDArray[np.float64]] = []
    labels: list[str] = []
    part: list[int] = []
    for one, which in parts:
        for curve, label in _ts(one):
            curves.append(curve)
            labels.append(label)
            part.append(which)
    if len({curve.shape for curve in curves}) > 1:
        raise ValueError("its series are not equally long; fill them up, and give the arrays")
    cells = {"series": np.stack(curves), "class": _objects(labels)}
    given = np.array(part, np.int64) if len(parts) > 1 else None
    return Sheet(file.name, cells, tuple(said), target="class", part=given)


def _ts(file: Path) -> list[tuple[NDArray[np.float64], str]]:
    text, _ = decoded(file)
    lines = lines_of(text)
    starts = [k for k, line in enumerate(lines) if line.strip().lower() == "@data"]
    if not starts:
        raise ValueError(f"{file} has no line @data")
    found = []
    for line in lines[starts[0] + 1 :]:
        if not line.strip():
            continue
        *channels, label = line.split(":")
        rows = [numbers(channel.split(",")) for channel in channels]
        if not rows or len({len(row) for row in rows}) > 1:
            raise ValueError(f"{file} has a line whose channels are not equally long, or no class")
        found.append((np.stack(rows), label.strip()))
    if not found:
        raise ValueError(f"{file} has no series")
    return found


_READERS: dict[str, Callable[[Path], Sheet]] = {
    ".csv": _separated,
    ".tsv": _separated,
    ".tab": _separated,
    ".txt": _lines,
    ".json": _json,
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".ts": _series,
}
ENDINGS = tuple(_READERS)


def _names(rows: list[list[str]]) -> tuple[list[str], list[list[str]], list[str]]:
    """Names of the columns, the rows without them, and what was taken for granted."""
    first, rest = [cell.strip() for cell in rows[0]], rows[1:]
    if _counts_up(first, rest):
        return first, rest, []
    filled = [cell for cell in first[1:] if cell] if len(first) > 1 else first
    begins = (
        bool(rest)
        and len(filled) >= len(first) - 1
        and not np.isfinite(numbers([cell or None for cell in first])).any()
        and len(set(first)) == len(first)
        and all(len(cell) <= _LONGEST_NAME for cell in first)
    )
    if begins:
        # A name is not one of its column's values.
        again = sum(cell in {row[k].strip() for row in rest} for k, cell in enumerate(first))
        begins = again <= len(first) / 2
    if begins:
        return first, rest, []
    doubled = [name for name, n in Counter(first).items() if n > 1 and name]
    if rest and doubled and not np.isfinite(numbers(first)).any():
        raise ValueError(f"two columns are called {doubled[0]!r}; give each a name of its own")
    said = "The first line is a row: columns are called column 1, column 2, ..."
    return unnamed(len(first)), rows, [said]


def unnamed(count: int) -> list[str]:
    """What so many columns are called that have no names."""
    return [f"column {k + 1}" for k in range(count)]


def _counts_up(first: list[str], rest: list[list[str]]) -> bool:
    """Whether names are 0, 1, 2 and so on, as of an array that was written by pandas.

    Then a word stands above cells of which none is that word, or nothing above an index.
    """
    read = numbers([cell or None for cell in first])
    counted = read[~np.isnan(read)]
    if not rest or len(counted) < 2 or bool((np.diff(counted) != 1).any()):
        return False
    if len(set(first)) < len(first) or max(map(len, first)) > _LONGEST_NAME:
        return False
    index = [row[0].strip() for row in rest]
    if not first[0] and index == [str(k) for k in range(len(index))]:
        return True
    words = [k for k, cell in enumerate(first) if cell and np.isnan(read[k])]
    if any(first[k].lower() in EMPTY for k in words):
        return False
    below = [{row[k].strip() for row in rest} for k in words]
    if not words or any(first[k] in cells for k, cells in zip(words, below, strict=True)):
        return False
    # Sentences are each another, in a first row too; classes come again, and numbers are no words.
    return any(
        len(cells) <= len(rest) / 2 or np.isfinite(numbers([*cells])).all() for cells in below
    )


def _columns(names: Sequence[str], rows: Sequence[Sequence[str]]) -> dict[str, NDArray[Any]]:
    return {name: _objects([row[k] for row in rows]) for k, name in enumerate(names)}


def _objects(cells: Sequence[Any]) -> NDArray[np.object_]:
    """Cells (N,) as str or None."""
    found = np.empty(len(cells), object)
    for k, cell in enumerate(cells):
        text = None if cell is None else str(cell).strip()
        found[k] = None if text is None or text.lower() in EMPTY else text
    return found
