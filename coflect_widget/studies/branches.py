"""Branches of a training: from one state, with the same batches, under one guidance or another."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from coflect_widget.backends.base import NonFiniteLossError
from coflect_widget.backends.state import TrainingState
from coflect_widget.guidance.state import GuidanceState


class Ended(RuntimeError):  # noqa: N818 - nothing is wrong: a person has ended it
    """A person has ended the branches."""


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
    epoch, batch : int
        Epochs completed, and batches that the present one has had.
    changes : sequence of callable ()
        To be done before the next epoch's first batch.
    """

    backend: Any
    state: TrainingState
    guidance: GuidanceState
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
    ) -> Mapping[str, float]:
        """Put the state back, and train `steps` steps from there.

        Parameters
        ----------
        guidance : GuidanceState
            In force from the first step on; that of the fork itself goes on where it was.
        seed : int
            0 goes on with the training's own random numbers and batches; others have their own.
        step_done : callable ()
            Called after each step; what it raises ends the branch.

        Returns
        -------
        mapping
            The validation of the branch's end; empty where there are no validation data.

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
        backend.begin()
        if guidance is not self.guidance:
            backend.set_guidance(guidance)
        return self._steps(steps, step_done)

    def _steps(self, steps: int, step_done: Callable[[], None]) -> Mapping[str, float]:
        backend, epoch, batch, done = self.backend, self.epoch, self.batch, 0
        changes = list(self.changes)
        validation: Mapping[str, float] = {}
        if batch and batch == backend.steps_per_epoch:
            backend.end_epoch(backend.evaluate(_go_on))
            epoch, batch = epoch + 1, 0
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
        # An epoch that ended with the last step is validated already.
        found: Mapping[str, float] = (backend.evaluate(_go_on) or {}) if batch else validation
        return found


def fork_of(backend: Any, guidance: GuidanceState, place: Any, changes: Sequence[Any]) -> Fork:
    """A fork of a backend as it is now, at a step boundary."""
    state = backend.state({})
    if state.finish is not None:
        state.finish()
    members = backend.members
    return Fork(
        backend,
        replace(state, finish=None),
        guidance,
        int(place["epoch"]),
        int(place["batch"]),
        changes,
        int(backend.batch_size),
        None if members is None else np.array(members),
        int(backend.seed),
    )


def _go_on() -> bool:
    return True
