"""Requests that are kept in the folder of what is served, so that a person can label them.

::

    kept/waiting/ID.json      rows that nobody has labelled, at most so many
    kept/labelled/ID.json     rows with a label; nothing but a person removes them
"""

from __future__ import annotations

import contextlib
import json
import queue
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from coflect_widget.records.inside import OutsideError, find, read_text

FORMAT = "coflect-kept-1"
WAITING, LABELLED = "kept/waiting", "kept/labelled"
#: Bytes of a row that is kept, and of all of them.
MOST_ROW, MOST_BYTES = 2**20, 2**28
#: Requests that may be kept, and that wait to be written.
MOST, _MOST_TO_WRITE = 100_000, 256
_NAME = re.compile(r"([0-9a-f]{32})\.json")


@dataclass(frozen=True)
class KeptRow:
    """A row that somebody asked about.

    Attributes
    ----------
    id : str
        Of the row: equal rows have the same.
    at : str
        When, ISO 8601 in UTC.
    request : str
        ``X-Request-ID`` of the answer.
    row : dict
    told : dict
        What the model said.
    confidence : float or None
        The probability of the class that it said, 0 to 1; None where it says no classes.
    label : object
        What a person said; None where nobody has said anything.
    """

    id: str
    at: str
    request: str
    row: Mapping[str, Any]
    told: Mapping[str, Any]
    confidence: float | None
    label: Any = None

    def text(self) -> str:
        """As JSON, one file."""
        facts = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return json.dumps({"format": FORMAT, **facts})


def confidence_of(told: Mapping[str, Any]) -> float | None:
    """The probability of the class that was told."""
    shares = told.get("probabilities")
    return max(shares.values()) if shares else None


def names_in(folder: Path, room: str) -> list[str]:
    """Ids of the rows in one of the two rooms."""
    try:
        found = [_NAME.fullmatch(file.name) for file in find(folder, room).iterdir()]
    except (OSError, OutsideError):
        return []
    return sorted(match[1] for match in found if match)


def read_row(folder: Path, room: str, name: str) -> KeptRow:
    """One kept row.

    Raises
    ------
    ValueError, OSError
        If the file is none, or gone.
    """
    try:
        facts = json.loads(read_text(folder, f"{room}/{name}.json", 2 * MOST_ROW))
        if facts.pop("format") != FORMAT or facts["id"] != name:
            raise ValueError("it is of another format")
        sure = facts["confidence"]
        kinds = {"row": dict, "told": dict, "at": str}
        if not all(isinstance(facts[name], kind) for name, kind in kinds.items()):
            raise TypeError("it holds no row")
        return KeptRow(**{**facts, "confidence": None if sure is None else float(sure)})
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"{room}/{name}.json is no row that was kept: {error}") from None


class Keeper:
    """Writes rows on a thread of its own; answers never wait for it.

    Where there is no room the row of which the model is surest goes; of those that are equal the
    oldest.

    Parameters
    ----------
    folder : Path
        Of what is served.
    most : int
        Rows that may wait for a label.

    Raises
    ------
    ValueError
        If `most` is below 1 or above 100,000.
    OSError, OutsideError
        If the folder cannot be written to, or a link in it leads elsewhere.
    """

    def __init__(self, folder: Path, most: int) -> None:
        if not 1 <= most <= MOST:
            raise ValueError(f"at least 1 and at most {MOST:,} requests are kept, not {most:,}")
        self.folder, self.most = folder, most
        for room in ("kept", WAITING, LABELLED):
            find(folder, room)  # no link leads out of the folder
            (folder / room).mkdir(mode=0o700, exist_ok=True)
        self._there: dict[str, tuple[float, int]] = {}  # confidence, bytes; the oldest first
        rows: list[tuple[str, str, float, int]] = []
        for name in names_in(folder, WAITING):
            with contextlib.suppress(ValueError, OSError):
                row = read_row(folder, WAITING, name)
                rows.append((row.at, name, row.confidence or 0.0, len(row.text())))
        self._there.update((name, (sure, size)) for _, name, sure, size in sorted(rows))
        self._queue: queue.Queue[KeptRow | None] = queue.Queue(_MOST_TO_WRITE)
        self._thread = threading.Thread(target=self._serve, daemon=True, name="coflect-keeps")
        self._thread.start()

    def __len__(self) -> int:
        return len(self._there)

    def offer(
        self, name: str, request: str, row: Mapping[str, Any], told: Mapping[str, Any]
    ) -> None:
        """Keep a row if there is time and room; returns at once."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        with contextlib.suppress(queue.Full):
            self._queue.put_nowait(KeptRow(name, now, request, row, told, confidence_of(told)))

    def close(self) -> None:
        """Write what waits, and end the thread."""
        self._queue.put(None)
        self._thread.join()

    def _serve(self) -> None:
        while (row := self._queue.get()) is not None:
            with contextlib.suppress(OSError):  # a full disk ends no service
                self._keep(row)

    def _keep(self, row: KeptRow) -> None:
        text = row.text().encode()
        if len(text) > MOST_ROW or (self.folder / LABELLED / f"{row.id}.json").exists():
            return
        there = self._there
        there.pop(row.id, None)
        if len(there) >= self.most or self._bytes() + len(text) > MOST_BYTES:
            self._drop_gone()
        there[row.id] = (row.confidence or 0.0, len(text))
        bytes_ = self._bytes()
        while len(there) > self.most or bytes_ > MOST_BYTES:
            surest = max(there, key=lambda name: there[name][0])  # the first of equals
            bytes_ -= there.pop(surest)[1]
            (self.folder / WAITING / f"{surest}.json").unlink(missing_ok=True)
        if row.id in there:
            part = self.folder / WAITING / f"{row.id}.part"
            part.write_bytes(text)
            part.replace(part.with_suffix(".json"))

    def _bytes(self) -> int:
        return sum(size for _, size in self._there.values())

    def _drop_gone(self) -> None:
        """Rows that a person has labelled or forgotten meanwhile take no room."""
        files = {file.name for file in (self.folder / WAITING).iterdir()}
        for name in [name for name in self._there if f"{name}.json" not in files]:
            del self._there[name]
