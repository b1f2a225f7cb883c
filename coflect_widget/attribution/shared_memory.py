"""Memory that the kernel writes and workers read, without a name that could be left behind.

On Linux it is an anonymous file (``memfd_create``) that workers open through the kernel's
``/proc/<pid>/fd``: no limit by the size of /dev/shm, and freed by the system when the last
process ends, however it ends. Elsewhere, or where that fails, it is a memory-mapped temporary
file. ``multiprocessing.shared_memory`` is avoided because its resource tracker unlinks blocks
that other processes still use.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import secrets
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

_TOKEN_BYTES = 16
#: Where the caller's bytes begin; keeps them aligned to a page.
_OFFSET = mmap.PAGESIZE


@dataclass(frozen=True, slots=True)
class BlockAddress:
    """Picklable address of a `SharedBlock` for processes of the same user on this machine."""

    path: str
    size: int
    token: bytes  # first bytes of the block: a file number may since belong to another file


class SharedBlock:
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

    Raises
    ------
    OSError
        If neither memory nor the temporary folder has room; nothing is left behind.
    """

    def __init__(self, size: int, *, anonymous: bool | None = None) -> None:
        if size < 1:
            raise ValueError(f"size={size} must be at least 1 byte")
        self._file: Path | None = None
        total = _OFFSET + size
        fd = -1
        if anonymous is not False:
            fd = _anonymous_file(total)
        if fd >= 0:
            path = f"/proc/{os.getpid()}/fd/{fd}"
        else:
            fd, path = tempfile.mkstemp(prefix="coflect_", suffix=".weights")
            self._file = Path(path)
            try:
                _reserve(fd, total)
            except OSError:
                os.close(fd)
                self._file.unlink(missing_ok=True)
                raise
        self._fd = fd
        self._map = mmap.mmap(fd, total)
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

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


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


def _anonymous_file(size: int) -> int:
    """Descriptor of an anonymous file that others can open, or -1."""
    if sys.platform != "linux":
        return -1
    fd = -1
    try:
        fd = os.memfd_create("coflect_weights", os.MFD_CLOEXEC)
        _reserve(fd, size)
        # Not so where /proc is hidden or this process is not dumpable.
        os.close(os.open(f"/proc/{os.getpid()}/fd/{fd}", os.O_RDONLY))
    except OSError:
        if fd >= 0:
            os.close(fd)
        return -1
    return fd


def _reserve(fd: int, size: int) -> None:
    # Reserving gives an error now where a sparse file would end the process with SIGBUS later,
    # and the first snapshot does not have to wait for the pages.
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(fd, 0, size)
    else:
        os.ftruncate(fd, size)
