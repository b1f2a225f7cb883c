"""Knobs in words: what a person may type, what is understood, and the turn that follows.

``lr x 0.5``, ``lr 0.001``, ``weight decay 0.01``, ``halve lr``, ``increase lr by 10%``,
``freeze layer1 and layer2``, ``unfreeze layer1``, ``batch size 32``. Names of layers keep their
capitals; a layer whose name has a space or a comma is turned by ``session.set`` alone.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from coflect_widget.backends.knobs import Knobs, Values, check_value, fold
from coflect_widget.events import KnobInput, KnobTurn

LAYERS = ("freeze", "unfreeze")
#: What may be typed before a number, with spaces or underscores.
_WORDS = (
    "lr", "learning rate", "weight decay", "momentum", "batch size", "dampening", "eps", "epsilon",
    "beta1", "beta2", "rho", "alpha", "clipnorm", "clipvalue", "global clipnorm",
)  # fmt: skip
_NAME = r"(?P<name>" + "|".join(word.replace(" ", "[ _]") for word in _WORDS) + ")"
_NUMBER = r"(?P<number>-?(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?)"
_SET = re.compile(rf"(?:set )?(?:the )?{_NAME} ?(?:to |= ?|: ?)?{_NUMBER}")
_TIMES = re.compile(rf"(?:multiply )?(?:the )?{_NAME} ?(?:x|\*|times|by) ?{_NUMBER}")
_OVER = re.compile(rf"(?:divide )?(?:the )?{_NAME} ?(?:/|by|divided by) ?{_NUMBER}")
_ROUND = re.compile(rf"(?P<verb>halve|double|half|twice) (?:the )?{_NAME}")
_BY = re.compile(
    rf"(?P<verb>increase|decrease|raise|lower|reduce) (?:the )?{_NAME} by {_NUMBER} ?%"
)
_HELD = re.compile(r"(?P<verb>freeze|unfreeze|thaw) (?:the )?(?:layers? )?(?P<layers>\S.*)", re.I)


def read_knobs(text: str) -> tuple[KnobInput, ...] | str | None:
    """The turn that a sentence asks for; why it cannot be, or None where it is about no knob."""
    plain = " ".join(text.split()).strip(" .!?;:\"'")
    if match := _HELD.fullmatch(plain):
        name = "freeze" if match["verb"].casefold() == "freeze" else "unfreeze"
        layers = [one for one in re.split(r"\s*,\s*|\s+and\s+|\s+", match["layers"]) if one]
        return (KnobInput(name=name, layers=layers),)
    words = plain.casefold()
    if match := _ROUND.fullmatch(words):
        factor = 0.5 if match["verb"] in ("halve", "half") else 2.0
        return (KnobInput(name=_name(match), factor=factor),)
    if match := _BY.fullmatch(words):
        share = float(match["number"]) / 100
        up = match["verb"] in ("increase", "raise")
        return (KnobInput(name=_name(match), factor=1 + share if up else 1 - share),)
    if ("/" in words or "divide" in words) and (match := _OVER.fullmatch(words)):
        number = float(match["number"])
        if number == 0:
            return "nothing can be divided by 0"
        return (KnobInput(name=_name(match), factor=1 / number),)
    if match := _TIMES.fullmatch(words):
        return (KnobInput(name=_name(match), factor=float(match["number"])),)
    if match := _SET.fullmatch(words):
        return (KnobInput(name=_name(match), value=[float(match["number"])]),)
    return None


def _name(match: re.Match[str]) -> str:
    name = match["name"].replace(" ", "_")
    return "lr" if name == "learning_rate" else name


def words(knobs: Sequence[KnobInput]) -> str:
    """What was asked for, in words that mean the same when each part is typed again."""
    return "; ".join(map(_word, knobs))


def _word(knob: KnobInput) -> str:
    name = knob.name.replace("_", " ")
    if knob.name in LAYERS:
        return f"{name} {', '.join(knob.layers)}"
    if knob.factor is not None:
        return f"{name} x {plain(knob.factor)}"
    return f"{name} {', '.join('as is' if v is None else plain(v) for v in knob.value)}"


def plain(value: float) -> str:
    """A number as a person writes it."""
    return f"{value:.6g}"


def inputs_of(given: Mapping[str, Any]) -> list[KnobInput]:
    """The arguments of ``session.set`` as turns; None was not given.

    Raises
    ------
    TypeError
        If a value is of no use.
    """
    found = []
    for name, value in given.items():
        if value is None:
            continue
        if name in LAYERS:
            layers = [value] if isinstance(value, str) else list(value)
            if not layers or not all(isinstance(one, str) for one in layers):
                raise TypeError(
                    f"{name}={value!r} must be the name of a layer, or a list of names, as in "
                    f"{name}='layer1'"
                )
            found.append(KnobInput(name=name, layers=layers))
        elif name == "betas" and isinstance(value, Sequence):
            found += [
                KnobInput(name=f"beta{k + 1}", value=[_number(v, name)])
                for k, v in enumerate(value)
            ]
        elif isinstance(value, Sequence) and not isinstance(value, str):
            numbers = [None if one is None else _number(one, name) for one in value]
            found.append(KnobInput(name=name, value=numbers))
        elif isinstance(value, str):  # "x 0.5", as in the sentence
            read = read_knobs(f"{name} {value}")
            if not isinstance(read, tuple):
                raise TypeError(
                    f"{name}={value!r} must be a number, or a factor such as {name}='x 0.5'"
                )
            found += read
        else:
            found.append(KnobInput(name=name, value=[_number(value, name)]))
    if not found:
        raise TypeError("set() needs a knob, for example set(lr=0.001) or set(freeze='layer1')")
    return found


def _number(value: Any, name: str) -> float:
    try:
        if isinstance(value, bool):
            raise TypeError
        number = float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{name}={value!r} must be a number, for example {name}=0.001") from None
    if not math.isfinite(number):
        raise ValueError(f"{name}={value!r} must be a finite number, for example {name}=0.001")
    return number


def batch_size_under(turns: Sequence[KnobTurn], first: int) -> int:
    """The size of batches under these turns, `first` without any."""
    mine = [turn for turn in turns if turn.name == "batch_size"]
    return round(fold([float(first)], mine)[0])


def turn_of(
    knob: KnobInput, knobs: Knobs, in_force: Sequence[KnobTurn], batch_size: int, samples: int
) -> KnobTurn:
    """The turn that an input asks for, beside those in force.

    Parameters
    ----------
    knob : KnobInput
    knobs : backends.knobs.Knobs
    in_force : sequence of KnobTurn
        Oldest first, with those that come with this one.
    batch_size : int
        Under these.
    samples : int
        That an epoch goes over.

    Raises
    ------
    ValueError
        If it cannot be used.
    """
    if knob.name in LAYERS:
        if not knob.layers:
            raise ValueError(f"{knob.name} needs the name of a layer, for example layer1")
        return KnobTurn(name=knob.name, layers=list(dict.fromkeys(knob.layers)))
    if (knob.factor is None) == (not knob.value) or knob.layers:
        raise ValueError(f"{knob.name} needs a value or a factor, one of them")
    if knob.factor is not None and not (0 < knob.factor < math.inf):
        raise ValueError(f"{knob.name} x {plain(knob.factor)}: the factor must be above 0")
    if knob.name == "batch_size":
        return _batch_turn(knob, batch_size, samples)
    name = knobs.resolve(knob.name)
    before, at = knobs.now(name), knobs.natural(name)
    mine = [turn for turn in in_force if turn.name == name]
    before = fold(at, mine) if mine else before
    _check_given(knob, name, before, at, knobs.scheduled(name))
    turn = KnobTurn(name=name, value=knob.value, factor=knob.factor, before=before, at=at)
    after = fold(at, [*mine, turn])
    for value, alone in zip(after, at, strict=True):
        if value or alone:  # one that is 0 by itself may stay so
            check_value(name, value)
    return turn.model_copy(update={"after": after})


def _check_given(knob: KnobInput, name: str, before: Values, at: Values, schedule: str) -> None:
    if knob.factor is not None:
        if not any(before):
            raise ValueError(f"{name} is 0, and a factor leaves it so; give a value, {name}=...")
        return
    if len(knob.value) not in (1, len(before)):
        raise ValueError(
            f"{name} has {len(knob.value)} values for {len(before)} group"
            f"{'s' * (len(before) > 1)} of the optimizer; give one number, or one for each group, "
            "None where a group keeps its own"
        )
    if len(knob.value) == 1 and len(set(before)) > 1:
        shown = ", ".join(map(plain, before))
        raise ValueError(
            f"{name} is {shown} in the groups of the optimizer; give one for each, "
            f"{name}=[{shown}], or a factor, '{name} x 0.5', which keeps their ratios"
        )
    given = knob.value * len(at) if len(knob.value) == 1 else knob.value
    for value, alone in zip(given, at, strict=True):
        if value is None or not (value or alone):
            continue
        check_value(name, value)
        if not alone and (schedule or (name == "lr" and not any(at))):
            by = f"the {schedule} gives {name} 0" if schedule else "lr is 0, as a warm-up begins,"
            raise ValueError(f"{by} at this step, which no factor moves; turn it a step later")


def _batch_turn(knob: KnobInput, batch_size: int, samples: int) -> KnobTurn:
    wanted = batch_size * knob.factor if knob.factor is not None else knob.value[0]
    if wanted is None or len(knob.value) > 1 or wanted != round(wanted) or wanted < 1:
        shown = "None" if wanted is None else plain(wanted)
        raise ValueError(f"batch_size={shown} must be a whole number of at least 1")
    if wanted > samples:
        raise ValueError(
            f"batch_size={wanted:.0f} is more than the {samples} samples of the training data; "
            f"take at most {samples}"
        )
    return KnobTurn(
        name="batch_size", value=[float(wanted)], before=[float(batch_size)],
        after=[float(wanted)],
    )  # fmt: skip


def understood(turns: Sequence[KnobTurn], schedules: Mapping[str, str]) -> str:
    """What was understood, in one line; `schedules` name what moves a value."""
    parts = []
    for turn in turns:
        if turn.layers:
            parts.append(f"{turn.name} {', '.join(turn.layers)}")
            continue
        name = turn.name.replace("_", " ")
        if len(set(turn.before)) == len(set(turn.after)) == 1:
            change = f"{plain(turn.before[0])} -> {plain(turn.after[0])}"
        else:
            pairs = zip(turn.before, turn.after, strict=True)
            change = ", ".join(f"{plain(a)} -> {plain(b)}" for a, b in pairs)
        part = f"{name} {change}"
        if turn.factor is not None:
            part += f" (x {plain(turn.factor)})"
        if schedule := schedules.get(turn.name):
            part += f"; the {schedule} goes on from there, its rates in the same ratio"
        parts.append(part)
    return "; ".join(parts)
