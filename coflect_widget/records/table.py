"""All runs of a folder as one table: a row a run, read from what each run keeps of itself.

The rows are cached in one file of the folder. A row is used again where the run's files have their
sizes and times; a cache that is lost or damaged is made anew.
"""

from __future__ import annotations

import contextlib
import html
import json
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Generic, TypeVar, overload

from coflect_widget.records.checkpoint_files import FOLDER as CHECKPOINTS
from coflect_widget.records.checkpoint_files import find_checkpoints
from coflect_widget.records.folder import write_whole
from coflect_widget.records.labels import LABELS, read_labels
from coflect_widget.records.run import Run
from coflect_widget.records.summary import SUMMARY, is_summary, read_summary

R = TypeVar("R", bound=Run)
Row = dict[str, Any]
CACHE = ".coflect_runs.json"
_FORMAT = "coflect-runs-1"
_CACHE_BYTES = 256 * 2**20
_WATCHED = ("events.jsonl", SUMMARY, LABELS, "config.yaml", CHECKPOINTS)
_SHOWN = 100  # rows that a cell shows
#: How deep below the folder runs are looked for: project, family, experiment.
DEPTH = 3
_FINISHED = ("finished", "stopped")


class BrokenRunWarning(UserWarning):
    """A run is left out of a table because it cannot be read; the message names it."""


