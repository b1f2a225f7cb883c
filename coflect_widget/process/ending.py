"""SIGTERM: a process that is told to end does so as ever, and its trainings leave a checkpoint.

Clusters, containers and ``kill`` send it, and a while later a signal that nobody can answer.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType

_before_the_end: list[Callable[[], object]] = []
_ending: threading.Thread | None = None


def before_the_end(close: Callable[[], object]) -> bool:
    """From now on SIGTERM has `close()` called before it ends the process.

    Nothing is changed where the program answers that signal itself. The handler only starts a
    thread, so that the main thread, which may train, comes to the end of its step.

    Returns
    -------
    bool
        Whether it is so; False too on another thread than the main one, and on Windows.
    """
    if close in _before_the_end:
        return True
    if sys.platform == "win32" or threading.current_thread() is not threading.main_thread():
        return False
    if signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        return False
    _before_the_end.append(close)
    signal.signal(signal.SIGTERM, _told)
    return True


def wait_for_the_end() -> None:
    """Where the process was told to end, wait for that: what comes after is not to be begun."""
    if _ending is not None and _ending is not threading.current_thread():
        _ending.join()


def _told(_signal: int, _frame: FrameType | None) -> None:
    global _ending
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # who sends it twice is in a hurry
    _ending = threading.Thread(target=_end, name="coflect-ending", daemon=True)
    _ending.start()
    atexit.register(wait_for_the_end)  # a script that is over first still ends by the signal


def _end() -> None:
    try:
        for close in _before_the_end:
            close()
    finally:
        os.kill(os.getpid(), signal.SIGTERM)
