"""Memory that the kernel writes and workers read, without a name that could be left behind.

On Linux it is an anonymous file (``memfd_create``) that workers open through the kernel's
``/proc/<pid>/fd``: no limit by the size of /dev/shm, and freed by the system when the last
process ends, however it ends. Elsewhere, or where that fails, it is a memory-mapped temporary
file. ``multiprocessing.shared_memory`` is avoided because its resource tracker unlinks blocks
that other processes still use.
"""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
import secrets
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from coflect_widget.process.closing import Closing

_TOKEN_BYTES = 16
_MADV_POPULATE_WRITE = 23  # <linux/mman.h>; Python has no name for it
#: Where the caller's bytes begin; keeps them aligned to a page.
_OFFSET = mmap.PAGESIZE


@dataclass(frozen=True, slots=True)
class BlockAddress:
    """Picklable address of a `SharedBlock` for processes of the same user on this machine."""

    path: str
    size: int
    token: bytes  # first bytes of the block: a file number may since belong to another file


class SharedBlock(Closing):
    """Zero-filled bytes, writable here and readable in every process that has the address.

    Parameters
    ----------
    size : int
        Bytes; at least 1.
    anonymous : bool or None
        False forces the temporary file; None takes it only where nothing better works.

    Attributes
    ----------
    address : BlockAddress
    buffer : memoryview
        `size` writable bytes, aligned to a page.
    fallback : Path or None
        The temporary file, where memory was wanted and could not be had.

    Raises
    ------
    OSError
        If neither memory nor the temporary folder has room; nothing is left behind.
    """

    def __init__(self, size: int, *, anonymous: bool | None = None) -> None:
        if size < 1:
            raise ValueError(f"size={size} must be at least 1 byte")
        self._file: Path | None = None
        self.fallback: Path | None = None
        total = _OFFSET + size
        made = None if anonymous is False else _anonymous_file(total)
        if made is not None:
            fd, self._map = made
            path = f"/proc/{os.getpid()}/fd/{fd}"
        else:
            fd, path = tempfile.mkstemp(prefix="coflect_", suffix=".weights")
            self._file = Path(path)
            if anonymous is None and sys.platform == "linux":
                self.fallback = self._file
            try:
                self._map = _map(fd, total)
            except OSError:
                os.close(fd)
                self._file.unlink(missing_ok=True)
                raise
        self._fd = fd
        token = secrets.token_bytes(_TOKEN_BYTES)
        self._map[:_TOKEN_BYTES] = token
        self.address = BlockAddress(path, size, token)
        self.buffer = memoryview(self._map)[_OFFSET:]

    def close(self) -> None:
        """Give the memory back; workers that have it open keep their view of it."""
        if self._fd < 0:
            return
        # Arrays may still point into it; then the memory goes when the last of them goes.
        with contextlib.suppress(BufferError):
            self.buffer.release()
            self._map.close()
        os.close(self._fd)
        self._fd = -1
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.unlink(missing_ok=True)


def attach(address: BlockAddress) -> memoryview:
    """Read-only bytes of a block, usually in another process.

    Raises
    ------
    OSError
        If the block is gone or this process may not read it.
    """
    with Path(address.path).open("rb") as file:
        view = memoryview(mmap.mmap(file.fileno(), _OFFSET + address.size, access=mmap.ACCESS_READ))
    if bytes(view[:_TOKEN_BYTES]) != address.token:
        raise FileNotFoundError(f"the shared block at {address.path} is gone")
    return view[_OFFSET:]


def _map(fd: int, size: int) -> mmap.mmap:
    """All of `fd`, with its pages present: the first snapshot shall not meet a fault a page."""
    if sys.platform != "linux":
        _reserve(fd, size)
        return mmap.mmap(fd, size)
    os.ftruncate(fd, size)
    mapped = mmap.mmap(fd, size)
    # Large pages, where the system has them for such memory: as fast as the heap's.
    with contextlib.suppress(OSError):
        mapped.madvise(mmap.MADV_HUGEPAGE)
    try:
        mapped.madvise(_MADV_POPULATE_WRITE)
    except OSError as error:
        if error.errno != errno.EINVAL:  # no room; a write to the page would end the process
            mapped.close()
            raise
        _reserve(fd, size)  # a kernel before 5.14
    return mapped


def _anonymous_file(size: int) -> tuple[int, mmap.mmap] | None:
    """An anonymous file that others can open, and all of it mapped; None where that fails."""
    if sys.platform != "linux":
        return None
    fd = -1
    try:
        fd = os.memfd_create("coflect_weights", os.MFD_CLOEXEC)
        # Not so where /proc is hidden or this process is not dumpable.
        os.close(os.open(f"/proc/{os.getpid()}/fd/{fd}", os.O_RDONLY))
        return fd, _map(fd, size)
    except OSError:
        if fd >= 0:
            os.close(fd)
        return None


def _reserve(fd: int, size: int) -> None:
    # Reserving gives an error now where a sparse file would end the process with SIGBUS later,
    # and the first snapshot does not have to wait for the pages.
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(fd, 0, size)
    else:
        os.ftruncate(fd, size)
