"""What is taken out of force because its loss term fails, and which strokes that are.

A term that raises, or is not finite, ends no training. The strokes it was made of are tried in
halves, so that only those leave that fail alone; where none does, all of their kind leave.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from coflect_widget.guidance.state import GuidanceState, Kind

#: Attempts at naming the strokes that fail. Each costs about a guided step; what is not told
#: apart after so many leaves together.
ATTEMPTS = 32

#: Keras writes its messages in bold.
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


class Part(NamedTuple):
    """What one intervention says of one kind; the least that is taken out of force."""

    id: str
    kind: Kind
    sample: int | None


@dataclass(frozen=True, slots=True)
class Lapse:
    """A part that is out of force from now on, and why.

    Attributes
    ----------
    part : Part
    term : str
        Name of the loss term, as in `terms.Chosen`; "exchange" of the batch.
    why : str
        What went wrong, without a full stop.
    """

    part: Part
    term: str
    why: str


def parts(state: GuidanceState) -> list[Part]:
    """The parts that have strength, oldest first."""
    found = [Part(s.id, s.kind, s.sample) for s in state.strokes if s.strength > 0]
    found += [Part(place.id, "ignore", None) for place in state.located if place.strength > 0]
    first: dict[tuple[str, Kind], Part] = {}
    for part in found:
        first.setdefault((part.id, part.kind), part)
    return list(first.values())


def only(state: GuidanceState, kept: Sequence[Part]) -> GuidanceState:
    """The state with nothing but these parts."""
    names = {(part.id, part.kind) for part in kept}
    return replace(
        state,
        strokes=tuple(s for s in state.strokes if (s.id, s.kind) in names),
        located=tuple(place for place in state.located if (place.id, "ignore") in names),
    )


def without(state: GuidanceState, left: Sequence[Part]) -> GuidanceState:
    """The state without these parts."""
    names = {(part.id, part.kind) for part in left}
    return only(state, [part for part in parts(state) if (part.id, part.kind) not in names])


def culprits(
    suspects: Sequence[Part], fails: Callable[[Sequence[Part]], bool], attempts: int = ATTEMPTS
) -> list[Part]:
    """Those of `suspects` that fail by themselves; all of them where none is known to.

    Parameters
    ----------
    suspects : sequence of Part
        Together they failed.
    fails : callable (parts) -> bool
        Whether the term fails with nothing but these in force; called at most `attempts` times.
    """
    left = attempts

    def search(some: Sequence[Part]) -> list[Part]:
        nonlocal left
        if len(some) == 1:
            return list(some)
        found: list[Part] = []
        for half in (some[: len(some) // 2], some[len(some) // 2 :]):
            if left <= 0:
                found += half  # nobody knows: better too much out of force than a failing term
                continue
            left -= 1
            if fails(half):
                found += search(half)
        return found

    return search(suspects) or list(suspects)


def take_out(
    state: GuidanceState,
    kinds: Sequence[Kind],
    term: str,
    why: str,
    fails: Callable[[GuidanceState], bool] | None = None,
) -> tuple[GuidanceState, list[Lapse]]:
    """The state without what made a term fail, and what that was.

    Parameters
    ----------
    kinds : sequence of {"look", "ignore"}
        Kinds of strokes that the term is made of.
    term, why
        As in `Lapse`.
    fails : callable (state) -> bool, optional
        Whether the term fails in that state too; without it all of `kinds` leave.
    """
    suspects = [part for part in parts(state) if part.kind in kinds] or parts(state)
    guilty = suspects
    if fails is not None and len(suspects) > 1:
        guilty = culprits(suspects, lambda some: fails(only(state, some)))
    return without(state, guilty), [Lapse(part, term, why) for part in guilty]


def reason(error: BaseException) -> str:
    """Why, of a term that raised."""
    said = _line_that_tells(str(error))[:300].rstrip(". ")
    return f"raised {type(error).__name__}" + (f": {said}" if said else "")


def _line_that_tells(text: str) -> str:
    """The first line of a message, but of Keras and TensorFlow the one that has the cause."""
    lines = [line.strip() for line in _COLOURS.sub("", text).splitlines() if line.strip()]
    node = next((at for at, line in enumerate(lines) if line.startswith("[[{{node")), 0)
    if node:
        return lines[node - 1]
    if len(lines) > 1 and lines[0].startswith("Exception encountered when calling"):
        return lines[1]
    return lines[0] if lines else ""


def told(lapses: Sequence[Lapse]) -> str:
    """One notice for parts that left for the same reason at the same step."""
    names = ", ".join(_named(lapse.part) for lapse in lapses)
    several = len(lapses) > 1
    return (
        f"Out of force: {names}. {'Their' if several else 'Its'} loss term ({lapses[0].term}) "
        f"{lapses[0].why}. Training goes on without {'them' if several else 'it'}. To try "
        f"again, draw {'them' if several else 'it'} again; undo takes "
        f"{'them' if several else 'it'} off the list."
    )


def _named(part: Part) -> str:
    where = "" if part.sample is None else f" on sample {part.sample}"
    return f"{part.id} ({part.kind}{where})"
