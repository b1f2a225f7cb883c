"""Whether a run's own figures say that labels of its training data are wrong.

A sample that the model contradicts surely and all the time is mislabelled, or it is hard, or it
belongs to a few that a shortcut fails on. What tells the first from the others is held-out data:
hard samples and shortcuts fail there as often, while wrong labels of the training data are
wrong in training alone.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from coflect_widget.telemetry.store import SampleStore

#: Share of wrong labels below which nothing is concluded.
LEAST = 0.03
#: Doubts above which a sample counts as contradicted, and as contradicted surely, ...
_CONTRADICTED, _SURELY = 0.4, 0.75
#: ... and the share of the contradicted among the sure ones, in parts of that among all of both,
#: from which on it gets no rarer: hard samples had .44 to .76, flipped labels .93 to 1.
_NO_RARER = 0.85
#: Held-out accuracies of the newest epochs of which the best counts: one epoch's may be far off.
_NEWEST = 3
#: Samples that are sure either way, below which their share says nothing; and sightings below
#: which a sample is neither.
_FEWEST, _SIGHTINGS = 50, 3


class HeldOut(NamedTuple):
    """What an evaluation on held-out data came to."""

    accuracy: float
    samples: int


class LabelNoise:
    """Estimates the share of wrong labels at each epoch's end.

    Two things must come together. Training is wrong more often than held-out data, by more than
    chance; and contradicted labels get no rarer where the model is surer, as those of hard
    samples do (a strong augmentation or dropout makes training wrong more often too, but not
    surely so).

    Attributes
    ----------
    rate : float
        Share of wrong labels in [0, 1]; 0 while there is no evidence for any.
    """

    def __init__(self) -> None:
        self.rate = 0.0
        self._accuracies: dict[int, float] = {}  # by epoch

    def epoch_ended(self, epoch: int, store: SampleStore, held_out: HeldOut | None) -> None:
        """Look at the figures of the epoch that has ended; `epoch` counts completed ones.

        Without held-out data, or labels, there is no evidence.
        """
        self.rate = 0.0
        if held_out is None or not store.task.labelled or not math.isfinite(held_out.accuracy):
            return
        self._accuracies = {
            e: a for e, a in self._accuracies.items() if epoch - _NEWEST < e < epoch
        }
        self._accuracies[epoch] = held_out.accuracy
        seen = store.seen
        known = int(np.count_nonzero(seen))
        if not known:
            return
        wrong = np.count_nonzero(seen & ~store.correct) / known
        fails = 1 - max(self._accuracies.values())
        excess = wrong - fails
        chance = fails * (1 - fails) * (1 / max(1, held_out.samples) + 1 / known)
        # A wrong label is contradicted by a model that is right, and confirmed by one in
        # `groups - 1` of those that are wrong.
        groups = store.task.groups
        confirmed = fails * groups / (groups - 1)
        rate = excess / max(0.1, 1 - confirmed)
        if rate < LEAST or excess < 3 * math.sqrt(chance):
            return
        doubt = store.doubt[store.times_seen >= _SIGHTINGS]
        contradicted, surely = _share(doubt, _CONTRADICTED), _share(doubt, _SURELY)
        if surely is None or contradicted is None or surely < _NO_RARER * contradicted:
            return
        self.rate = min(float(rate), 1.0)


def _share(doubt: NDArray[np.float16], least: float) -> float | None:
    """Share of contradicted samples among those that are at least so sure either way."""
    against = int(np.count_nonzero(doubt >= least))
    confirmed = int(np.count_nonzero(doubt <= -least))
    return against / (against + confirmed) if against + confirmed >= _FEWEST else None
