"""A loss that is NaN or infinite: training holds, and the person hears whose fault it is."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any, Protocol

import numpy as np

from coflect_widget import events
from coflect_widget.backends.base import Batch, NonFiniteLossError, StepOutput
from coflect_widget.session.samples import Samples
from coflect_widget.session.telling import Telling
from coflect_widget.tasks.base import Task, to_numpy
from coflect_widget.training.controls import Controls
from coflect_widget.training.non_finite import Culprits, alone, find_culprits, remedy
from coflect_widget.training.own_loop import OwnLoop

READ_AGAIN = 256  # samples of a batch whose loss is not finite that are read again, at most


class Shown(Protocol):
    """A dashboard that was made."""

    @property
    def greeted(self) -> bool:
        """Whether a browser has ever shown it."""

    def settle(self) -> None:
        """Have the cell that is about to end show what has happened until now."""


class Holding:
    """Holds training where going on would spoil it.

    Attributes
    ----------
    screens : list of Shown
        The dashboards that were made: in this process, and for others.
    broken : NonFiniteLossError or None
        Why training holds, where a loss was not finite.

    Parameters
    ----------
    backend, task, controls, own_loop, samples, tell
        What it acts on.
    not_finite : callable (step, Culprits)
        Shows the samples behind such a loss.
    """

    def __init__(
        self,
        backend: Any,
        task: Task,
        controls: Controls,
        own_loop: OwnLoop,
        samples: Samples,
        tell: Telling,
        not_finite: Callable[[int, Culprits], None],
    ) -> None:
        self.screens: list[Shown] = []
        self.broken: NonFiniteLossError | None = None
        self._backend = backend
        self._task = task
        self._controls = controls
        self._own_loop = own_loop
        self._samples = samples
        self._tell = tell
        self._not_finite = not_finite
        self._said: set[str] = set()

    @property
    def watched(self) -> bool:
        """Whether a browser has ever shown a dashboard of this session: somebody can resume."""
        return any(screen.greeted for screen in self.screens)

    def settle(self) -> None:
        """Have what was shown in a cell follow before the cell that waited for it ends."""
        for screen in self.screens:
            screen.settle()

    def loss(self, step: int, error: NonFiniteLossError) -> None:
        """The loss of a step was not finite; on the training thread."""
        self._hold()
        if error.elsewhere:
            return  # that process says whose fault it is
        batch = error.batch
        found = Culprits()
        if batch is not None:
            found = find_culprits(
                batch.indices, batch.inputs, batch.targets, error.logits, task=self._task
            )
            if not found.in_data:
                rows = self._alone(batch)
                if rows is not None and found.in_outputs:  # which says more than the loss does
                    rows = replace(rows, sentence=found.sentence, samples=found.samples)
                found = rows or found
        self._say(step, str(error), found)

    def _alone(self, batch: Batch) -> Culprits | None:
        """The rows whose loss is not finite by itself, where they are not all of a batch.

        Where rows are normalised together one of them spoils all.
        """
        if not 1 < len(batch.indices) <= READ_AGAIN:
            return None
        try:
            losses = self._backend.losses_alone(batch)
            odd = np.flatnonzero(~np.isfinite([] if losses is None else losses))
        except Exception:  # noqa: BLE001 - a model that fails on one row tells nothing
            return None
        if not 0 < len(odd) < len(batch.indices):
            return None
        samples = tuple(int(k) for k in batch.indices[odd])
        return Culprits(samples, alone(samples), in_data=True)

    def outputs(self, step: int, output: StepOutput) -> None:
        """As `loss`, where a step does not look: a device, or a loop of the user's own."""
        self._hold()
        logits, targets = (to_numpy(a, None) for a in self._backend.telemetry_arrays([output]))
        odd = ~np.isfinite(logits.reshape(len(logits), -1)).all(axis=1)
        what = "the loss is not finite"
        if odd.any():
            what = f"{self._task.words.outputs} are NaN or infinite"
        rows = (np.flatnonzero(odd) if odd.any() else np.arange(len(logits)))[:READ_AGAIN]
        found = Culprits()
        with suppress(Exception):  # data that cannot be read are no reason to say nothing
            read = [self._samples.train(int(k)) for k in output.indices[rows]]
            inputs = np.stack([sample.input for sample in read])
            found = find_culprits(output.indices[rows], inputs, task=self._task)
        if not found.samples:
            found = find_culprits(output.indices, None, targets, logits, task=self._task)
        self._say(step, what, found)

    def told(self, step: int, what: str, found: Culprits) -> None:
        """The same of a step of another process, which has looked whose fault it is."""
        self._hold()
        self._say(step, what, found)

    def _hold(self) -> None:
        """Hold, unless it is a loop of the user's own that nobody could let go on again."""
        if self.watched or not self._own_loop.open:
            self._controls.pause()

    def _say(self, step: int, what: str, found: Culprits) -> None:
        """Tell the person, and whoever waits."""
        self._not_finite(step, found)
        may_judge = self._backend.takes_labels and self._task.labelled
        advice = remedy(found, may_judge=may_judge)
        who = f" {found.sentence}." if found.sentence else ""
        record = events.NonFinite(
            samples=list(found.samples),
            in_data=found.in_data,
            sentence=found.sentence,
            may_leave_out=may_judge,
        )
        if not self._own_loop.open:
            text = f"Paused after step {step}: {what}.{who} {advice}"
            self.broken = NonFiniteLossError(text)
            self._tell.emit(record)
            self._tell.notice("error", text)
            return
        if not self.watched:
            if (said := f"{what}{who}") in self._said:
                return  # each epoch would say the same
            self._said.add(said)
            advice = "The loop goes on, because no dashboard is shown in which to resume it."
        held = "Paused after" if self.watched else "After"
        text = f"{held} step {step}: {what}.{who} {advice}"
        self._tell.emit(record)
        self._tell.notice("error", text)
        warnings.warn(text, RuntimeWarning, stacklevel=2)  # the cell or script is the loop's own