class Runs(Sequence[R], Generic[R]):
    """Runs in a table; a cell shows it, a loop gives the runs.

    ``runs[0]`` and ``runs["run_001_..."]`` are runs, ``runs[:5]`` a table. `filter` and `sort` give
    another table, `to_pandas` and `to_polars` a data frame.

    Attributes
    ----------
    rows : list of dict
        One a run: ``id``, ``path``, ``state``, ``started``, ``ended`` (ISO 8601, UTC), ``seconds``,
        ``step``, ``epoch``, ``backend``, ``device``, ``inputs``, ``config`` (dict), ``last`` and
        ``best`` (dicts by metric), ``tags`` (dict), ``notes`` (list), ``archived``,
        ``interventions``, ``undone``, ``checkpoints`` (counts).
    """

    def __init__(self, rows: list[Row], opener: Callable[[Path], R]) -> None:
        self.rows = rows
        self._open = opener

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[R]:
        return (self._open(Path(row["path"])) for row in self.rows)

    @overload
    def __getitem__(self, key: int | str) -> R: ...
    @overload
    def __getitem__(self, key: slice) -> Runs[R]: ...
    def __getitem__(self, key: int | str | slice) -> R | Runs[R]:
        if isinstance(key, slice):
            return Runs(self.rows[key], self._open)
        if isinstance(key, str):
            found = [row for row in self.rows if row["id"] == key or row["path"] == key]
            found = found or [row for row in self.rows if row["id"].startswith(key)]
            if len(found) != 1:
                how = f"{len(found)} runs begin with" if found else "there is no run"
                raise KeyError(f"{how} {key!r}; runs here: {[r['id'] for r in self.rows[:10]]}")
            return self._open(Path(found[0]["path"]))
        return self._open(Path(self.rows[key]["path"]))

    def filter(self, keep: Callable[[Row], bool] | None = None, **wanted: Any) -> Runs[R]:
        """The runs for which `keep(row)` is true and all of `wanted` is equal.

        Parameters
        ----------
        keep : callable, optional
        **wanted
            A column or a tag: ``runs.filter(state="finished", goal="baseline")``.
        """
        names = {name for row in self.rows for name in (*row, *row["tags"])}
        for name in wanted:
            if self.rows and name not in names:
                raise ValueError(f"{name!r} is no column and no tag of these runs: {sorted(names)}")
        rows = [
            row
            for row in self.rows
            if (keep is None or keep(row))
            and all(row.get(n, row["tags"].get(n)) == value for n, value in wanted.items())
        ]
        return Runs(rows, self._open)

    def sort(self, by: str, *, descending: bool = False) -> Runs[R]:
        """The runs in the order of one column of `to_records`; those without a value come last.

        Raises
        ------
        ValueError
            If no run has that column.
        """
        rows = self.to_records()
        if rows and by not in rows[0]:
            raise ValueError(f"{by!r} is no column of this table: {list(rows[0])}")
        have = [k for k, row in enumerate(rows) if row[by] is not None]
        numbers = all(isinstance(rows[k][by], int | float) for k in have)
        have.sort(key=lambda k: rows[k][by] if numbers else str(rows[k][by]), reverse=descending)
        order = have + [k for k, row in enumerate(rows) if row[by] is None]
        return Runs([self.rows[k] for k in order], self._open)

    def to_records(self) -> list[Row]:
        """Flat rows with the same columns: ``last.val loss``, ``best.loss``, ``config.seed``, ...

        A run that lacks a value has None there.
        """
        rows = [flat(row) for row in self.rows]
        columns = dict.fromkeys(name for row in rows for name in row)
        return [{name: row.get(name) for name in columns} for row in rows]

    def to_pandas(self) -> Any:
        """A ``pandas.DataFrame`` of `to_records`, times as UTC timestamps.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        try:
            import pandas as pd
        except ImportError as error:
            raise ImportError("to_pandas() needs pandas: pip install pandas") from error
        frame = pd.DataFrame(self.to_records())
        for name in ("started", "ended"):
            if name in frame:
                frame[name] = pd.to_datetime(frame[name], utc=True)
        return frame

    def to_polars(self) -> Any:
        """A ``polars.DataFrame`` of `to_records`.

        Raises
        ------
        ImportError
            If polars is not installed.
        """
        try:
            import polars as pl
        except ImportError as error:
            raise ImportError("to_polars() needs polars: pip install polars") from error
        return pl.DataFrame(self.to_records(), infer_schema_length=None, strict=False)

    def __repr__(self) -> str:
        lines = [f"{len(self)} runs"]
        for row in self.rows[:10]:
            best = ", ".join(f"{n} {one['value']:.4g}" for n, one in row["best"].items())
            lines.append(f"  {row['id']}  {row['state']}  step {row['step']}  {best}".rstrip())
        return "\n".join([*lines, *(["  ..."] if len(self) > 10 else [])])

    def _repr_html_(self) -> str:
        metrics = list(dict.fromkeys(name for row in self.rows for name in row["best"]))
        heads = ["run", "state", "started (UTC)", "minutes", "epoch", "step"]
        heads += [*(f"best {name}" for name in metrics), "interventions", "checkpoints"]
        heads += ["tags", "notes"]
        lines = [
            [
                row["id"], row["state"], (row["started"] or "")[:16].replace("T", " "),
                "" if row["seconds"] is None else f"{row['seconds'] / 60:.1f}",
                row["epoch"], row["step"],
                *(f"{row['best'][m]['value']:.4g}" if m in row["best"] else "" for m in metrics),
                row["interventions"] - row["undone"], row["checkpoints"],
                ", ".join(f"{name}: {value}" for name, value in row["tags"].items()),
                "; ".join(row["notes"]),
            ]
            for row in self.rows[:_SHOWN]
        ]  # fmt: skip
        more = len(self) - _SHOWN
        note = f"<p>and {more} more</p>" if more > 0 else ""
        return f"<div>{html_table(heads, lines)}{note}</div>"


def html_table(heads: Sequence[object], lines: Sequence[Sequence[object]]) -> str:
    """A table with every text escaped."""
    head = "".join(f"<th>{html.escape(str(text))}</th>" for text in heads)
    body = "".join(
        f"<tr>{''.join(f'<td>{html.escape(str(cell))}</td>' for cell in line)}</tr>"
        for line in lines
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def read_runs(
    folder: str | Path,
    opener: Callable[[Path], R],
    *,
    archived: bool = False,
    require_complete: bool = False,
) -> Runs[R]:
    """Table of the runs in `folder`; see `coflect.runs`."""
    root = Path(folder).expanduser()
    if not root.is_dir():
        raise FileNotFoundError(
            f"{str(root)!r} is no folder; give the run_dir of your sessions, for example "
            "coflect.runs('runs')"
        )
    cache = _read_cache(root)
    kept: dict[str, Any] = {}
    rows = []
    for path in _find(root, DEPTH):
        name = path.relative_to(root).as_posix()
        marks = _marks(path)
        known = cache.get(name)
        if known is not None and known["marks"] == marks and _is_row(known["row"]):
            row = known["row"]
        else:
            try:
                row = row_of(path)
            except (OSError, ValueError) as error:
                warnings.warn(f"Run {name} is left out: {error}", BrokenRunWarning, stacklevel=3)
                continue
        if row["state"] not in ("training", "paused"):
            kept[name] = {"marks": marks, "row": row}
        rows.append({**row, "path": str(path)})
    if kept != cache:
        # A folder that nobody may write is read each time.
        with contextlib.suppress(OSError):
            write_whole(root / CACHE, json.dumps({"format": _FORMAT, "runs": kept}))
    if not archived:
        rows = [row for row in rows if not row["archived"]]
    if require_complete:
        rows = [row for row in rows if row["state"] in _FINISHED and not row["damaged"]]
    return Runs(rows, opener)


def _find(folder: Path, depth: int) -> Iterator[Path]:
    """Run folders below `folder` in the order of their names; links are not followed."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        return
    for entry in entries:
        with contextlib.suppress(OSError):  # one that nobody may read hides no other
            if entry.name.startswith(".") or not entry.is_dir(follow_symlinks=False):
                continue
            path = folder / entry.name
            # Path.exists raises where the folder may not be entered.
            if os.path.exists(path / "events.jsonl"):  # noqa: PTH110
                yield path
            elif depth > 0:
                yield from _find(path, depth - 1)


