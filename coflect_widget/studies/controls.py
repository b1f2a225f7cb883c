"""Control questions: random places among what a person is asked about, and who was taken in.

Nothing hangs on such a place, so "right reason" is an error, and "wrong reason" ignores nothing.
Whoever calls everything a wrong reason makes no error here: what a control tells is how often a
person agrees to what means nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from coflect_widget.events import Answered, Control, Event, Finding
from coflect_widget.modalities.base import Array, Modality
from coflect_widget.studies.looking import Carrier, Looking
from coflect_widget.studies.pulls import Snapshot

#: Samples of a control, at most and at least; as many as a card shows.
SHOWN, FEWEST = 6, 3
#: Samples that each place is pasted into, and other places of the same shape.
EACH, PLACES = 12, 2
#: Pull of a random place from which it is no control: it may be a reason.
TELLS = 0.2
#: The blind question, the same for a finding and for a control.
BLIND = (
    "One small place is marked in each of these samples. If the model goes by it, is it a good "
    "reason? How much it decides is said after the answer."
)
_TRIES = 20
_Z = 1.96


@dataclass(frozen=True)
class Controls:
    """How a person answered control questions; those that were skipped do not count.

    Attributes
    ----------
    answered : int
    errors : int
        Of them those that were called a right reason.
    by : mapping of str to (int, int)
        The same two numbers for each person.
    """

    answered: int = 0
    errors: int = 0
    by: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    @property
    def rate(self) -> float | None:
        """Share of errors, 0 to 1; None before the first answer."""
        return self.errors / self.answered if self.answered else None

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the rate (Wilson's); 0 to 1 before the first answer."""
        n = self.answered
        if not n:
            return 0.0, 1.0
        p, z = self.errors / n, _Z
        middle = (p + z * z / (2 * n)) / (1 + z * z / n)
        wide = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        return max(0.0, middle - wide), min(1.0, middle + wide)

    def __str__(self) -> str:
        if not self.answered:
            return "No control question was answered yet."
        low, high = self.interval
        asked = "1 control question" if self.answered == 1 else f"{self.answered} control questions"
        return f"Of {asked} {self.errors} called a right reason ({low:.0%} to {high:.0%})."


class Tally:
    """Folded from control questions and answers."""

    def __init__(self) -> None:
        self.asked: dict[str, Control] = {}
        self._answers: dict[str, tuple[str, bool]] = {}  # by control: who, and whether in error

    def take(self, data: Control | Answered) -> None:
        """A control question was asked, or something answered."""
        if isinstance(data, Control):
            self.asked[data.id] = data
        elif data.finding in self.asked and data.answer != "skip":
            self._answers[data.finding] = data.author, data.answer == "right reason"

    @property
    def controls(self) -> Controls:
        """What they come to."""
        by: dict[str, tuple[int, int]] = {}
        for author, error in self._answers.values():
            answered, errors = by.get(author, (0, 0))
            by[author] = answered + 1, errors + error
        return Controls(len(self._answers), sum(error for _, error in self._answers.values()), by)


def tally_of(recorded: Iterable[Event]) -> Tally:
    """The control questions in a run's events."""
    tally = Tally()
    for event in recorded:
        if isinstance(event.data, Control | Answered):
            tally.take(event.data)
    return tally


class Questions:
    """What a person is asked, one at a time: folded from findings, controls and answers.

    What is asked stays until it is answered. Next comes what most hangs on: each answer takes a
    person as long, so that is the gain for a second of theirs.
    """

    def __init__(self) -> None:
        self._open: dict[str, Finding | Control] = {}
        self._now: str | None = None

    @property
    def asked(self) -> Finding | Control | None:
        """What is asked now; None where nothing is."""
        return None if self._now is None else self._open[self._now]

    def take(self, data: Finding | Control | Answered) -> None:
        """A finding or newer figures of one, a control, or an answer."""
        if isinstance(data, Answered):
            self._open.pop(data.finding, None)
        elif isinstance(data, Control) or (data.asked and not data.answer):
            self._open[data.id] = data
        if self._now not in self._open:
            self._now = max(self._open, key=lambda one: worth(self._open[one]), default=None)


def worth(question: Finding | Control) -> float:
    """How much hangs on an answer, 0 to 1.

    Of a finding the share of the confidently right samples that have it, times the part of its
    pull that is sure.
    """
    if isinstance(question, Control):
        return question.worth
    return max(0.0, question.interval[0]) * question.share


def random_places(
    looked: Sequence[Carrier], modality: Modality, rng: np.random.Generator
) -> list[Carrier]:
    """Samples with a random region each, as large as a finding's and apart from what counts there.

    Fewer than `FEWEST` where there is no room.
    """
    found: list[Carrier] = []
    for k in rng.permutation(len(looked)):
        one = looked[int(k)]
        marked = modality.mask_in(one.region, one.x)
        for _ in range(_TRIES):
            values = np.zeros(modality.extent(one.x), np.float32)
            values.reshape(-1)[rng.integers(values.size)] = 1
            region = modality.heaviest(values)
            if region is not None:  # findings mostly are the narrower ones
                region = modality.narrower(values, region) or region
            if region is not None and not (modality.mask_in(region, one.x) & marked).any():
                found.append(Carrier(one.index, one.x, one.label, region))
                break
        if len(found) == SHOWN:
            break
    return found


class ControlQuestions:
    """Asks about random places now and then, and keeps how they are answered.

    Parameters
    ----------
    share : float
        Of new findings with which a control is asked; as many are asked about blindly.
    looking : Looking
    modality : Modality
    seed : int

    Attributes
    ----------
    tally : Tally
    wanted : bool
        Whether a control is to be made.
    """

    def __init__(self, share: float, looking: Looking, modality: Modality, seed: int) -> None:
        self._share = share
        self._looking = looking
        self._modality = modality
        self._chance = np.random.default_rng([seed, 31])
        self.tally = Tally()
        self.wanted = False

    def blind(self) -> bool:
        """Whether a new finding is asked about without figures; or a control beside it."""
        drawn = float(self._chance.random())
        self.wanted = self.wanted or drawn >= 1 - self._share
        return drawn < self._share

    def get(self, name: str) -> Control | None:
        """The control question of this id, if it is one."""
        return self.tally.asked.get(name)

    def answered(self, data: Answered) -> Controls:
        """A person has answered one; what all of them come to now."""
        self.tally.take(data)
        return self.tally.controls

    def made(
        self,
        name: str,
        snapshot: Snapshot,
        looked: Sequence[Carrier],
        receivers: Array,
        moves: NDArray[np.int64],
        rng: np.random.Generator,
    ) -> Control | None:
        """A question about random places of samples that were looked at; None: none can be asked.

        Parameters
        ----------
        receivers : ndarray (n, ...)
            Samples that receive what is there: where it turns them, it is no control.
        moves : ndarray (m, axes)
            Of `Modality.moves`.
        """
        places = random_places(looked, self._modality, rng)
        if len(places) < FEWEST:
            return None
        pulls = self._looking.pulls(snapshot, places, receivers, EACH, moves[:PLACES])
        known = pulls[~np.isnan(pulls)]
        if not len(known) or known.mean() >= TELLS:
            return None
        control = Control(
            id=name,
            index=[one.index for one in places],
            regions=[one.region.to_json() for one in places],
            classes=sorted({one.label for one in places}),
            worth=round(float(self._chance.random()), 3),
        )
        self.tally.take(control)
        self.wanted = False
        return control
