"""When training rests so that a map gets processor time, and for how long."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Protocol

#: Seconds after which a background job that is held back looks whether training pauses.
_LOOK_SECONDS = 0.5
#: Seconds after which a background job counts as late, the share of the time that training may
#: rest for such jobs, and how many of them get a rest at once before one has to wait again.
_LATE = 0.3
_BACKGROUND_SHARE = 0.002
_AT_ONCE = 4
#: Seconds that it may rest for one of them: a map of a network whose steps take long takes long
#: too, and one that is half made when the rest ends is as good as given up.
_LONGEST = 10.0


class Resting(AbstractContextManager[object], Protocol):
    """What `rest` gives: entered, training rests for at most `left` seconds.

    Attributes
    ----------
    left : float
    """

    left: float

    @property
    def training(self) -> bool:
        """Whether anything trains that could rest."""


class Rests:
    """Rests for jobs: a person's at once, the background's as a share of the time.

    Parameters
    ----------
    rest : callable (seconds) -> Resting, optional
        Entered while a job is computed: lets the training rest for at most so long. Left out,
        no job has any.
    trained : callable () -> float
        Seconds of training until now, pauses not counted.
    """

    def __init__(
        self, rest: Callable[[float], Resting] | None, trained: Callable[[], float]
    ) -> None:
        self._rest = rest
        self._trained = trained
        self._rested: tuple[float, float, Resting] | None = None  # when it ended, most, what of it
        self._at_once = 0  # background jobs yet to come that no idle time is expected for

    def for_person(self, most: float) -> AbstractContextManager[object]:
        """Training rests for `most` seconds while a person's job is computed."""
        return nullcontext() if self._rest is None else self._rest(most)

    def for_background(self) -> AbstractContextManager[object]:
        """Training rests for a background job that is late."""
        return nullcontext() if self._rest is None else self._if_late(self._rest(_LONGEST))

    def hold_back(self, closed: Callable[[], bool]) -> None:
        """Wait until training may rest for a background job, where it would get no other time.

        No longer than until ``closed()``.

        A worker that waits for idle time disturbs a training that leaves none: it runs whenever
        a thread of the training blocks, and has to be driven out again.
        """
        if self._rest is None:
            return
        rest = self._rest(0)
        while rest.training and not closed():
            wait = self.next - self._trained()
            if wait <= 0:
                return
            time.sleep(min(wait, _LOOK_SECONDS))

    @contextmanager
    def _if_late(self, rest: Resting) -> Iterator[None]:
        """A rest for a background job that the processors' idle time does not finish.

        A training that uses all processors leaves none; it rests at most `_BACKGROUND_SHARE` of
        the time. The jobs that follow a late one get their rest at once, for a while.
        """
        most, began, over = rest.left, False, threading.Event()

        def begin_in_time() -> None:
            nonlocal began
            wait = 0.0 if self._at_once else _LATE
            while not over.wait(wait):
                wait = self.next - self._trained()  # which stands still in a pause
                if wait <= 0:
                    began = True
                    rest.__enter__()
                    return

        thread = threading.Thread(target=begin_in_time, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
            rest.__exit__(None, None, None)
            if began:
                self._rested = (self._trained(), most, rest)
            if self._at_once:
                self._at_once -= 1
            elif began and rest.training:
                self._at_once = _AT_ONCE

    @property
    def next(self) -> float:
        """When training may rest for a background job again, in seconds of training."""
        if self._rested is None:
            return 0.0
        ended, most, rest = self._rested  # training tells a moment later how long it rested
        return ended + (most - rest.left) / _BACKGROUND_SHARE
