"""When a finding began: its pull in weights that were kept over the run, and where that rose.

Weights are copied at the ends of epochs, between two steps, and measured later in the worker. Of a
long run every second of the older ones is let go again and again, so that what is kept spans all
of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from coflect_widget.events import Finding, PullThen
from coflect_widget.modalities.base import Array, Modality
from coflect_widget.studies.grouping import interval
from coflect_widget.studies.looking import Carrier, Looking
from coflect_widget.studies.pulls import Snapshot

T = TypeVar("T")

#: Copies of weights that are kept at most, and bytes of them together; where there is not room for
#: so few, none is.
MOST, BYTES, FEWEST = 24, 2**27, 4
#: Of a finding in such weights: donors, samples that each gives to, and other places.
DONORS, EACH, PLACES = 16, 12, 2
#: Pulls of a finding that are kept at most.
ROWS = 48
#: Share of its pull from which on a finding has begun.
HALF = 0.5
_DRAWN = 400


@dataclass(frozen=True, slots=True)
class Kept:
    """Weights of one epoch's end."""

    step: int
    epoch: int
    made: Callable[[], Snapshot]


class Course:
    """Copies of the weights over a run; used by one thread at a time.

    Parameters
    ----------
    copy : callable () -> callable () -> Snapshot
        Copies the present weights, between two steps; what it gives is called on a thread.
    nbytes : int
        Of one copy.
    """

    def __init__(self, copy: Callable[[], Callable[[], Snapshot]], nbytes: int) -> None:
        self._copy = copy
        self._most = min(MOST, BYTES // max(1, nbytes))
        self.kept: list[Kept] = []

    def add(self, step: int, epoch: int) -> Kept:
        """Copy the weights of now, in the place of others of this step: somebody may load some."""
        new = Kept(step, epoch, self._copy())
        if self._most >= FEWEST:
            kept = [one for one in self.kept if one.step < step]
            self.kept = [*(thinned(kept) if len(kept) >= self._most else kept), new]
        return new

    def finish(self) -> None:
        """Wait for the copies that a device still makes; on any thread."""
        for one in self.kept:
            one.made()

    def copies(self, step: int) -> bool:
        """Whether an epoch's end at this step is worth a copy: as far apart as the others are."""
        if self._most < FEWEST or (self.kept and self.kept[-1].step == step):
            return False
        return len(self.kept) < 2 or step - self.kept[-1].step >= self._apart

    @property
    def _apart(self) -> int:
        return self.kept[1].step - self.kept[0].step if len(self.kept) > self._most // 2 else 0

    def go_back(self, step: int) -> None:
        """The run goes on from this step: later weights are not of its course."""
        self.kept = [one for one in self.kept if one.step <= step]


class Past:
    """Measures findings in the weights of a course.

    Parameters
    ----------
    course : Course
    looking : Looking
    modality : Modality
    receivers : callable (rng) -> ndarray (n, ...)
        Samples that receive a region.
    seed : int
    """

    def __init__(
        self,
        course: Course,
        looking: Looking,
        modality: Modality,
        receivers: Callable[[np.random.Generator], Array],
        seed: int,
    ) -> None:
        self._course = course
        self._looking = looking
        self._modality = modality
        self._receivers = receivers
        self._seed = seed
        self._bare: dict[str, Array] = {}  # receivers of each finding

    def measured(
        self, finding: Finding, pulls: dict[int, NDArray[np.float32]], now: Kept
    ) -> dict[str, Any] | None:
        """What is new of a finding: `history`, `since` and `began`; None where nothing is.

        Parameters
        ----------
        pulls : dict
            Of its donors (d,), by step; those that are measured are added.
        now : Kept
            The newest weights.
        """
        newest = max((one.step for one in finding.history), default=-1)
        kept = {one.step: one for one in (*self._course.kept, now)}
        left = [kept[step] for step in sorted(kept) if newest < step <= now.step]
        if not left:
            return None
        given = self._given(finding, now.made())
        rows = list(finding.history)
        for one in left:
            found = self._looking.pulls(one.made(), *given)
            sure = found[~np.isnan(found)]
            if not len(sure):
                continue
            pulls[one.step] = found
            low, high = interval(sure, self._seed)
            pull = round(float(sure.mean()), 3)
            rows.append(PullThen(step=one.step, epoch=one.epoch, pull=pull, low=low, high=high))
        measured: dict[str, Any] = {"history": rows}
        # From the weights up to those in which its pull is largest so far: what has only begun
        # when it is found has begun by less than half of what it comes to. Of a run that was gone
        # on with earlier ones are not known donor by donor.
        largest = max((one.pull for one in rows), default=0.0)
        dates = rows and (finding.began is None or rows[-1].pull >= largest)
        if dates and all(one.step in pulls for one in rows):
            values = np.stack([pulls[one.step] for one in rows])
            found_at = began([one.epoch for one in rows], values, self._seed)
            if found_at is not None:
                measured["since"], measured["began"] = found_at
        while len(measured["history"]) > ROWS:
            measured["history"] = thinned(measured["history"])
        return measured

    def pull(self, finding: Finding, weights: Snapshot) -> float | None:
        """Its pull in these weights, of donors and places that are always the same."""
        found = self._looking.pulls(weights, *self._given(finding, weights))
        known = found[~np.isnan(found)]
        return round(float(known.mean()), 5) if len(known) else None

    def _given(
        self, finding: Finding, weights: Snapshot
    ) -> tuple[list[Carrier], Array, int, NDArray[np.int64]]:
        """Donors, receivers, how many each gives to, and other places."""
        donors = self._looking.carriers(finding)[:DONORS]
        rng = np.random.default_rng([self._seed, 29])
        receivers = self._receivers(rng)
        if finding.id not in self._bare:  # once: later weights hang on other places
            self._bare[finding.id] = self._looking.bare(weights, receivers)
        receivers = self._bare[finding.id]
        places = self._modality.moves(self._modality.extent(donors[0].x), PLACES, rng)
        return donors, receivers, EACH, places


def thinned(rows: Sequence[T]) -> list[T]:
    """Every second one, the first and the last among them."""
    return [one for k, one in enumerate(rows) if k % 2 == 0 or k == len(rows) - 1]


def began(
    epochs: Sequence[int], pulls: NDArray[np.floating], seed: int
) -> tuple[int, tuple[int, int]] | None:
    """The epoch after which a finding first had half of its pull, and kept it; None: it has none.

    Parameters
    ----------
    epochs : sequence of int (n,)
        Completed, ascending.
    pulls : ndarray (n, d)
        Of each of its donors; NaN where it could not be measured. Its pull is that of the last row.
    seed : int

    Returns
    -------
    int, (int, int)
        The epoch, and a 95 % interval over donors. Its lower end is the first epoch that earlier
        weights leave open.
    """
    first = _first(pulls)
    if first is None:
        return None
    rng = np.random.default_rng(seed)
    donors = pulls.shape[1]
    chosen = rng.integers(0, donors, (_DRAWN, donors))
    known = sorted(k for each in chosen if (k := _first(pulls[:, each])) is not None)
    low, high = (known[int(q * (len(known) - 1))] for q in (0.025, 0.975)) if known else (0, first)
    low, high = min(low, first), max(high, first)
    opened = epochs[low - 1] + 1 if low else min(1, epochs[0])
    return epochs[first], (opened, epochs[high])


def _first(pulls: NDArray[np.floating]) -> int | None:
    known = ~np.isnan(pulls)
    counts = known.sum(1)
    means = np.where(known, pulls, 0).sum(1) / np.maximum(counts, 1)
    if not counts[-1] or means[-1] <= 0:
        return None
    weak = np.flatnonzero((means < HALF * means[-1]) | (counts == 0))
    return int(weak[-1]) + 1 if len(weak) else 0
