"""Begins a training in a thread of its own, for a method, a button or a typed command alike."""

from __future__ import annotations

from collections.abc import Callable

from coflect_widget.session.desk import NOTHING_LEFT
from coflect_widget.session.parts import Parts

RUNNING = "training is already running; stop() it first, or wait() for it"


class Starter:
    """Begins the trainings of one session; any thread.

    Parameters
    ----------
    parts : Parts
    tell_assumptions : callable ()
        Says what the backend guessed of a schedule that it was told the length of.
    say_who_trains : callable ()
        Says which other sessions of this kernel train too.
    """

    def __init__(
        self,
        parts: Parts,
        tell_assumptions: Callable[[], None],
        say_who_trains: Callable[[], None],
    ) -> None:
        self._parts = parts
        self._tell_assumptions = tell_assumptions
        self._say_who_trains = say_who_trains

    def begin(self, epochs: int | None = None, steps: int | None = None) -> int:
        """Train so many epochs or steps; with neither what a stopped training has left.

        Returns
        -------
        int
            Steps that are to be trained.

        Raises
        ------
        ValueError
            If nothing is left, and nothing is said.
        RuntimeError
            If training is running already, or a replay or a proof is.
        """
        parts, backend = self._parts, self._parts.backend
        with parts.beginning:
            if parts.loop.running:
                raise RuntimeError(RUNNING)
            if parts.busy:
                raise RuntimeError(parts.busy)
            parts.ranks.join(ours=True)
            whole = epochs is not None
            if epochs is not None:
                steps = parts.loop.steps_for_epochs(epochs)
            elif steps is None:
                steps, whole = parts.loop.left
                if not (steps or parts.loop.ends_epoch):
                    raise ValueError(NOTHING_LEFT)
            backend.expect(steps)
            self._tell_assumptions()
            parts.announce(steps, backend.steps_per_epoch, backend.batch_size, parts.loop.begun)
            parts.process.release_helpers()
            parts.own_loop.used = False
            parts.loop.start(steps, whole_epochs=whole)
        self._say_who_trains()
        return steps
