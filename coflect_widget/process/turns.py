"""How long a thread may keep the interpreter from the others while something trains.

A step of a training asks for the interpreter once for each of its operations, some hundred times,
and a thread that computes in Python, such as another cell, gives it away after 5 ms, which is
Python's own choice. A step of 50 ms then takes most of a second, and a pause as long to take
hold (`benchmarks/dashboard/measure.py --parts pause`).
"""

from __future__ import annotations

import sys
import threading

#: Seconds a thread may compute on while another one waits for the interpreter.
TURN = 0.0005

_lock = threading.Lock()
_short: set[ShortTurns] = set()
_usual: float | None = None


class ShortTurns:
    """Short turns between `shorten` and `restore`; any thread, any number of times."""

    def shorten(self) -> None:
        """From now on; the first of several in a process sets it."""
        with _lock:
            if not _short:
                shorten()
            _short.add(self)

    def restore(self) -> None:
        """No longer; the last of several goes back to what was before."""
        with _lock:
            if self in _short:
                _short.remove(self)
                if not _short:
                    restore()


def shorten() -> None:
    """Have all threads of the process take short turns; shorter ones, set already, stay."""
    global _usual
    if sys.getswitchinterval() > TURN:
        _usual = sys.getswitchinterval()
        sys.setswitchinterval(TURN)


def restore() -> None:
    """Go back to what was set before; what somebody else has set meanwhile stays."""
    global _usual
    if _usual is not None and abs(sys.getswitchinterval() - TURN) < TURN / 100:
        sys.setswitchinterval(_usual)
    _usual = None
