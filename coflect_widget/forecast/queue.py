"""The two lists that are shown: what is right now and will be wrong, and what is wrong now.

A list holds the few largest of many scores. Where a probability is a little too sure of itself
at the far end, these few are where it shows; so the shown risk is set right for samples that
are in a list. It starts from what lists of other trainings came to (`forecast.prior`) and moves
with how this run's own lists come out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
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
_FIRMNESS = (30.0, 200.0)
#: Share that an outcome still counts an epoch later, in a training that has grown calmer, and
#: epochs after which it counts no more.
_FADING, _FORGOTTEN = 0.7, 8


class Listed(NamedTuple):
    """A list, riskiest first."""

    rows: NDArray[np.int64]  #: (K,) indices
    risk: Floats  #: (K,) in [0, 1]


@dataclass(frozen=True, slots=True)
class _Past:
    """A list as it was at the end of `epoch`, and what became of it once that is known."""

    epoch: int
    right: bool
    rows: NDArray[np.int64]
    log_odds: Floats
    wrong: NDArray[np.bool_] | None = None


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
        self._past: list[_Past] = []  # oldest first
        self._epoch = 0

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
        self._epoch = epoch
        self._past = [
            # What was due after this epoch is due again, where one is taken again.
            past if past.epoch + foresight.horizon < epoch else replace(past, wrong=None)
            for past in self._past
            if epoch - foresight.horizon - _FORGOTTEN < past.epoch < epoch
        ]
        due = self.due()
        self._learn(due, ~foresight.store.correct[due])
        for right in (False, True):
            rows, _, log_odds = self.ranked(right)
            self._past.append(_Past(epoch, right, rows, log_odds))

    def due(self) -> NDArray[np.int64]:
        """Samples that were listed `horizon` epochs ago: what became of them is of interest."""
        then = self._epoch - self.foresight.horizon
        rows = [past.rows for past in self._past if past.epoch == then]
        return np.unique(np.concatenate(rows)) if rows else np.empty(0, np.int64)

    def evaluated(self, rows: NDArray[np.int64], right: NDArray[np.bool_]) -> None:
        """Take in which of `rows` (K,) the weights of the newest epoch's end have `right` (K,).

        That counts for more than training's own sightings, which were made on the way there.
        """
        mine = np.isin(rows, self.due())
        if mine.any():
            self._learn(rows[mine], ~right[mine])

    def _learn(self, rows: NDArray[np.int64], wrong: NDArray[np.bool_]) -> None:
        """Take in who of the lists that are due is wrong now, and set the lines anew."""
        outcome = dict(zip(rows.tolist(), wrong.tolist(), strict=True))
        for place, past in enumerate(self._past):
            if past.epoch == self._epoch - self.foresight.horizon:
                before = np.zeros(len(past.rows), np.bool_) if past.wrong is None else past.wrong
                known = zip(past.rows.tolist(), before.tolist(), strict=True)
                now = np.array([outcome.get(row, was) for row, was in known], np.bool_)
                self._past[place] = replace(past, wrong=now)
        self._lines = [self._line(right=right) for right in (False, True)]

    def _line(self, *, right: bool) -> tuple[float, float]:
        shift, stretch = self._start[right]
        for past in self._past:  # oldest first, so that the newest counts most
            if past.right == right and past.wrong is not None and len(past.rows):
                age = self._epoch - self.foresight.horizon - past.epoch
                of_shift, of_stretch = (firm / _FADING**age for firm in _FIRMNESS)
                shift, stretch = fit_line(
                    past.log_odds, past.wrong, (shift, stretch), (of_shift, of_stretch)
                )
        return shift, max(stretch, 0.05)

    def ranked(self, *rights: bool) -> tuple[NDArray[np.int64], NDArray[np.bool_], Floats]:
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
        rows, right, log_odds = self.ranked(*rights)
        shift, stretch = np.array(self._lines, np.float32)[right.astype(np.intp)].T
        risk = logistic(shift + stretch * log_odds)
        order = np.lexsort((rows, -risk))
        order = order[risk[order] >= LEAST_RISK]
        return Listed(rows[order], risk[order])
