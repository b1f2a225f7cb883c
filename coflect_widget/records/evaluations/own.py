"""Figures of one's own beside those of the task: functions of scores and targets, by name."""

from __future__ import annotations

import numbers
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coflect_widget.registry import find

Evaluator = Callable[[NDArray[Any], NDArray[Any]], Any]
Figures = Callable[[NDArray[Any], NDArray[Any]], dict[str, float]]


def named_evaluators(given: Iterable[str | Evaluator]) -> dict[str, Evaluator]:
    """Each by its name: a registered name, ``"module:function"``, or a function.

    Raises
    ------
    ValueError
        If a name is not known, or two are alike.
    TypeError
        If one is neither a name nor callable.
    """
    if isinstance(given, str) or callable(given):
        given = [given]
    found: dict[str, Evaluator] = {}
    for one in given:
        if isinstance(one, str):
            name, made = one.rpartition(":")[2], find("evaluator", one)
        elif callable(one):
            name, made = str(getattr(one, "__name__", type(one).__name__)), one
        else:
            raise TypeError(
                f"evaluators= has {one!r}; expected functions of scores and targets, or names of "
                "such: coflect list evaluators"
            )
        if name in found:
            raise ValueError(f"evaluators= has {name!r} twice")
        found[name] = made
    return found


def with_own(figures: Figures, own: Mapping[str, Evaluator]) -> Figures:
    """The task's figures, and beside them those of one's own."""
    if not own:
        return figures

    def both(scores: NDArray[Any], targets: NDArray[Any]) -> dict[str, float]:
        found = dict(figures(scores, targets))
        for name, evaluator in own.items():
            for key, value in _figures_of(name, evaluator(scores, targets)).items():
                if key in found:
                    raise ValueError(
                        f"the evaluator {name!r} gives {key!r}, which is there already; give it "
                        "another name"
                    )
                found[key] = value
        return found

    return both


def _figures_of(name: str, given: Any) -> dict[str, float]:
    several = given if isinstance(given, Mapping) else {name: given}
    found = {}
    for key, value in several.items():
        if not isinstance(value, numbers.Real | np.number) or isinstance(value, bool | np.bool_):
            raise ValueError(
                f"the evaluator {name!r} gives {value!r} as {key!r}; expected a number, or a "
                "mapping of names to numbers"
            )
        found[str(key)] = float(value)
    return found
