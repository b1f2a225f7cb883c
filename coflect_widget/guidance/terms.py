"""Which loss terms a plan becomes, when each has its turn, and what it weighs; all frameworks."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from coflect_widget.config import GuidanceConfig
from coflect_widget.guidance.plan import Plan, look_as_ignore
from coflect_widget.guidance.state import Kind
from coflect_widget.modalities.base import BoolArray

#: What a person is told of the fill: it reaches further than the sample drawn on.
FILL = "fill, at like places of other samples too"
FILL_HERE = "fill"
GRADIENT = "input gradient"
OUTSIDE = "fill outside"
#: What a person is told of a term that fails; "" is what comes before any of them.
WORDS = {
    "fill": FILL_HERE,
    "slopes": GRADIENT,
    "slopes inside": f"{GRADIENT} inside",
    "activation": "class activation",
    "exchange": "exchange among the rows of a batch",
    "": "choice of its rows",
}
#: Weights at strength 1, as multiples of the task loss: of the swapped rows' classification,
ROWS_GAIN = 3.0
#: of the share of the prediction that hangs on what is to be ignored,
EFFECT_GAIN = 2.0
#: of the input gradient's energy there, as a share of what all of it was at first,
SLOPE_GAIN = 1000.0
#: and of the map's energy outside what is to be looked at.
ACTIVATION_GAIN = 10.0
#: Exchanged batches between two of which the running statistics see the batch as it is.
REFRESH = 8
#: With exchanged batches, annotated samples are seen again this many times more seldom.
EXCHANGED_RESTS = 4
#: Rows of a guided pass: fewer would cost nearly as much, and normalisation needs some.
ROWS = 16
#: Of those, how many a double backward takes: each costs about as much as two others.
SLOPE_ROWS = 8
#: Least rows of a guided pass through layers that normalise by the batch: two rows would be told
#: from each other by their signs alone, and one row cannot be normalised.
NORMALISED_ROWS = 8
#: A pass with a derivative in its loss costs more than its rows: it comes that much more seldom.
SECOND_ORDER_RESTS = 4 / 3
#: Share of a map's first energy that a later map must exceed to count as not blank.
BLANK = 0.1


class Chosen(NamedTuple):
    """What a plan becomes.

    Attributes
    ----------
    plan : Plan or None
        The plan itself, or one that says the same in what the model allows.
    terms : list of str
        Of "fill", "slopes", "slopes inside" and "activation".
    words : list of str
        The same for a person.
    """

    plan: Plan[NDArray[Any]] | None
    terms: list[str]
    words: list[str]


def choose(
    plan: Plan[NDArray[Any]] | None,
    config: GuidanceConfig,
    layer: Callable[[], str | None],
    twice_differentiable: Callable[[], bool],
    warn: Callable[[str], None],
    rest: Callable[[BoolArray], BoolArray] = np.logical_not,
) -> Chosen:
    """The terms: as configured, where the model allows it.

    Parameters
    ----------
    layer : callable
        Name of the layer whose map can be trained through; None where there is none.
    twice_differentiable : callable
        Whether the input gradient has a derivative of its own.
    warn : callable
        Told what could not be done as asked.
    rest : callable
        `Modality.rest`.
    """
    terms: list[str] = []
    words: list[str] = []
    if plan is not None and plan.looks:
        name = layer()
        if name is not None:
            terms.append("activation")
            words.append(f"class activation at {name}")
        elif twice_differentiable():
            terms.append("slopes inside")
            words.append("input gradient inside")
        else:
            plan = look_as_ignore(plan, rest)
            words.append(OUTSIDE)
            warn("neither map nor second derivative for look, fill outside it instead")
    if plan is not None and plan.ignores:
        term = "fill"
        if config.ignore_loss == "input_gradient":
            if twice_differentiable():
                term = "slopes"
            else:
                warn("no second derivative for the input gradient, fill used instead")
        terms.insert(0, term)
        if OUTSIDE not in words:
            further = plan.like_strength > 0 or plan.located or plan.carried
            fill = FILL if further else FILL_HERE
            words.insert(0, fill if term == "fill" else GRADIENT)
    return Chosen(plan, terms, words)


def kinds_of(term: str, *, fills_outside: bool) -> tuple[Kind, ...]:
    """Kinds of strokes that a term is made of; of "exchange" too.

    Parameters
    ----------
    fills_outside : bool
        Whether "look" was turned into "ignore the rest".
    """
    if term in ("activation", "slopes inside"):
        return ("look",)
    return ("look", "ignore") if fills_outside or not term else ("ignore",)


class Turn(NamedTuple):
    """One guided pass: its term, what that is multiplied with, and how many rows it takes."""

    term: str
    gain: float
    rows: int


def turn(
    terms: list[str],
    steps: int,
    batch: int,
    share: float,
    *,
    exchanged: bool,
    found_all: bool = False,
) -> Turn | None:
    """What the step after `steps` others is to add; None between two guided passes.

    Parameters
    ----------
    batch : int
        Rows of the batch.
    share : float
        Guided rows as a share of all rows.
    exchanged : bool
        Whether the batch itself is an exchanged one.
    found_all : bool
        Whether what is to be ignored was found in each sample that has it. The exchange does all
        of it then, and a pass on few rows of a model that has just lost its shortcut is noise.
    """
    if exchanged and found_all and terms == ["fill"]:
        return None
    wanted = share * batch
    rows = max(2, min(batch, max(ROWS, round(wanted))))
    every = max(1, math.ceil(rows / wanted - 1e-9))
    if exchanged and terms == ["fill"]:
        every *= EXCHANGED_RESTS  # the batch itself does most of it
    if terms != ["fill"]:
        every = round(every * SECOND_ORDER_RESTS)
    number, between = divmod(steps, every)
    if between:
        return None
    # One term at a time, each the stronger for its rests: so many cost no more than one.
    term = terms[number % len(terms)]
    gain = 1.0 if exchanged and term == "fill" else float(every * len(terms))
    if term == "fill":
        rows //= 2
    elif term != "activation":
        rows = min(rows, SLOPE_ROWS)
    return Turn(term, gain, rows)
