"""What a search may choose: settings by dotted names, each with choices or a range."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from coflect_widget.config import nearest

if TYPE_CHECKING:
    from coflect_widget.experiments.experiment import Experiment

Value = str | int | float | bool | None
_MOST = 10_000  # points of a grid


@dataclass(frozen=True, slots=True)
class Choice:
    """One of some values."""

    values: tuple[Value, ...]

    def draw(self, trial: Any, name: str) -> Value:
        """A value of an Optuna trial."""
        chosen: Value = trial.suggest_categorical(name, list(self.values))
        return chosen

    def ends(self) -> Sequence[Value]:
        """Values that stand for all: if an experiment takes them, it takes the others."""
        return self.values

    def grid(self, name: str) -> Sequence[Value]:
        """Every value."""
        return self.values

    def check(self, name: str, value: Any) -> None:
        """Refuse a value that is none of these."""
        if value not in self.values:
            raise ValueError(f"{name} = {value!r} is none of {list(self.values)}")


@dataclass(frozen=True, slots=True)
class Range:
    """Numbers from `low` to `high`, both included; whole ones where both are."""

    low: float
    high: float
    log: bool = False
    step: float | None = None

    @property
    def whole(self) -> bool:
        """Whether only whole numbers are meant."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    def draw(self, trial: Any, name: str) -> Value:
        """A value of an Optuna trial."""
        suggest = trial.suggest_int if self.whole else trial.suggest_float
        step = {} if self.step is None else {"step": self.step}
        chosen: Value = suggest(name, self.low, self.high, log=self.log, **step)
        return chosen

    def ends(self) -> Sequence[Value]:
        """The least and the greatest."""
        return (self.low, self.high)

    def grid(self, name: str) -> Sequence[Value]:
        """Every value.

        Raises
        ------
        ValueError
            If there are too many, or no end of them.
        """
        step = self.step or (1 if self.whole else None)
        if step is None:
            raise ValueError(
                f"space[{name!r}] has no end of values, and a grid tries each: give a step, "
                "a list of choices, or another sampler"
            )
        count = math.floor((self.high - self.low) / step + 1e-9) + 1
        return [self.low + k * step for k in range(min(count, _MOST + 1))]

    def check(self, name: str, value: Any) -> None:
        """Refuse a value outside."""
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not self.low <= value <= self.high:
            raise ValueError(f"{name} = {value!r} is not from {self.low} to {self.high}")
        if self.whole and value != int(value):
            raise ValueError(f"{name} = {value!r} is no whole number")


Space = dict[str, Choice | Range]


def read_space(given: Mapping[str, Any], experiment: Experiment | None) -> Space:
    """Check a space, and that the experiment takes what is in it.

    Parameters
    ----------
    given : mapping
        By the dotted name of a setting: a list of choices; a tuple ``(low, high)`` or ``(low,
        high, "log")``; or a mapping with ``low``, ``high``, and ``log: true`` or ``step``.
    experiment : Experiment or None
        None leaves out whether it takes them, and so imports nothing that it names.

    Raises
    ------
    ValueError
        If it contradicts itself, or the experiment has no such setting or takes no such value.
    """
    if not isinstance(given, Mapping) or not given:
        raise ValueError('space is empty; for example {"training.lr": (1e-4, 1e-1, "log")}')
    space = {str(name): _dimension(str(name), value) for name, value in given.items()}
    for one, other in itertools.permutations(space, 2):
        if other.startswith(f"{one}."):
            raise ValueError(f"space has {one!r} and, within it, {other!r}; take one of them out")
    if experiment is not None:
        for name, dimension in space.items():
            for value in dimension.ends():
                experiment.changed({name: value}).check()
    return space


def grid(space: Space) -> list[dict[str, Value]]:
    """Every combination.

    Raises
    ------
    ValueError
        If there are more than 10,000, or no end of them.
    """
    values = [dimension.grid(name) for name, dimension in space.items()]
    if (count := math.prod(map(len, values))) > _MOST:
        raise ValueError(f"the grid has {count:,} points or more; give fewer choices, or steps")
    return [dict(zip(space, point, strict=True)) for point in itertools.product(*values)]


def check_point(space: Space, values: Mapping[str, Any]) -> dict[str, Any]:
    """A value for some of the names, or all of them; the sampler chooses the others.

    Raises
    ------
    ValueError
        If a name or a value is not in the space.
    """
    if not values:
        raise ValueError(f"give a value for one of {list(space)}")
    for name, value in values.items():
        if name not in space:
            raise ValueError(f"{name!r} is not searched; {nearest(name, list(space))}")
        space[name].check(name, value)
    return dict(values)


def plain(space: Space) -> dict[str, Any]:
    """As JSON values."""
    found: dict[str, Any] = {}
    for name, one in space.items():
        if isinstance(one, Choice):
            found[name] = list(one.values)
        else:
            found[name] = {"low": one.low, "high": one.high, "log": one.log, "step": one.step}
    return found


def _dimension(name: str, given: Any) -> Choice | Range:
    where = f"space[{name!r}]"
    if isinstance(given, list):
        return _choice(where, given)
    if isinstance(given, tuple):
        if len(given) not in (2, 3) or (len(given) == 3 and given[2] != "log"):
            raise ValueError(
                f'{where} = {given!r}: a range is (low, high) or (low, high, "log"), and choices '
                "are a list"
            )
        given = {"low": given[0], "high": given[1], "log": len(given) == 3}
    if isinstance(given, Mapping):
        for key in given:
            if key not in ("low", "high", "log", "step"):
                raise ValueError(f"{where} has {key!r}; {nearest(str(key), _OF_RANGE)}")
        return _range(where, dict(given))
    raise ValueError(
        f"{where} = {given!r} leaves no choice; give a list of choices, or a range such as "
        "{low: 0.001, high: 0.1, log: true}"
    )


_OF_RANGE = ["low", "high", "log", "step"]


def _choice(where: str, values: list[Any]) -> Choice:
    if not values:
        raise ValueError(f"{where} has no choices")
    for value in values:
        if not isinstance(value, str | int | float | bool | None):
            raise ValueError(f"{where}: {value!r} is no plain value, such as a word or a number")
        if values.count(value) > 1:
            raise ValueError(f"{where} has {value!r} twice")
    return Choice(tuple(values))


def _range(where: str, given: dict[str, Any]) -> Range:
    for end in ("low", "high", "step"):
        value = given.get(end)
        if end == "step" and value is None:
            continue
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not math.isfinite(value)
        ):
            raise ValueError(f"{where}: {end} = {value!r} is no number")
    low, high, step, log = given["low"], given["high"], given.get("step"), given.get("log") or False
    if log not in (True, False):
        raise ValueError(f"{where}: log = {log!r} is neither true nor false")
    if low >= high:
        why = "is all there is; leave it out, or" if low == high else f"is above high = {high};"
        raise ValueError(f"{where}: low = {low} {why} give low < high")
    if log and low <= 0:
        raise ValueError(
            f"{where}: low = {low} has no logarithm; give low above 0, or leave out log"
        )
    if log and step is not None:
        raise ValueError(f"{where} has log and step, which contradict each other; leave one out")
    if step is not None and not 0 < step <= high - low:
        raise ValueError(f"{where}: step = {step} does not fit between {low} and {high}")
    if isinstance(step, float) and isinstance(low, int) and isinstance(high, int):
        low, high = float(low), float(high)
    if isinstance(low, float) or isinstance(high, float):
        low, high = float(low), float(high)
    return Range(low, high, bool(log), step)
