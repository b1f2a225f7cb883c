"""Reading a run folder, live, finished or interrupted; nothing in it is executed."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray
from pydantic import ValidationError

from coflect_widget.events import Event, Metrics, is_finite
from coflect_widget.record.locks import hold_for_writing


class Run:
    """A run folder, read-only.

    Attributes
    ----------
    id : str
        Name of the folder.
    path : Path
    damaged : int
        Whole lines that could not be read in the last call of `events`.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.id = self.path.name
        self.damaged = 0
        if not (self.path / "events.jsonl").is_file():
            near = sorted(p.parent.name for p in self.path.glob("*/events.jsonl"))[-3:]
            hint = f"; did you mean one of {near} in it?" if near else ""
            raise FileNotFoundError(
                f"{str(self.path)!r} is not a run folder: no events.jsonl{hint}"
            )

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"

    @property
    def config(self) -> dict[str, Any]:
        """``config.yaml``: settings with every default, seed, data, versions; {} if missing."""
        return self._mapping("config.yaml")

    @property
    def meta(self) -> dict[str, Any]:
        """``meta.json``: when, where, by whom; {} if missing."""
        return self._mapping("meta.json")

    def events(self, type: str | None = None) -> list[Event]:  # noqa: A002 - the contract's name
        """Recorded events, oldest first; only those of `type`, if given."""
        return list(self.iter_events(type))

    def iter_events(self, type: str | None = None) -> Iterator[Event]:  # noqa: A002
        """Like `events`, one at a time. A torn last line is left out."""
        self.damaged = 0
        wanted = None if type is None else f'"type":"{type}"'.encode()
        with (self.path / "events.jsonl").open("rb") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    break  # the writer is, or was, in the middle of it
                if wanted is not None and wanted not in line:
                    continue
                try:
                    event = Event.model_validate_json(line)
                except ValidationError:
                    self.damaged += 1
                    continue
                # Nobody writes these: a metric's NaN is null, and elsewhere there is none.
                if not isinstance(event.data, Metrics) and not is_finite(event.data):
                    self.damaged += 1
                elif type is None or event.type == type:
                    yield event

    def scalars(self) -> dict[str, NDArray[Any]]:
        """``scalars.csv`` as columns: ``step`` and ``epoch`` (int64), ``split`` (str), metrics.

        Metrics are float64 with NaN where a row has none; ``pandas.DataFrame(run.scalars())``
        works.
        """
        path = self.path / "scalars.csv"
        if not path.is_file():
            return {}
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            names = list(reader.fieldnames or [])
            rows = list(reader)
        columns: dict[str, NDArray[Any]] = {}
        for name in names:
            cells = [row[name] or "" for row in rows]
            if name == "split":
                columns[name] = np.array(cells, dtype=str)
            elif name in ("step", "epoch"):
                columns[name] = np.array(cells, dtype=np.int64)
            else:
                columns[name] = np.array([float(cell) if cell else np.nan for cell in cells])
        return columns

    def repair(self) -> int:
        """Cut a torn last line off the stream if nobody writes the run; returns bytes cut."""
        try:
            with (self.path / "events.jsonl").open("r+b") as file:
                if not hold_for_writing(file):
                    return 0
                end = position = file.seek(0, 2)
                while position > 0:
                    start = max(0, position - 65536)
                    file.seek(start)
                    newline = file.read(position - start).rfind(b"\n")
                    if newline >= 0:
                        position = start + newline + 1
                        break
                    position = start
                file.truncate(position)
                return end - position
        except OSError:
            return 0  # read-only media: reading leaves the torn line out anyway

    def _mapping(self, name: str) -> dict[str, Any]:
        path = self.path / name
        if not path.is_file():
            return {}
        text = path.read_text(encoding="utf-8")
        value = yaml.safe_load(text) if path.suffix == ".yaml" else json.loads(text)
        return value if isinstance(value, dict) else {}
