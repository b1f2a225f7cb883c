"""What the training thread's time went to: training itself, this tool, or a person's pauses.

One reading of the clock where the thread turns from one to another. What guidance adds to a step
cannot be timed apart from it, because one backward pass serves both: it is what guided steps took
longer than the unguided ones around them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal

Use = Literal["training", "tool", "held", "elsewhere"]

#: Weight of a step in the running mean of what an unguided one takes.
NEWEST = 0.05


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
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._use: Use = "elsewhere"
        self._since = clock()
        self._unguided: float | None = None  # running mean of an unguided step's seconds
        self._longer = 0.0
        self.seconds: dict[Use, float] = {"training": 0.0, "tool": 0.0, "held": 0.0}

    def turn(self, use: Use) -> float:
        """From now on the thread's time goes to `use`; the seconds since the last turn."""
        now = self._clock()
        taken = now - self._since
        if self._use != "elsewhere":
            self.seconds[self._use] += taken
        self._use, self._since = use, now
        return taken

    def steps_done(self, count: int, *, guided: bool) -> float:
        """So many steps of "training" are over, whose seconds it returns; now it is "tool".

        `guided`: at least one of them was.
        """
        seconds = self.turn("tool")
        if not guided:
            each, mean = seconds / count, self._unguided
            newest = 1 - (1 - NEWEST) ** count
            self._unguided = each if mean is None else mean + newest * (each - mean)
        elif self._unguided is not None:
            self._longer += seconds - count * self._unguided
        return seconds

    @property
    def guidance(self) -> float:
        """Seconds that guidance added to the steps; 0 where no step has been without."""
        return max(0.0, self._longer)

    @property
    def percent(self) -> float | None:
        """Seconds of the tool in % of those that training alone took; None before the first."""
        training = self.seconds["training"] - self.guidance
        return 100 * (self.seconds["tool"] + self.guidance) / training if training > 0 else None
