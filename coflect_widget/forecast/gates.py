"""The review window: six conditions that must hold before a person is asked to look.

Too early every sample looks risky, too late nothing can be helped; while a gate is shut its
sentence says which one holds the window and how far it is.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from coflect_widget.config import Gates
from coflect_widget.events import GateStatus, Window
from coflect_widget.tasks.base import Task

#: A difference that comes of adding floating point numbers.
_NOTHING = 1e-12


class ReviewWindow:
    """Tells whether now is a good time to ask a person, and if not, why not.

    Epochs are counted as completed ones: after the first epoch of training ``epoch`` is 1.
    Methods may be called from different threads.

    Parameters
    ----------
    settings : config.Gates
    task : Task
        Says what the quality is that gates look at, such as the accuracy, and how it is called.

    Attributes
    ----------
    chance : float
        Quality of a model that knows nothing but the share of the most frequent label, once that
        is known, and else not even that.
    passed_at : dict of str to int
        For each gate that has passed at least once: at which epoch it first did.
    opened_at : list of int
        Epochs at which the window went from shut to open.
    """

    def __init__(self, settings: Gates, task: Task) -> None:
        self.settings = settings
        self.task = task
        self.chance = task.chance()
        self.passed_at: dict[str, int] = {}
        self.opened_at: list[int] = []
        self._epoch = 0
        self._accuracy: list[float] = []  # of each epoch that had one
        self._top: NDArray[np.int64] | None = None
        self._overlaps: list[float] = []  # of the newest comparisons only
        self._intervened: int | None = None
        self._open = False
        self._by_hand = False
        self._gates: list[GateStatus] = []
        self._lock = threading.Lock()
        self._judge()

    @property
    def open(self) -> bool:
        """Whether every gate has passed, or a person has opened it."""
        return self._open

    def epoch_ended(
        self, epoch: int, accuracy: float | None, commonest: float | None = None
    ) -> None:
        """Take in that `epoch` epochs are done, the last with this quality, at most 1.

        None or NaN (no validation in this epoch) leaves what is known of it. `commonest` is the
        share of the most frequent label.
        """
        with self._lock:
            self._epoch = epoch
            if commonest is not None:
                self.chance = self.task.chance(commonest)
            if accuracy is not None and math.isfinite(accuracy):
                self._accuracy.append(float(accuracy))
            self._judge()

    def ranked(self, top_indices: ArrayLike) -> None:
        """Take in the newest ranking's top candidates (K,), in any order."""
        top = np.unique(np.asarray(top_indices, dtype=np.int64))
        with self._lock:
            if self._top is not None and max(len(top), len(self._top)) > 0:
                same = len(np.intersect1d(top, self._top, assume_unique=True))
                self._overlaps.append(same / max(len(top), len(self._top)))
                del self._overlaps[: -self.settings.overlap_rankings]
            self._top = top
            self._judge()

    def intervened(self, epoch: int) -> None:
        """Take in that a person intervened after `epoch` completed epochs."""
        with self._lock:
            self._intervened = epoch
            self._by_hand = False
            self._judge()

    def open_by_hand(self) -> None:
        """Open it whatever the gates say; the next intervention shuts it."""
        with self._lock:
            self._by_hand = True
            self._judge()

    def status(self) -> Window:
        """State of the window and of each gate, as it is recorded and shown."""
        with self._lock:
            return Window(open=self._open, gates=list(self._gates), by_hand=self._by_hand)

    def kept(self) -> dict[str, Any]:
        """What it has taken in, for a checkpoint."""
        with self._lock:
            return {
                "chance": self.chance,
                "passed_at": dict(self.passed_at),
                "opened_at": list(self.opened_at),
                "epoch": self._epoch,
                "accuracy": list(self._accuracy),
                "top": self._top,
                "overlaps": list(self._overlaps),
                "intervened": self._intervened,
                "open": self._open,
                "by_hand": self._by_hand,
            }

    def take(self, kept: Mapping[str, Any]) -> None:
        """Go on from what `kept` gave."""
        with self._lock:
            self.chance = kept["chance"]
            self.passed_at, self.opened_at = dict(kept["passed_at"]), list(kept["opened_at"])
            self._epoch, self._accuracy = kept["epoch"], list(kept["accuracy"])
            self._top, self._overlaps = kept["top"], list(kept["overlaps"])
            self._intervened = kept["intervened"]
            self._open, self._by_hand = kept["open"], kept["by_hand"]
            self._judge()

    def _judge(self) -> None:
        self._gates = [
            self._warmup(),
            self._above_chance(),
            self._plateau(),
            self._error(),
            self._stable(),
            self._cooldown(),
        ]
        for gate in self._gates:
            if gate.passed:
                self.passed_at.setdefault(gate.name, self._epoch)
        was_open, self._open = self._open, self._by_hand or all(g.passed for g in self._gates)
        if self._open and not was_open and self._epoch not in self.opened_at[-1:]:
            self.opened_at.append(self._epoch)

    def _warmup(self) -> GateStatus:
        needed = self.settings.warmup_epochs
        return _at_least(
            "warm-up", self._epoch, needed, f"Epoch {self._epoch}; warm-up takes {needed}."
        )

    @property
    def _room(self) -> float:
        """What is left above chance, as a share of what equal classes would leave."""
        return (1 - self.chance) / (1 - self.task.chance())

    def _above_chance(self) -> GateStatus:
        words = self.task.words
        needed = min(1.0, self.chance + self.settings.above_chance * self._room)
        if not self._accuracy:
            return _unknown(
                words.quality,
                needed,
                f"{words.quality_first} not known yet; {needed:.2f} needed{words.quality_from}.",
            )
        value = self._accuracy[-1]
        shown, least = _apart(value, needed)
        sentence = f"{words.quality_first} {shown}; at least {least} needed."
        if self._room < 0.99:
            sentence = f"{sentence[:-1]}: always the most frequent class gives {self.chance:.3f}."
        return _at_least(words.quality, value, needed, sentence)

    def _plateau(self) -> GateStatus:
        span, needed = self.settings.plateau_epochs, self.settings.plateau_delta
        missing = span + 1 - len(self._accuracy)
        if missing > 0:
            return GateStatus(
                name="plateau",
                passed=False,
                needed=needed,
                # Enough epochs to compare is half of the way.
                progress=0.5 * len(self._accuracy) / (span + 1),
                sentence=f"Plateau not known yet; {missing} more {_epochs(missing)} needed.",
            )
        gain = max(0.0, max(self._accuracy[-span:]) - max(self._accuracy[:-span]))
        passed = gain <= needed + _NOTHING  # 0.905 - 0.9 must not fail a delta of 0.005
        shown, most = _apart(gain, needed)
        named = self.task.words.quality_first
        return GateStatus(
            name="plateau",
            passed=passed,
            value=gain,
            needed=needed,
            progress=1.0 if passed else 0.5 + 0.5 * needed / gain,
            sentence=f"{named} gained {shown} in {span} epochs; at most {most} allowed.",
        )

    def _error(self) -> GateStatus:
        needed = self.settings.min_error * self._room
        if not self._accuracy:
            return _unknown("error", needed, f"Error not known yet; {needed:.3g} needed.")
        value = 1 - self._accuracy[-1]
        called = self.task.words.shortfall
        shown, least = _apart(value, needed)
        return _at_least("error", value, needed, f"{called} {shown}; at least {least} needed.")

    def _stable(self) -> GateStatus:
        needed, span = self.settings.overlap, self.settings.overlap_rankings
        if not self._overlaps:
            return _unknown(
                "overlap", needed, f"Rankings not compared yet; {span} comparisons needed."
            )
        stable = 0  # newest comparisons in a row that are good enough
        for overlap in reversed(self._overlaps):
            if overlap < needed:
                break
            stable += 1
        return GateStatus(
            name="overlap",
            passed=stable >= span,
            value=min(self._overlaps),
            needed=needed,
            progress=min(1.0, stable / span),
            sentence=f"{stable} of {span} rankings in a row agree on {100 * needed:.0f} %.",
        )

    def _cooldown(self) -> GateStatus:
        needed = self.settings.cooldown_epochs
        if self._intervened is None:
            return GateStatus(
                name="cooldown",
                passed=True,
                needed=needed,
                progress=1.0,
                sentence="No intervention to wait for.",
            )
        since = max(0, self._epoch - self._intervened)
        sentence = f"{since} {_epochs(since)} since an intervention; {needed} needed."
        return _at_least("cooldown", since, needed, sentence)


def _epochs(count: int) -> str:
    return "epoch" if count == 1 else "epochs"


def _apart(value: float, needed: float) -> tuple[str, str]:
    """Both numbers, with as many digits as tell them apart."""
    digits = 3
    while abs(value - needed) > _NOTHING and f"{value:.{digits}f}" == f"{needed:.{digits}f}":
        digits += 1
    return f"{value:.{digits}f}", f"{needed:.{digits}f}"


def _at_least(name: str, value: float, needed: float, sentence: str) -> GateStatus:
    passed = value >= needed - _NOTHING  # 1 - 0.92 must pass a needed error of 0.08
    return GateStatus(
        name=name,
        passed=passed,
        value=value,
        needed=needed,
        progress=1.0 if passed else max(0.0, value / needed),
        sentence=sentence,
    )


def _unknown(name: str, needed: float, sentence: str) -> GateStatus:
    return GateStatus(name=name, passed=False, needed=needed, progress=0.0, sentence=sentence)
