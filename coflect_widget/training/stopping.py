"""How long a training that was told to stop is waited for."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from types import FrameType

#: Seconds that a training is given to come to its end; the first where it reads one batch all
#: the while, or so many steps of the speed until now.
SHORT, LONG, STEPS = 4.0, 60.0, 5
#: Names of the functions that read, in backends, data and a loop of the user's own.
_READS = frozenset({"train_batches", "batches", "read_sample", "read_val_sample", "_over"})


def wait_for_stop(
    ended: Callable[[float], bool],
    owner: Callable[[], threading.Thread | None],
    speed: Callable[[], float | None],
) -> bool:
    """Wait for a training that was told to stop; False where it does not come to its end.

    A step that computes, a command, or an end that writes weights is given a minute; the
    reading of one batch, which may never return, some seconds, or as long as some steps take.

    Parameters
    ----------
    ended : callable (seconds) -> bool
        Waits so long for the end.
    owner : callable ()
        The thread that trains.
    speed : callable ()
        Steps a second, as far as known.
    """
    until = time.monotonic() + LONG
    held, since = _reading(owner()), time.monotonic()
    while not ended(0.1):
        now, read = time.monotonic(), _reading(owner())
        if read is None or read is not held:
            held, since = read, now
        rate = speed()
        if now >= until or now - since >= max(SHORT, STEPS / rate if rate else 0):
            return False
    return True


def _reading(owner: threading.Thread | None) -> FrameType | None:
    """What the thread that trains calls to read a batch or a sample; None if it does not."""
    called = None
    frame = None if owner is None else sys._current_frames().get(owner.ident or 0)
    while frame is not None and frame.f_code.co_name not in _READS:
        called, frame = frame, frame.f_back
    return None if frame is None else called
