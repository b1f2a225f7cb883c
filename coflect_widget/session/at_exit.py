"""What is done when the interpreter ends, before the clients of sinks end by themselves.

Functions of `atexit` are called in the opposite order of their registration, and a client that is
imported later would end before the sessions that still have something to tell it.
"""

from __future__ import annotations

import atexit
from collections.abc import Callable

_done: list[Callable[[], object]] = []


def register(close: Callable[[], object]) -> None:
    """Call it when the interpreter ends."""
    _done.append(close)
    atexit.register(close)


def first() -> None:
    """What is registered comes before all that was registered since."""
    for close in _done:
        atexit.unregister(close)
        atexit.register(close)
