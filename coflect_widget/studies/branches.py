"""Branches of a training: from one state, with the same batches, under one guidance or another."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from coflect_widget.backends.base import NonFiniteLossError
from coflect_widget.backends.state import TrainingState
from coflect_widget.events import KnobTurn
from coflect_widget.guidance.state import GuidanceState


class Ended(RuntimeError):  # noqa: N818 - nothing is wrong: a person has ended it
    """A person has ended the branches."""


@dataclass(frozen=True, slots=True)
class Trained:
    """What a branch came to.

    Attributes
    ----------
    validation : mapping
        Of its end; empty where there are no validation data.
    epoch, batch : int
        Epochs completed, and batches that the present one has had.
    state : TrainingState or None
        At its end, before the validation that only measures it; None where it was not wanted.
    validated : tuple of (steps, epochs, mapping)
        The validations of epochs' ends, each after so many steps of the branch.
    batch_size : int
        At its end.
    knobs : mapping or None
        What its knobs keep beside the turns in force, as `Knobs.kept` gives it; None where `state`
        is, or the backend has none.
    """

    validation: Mapping[str, float]
    epoch: int
    batch: int
    state: TrainingState | None
    validated: tuple[tuple[int, int, Mapping[str, float]], ...]
    batch_size: int
    knobs: Mapping[str, Any] | None


@dataclass(slots=True)
class Fork:
    """A training at one step boundary, from which branches begin.

    Attributes
    ----------
    backend : backends.base.Backend
        Its weights move with each branch; nobody else uses it.
    state : TrainingState
        Copied at the boundary.
    guidance : GuidanceState
        In force there.
    turns : sequence of KnobTurn
        In force there and in each branch.
    knobs : mapping or None
        What the knobs keep beside these; None where the backend has none.
    epoch, batch : int
        Epochs completed, and batches that the present one has had.
    changes : sequence of callable ()
        To be done before the next epoch's first batch.
    """

    backend: Any
    state: TrainingState
    guidance: GuidanceState
    turns: Sequence[KnobTurn]
    knobs: Mapping[str, Any] | None
    epoch: int
    batch: int
    changes: Sequence[Callable[[], None]]
    batch_size: int
    members: Any
    seed: int

    def train(
        self,
        guidance: GuidanceState,
        steps: int,
        seed: int,
        step_done: Callable[[], None],
        *,
        keep: bool = False,
    ) -> Trained:
        """Put the state back, and train `steps` steps from there.

        Parameters
        ----------
        guidance : GuidanceState
            In force from the first step on; that of the fork itself goes on where it was.
        seed : int
            0 goes on with the training's own random numbers and batches; others have their own.
        step_done : callable ()
            Called after each step; what it raises ends the branch.
        keep : bool
            Whether to copy the state of its end.

        Returns
        -------
        Trained

        Raises
        ------
        NonFiniteLossError
            If no batch of an epoch has a loss that is finite.
        """
        backend = self.backend
        backend.batch_size, backend.members = self.batch_size, self.members
        rest: Any = self.state.rest
        backend.seed = self.seed + 7919 * seed
        if seed:
            rest = {**rest, "random": None}
            random.seed(backend.seed)
            np.random.seed(backend.seed)  # noqa: NPY002 - the generator that users draw from
        backend.restore(self.state.weights, rest, self.guidance)
        if self.knobs is not None:  # a schedule of the branch before has moved what is beneath
            backend.knobs.take(self.turns, self.knobs)
        backend.begin()
        if guidance is not self.guidance:
            backend.set_guidance(guidance)
        return self._steps(steps, step_done, keep=keep)

    def _steps(self, steps: int, step_done: Callable[[], None], *, keep: bool) -> Trained:
        backend, epoch, batch, done = self.backend, self.epoch, self.batch, 0
        changes = list(self.changes)
        validation: Mapping[str, float] = {}
        validated = []
        if batch and batch == backend.steps_per_epoch:
            validation = backend.evaluate(_go_on) or {}
            backend.end_epoch(validation)
            epoch, batch = epoch + 1, 0
            validated.append((0, epoch, validation))
        while done < steps:
            if not batch:
                for change in changes:
                    change()
                changes = []
            before = done
            for given in backend.train_batches(epoch, skip=batch):
                batch += 1
                try:
                    backend.train_step(given)
                except NonFiniteLossError:
                    pass  # as in the training itself: the batch is left out
                else:
                    done += 1
                    step_done()
                if done == steps:
                    break
            else:
                if done == before:
                    raise NonFiniteLossError("no batch of an epoch has a finite loss")
            if batch == backend.steps_per_epoch:  # at the last step, too: as a training ends
                validation = backend.evaluate(_go_on) or {}
                backend.end_epoch(validation)
                epoch, batch = epoch + 1, 0
                validated.append((done, epoch, validation))
        state, knobs = (_state(backend), _knobs(backend)) if keep else (None, None)
        if batch:  # an epoch that ended with the last step is validated already
            validation = backend.evaluate(_go_on) or {}
        size = int(backend.batch_size)
        return Trained(validation, epoch, batch, state, tuple(validated), size, knobs)


def fork_of(
    backend: Any,
    guidance: GuidanceState,
    turns: Sequence[KnobTurn],
    place: Any,
    changes: Sequence[Any],
) -> Fork:
    """A fork of a backend as it is now, at a step boundary."""
    members = backend.members
    return Fork(
        backend,
        _state(backend),
        guidance,
        turns,
        _knobs(backend),
        int(place["epoch"]),
        int(place["batch"]),
        changes,
        int(backend.batch_size),
        None if members is None else np.array(members),
        int(backend.seed),
    )


def _state(backend: Any) -> TrainingState:
    """A copy of the backend's state, all of it here."""
    state: TrainingState = backend.state({})
    if state.finish is not None:
        state.finish()
    return replace(state, finish=None)


def _knobs(backend: Any) -> Mapping[str, Any] | None:
    """What the backend's knobs keep; None where it has none."""
    kept: Mapping[str, Any] | None = None if backend.knobs is None else backend.knobs.kept()
    return kept


def _go_on() -> bool:
    return True
