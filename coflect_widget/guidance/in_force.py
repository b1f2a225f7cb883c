"""What the losses of every framework have in common: a state in force, and how it fails safely."""

from __future__ import annotations

from collections.abc import Callable

from coflect_widget.guidance.lapses import Lapse, parts, reason, take_out
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

    def set_state(self, state: GuidanceState) -> str:
        """Use `state` from the next step on.

        Returns
        -------
        str
            The loss terms it becomes, for a person, with what could not be done as asked; ""
            where nothing is in force.
        """
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
