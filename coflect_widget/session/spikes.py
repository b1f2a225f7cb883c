"""The samples behind a loss that is far above the usual, or not finite: named, to be left out."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coflect_widget.backends.base import StepOutput
from coflect_widget.events import Notice, Spike, finite
from coflect_widget.session.telling import Telling
from coflect_widget.tasks.base import Task
from coflect_widget.telemetry.spikes import SpikeWatch, carriers
from coflect_widget.telemetry.store import LEFT_OUT, SampleStore
from coflect_widget.training.non_finite import Culprits

#: Samples that an event names, and a sentence.
LISTED, NAMED = 64, 8


class Spikes:
    """Names them; on the forecaster's thread, but for `not_finite`.

    Parameters
    ----------
    backend, task, store, tell
    picture : callable (index)
        Keeps a small picture of a sample in the run folder.
    """

    def __init__(
        self,
        backend: Any,
        task: Task,
        store: SampleStore,
        tell: Telling,
        picture: Callable[[int], object],
    ) -> None:
        self._backend = backend
        self._task = task
        self._tell = tell
        self._store = store
        self._picture = picture
        self._watch = SpikeWatch()
        self._since: int | None = None  # step of the newest that is shown

    def look(
        self, items: Sequence[tuple[int, int, int, StepOutput]], losses: NDArray[np.float64]
    ) -> None:
        """Steps were taken in, with these losses (S,)."""
        # A step whose samples a person has left out has no loss.
        trained = np.flatnonzero([len(output.indices) > 0 for *_, output in items])
        for at, usual in self._watch.add(losses[trained]):
            _, step, epoch, output = items[trained[at]]
            loss = float(losses[trained[at]])
            rows, values = self._carriers(output, loss, usual[1])
            spike = Spike(
                loss=loss,
                usual=usual,
                index=output.indices[rows].tolist(),
                value=[finite(float(value)) for value in values],
                text=_sentence(loss, usual, output.indices[rows], values),
            )
            self._since = step
            self._tell.at(step, epoch, spike)
            for index in spike.index[:NAMED]:
                self._picture(index)
        _, step, epoch, _ = items[-1]
        if self._since is not None and step - self._since > self._backend.steps_per_epoch:
            over = f"No spike of the loss in the epoch since step {self._since}."
            self._since = None
            self._tell.at(step, epoch, Notice(level="info", text=over, alarm="spike", over=True))

    def not_finite(self, step: int, found: Culprits) -> None:
        """The loss of a step was NaN or infinite, because of these samples; any thread."""
        if not found.samples:
            return
        usual = self._watch.usual or (0.0, 0.0)
        named = list(found.samples[:LISTED])
        self._since = step
        self._tell.emit(
            Spike(
                loss=None,
                usual=usual,
                index=named,
                value=[None] * len(named),
                text=f"The loss was not finite: {found.sentence}.",
            )
        )

    def _carriers(
        self, output: StepOutput, loss: float, high: float
    ) -> tuple[NDArray[np.int64], NDArray[np.floating]]:
        """Rows that carry a spike, at most `LISTED`, and their own losses."""
        logits, targets = self._backend.telemetry_arrays([output])
        own = np.nan_to_num(self._task.losses(logits, targets), nan=np.inf, posinf=3e38)
        own[self._store.flags[output.indices] & LEFT_OUT > 0] = 0  # it weighs nothing
        mean = float(own.mean(dtype=np.float64)) if len(own) else 0.0
        # A loss of the user's own has another unit: compared in parts of what it came to.
        unit = mean / loss if math.isfinite(mean) and mean > 0 else 1.0
        rows = carriers(own, high * unit)[:LISTED]
        return rows, own[rows]


def _sentence(
    loss: float, usual: tuple[float, float], samples: NDArray[np.int64], values: Any
) -> str:
    low, high = usual
    text = f"The loss jumped to {loss:.3g}; it is usually from {low:.3g} to {high:.3g}."
    if not len(samples):
        return f"{text} No few samples carry it: most of the batch does."
    pairs = zip(samples[:NAMED].tolist(), values[:NAMED], strict=True)
    named = ", ".join(f"{index} ({value:.3g})" for index, value in pairs)
    more = f" and {len(samples) - NAMED} more" if len(samples) > NAMED else ""
    one = len(samples) == 1
    return (
        f"{text} Without sample{'s' * (not one)} {named}{more} the batch's loss would have been "
        "usual."
    )
