"""What the losses of every framework have in common: a state in force, and how it fails safely."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from coflect_widget.guidance.lapses import Lapse, parts, reason, take_out
from coflect_widget.guidance.plan import ReadRows
from coflect_widget.guidance.state import GuidanceState
from coflect_widget.guidance.terms import WORDS, kinds_of


class InForce:
    """A state, and taking out of it what fails.

    Attributes
    ----------
    active : bool
        Whether there is anything to add to a loss; costs nothing to ask.
    warnings : list of str
        What could not be done as asked, each said once.
    lapses : list of Lapse
        What went out of force by itself, until somebody takes it off the list.
    """

    def __init__(self) -> None:
        self.active = False
        self.warnings: list[str] = []
        self.lapses: list[Lapse] = []
        self._state = GuidanceState()
        self._fills_outside = False  # "look" was turned into "ignore the rest"
        self._read_rows: ReadRows

    def set_state(self, state: GuidanceState) -> str:
        """Use `state` from the next step on.

        Returns
        -------
        str
            The loss terms it becomes, for a person, with what could not be done as asked; ""
            where nothing is in force.
        """
        raise NotImplementedError

    def kept(self) -> dict[str, Any]:
        """What of it is no consequence of its state alone, as arrays and plain values."""
        raise NotImplementedError

    def restore(self, state: GuidanceState, kept: Mapping[str, Any] | None) -> None:
        """Go on with `state` where `kept` was; None where nothing was in force.

        The samples that strokes are drawn on come from `kept`: a data set that draws random
        numbers would give others now.
        """
        plan = None if kept is None else kept["plan"]
        read = self._read_rows
        if plan is not None:
            self._read_rows = partial(_rows_of, plan, read)
        try:
            self.set_state(state)
        finally:
            self._read_rows = read
        if kept is not None and self.active:
            self._take(kept)

    def _take(self, kept: Mapping[str, Any]) -> None:
        """Take what `kept` gave; the state is in force already."""
        raise NotImplementedError

    def _nothing_in_force(self) -> None:
        """Forget all guidance; cannot fail."""
        raise NotImplementedError

    def _warn(self, text: str) -> None:
        if text not in self.warnings:
            self.warnings.append(text)

    def fail(
        self,
        term: str,
        why: str | Exception,
        fails: Callable[[GuidanceState], bool] | None = None,
    ) -> None:
        """Take out of force what a term is made of.

        Parameters
        ----------
        term : str
            Its name; "exchange" of the exchanged batch.
        why : str or Exception
            What went wrong, a sentence's end without a full stop, or what was raised.
        fails : callable (state) -> bool, optional
            Tries it again, so that only the strokes leave that fail by themselves.
        """
        why = why if isinstance(why, str) else reason(why)
        kinds = kinds_of(term, fills_outside=self._fills_outside)
        left, lapses = take_out(self._state, kinds, WORDS[term], why, fails)
        try:
            self.set_state(left)
        except Exception:  # noqa: BLE001 - then nothing of it can be used
            lapses += [Lapse(part, WORDS[term], why) for part in parts(left)]
            self._state, self.active = GuidanceState(), False
            self._nothing_in_force()
        self.lapses += lapses


def _rows_of(plan: Mapping[str, Any], read: ReadRows, indices: Sequence[int]) -> tuple[Any, Any]:
    """Rows as they were kept; others as `read` gives them."""
    known = {int(index): place for place, index in enumerate(np.asarray(plan["samples"]))}
    places = [known.get(int(index)) for index in indices]
    if None in places:
        return read(indices)
    return plan["inputs"][places], plan["labels"][places]
