"""Which steps' losses are far above the usual, and which rows of such a batch carry it."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

#: Losses that the usual is told from, and the fewest that tell it.
WINDOW, FEWEST = 256, 48
#: A spike is above the median by so many standard deviations (of the median absolute deviation),
#: and above the largest of the window so many times: losses of small batches have long tails.
SPREADS, TIMES = 8.0, 2.0
#: Steps after a spike in which no other is told, and how many spikes in twice as many steps are a
#: new level and no spikes.
QUIET, LEVEL = 16, 8
#: Share of a batch that may carry a spike; if more rows do, no few samples are to blame.
CARRIERS = 0.25


class Spiked(NamedTuple):
    """A step whose loss is far above the usual."""

    place: int  #: among the losses that were given
    usual: tuple[float, float]  #: where nearly all losses before lie


class SpikeWatch:
    """Follows the losses of a training, a chunk of steps at a time."""

    def __init__(self) -> None:
        self._window: deque[float] = deque(maxlen=WINDOW)
        self._high: deque[tuple[int, float]] = deque(maxlen=LEVEL)  # newest ones above the usual
        self._told = -QUIET
        self._count = 0

    @property
    def usual(self) -> tuple[float, float] | None:
        """Where nearly all of the newest losses lie; None before there are enough."""
        if len(self._window) < FEWEST:
            return None
        low, high = np.quantile(np.array(self._window), [0.01, 0.99])
        return float(low), float(high)

    def add(self, losses: NDArray[np.float64]) -> list[Spiked]:
        """Take in the losses (S,) of the next steps; those that are spikes.

        A loss that is NaN or infinite is left out: it is no spike, and is told elsewhere.
        """
        found: list[Spiked] = []
        limit = self._limit()
        finite = np.isfinite(losses)
        if limit is not None and not (losses[finite] > limit).any():
            self._window.extend(losses[finite].tolist())
            self._count += len(losses)
            return found
        for place, loss in enumerate(losses.tolist()):
            self._count += 1
            if not np.isfinite(loss):
                continue
            if limit is None or loss <= limit:
                self._window.append(loss)
                limit = limit if limit is not None else self._limit()
                continue
            if self._count - self._told >= QUIET and (usual := self.usual) is not None:
                self._told = self._count
                found.append(Spiked(place, usual))
            self._high.append((self._count, loss))
            if len(self._high) == LEVEL and self._count - self._high[0][0] < 2 * QUIET:
                self._window.clear()  # the loss has another level: begin anew with it
                self._window.extend(value for _, value in self._high)
                self._high.clear()
                limit = None
        return found

    def _limit(self) -> float | None:
        if len(self._window) < FEWEST:
            return None
        known = np.array(self._window)
        middle = float(np.median(known))
        spread = 1.4826 * float(np.median(np.abs(known - middle)))
        return max(middle + SPREADS * spread, TIMES * float(known.max()))


def carriers(losses: NDArray[np.floating], high: float) -> NDArray[np.int64]:
    """Rows (B,) of a batch that carry a mean loss above `high`, the largest first.

    They are the fewest without which the mean is at most `high`, and those that stand out from the
    others as far as a spike does. None where these are more than a quarter of the batch.
    """
    order = np.argsort(-losses, kind="stable")
    ordered = losses[order].astype(np.float64)
    rest = np.append(np.cumsum(ordered[::-1])[::-1][1:], 0.0)  # sum of the rows after each
    left = np.arange(len(losses) - 1, -1, -1)
    enough = np.flatnonzero(rest <= high * left)
    middle = float(np.median(ordered))
    spread = 1.4826 * float(np.median(np.abs(ordered - middle)))
    apart = int(np.count_nonzero(ordered > max(high, middle + SPREADS * spread)))
    count = max(int(enough[0]) + 1, apart)
    if count > max(1, int(CARRIERS * len(losses))):
        return order[:0]
    return order[:count]
