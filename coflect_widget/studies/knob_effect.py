"""What a knob did, as far as validation can tell: the figures before it and some steps after.

Training moves these figures by itself, and one run has no other to be held beside. So the verdict
is "harmed", where the quality fell further than it ever fell by itself and than chance explains,
and "no verdict" everywhere else. Figures of both moments are given all the same.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from coflect_widget.events import Effect, Measure
from coflect_widget.studies.effect import LEAST_HARM
from coflect_widget.studies.watch import FEWEST_FALLS, FEWEST_STEPS, SWING

#: Standard errors of a difference of two accuracies beyond which it is no chance.
ERRORS = 3.0
_KEPT = 64  # validations that are remembered


@dataclass(frozen=True, slots=True)
class _Waiting:
    intervention: str
    step: int
    before: Mapping[str, float]  # the newest validation by then


class KnobWatch:
    """Compares validations around each knob; used on the training thread alone.

    Parameters
    ----------
    after : int
        Steps from a knob to its measurement, at least; 0 measures none.
    quality : str
        Name of the task's figure of quality in a validation.
    num_val : int
        Samples of a validation.
    tell : callable (Effect)
    """

    def __init__(
        self, after: int, quality: str, num_val: int, tell: Callable[[Effect], None]
    ) -> None:
        self._after = after
        self._quality = quality
        self._num_val = num_val
        self._tell = tell
        self._waiting: list[_Waiting] = []
        self._validated: list[tuple[int, Mapping[str, float]]] = []
        self._turned: list[int] = []  # steps at which a knob was turned or undone

    def applied(self, intervention: str, step: int) -> None:
        """A knob was turned at `step`."""
        self._turned.append(step)
        if self._after and self._num_val:
            before = self._validated[-1][1] if self._validated else {}
            self._waiting.append(_Waiting(intervention, step, before))

    def undone(self, intervention: str, step: int) -> None:
        """It is out of force: what it did is not to be measured any more."""
        self._turned.append(step)
        self._waiting = [one for one in self._waiting if one.intervention != intervention]

    def validated(self, values: Mapping[str, float], step: int) -> None:
        """An epoch ended at `step` with these validation metrics."""
        if not values:
            return
        due = [one for one in self._waiting if step - one.step >= self._after]
        self._waiting = [one for one in self._waiting if one not in due]
        for one in due:
            self._tell(self._effect(one, values, step))
        self._validated = [*self._validated, (step, values)][-_KEPT:]

    def ended(self) -> None:
        """Training has ended: what waits is measured by the newest validation after it."""
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            step, values = self._validated[-1] if self._validated else (0, {})
            if step - one.step >= FEWEST_STEPS:
                self._tell(self._effect(one, values, step))

    def _effect(self, one: _Waiting, values: Mapping[str, float], step: int) -> Effect:
        names = [name for name in ("loss", self._quality) if name in values and name in one.before]
        pairs = [(name, one.before[name], values[name]) for name in names]
        pairs = [(n, a, b) for n, a, b in pairs if math.isfinite(a) and math.isfinite(b)]
        harmed = self._harmed({n: (a, b) for n, a, b in pairs}.get(self._quality))
        figures = ", ".join(f"validation {n} {a:.4g} -> {b:.4g}" for n, a, b in pairs)
        if not pairs:
            text = "no verdict: nothing was validated before it to hold the figures beside"
        elif harmed:
            text = f"harmed: {figures}, further than it fell by itself before"
        else:
            text = f"no verdict: {figures}; training moves them by itself too"
        others = sum(one.step <= turned <= step for turned in self._turned) - 1
        if others > 0:
            text += f" ({others} other turn{'s' * (others > 1)} of a knob meanwhile)"
        return Effect(
            intervention=one.intervention,
            verdict="harmed" if harmed else "no verdict",
            text=text,
            from_step=one.step,
            to_step=step,
            measures=[self._measure(*pair) for pair in pairs],
        )

    def _measure(self, name: str, before: float, after: float) -> Measure:
        """The change, and how far it may be off: as far as the figure goes from epoch to epoch."""
        change = after - before
        series = [values[name] for _, values in self._validated if name in values]
        spread = max((abs(b - a) for a, b in itertools.pairwise(series)), default=abs(change))
        figures = [round(x, 6) for x in (before, after, change, change - spread, change + spread)]
        before, after, change, low, high = figures
        return Measure(
            name=f"validation {name}", before=before, after=after, change=change, low=low, high=high
        )

    def _harmed(self, pair: tuple[float, float] | None) -> bool:
        if pair is None:
            return False
        series = [v[self._quality] for _, v in self._validated if self._quality in v]
        falls = [a - b for a, b in itertools.pairwise(series)]
        swing = max(falls) if len(falls) >= FEWEST_FALLS else SWING
        chance = ERRORS * math.sqrt(2 * 0.25 / self._num_val)
        return pair[0] - pair[1] > max(LEAST_HARM, swing, chance)
