"""What the training thread's time went to: training itself, this tool, or a person's pauses.

One reading of the clock where the thread turns from one to another. What guidance adds to a step
cannot be timed apart from it, because one backward pass serves both: it is what guided steps took
longer than the unguided ones around them.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Literal

Use = Literal["training", "tool", "held", "elsewhere"]

#: Weight of a step in the running mean of what an unguided one takes.
NEWEST = 0.05
#: Seconds of the newest steps that make the speed.
SPEED_SECONDS = 2.0


class ThreadTime:
    """Adds up seconds by use; written by the training thread, read by any.

    Parameters
    ----------
    clock : callable
        Seconds, from any zero.

    Attributes
    ----------
    seconds : dict of str to float
        By use. "tool" is telemetry, snapshots, commands and rests; "held" are pauses.
    validation : float
        Seconds between an epoch's last step and its end, pauses left out; of the newest epoch.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._use: Use = "elsewhere"
        self._since = clock()
        self._unguided: float | None = None  # running mean of an unguided step's seconds
        self._longer = 0.0
        self._lots: deque[tuple[int, float]] = deque(maxlen=256)  # steps and their seconds
        self._stepped = 0.0  # seconds of "training" up to the newest step's end
        self.validation = 0.0
        self.seconds: dict[Use, float] = {"training": 0.0, "tool": 0.0, "held": 0.0}

    def now(self) -> float:
        """What the clock says."""
        return self._clock()

    def turn(self, use: Use, at: float | None = None) -> float:
        """From now, or `at`, on the time goes to `use`; the seconds since the last turn."""
        now = self._clock() if at is None else at
        taken = now - self._since
        if self._use != "elsewhere":
            self.seconds[self._use] += taken
        self._use, self._since = use, now
        return taken

    def steps_done(self, count: int, *, guided: bool, at: float | None = None) -> float:
        """So many steps of "training" are over, whose seconds it returns; now it is "tool".

        `guided`: at least one of them was. `at`: when the last one ended, if not just now.
        """
        seconds = self.turn("training", at)
        self._lots.append((count, seconds))
        self._stepped = self.seconds["training"]
        self.turn("tool")
        if not guided:
            each, mean = seconds / count, self._unguided
            newest = 1 - (1 - NEWEST) ** count
            self._unguided = each if mean is None else mean + newest * (each - mean)
        elif self._unguided is not None:
            self._longer += seconds - count * self._unguided
        return seconds

    def epoch_done(self) -> None:
        """An epoch was trained and validated; now it is "tool"."""
        self.turn("tool")
        self.validation = self.seconds["training"] - self._stepped

    @property
    def speed(self) -> float | None:
        """Newest steps a second, by the seconds in steps alone; None before the first."""
        steps, seconds = 0, 0.0
        for count, took in reversed(tuple(self._lots)):
            steps, seconds = steps + count, seconds + took
            if seconds >= SPEED_SECONDS:
                break
        return steps / seconds if seconds > 0 else None

    @property
    def guidance(self) -> float:
        """Seconds that guidance added to the steps; 0 where no step has been without."""
        return max(0.0, self._longer)

    @property
    def percent(self) -> float | None:
        """Seconds of the tool in % of those that training alone took; None before the first."""
        training = self.seconds["training"] - self.guidance
        return 100 * (self.seconds["tool"] + self.guidance) / training if training > 0 else None
