"""Files that are there whole or not at all, also after the power has failed."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import sys
import time
from collections.abc import Iterator
from pathlib import Path

_PART = re.compile(r".+\.[0-9a-f]{12}\.part")
_ABANDONED = 3600.0  # seconds, after which nobody writes a part any more


@contextlib.contextmanager
def replacing(file: Path, *, lasting: bool = True) -> Iterator[Path]:
    """Gives another name to write to; after the block `file` is what was written, on disk.

    What is not `lasting`, as a picture that can be made again, may be lost where the power fails;
    nothing waits for the disk then. No two writers are given the same name, and a link that
    somebody else has put in the place of `file` is replaced, not followed.

    A writer that renames a file of its own into place, as safetensors does, may give it narrower
    permissions than other files have; the file gets those that a new file gets here. What was
    half written when the block raises is removed: on a full disk it would take the last room.

    Raises
    ------
    OSError
        If it could not be written; `file` is then as it was.
    """
    if lasting:
        _remove_abandoned(file)
    part = file.with_name(f"{file.name}.{secrets.token_hex(6)}.part")
    try:
        # Not if there is a link of that name: in a folder of others it may lead anywhere.
        with part.open("xb") as made:
            mode = os.fstat(made.fileno()).st_mode & 0o777
        yield part
        if lasting:
            with part.open("r+b") as written:
                os.fsync(written.fileno())
        part.chmod(mode)
        part.replace(file)
    except BaseException:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise
    if lasting:
        sync_folder(file.parent)


def sweep(folder: Path) -> None:
    """Remove what killed processes left of any file of a folder that nobody else writes to."""
    if folder.is_symlink():  # in a folder of others it may lead anywhere
        return
    with contextlib.suppress(OSError), os.scandir(folder) as found:
        for one in found:
            if _PART.fullmatch(one.name):
                with contextlib.suppress(OSError):
                    Path(one.path).unlink()


def _remove_abandoned(file: Path) -> None:
    """Remove what a process left of this file that was killed while it wrote."""
    left = re.compile(rf"{re.escape(file.name)}\.[0-9a-f]{{12}}\.part")
    with contextlib.suppress(OSError), os.scandir(file.parent) as found:
        for one in found:
            if left.fullmatch(one.name):
                with contextlib.suppress(OSError):
                    if time.time() - one.stat(follow_symlinks=False).st_mtime > _ABANDONED:
                        Path(one.path).unlink()


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
