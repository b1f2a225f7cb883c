"""Folders with a number in their name, in a run folder: there whole, or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from coflect_widget.records.durable import sync_folder
from coflect_widget.records.inside import find


@dataclass(slots=True)
class Numbered:
    """A folder that is being made.

    Attributes
    ----------
    part : Path
        Where its files are written to.
    path : Path or None
        Its own name, once it has one.
    """

    part: Path
    path: Path | None = None


@contextlib.contextmanager
def numbered(run: Path, room: str, prefix: str) -> Iterator[Numbered]:
    """Make ``{run}/{room}/{prefix}_NNN``; after the block it is on disk and has its name.

    Of two processes that do so at once each gets a number of its own. Where the block raises,
    nothing is left.

    Raises
    ------
    OSError
        If the disk refuses.
    OutsideError
        If `room` is a link that leads out of the run folder.
    """
    folder = find(run, room)
    folder.mkdir(exist_ok=True)
    made = Numbered(folder / f".{prefix}.{secrets.token_hex(6)}.part")
    made.part.mkdir()
    try:
        yield made
        for file in made.part.rglob("*"):
            if file.is_file():
                with file.open("r+b") as written:
                    os.fsync(written.fileno())
        sync_folder(made.part)
        made.path = _named(made.part, folder, prefix)
        sync_folder(folder)
    except BaseException:
        shutil.rmtree(made.part, ignore_errors=True)
        raise


def those_in(run: Path, room: str, prefix: str) -> list[Path]:
    """The folders of that kind, by their numbers."""
    name = re.compile(rf"{prefix}_(\d+)$")
    try:
        folder = find(run, room)
        found = [(int(m[1]), path) for path in folder.iterdir() if (m := name.match(path.name))]
    except (OSError, ValueError):
        return []
    return [path for _, path in sorted(found)]


def _named(part: Path, folder: Path, prefix: str) -> Path:
    known = those_in(folder.parent, folder.name, prefix)
    number = int(known[-1].name.rpartition("_")[2]) if known else 0
    while True:
        number += 1
        path = folder / f"{prefix}_{number:03d}"
        if path.exists():
            continue
        try:
            return part.rename(path)  # of two processes that ask for one name, one fails
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                raise
