"""The one queue by which commands reach the training thread, at step boundaries only.

Any thread may submit. While nothing trains, a command runs at once on the thread that sends it.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


class Controls:
    """Pause, resume, stop, and everything else a person asks of a running training."""

    def __init__(self) -> None:
        self._condition = threading.Condition(threading.RLock())
        self._queue: deque[tuple[Callable[[], object], Future[object]]] = deque()
        self._owner: threading.Thread | None = None
        self._pausing = False
        self._stopping = False
        self._attention = False  # one flag for the hot path: there is something to look at

    def submit(self, action: Callable[[], T]) -> Future[T]:
        """Run `action` at the next step boundary, or at once if nothing trains.

        The future carries what `action` returns or raises.
        """
        future: Future[T] = Future()
        with self._condition:
            if self._owner is None or self._owner is threading.current_thread():
                _run(action, future)
            else:
                self._queue.append((action, future))  # type: ignore[arg-type]
                self._attention = True
                self._condition.notify_all()
        return future

    def pause(self) -> None:
        """Hold the training thread at its next step boundary; nothing to hold, nothing done."""
        with self._condition:
            if self._owner is None:
                return
            self._pausing = True
            self._attention = True
            self._condition.notify_all()

    def resume(self) -> None:
        """Let a held training go on."""
        with self._condition:
            self._pausing = False
            self._condition.notify_all()

    def stop(self) -> None:
        """End training at its next step boundary, held or not."""
        with self._condition:
            if self._owner is not None:
                self._stopping = True
                self._attention = True
                self._condition.notify_all()

    def nudge(self) -> None:
        """Wake a held training so that it looks at what it does while held."""
        with self._condition:
            self._condition.notify_all()

    @property
    def paused(self) -> bool:
        """Whether training is, or is about to be, held."""
        return self._pausing

    # --- for the training thread -----------------------------------------------------------

    def attach(self) -> None:
        """From now on the calling thread trains, and runs the commands."""
        with self._condition:
            self._owner = threading.current_thread()
            self._stopping = False
            self._attention = True

    def detach(self) -> None:
        """The calling thread trains no longer; what still waits runs now."""
        with self._condition:
            while self._queue:
                _run(*self._queue.popleft())
            self._owner = None
            self._pausing = self._stopping = self._attention = False

    def boundary(
        self, held: Callable[[bool], None], while_held: Callable[[], None] | None = None
    ) -> bool:
        """Called between steps: runs commands, holds while paused. False: training must end.

        `held(True)` is called when a hold begins and `held(False)` when it ends by a resume;
        `while_held()` each time something wakes the thread meanwhile.
        """
        if not self._attention:
            return True
        holding = False
        while True:
            with self._condition:
                if not self._queue:
                    if self._stopping:
                        return False
                    if not self._pausing:
                        self._attention = False
                        break
                    if holding:
                        self._condition.wait(timeout=1.0)
                item = self._queue.popleft() if self._queue else None
            # Outside the lock: a command may take its time and others may submit meanwhile.
            if item is not None:
                _run(*item)
            elif self._pausing and not holding:
                holding = True
                held(True)
            if while_held is not None and holding:
                while_held()
        if holding:
            held(False)
        return True


def _run(action: Callable[[], object], future: Future[T]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        future.set_result(action())  # type: ignore[arg-type]
    except Exception as error:  # noqa: BLE001 - the sender gets it; training goes on
        future.set_exception(error)