def _marks(path: Path) -> list[list[int] | None]:
    """Size and time of what a row is made of."""
    found: list[list[int] | None] = []
    for name in _WATCHED:
        try:
            facts = (path / name).stat()
        except OSError:
            found.append(None)
        else:
            found.append([facts.st_size, facts.st_mtime_ns])
    return found


def row_of(path: Path) -> Row:
    """The row of one run; raises OSError or ValueError where the run cannot be read."""
    sums = read_summary(path)
    labels = read_labels(path)
    return {
        "id": path.name,
        "path": str(path),
        **sums,
        "seconds": _seconds(sums["started"], sums["ended"]),
        "tags": labels.tags,
        "notes": labels.notes,
        "archived": labels.archived,
        "checkpoints": len(find_checkpoints(path)),
    }


def _is_row(row: Any) -> bool:
    return (
        isinstance(row, dict)
        and is_summary(row)
        and isinstance(row.get("tags"), dict)
        and all(isinstance(row.get(name), str) for name in ("id", "path"))
        and isinstance(row.get("notes"), list)
        and all(name in row for name in ("seconds", "archived", "checkpoints"))
    )


def _seconds(started: str | None, ended: str | None) -> float | None:
    if started is None or ended is None:
        return None
    return (datetime.fromisoformat(ended) - datetime.fromisoformat(started)).total_seconds()


def _read_cache(root: Path) -> dict[str, Any]:
    file = root / CACHE
    try:
        if file.is_symlink() or file.stat().st_size > _CACHE_BYTES:
            return {}
        found = json.loads(file.read_text(encoding="utf-8"))
        runs = found["runs"] if found["format"] == _FORMAT else {}
        return {n: one for n, one in runs.items() if {"marks", "row"} <= set(one)}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


def flat(row: Row) -> Row:
    """A row with one level: ``config.seed``, ``last.val loss``, ``best.loss``."""
    found: Row = {}
    for name, value in row.items():
        if name == "best":
            found |= {f"best.{metric}": one["value"] for metric, one in value.items()}
        elif isinstance(value, dict):
            found |= _leaves(name, value)
        elif isinstance(value, list):
            found[name] = "; ".join(map(str, value))
        else:
            found[name] = value
    return found


def _leaves(prefix: str, value: Any) -> Row:
    if isinstance(value, dict):
        return {
            name: leaf
            for key, inner in value.items()
            for name, leaf in _leaves(f"{prefix}.{key}", inner).items()
        }
    return {prefix: json.dumps(value) if isinstance(value, list) else value}
