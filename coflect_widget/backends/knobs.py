"""What a person may turn while a model trains: the optimizer's values, and which layers are held.

Knobs are a fold: the values in force follow from those that would be in force without any knob and
from the turns that are not undone, oldest first. So taking one out restores exactly what would be
there had it never been turned, and a schedule goes on as if there were none.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from coflect_widget.config import nearest
from coflect_widget.events import KnobTurn, LayerState

#: One value for each group of the optimizer.
Values = list[float]

#: Names that people know these values by.
ALIASES = {
    "learning_rate": "lr", "beta_1": "beta1", "beta_2": "beta2", "epsilon": "eps",
    "wd": "weight_decay",
}  # fmt: skip
#: Knobs that are none of its values.
NO_VALUES = ("freeze", "unfreeze", "batch_size")
#: Layers that are listed.
MOST_LAYERS = 200
#: Values that must lie in [low, high); the others must be finite and not negative.
LIMITS = {
    "momentum": (0.0, 1.0), "beta1": (0.0, 1.0), "beta2": (0.0, 1.0), "rho": (0.0, 1.0),
    "alpha": (0.0, 1.0),
}  # fmt: skip


class Knobs(Protocol):
    """The knobs of one model and its optimizer; a backend that has them gives a `knobs`."""

    def names(self) -> list[str]:
        """Values of the optimizer that may be turned."""

    def resolve(self, name: str) -> str:
        """The value that a name means; raises ValueError, with the nearest, where there is none."""

    def scheduled(self, name: str) -> str:
        """Name of the schedule that moves a value, or ""."""

    def now(self, name: str) -> Values:
        """A value as it is, of each group."""

    def natural(self, name: str) -> Values:
        """The same as it would be without any knob."""

    def layers(self) -> list[LayerState]:
        """Layers with weights, outer ones first."""

    def check(self, turns: Sequence[KnobTurn]) -> None:
        """Raise ValueError where `put` would refuse these, as far as that can be told now."""

    def put(self, turns: Sequence[KnobTurn]) -> None:
        """Have these turns in force, oldest first, and no others; all of them or none.

        At a step boundary, or while nothing trains.

        Raises
        ------
        ValueError
            If one of them cannot be used.
        """

    def kept(self) -> dict[str, Any]:
        """What `take` needs beside the turns in force: plain values."""

    def take(self, turns: Sequence[KnobTurn], kept: Mapping[str, Any]) -> None:
        """Go on with these turns in force, where the values are already as they made them.

        For a checkpoint: the optimizer's state that is in it has the values under the turns.
        """

    def check_batch_size(self, batch_size: int) -> None:
        """Raise ValueError where the model cannot train on batches of that size."""


def fold(natural: Values, turns: Sequence[KnobTurn]) -> Values:
    """A value of each group under these turns of it, oldest first.

    A value that was set while a schedule moved it goes on with the schedule: it is a factor on
    what the schedule gives.
    """
    found = list(natural)
    for turn in turns:
        if turn.factor is not None:
            found = [value * turn.factor for value in found]
            continue
        given = turn.value * len(found) if len(turn.value) == 1 else turn.value
        for place, value in enumerate(given):
            if value is not None:
                at = turn.at[place] if turn.at else 0.0
                moved = natural[place] / at if at else 1.0  # exactly 1 where nothing moved it
                found[place] = value * moved
    return found


def moved(natural: float, written: float, now: float) -> float:
    """A value without knobs, where somebody else has set what was `written` to `now`.

    A schedule either goes on from the value that it finds, as StepLR does, and the value without
    knobs moves by the same ratio; or it computes it anew from its own base, as LambdaLR does, and
    gives the value without knobs. The smaller jump is the likelier one.
    """
    if now == written:
        return natural
    if natural <= 0 or written <= 0 or now <= 0:
        return now
    anew = abs(math.log(now / natural)) < abs(math.log(now / written))
    return now if anew else natural * (now / written)


def check_value(name: str, value: float) -> None:
    """Raise ValueError where a value of the optimizer can be no such number."""
    low, high = LIMITS.get(name, (0.0, math.inf))
    if name == "lr" and not (0 < value < math.inf):
        raise ValueError(
            f"lr={value:g} must be a number above 0; to train nothing of a layer, freeze it, and "
            "to train nothing at all, pause"
        )
    if not low <= value < high:
        where = f"from {low:g} to below {high:g}" if math.isfinite(high) else "at least 0"
        raise ValueError(f"{name}={value:g} must be a number {where}")


def unknown(name: str, known: Sequence[str], what: str = "knob") -> ValueError:
    """The error for a name that is none of those known."""
    return ValueError(f"there is no {what} {name!r}; {nearest(name, list(known))}")


class OptimizerValues:
    """The values of an optimizer's groups under knobs; a framework reads and writes them.

    Parameters
    ----------
    read : callable (name) -> list of float
        A value as it is, of each group.
    write : callable (name, values)
    """

    def __init__(self, read: Callable[[str], Values], write: Callable[[str, Values], None]) -> None:
        self._read = read
        self._write = write
        self._turns: dict[str, list[KnobTurn]] = {}  # in force, by value
        self._natural: dict[str, Values] = {}  # of the values turned
        self._written: dict[str, Values] = {}  # as they were read back

    @property
    def any(self) -> bool:
        """Whether a value is turned."""
        return bool(self._turns)

    def natural(self, name: str) -> Values:
        """A value of each group as it would be without knobs.

        Somebody else may have set it meanwhile, such as a schedule of a loop of the user's own:
        see `moved`.
        """
        if name not in self._natural:
            return self._read(name)
        now, written, natural = self._read(name), self._written[name], self._natural[name]
        return [moved(*each) for each in zip(natural, written, now, strict=True)]

    def plan(self, turns: Sequence[KnobTurn]) -> dict[str, Values]:
        """What these turns would make of each value; raises ValueError where one cannot be.

        A value that a schedule has brought to 0 stays there under a factor, and is allowed to.
        """
        names = dict.fromkeys([*(turn.name for turn in turns), *self._turns])
        planned = {}
        for name in names:
            mine = [turn for turn in turns if turn.name == name]
            natural = self.natural(name)
            planned[name] = fold(natural, mine)
            for value, alone in zip(planned[name], natural, strict=True):
                if mine and (alone or value):
                    check_value(name, value)
        return planned

    def put(self, turns: Sequence[KnobTurn]) -> None:
        """Have these turns in force and no others."""
        planned = self.plan(turns)
        natural = {name: self.natural(name) for name in planned}
        for name, values in planned.items():
            mine = [turn for turn in turns if turn.name == name]
            self._write(name, values if mine else natural[name])
            for kept in (self._turns, self._natural, self._written):
                kept.pop(name, None)
            if mine:
                self._turns[name], self._natural[name] = mine, natural[name]
                self._written[name] = self._read(name)

    def settle(self) -> None:
        """Put the turns on top of what somebody else has set since; called before a step."""
        for name, turns in self._turns.items():
            if self._read(name) == self._written[name]:
                continue
            self._natural[name] = self.natural(name)
            self._write(name, fold(self._natural[name], turns))
            self._written[name] = self._read(name)

    def kept(self) -> dict[str, Values]:
        """Each turned value as it would be without knobs."""
        return {name: self.natural(name) for name in self._turns}

    def take(self, turns: Sequence[KnobTurn], kept: Mapping[str, Values]) -> None:
        """Go on with these turns, which have made the values what they are now."""
        self._turns, self._natural, self._written = {}, {}, {}
        for turn in turns:
            self._turns.setdefault(turn.name, []).append(turn)
        for name in self._turns:
            self._natural[name], self._written[name] = list(kept[name]), self._read(name)

    @contextmanager
    def beneath(self) -> Iterator[None]:
        """Within the block the values are as without knobs: a schedule moves those."""
        if not self._turns:
            yield
            return
        for name in self._turns:
            self._write(name, self.natural(name))
        try:
            yield
        finally:
            for name, turns in self._turns.items():
                self._natural[name] = self._read(name)
                self._write(name, fold(self._natural[name], turns))
                self._written[name] = self._read(name)


class OptimizerKnobs:
    """The part of `Knobs` that is about the optimizer's values, the same for every framework.

    A subclass sets `values`.
    """

    values: OptimizerValues

    def names(self) -> list[str]:
        """Values of the optimizer that may be turned."""
        raise NotImplementedError

    def resolve(self, name: str) -> str:
        """See `Knobs`."""
        known, wanted = self.names(), ALIASES.get(name, name)
        if wanted == "momentum" and wanted not in known and "beta1" in known:
            return "beta1"
        if wanted not in known:
            raise unknown(name, [*known, *NO_VALUES])
        return wanted

    def natural(self, name: str) -> Values:
        """See `Knobs`."""
        return self.values.natural(name)


def of_values(turns: Sequence[KnobTurn]) -> list[KnobTurn]:
    """Those that turn values of the optimizer."""
    return [turn for turn in turns if turn.name not in NO_VALUES]


def folded_layers(
    turns: Sequence[KnobTurn], members: Callable[[str], Sequence[Any]]
) -> dict[int, bool]:
    """Of each weight that a turn names, by its id: whether it is frozen after all of them."""
    frozen: dict[int, bool] = {}
    for turn in turns:
        if turn.name in ("freeze", "unfreeze"):
            for layer in turn.layers:
                frozen |= {id(one): turn.name == "freeze" for one in members(layer)}
    return frozen
