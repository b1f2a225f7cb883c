"""The file of a run's events: appended to, and found again where its folder was moved or deleted.

A file that was deleted, or whose folder was, can still be written to for as long as it is open,
and nobody will ever find what was written. So each writing first looks whether the file is still
where it is looked for.
"""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path

from coflect_widget.records.durable import sweep, sync_folder
from coflect_widget.records.locks import hold_for_writing

#: Files beside it that are written once, at the start.
_FACTS = ("config.yaml", "meta.json")


class RunFolderGoneError(FileNotFoundError):
    """The run folder was deleted, or has another name now; nothing can be recorded in it."""


def remedy(error: OSError) -> str:
    """What a person can do about a record that is not on disk."""
    if isinstance(error, RunFolderGoneError):
        return "move the folder back, or make an empty one of that name (mkdir)"
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return "free some space"
    return "see that the folder can be written to"


class Journal:
    """``events.jsonl`` of one run folder; used by one thread.

    Attributes
    ----------
    path : Path
        Of the file.
    renewed : bool
        The folder was made anew, and the file with it; whoever has other files there sets it back.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "events.jsonl"
        self.renewed = False
        self._gone = False  # at the last look
        self._facts = {
            name: file.read_bytes() for name in _FACTS if (file := folder / name).is_file()
        }
        # Unbuffered: a group is one write, so nothing is left in a buffer when the kernel dies.
        # Readable: what a deleted file holds is written again where its folder comes back.
        self._file = self.path.open("a+b", buffering=0)
        self._size = self._file.seek(0, os.SEEK_END)
        if hold_for_writing(self._file):
            sweep(folder / "overlays")  # pictures have other names each time
        sync_folder(folder)
        # Some network disks number a file anew each time; then only its name can be looked for.
        self._numbered = self._is_mine()

    def append(self, block: bytes, *, sync: bool) -> None:
        """Append whole lines, all or none; with `sync` they are on disk afterwards.

        Raises
        ------
        RunFolderGoneError
            If the file is no longer where it is looked for.
        OSError
            If the disk refuses.
        """
        self._find()
        self._put(block, sync=sync)

    def _put(self, block: bytes, *, sync: bool) -> None:
        try:
            if self._file.write(block) != len(block):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            if sync:
                os.fsync(self._file.fileno())
        except OSError:
            # Cut off a half-written group: the file must end with a whole record. If even that
            # is refused the disk is gone as a whole, and the next attempt says so again.
            with contextlib.suppress(OSError):
                os.ftruncate(self._file.fileno(), self._size)
            raise
        self._size += len(block)

    def close(self, rest: bytes = b"") -> None:
        """Close the file; `rest` could not be appended, and goes where it can still be found.

        That is the file itself, where its folder has another name now, or the folder made anew,
        where it was deleted and the one around it was not.

        Raises
        ------
        OSError
            If there is no such place, or the disk refuses; `rest` is lost.
        """
        try:
            if rest:
                if self._deleted:
                    if self.path.parent.parent.is_dir():
                        self.path.parent.mkdir(exist_ok=True)
                    self._find()
                self._put(rest, sync=True)
        finally:
            self._file.close()

    @property
    def _deleted(self) -> bool:
        return os.fstat(self._file.fileno()).st_nlink == 0

    def _is_mine(self) -> bool:
        """Whether the file that is open is the one of that name."""
        try:
            return os.path.samestat(os.fstat(self._file.fileno()), self.path.stat())
        except OSError:
            return False

    def _find(self) -> None:
        """See that the open file is the one that others will read; begin it anew if need be."""
        there = self.path.is_file()
        found = there and (self._is_mine() or not (self._numbered and self._deleted))
        if not found:
            self._gone = True
            if not (self._deleted and self.path.parent.is_dir() and self._begin_anew()):
                raise RunFolderGoneError(
                    errno.ENOENT, f"the run folder is no longer at {self.path.parent}"
                )
        if self._gone:
            self._furnish()
            self._gone = False

    def _furnish(self) -> None:
        """Give a folder that came back what every run folder has."""
        for part in ("overlays", "checkpoints"):
            (self.path.parent / part).mkdir(exist_ok=True)
        for name, content in self._facts.items():
            if not (fact := self.path.parent / name).exists():
                fact.write_bytes(content)

    def _begin_anew(self) -> bool:
        """The folder is there, the file is not, or as a copy: write all that was recorded.

        False where a file of that name holds something else, which is not touched.
        """
        self._file.seek(0)
        whole = b"".join(iter(lambda: self._file.read(1 << 20), b""))
        anew = self.path.open("a+b", buffering=0)
        try:
            anew.seek(0)
            copied = b"".join(iter(lambda: anew.read(1 << 20), b""))
            if not whole.startswith(copied):
                anew.close()
                return False
            if anew.write(whole[len(copied) :]) != len(whole) - len(copied):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(anew.fileno())
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(anew.fileno(), len(copied))
            anew.close()
            raise
        sync_folder(self.path.parent)
        self._file.close()
        self._file, self._size, self.renewed = anew, len(whole), True
        hold_for_writing(anew)
        return True
