"""The two lists that are shown: what is right now and will be wrong, and what is wrong now.

A list holds the few largest of many scores. Where a probability is a little too sure of itself
at the far end, these few are where it shows; so the shown risk is set right for samples that
are in a list. It starts from what lists of other trainings came to (`forecast.prior`) and moves
with how this run's own lists come out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from coflect_widget.forecast.foresight import Floats, Foresight
from coflect_widget.forecast.label_noise import HeldOut, LabelNoise
from coflect_widget.forecast.logistic import fit_line, logistic
from coflect_widget.forecast.prior import LISTED_RIGHT, LISTED_WRONG
from coflect_widget.forecast.ranking import rank

#: Risk below which a sample is in no list.
LEAST_RISK = 0.05
#: How firmly shift and stretch of a list's log-odds are held, in samples' worth of evidence.
_FIRMNESS = (10.0, 200.0)
#: Share that an outcome still counts an epoch later: of a training that has grown calmer.
_FADING = 0.7


class Listed(NamedTuple):
    """A list, riskiest first."""

    rows: NDArray[np.int64]  #: (K,) indices
    risk: Floats  #: (K,) in [0, 1]


@dataclass(frozen=True, slots=True)
class _Past:
    epoch: int
    right: bool
    rows: NDArray[np.int64]
    log_odds: Floats


class Queue:
    """Makes the lists of a run. For one thread, the store's.

    Parameters
    ----------
    foresight : Foresight
    top : int
        Samples in each list.
    listed : ((float, float), (float, float))
        Shift and stretch of the log-odds of samples in the list of those wrong now, and in that
        of those right now, to start from.

    Attributes
    ----------
    noise : LabelNoise
        Samples with a suspected label are in no list while its `rate` is above 0.
    """

    def __init__(
        self,
        foresight: Foresight,
        top: int,
        *,
        listed: tuple[tuple[float, float], tuple[float, float]] = (LISTED_WRONG, LISTED_RIGHT),
    ) -> None:
        self.foresight = foresight
        self.top = top
        self.noise = LabelNoise()
        self._start = listed
        self._lines = list(listed)
        self._past: list[_Past] = []
        #: by list: log-odds, outcomes, and the epoch of each outcome
        self._known: tuple[list[tuple[Floats, NDArray[np.bool_], int]], ...] = ([], [])

    def epoch_ended(self, epoch: int, held_out: HeldOut | None = None) -> None:
        """Learn from the epoch that has ended: all scores, and how the lists came out.

        Parameters
        ----------
        epoch : int
            Completed epochs; the same or an earlier one again replaces.
        held_out : HeldOut, optional
            What the epoch's evaluation came to.
        """
        foresight = self.foresight
        foresight.epoch_ended(epoch)
        self.noise.epoch_ended(epoch, foresight.store, held_out)
        self._score(epoch)
        for right in (False, True):
            rows, _, log_odds = self._ranked(right)
            self._past.append(_Past(epoch, right, rows, log_odds))

    def _score(self, epoch: int) -> None:
        """Take in who of the lists of `horizon` epochs ago is wrong now."""
        store = self.foresight.store
        self._past = [past for past in self._past if past.epoch < epoch]
        for known in self._known:
            known[:] = [one for one in known if one[2] < epoch]
        for past in self._past:
            if past.epoch == epoch - self.foresight.horizon and len(past.rows):
                wrong = ~store.correct[past.rows]
                self._known[past.right].append((past.log_odds, wrong, epoch))
        self._past = [p for p in self._past if p.epoch > epoch - self.foresight.horizon]
        for right, known in enumerate(self._known):
            self._lines[right] = self._fitted(self._start[right], known, epoch)

    def _fitted(
        self,
        start: tuple[float, float],
        known: list[tuple[Floats, NDArray[np.bool_], int]],
        epoch: int,
    ) -> tuple[float, float]:
        shift, stretch = start
        for log_odds, wrong, when in known:  # oldest first, so that the newest counts most
            firm = tuple(f / max(_FADING ** (epoch - when), 0.05) for f in _FIRMNESS)
            shift, stretch = fit_line(log_odds, wrong, (shift, stretch), (firm[0], firm[1]))
        return shift, max(stretch, 0.05)

    def _ranked(self, *rights: bool) -> tuple[NDArray[np.int64], NDArray[np.bool_], Floats]:
        """Samples of these lists, which are right now, and log-odds that are not set right yet."""
        store, suspected = self.foresight.store, self.noise.rate == 0
        lists = [rank(store, self.top, right=right, suspected=suspected) for right in rights]
        rows = np.concatenate(lists)
        right = np.repeat(rights, [len(one) for one in lists])
        chance = np.clip(self.foresight.probability(rows, right=right), 1e-4, 1 - 1e-4)
        return rows, right, np.log(chance / (1 - chance)).astype(np.float32)

    def listed(self, *rights: bool) -> Listed:
        """Samples of the list of those that are right now (True), of the other one, or of both.

        Those whose risk is below `LEAST_RISK` are in no list; a list may be empty.
        """
        rows, right, log_odds = self._ranked(*rights)
        shift, stretch = np.array(self._lines, np.float32)[right.astype(np.intp)].T
        risk = logistic(shift + stretch * log_odds)
        order = np.lexsort((rows, -risk))
        order = order[risk[order] >= LEAST_RISK]
        return Listed(rows[order], risk[order])
