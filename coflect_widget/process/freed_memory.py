"""Has the process keep the memory that a step frees, for the next step to use.

The C library gives large blocks back to the system when they are freed, and in threads other than
the main one nearly all of them. The next step asks for the same again, and the system fills each
page with zeros at its first touch: thousands of pages a step, a quarter of the time of a small
convolutional network on a CPU and more of a larger one's (`benchmarks/overhead/scripts.py`). So
while anything trains, freed memory stays, up to what a step has needed at its largest; when the
last training ends it is given back.

Only with GNU's C library, and not where the environment says how it shall keep memory
(``MALLOC_TRIM_THRESHOLD_`` and its like, or ``GLIBC_TUNABLES``).
"""

from __future__ import annotations

import ctypes
import os
import threading
from functools import cache
from typing import Any

# Parameters of mallopt(3).
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3
#: While something trains. A heap of another thread than the main one holds 64 MiB, and is kept
#: where twice that would still be asked for in advance; nothing of it is touched before it is used.
_KEEP = {_MMAP_THRESHOLD: 1 << 30, _TRIM_THRESHOLD: (1 << 31) - 1, _TOP_PAD: 128 << 20}
#: Afterwards: what the library itself comes to in a process that has freed large blocks.
_USUAL = {_MMAP_THRESHOLD: 32 << 20, _TRIM_THRESHOLD: 64 << 20, _TOP_PAD: 128 << 10}
_CHOSEN = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "MALLOC_TOP_PAD_")

_lock = threading.Lock()
_keeping: set[KeptMemory] = set()


class KeptMemory:
    """Keeps freed memory between `keep` and `give_back`; any thread, any number of times."""

    def keep(self) -> None:
        """From now on; the first of several in a process sets it."""
        with _lock:
            if not _keeping:
                _set(_KEEP)
            _keeping.add(self)

    def give_back(self) -> None:
        """No longer; the last of several hands what is free to the system."""
        with _lock:
            if self not in _keeping:
                return
            _keeping.remove(self)
            if not _keeping:
                _set(_USUAL, trim=True)


def _set(parameters: dict[int, int], *, trim: bool = False) -> None:
    library = _library()
    if library is None:
        return
    for name, value in parameters.items():
        library.mallopt(name, value)
    if trim:
        library.malloc_trim(0)


@cache
def _library() -> Any | None:
    """The C library, where it can be told and nobody else has."""
    if any(name in os.environ for name in _CHOSEN) or "glibc.malloc" in os.environ.get(
        "GLIBC_TUNABLES", ""
    ):
        return None
    try:
        library = ctypes.CDLL(None)
        library.gnu_get_libc_version, library.mallopt, library.malloc_trim  # noqa: B018
    except (OSError, TypeError, AttributeError):  # no such library: Windows, macOS, musl
        return None
    library.malloc_trim.argtypes = [ctypes.c_size_t]
    return library
