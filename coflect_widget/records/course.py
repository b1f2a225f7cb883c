"""Where a run went back to an earlier checkpoint, and went on from there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from coflect_widget.events import Resumed, read_event
from coflect_widget.records.inside import LINE_BYTES, open_inside

#: Bytes that are looked through at once.
_BLOCK = 2**20


def goings_back(run: Path) -> list[tuple[int, int, str]]:
    """Number of each such event, the one up to which its checkpoint is, and that one's folder.

    Oldest first; of a record that cannot be read none.
    """
    found = []
    try:
        for line in _lines_with(run, b'"resumed"'):
            event = read_event(line)
            if event is not None and isinstance(event.data, Resumed):
                found.append((event.seq, event.data.seq, Path(event.data.checkpoint).name))
    except (OSError, ValueError):
        return []
    return found


def _lines_with(run: Path, words: bytes) -> Iterator[bytes]:
    """Lines with these words; a long record is not divided into lines for it."""
    with open_inside(run, "events.jsonl") as file:
        rest = b""
        while block := file.read(_BLOCK):
            whole, newline, rest = (rest + block).rpartition(b"\n")
            if len(rest) > LINE_BYTES:
                rest = b""
            if newline and words in whole:
                yield from (line for line in whole.split(b"\n") if words in line)
