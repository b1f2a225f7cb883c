"""Files that are there whole or not at all, also after the power has failed."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def replacing(file: Path) -> Iterator[Path]:
    """Gives another name to write to; after the block `file` is what was written, on disk.

    A writer that renames a file of its own into place, as safetensors does, may give it narrower
    permissions than other files have; the file gets those that a new file gets here. What was
    half written when the block raises is removed: on a full disk it would take the last room.

    Raises
    ------
    OSError
        If it could not be written; `file` is then as it was.
    """
    part = file.with_suffix(file.suffix + ".part")
    try:
        with part.open("wb") as made:
            mode = os.fstat(made.fileno()).st_mode & 0o777
        yield part
        with part.open("r+b") as written:
            os.fsync(written.fileno())
        part.chmod(mode)
        part.replace(file)
    except BaseException:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise
    sync_folder(file.parent)


def sync_folder(folder: Path) -> None:
    """Have the names in a folder on disk; where a system cannot do that, it is left to it."""
    if sys.platform == "win32":
        return  # it opens no folders
    with contextlib.suppress(OSError):  # some network disks refuse
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
