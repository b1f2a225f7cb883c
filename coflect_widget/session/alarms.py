"""Says in words where training and validation part widely, and where accuracy collapses after an
intervention; and takes it back when it is no longer true.

Fed by the forecaster's thread with what is measured anyway: means of training over windows of
steps, and what validation gave at the ends of epochs. Each alarm is a `Notice` that names its
kind, so that a script, the run folder and the screen learn of it alike.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from coflect_widget.events import Notice
from coflect_widget.guidance.ledger import Intervention
from coflect_widget.tasks.base import Task

#: Training is this much more accurate than validation where the two are said to part. A network
#: that learns well is some points better on what it has seen; a fifth of all samples is more.
PARTED = 0.2
#: ... and it is taken back only below this, so that a gap near the limit does not flap.
TOGETHER = 0.1
#: Without classes: how many times the loss of training validation's is, and when that is over.
TIMES, TIMES_OVER = 3.0, 2.0
#: Ends of epochs in a row at which it must be so: the first ones swing, with BatchNorm the more.
EPOCHS = 2
#: An accuracy has collapsed where it lost this share of what it had above guessing. Half of it is
#: more than a step of the learning rate or a hard batch takes ...
LOST = 0.5
#: ... and at least so much of all samples; validation swings by .1 by itself.
LEAST_FALL = 0.15
#: It is over where at most this share of such a fall is left, so that it does not flap either.
BACK = 0.5
#: Standard errors beyond which a difference is not chance.
ERRORS = 3.0
#: Samples that an accuracy of training is the mean over, and windows of steps at least.
SAMPLES, WINDOWS = 512, 3
#: Epochs after an intervention in which a collapse is laid at its door.
WATCHED = 3
_WORDS = 90  # letters that an alarm quotes of an intervention
_KEPT = 512  # windows that are remembered


@dataclass(frozen=True, slots=True)
class _Collapse:
    """What is said at the moment, and what it is held beside until it is over."""

    intervention: str
    step: int  #: of the first intervention with it
    before: tuple[list[float], list[float]]  #: validation and training until then


@dataclass(frozen=True, slots=True)
class _Fall:
    """An accuracy before and now, and the fall from which on it has collapsed."""

    split: str
    before: float
    after: float
    limit: float

    @property
    def lost(self) -> float:
        return self.before - self.after


class _Gap(NamedTuple):
    """Between training and validation: whether it is wide, whether it is closed, and in words."""

    wide: bool
    closed: bool
    text: str
    about: str
    figures: dict[str, float]


class Alarms:
    """What is wrong enough to be said aloud; used by one thread.

    Parameters
    ----------
    interventions : callable () -> sequence of Intervention
        The ledger's, oldest first, undone ones too.
    chance : callable () -> float
        Quality of a model that knows nothing but the share of the most frequent label.
    task : Task
    every, batch_size, steps_per_epoch : int
        Steps of one window of training, samples of a step, steps of an epoch.
    num_val : int
        Samples that validation is the mean over.
    """

    def __init__(
        self,
        interventions: Callable[[], Sequence[Intervention]],
        chance: Callable[[], float],
        *,
        task: Task,
        every: int,
        batch_size: int,
        steps_per_epoch: int,
        num_val: int,
    ) -> None:
        self._interventions = interventions
        self._chance = chance
        self._task = task
        self._every = every
        self._num_val = num_val
        self.resized(batch_size, steps_per_epoch)
        self._trained: deque[tuple[int, float]] = deque(maxlen=max(_KEPT, 2 * self._windows))
        self._losses: deque[float] = deque(maxlen=self._windows)
        self._validated: deque[tuple[int, float]] = deque(maxlen=64)
        self._in_force: frozenset[str] = frozenset()
        self._changed_at = 0  # step since which the same interventions are in force
        self._collapse: _Collapse | None = None
        self._apart = 0  # ends of epochs in a row with a wide gap
        self._parted = False  # whether that is said at the moment
        self._close_at: int | None = None  # newest end of an epoch without a gap

    def resized(self, batch_size: int, steps_per_epoch: int) -> None:
        """Steps are of so many samples from now on, and epochs of so many steps."""
        self._windows = max(WINDOWS, math.ceil(SAMPLES / (self._every * batch_size)))
        self._samples = self._windows * self._every * batch_size
        self._steps_per_epoch = steps_per_epoch

    # --- what is measured ------------------------------------------------------------------

    def trained(self, accuracy: float | None, loss: float | None, step: int) -> list[Notice]:
        """One window of training steps ended at `step`; accuracy None where the task has none."""
        if loss is not None and math.isfinite(loss):
            self._losses.append(loss)
        if accuracy is not None and math.isfinite(accuracy):
            self._trained.append((step, accuracy))
        return self._look(step)

    def validated(self, values: Mapping[str, float], step: int) -> list[Notice]:
        """An epoch ended at `step` with these validation metrics; none where there are no data."""
        score = values.get(self._task.metrics()[1])
        if score is None or not math.isfinite(score):
            return []
        self._validated.append((step, score))
        return [*self._look(step), *self._compare(values, step)]

    # --- for a checkpoint -------------------------------------------------------------------

    def kept(self) -> dict[str, Any]:
        """What it has taken in and said."""
        collapse = self._collapse
        return {
            "trained": [list(one) for one in self._trained],
            "losses": list(self._losses),
            "validated": [list(one) for one in self._validated],
            "in_force": sorted(self._in_force),
            "changed_at": self._changed_at,
            "collapse": None
            if collapse is None
            else [collapse.intervention, collapse.step, [list(one) for one in collapse.before]],
            "apart": self._apart,
            "parted": self._parted,
            "close_at": self._close_at,
        }

    def take(self, kept: Mapping[str, Any]) -> None:
        """Go on from what `kept` gave."""
        self._trained.extend((int(step), float(value)) for step, value in kept["trained"])
        self._losses.extend(kept["losses"])
        self._validated.extend((int(step), float(value)) for step, value in kept["validated"])
        self._in_force, self._changed_at = frozenset(kept["in_force"]), kept["changed_at"]
        if kept["collapse"] is not None:
            name, step, (validated, trained) = kept["collapse"]
            self._collapse = _Collapse(name, step, (validated, trained))
        self._apart, self._parted = kept["apart"], kept["parted"]
        self._close_at = kept["close_at"]

    # --- collapse after an intervention ------------------------------------------------------

    def _look(self, step: int) -> list[Notice]:
        entries = self._entries_in_force()
        names = frozenset(e.id for e in entries)
        if names != self._in_force:
            added = [e.step for e in entries if e.id not in self._in_force]
            # An undoing has no step of its own here: it is noticed with the next window.
            self._changed_at = step if self._in_force - names else max(added)
            self._in_force = names
        if self._collapse is None:
            near = [e for e in entries if step - e.step <= WATCHED * self._steps_per_epoch]
            return self._collapsed(near) if near else []
        if self._collapse.intervention not in names:
            return [self._over("it is out of force")]
        falls = self._falls(self._collapse.step, self._collapse.before)
        if not falls or any(fall.lost > fall.limit * BACK for fall in falls):
            return []
        return [
            self._over(f"{falls[0].split} {falls[0].before:.2f} then, {falls[0].after:.2f} now")
        ]

    def _entries_in_force(self) -> list[Intervention]:
        """Those given while training that are neither undone nor cleared away, oldest first."""
        entries = [e for e in self._interventions() if e.step > 0 and not e.undone]
        clearing = [place for place, e in enumerate(entries) if e.record.clears]
        return entries[clearing[-1] :] if clearing else entries

    def _collapsed(self, near: Sequence[Intervention]) -> list[Notice]:
        first = near[0].step
        before = (
            [value for at, value in self._validated if at <= first][-2:],
            [value for at, value in self._trained if at <= first][-self._windows :],
        )
        fall = next((f for f in self._falls(first, before) if f.lost >= f.limit), None)
        if fall is None:
            return []
        newest = near[-1]
        self._collapse = _Collapse(newest.id, first, before)
        since = _named(newest)
        if len(near) > 1:
            since += f", the last of {len(near)} interventions since step {first}"
        hint = (
            "Undo it if it took away what the model rightly goes by."
            if fall.split == "validation"
            else "Undo it, or wait for the next validation if it took a shortcut away."
        )
        what = self._task.words.quality
        return [
            Notice(
                level="warning",
                text=f"The {fall.split} {what} collapsed after {since}: {fall.before:.2f} before, "
                f"{fall.after:.2f} now. {hint}",
                alarm="collapse",
                intervention=newest.id,
                about=f"{fall.split} {what}",
                figures={"before": fall.before, "after": fall.after},
            )
        ]

    def _falls(self, step: int, before: tuple[list[float], list[float]]) -> list[_Fall]:
        """How far accuracies since `step` are below those `before` it, the better judge first.

        A training that loses a shortcut falls, and rightly; what it has not seen tells. So
        training counts only until a validation has come half an epoch after the last change.
        """
        falls = []
        validated, trained = before
        after = [(at, value) for at, value in self._validated if at > max(step, self._changed_at)]
        if validated and after:
            at, value = after[-1]
            falls.append(self._fall("validation", validated, [value], self._num_val))
            if at - self._changed_at >= self._steps_per_epoch / 2:
                return falls
        count = self._windows
        since = max(step, self._changed_at) + self._every  # the window itself began later
        whole = [value for at, value in self._trained if at >= since][-count:]
        if len(trained) == len(whole) == count:
            falls.append(self._fall("training", trained, whole, self._samples))
        return falls

    def _fall(
        self, split: str, before: Sequence[float], after: Sequence[float], samples: int
    ) -> _Fall:
        first, now = sum(before) / len(before), sum(after) / len(after)
        chance_alone = ERRORS * math.sqrt(2 * 0.25 / max(samples, 1))
        limit = max(LEAST_FALL, chance_alone, LOST * (first - self._chance()))
        return _Fall(split, first, now, limit)

    def _over(self, why: str) -> Notice:
        assert self._collapse is not None  # noqa: S101 - narrows the type
        intervention, self._collapse = self._collapse.intervention, None
        return Notice(
            level="info",
            text=f"The collapse after {intervention} is over: {why}.",
            alarm="collapse",
            intervention=intervention,
            over=True,
        )

    # --- training and validation -------------------------------------------------------------

    def _compare(self, values: Mapping[str, float], step: int) -> list[Notice]:
        found = self._gap(values)
        if found is None:
            return []
        wide, closed, text, about, figures = found
        self._apart = self._apart + 1 if wide else 0
        if closed:
            self._close_at = step
        if not self._parted and self._apart >= EPOCHS:
            self._parted = True
            blamed = self._opened_by()
            if blamed is not None:
                text += f" It opened after {_named(blamed)}."
            return [
                Notice(
                    level="warning",
                    text=text,
                    alarm="parted",
                    intervention=None if blamed is None else blamed.id,
                    about=about,
                    figures=figures,
                )
            ]
        if self._parted and closed:
            self._parted = False
            over = f"Training and validation are together again at step {step}."
            return [Notice(level="info", text=over, alarm="parted", over=True)]
        return []

    def _gap(self, values: Mapping[str, float]) -> _Gap | None:
        """How far they are apart; None where nobody knows."""
        held = values.get("accuracy")
        if held is not None:
            newest = [value for _, value in self._trained][-self._windows :]
            if len(newest) < self._windows:
                return None
            trained = sum(newest) / len(newest)
            noise = ERRORS * math.sqrt(0.25 / max(self._num_val, 1))
            gap = trained - held
            return _Gap(
                gap >= max(PARTED, noise),
                gap < TOGETHER,
                f"Training and validation part: right in {_percent(trained)} of what it trains on, "
                f"in {_percent(held)} of what it has not seen. Look at what its maps mark: it "
                "may know its samples by heart, or by something that only they show.",
                "accuracy",
                {"training": trained, "validation": held},
            )
        loss = values.get("loss")
        if loss is None or not self._losses or not math.isfinite(loss):
            return None
        trained = sum(self._losses) / len(self._losses)
        if trained <= 0:
            return None
        return _Gap(
            loss >= TIMES * trained,
            loss < TIMES_OVER * trained,
            f"Training and validation part: the loss is {trained:.3g} on what it trains on and "
            f"{loss:.3g}, {loss / trained:.1f} times as much, on what it has not seen.",
            "loss",
            {"training": trained, "validation": loss},
        )

    def _opened_by(self) -> Intervention | None:
        """The newest intervention in force that came after the gap was last closed."""
        if self._close_at is None:
            return None
        after = [e for e in self._entries_in_force() if e.step >= self._close_at]
        return after[-1] if after else None


def _named(entry: Intervention) -> str:
    """Its name and the beginning of its words, as the ledger has them."""
    words = entry.understood
    return f"{entry.id} ({words if len(words) <= _WORDS else words[: _WORDS - 1] + '…'})"


def _percent(share: float) -> str:
    """In whole percents; what is not all is never "100 %"."""
    if 0.995 <= share < 1:
        return "more than 99 %"
    return f"{100 * share:.0f} %"
