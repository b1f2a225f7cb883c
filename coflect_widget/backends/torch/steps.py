"""What all torch backends have alike, whoever takes the steps: the optimizer, and what is told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from numpy.typing import NDArray

from coflect_widget.backends.base import StepOutput, WeightSpec
from coflect_widget.backends.sourced import SourcedBackend
from coflect_widget.backends.torch.knobs import TorchKnobs
from coflect_widget.backends.torch.loader import NextIndices, follow
from coflect_widget.backends.torch.optimizers import make_optimizer
from coflect_widget.backends.torch.outputs import as_floats, one_after_the_other, one_piece
from coflect_widget.backends.torch.schedules import make_scheduler
from coflect_widget.backends.torch.weights import WeightCopies, specs


def any_batch(_rows: int) -> None:
    """How many samples a batch may have is the business of a loop of the user's own."""


class OfSteps(SourcedBackend):
    """The part of a torch backend that is the same whoever takes the steps.

    A subclass sets `model`, and `_copies` where its weights are copied.
    """

    model: Any
    _copies: WeightCopies

    def take_optimizer(
        self,
        optimizer: Any,
        scheduler: Any,
        *,
        validates: bool = False,
        try_batch: Callable[[int], None] = any_batch,
    ) -> None:
        """Set the optimizer of `model`, its schedule and the knobs on both.

        Parameters
        ----------
        validates : bool
            Whether the training tells a schedule of its validation.
        try_batch : callable (rows)
            See `knobs.TorchKnobs`.
        """
        self.optimizer = make_optimizer(optimizer, self.model)
        self.scheduler = make_scheduler(scheduler, self.optimizer, validates=validates)
        self.shares_optimizer = isinstance(optimizer, torch.optim.Optimizer)
        self.knobs = TorchKnobs(self.model, self.optimizer, self.scheduler, try_batch)

    def learning_rate(self) -> float:
        return float(self.optimizer.param_groups[0]["lr"])

    concatenate = staticmethod(one_piece)

    def telemetry_arrays(self, outputs: Sequence[StepOutput]) -> tuple[Any, Any]:
        return one_after_the_other(outputs)

    def scalars(self, values: Sequence[Any]) -> list[float]:
        return as_floats(values)

    def follow(self, loader: Any) -> AbstractContextManager[NextIndices]:
        return follow(loader, self.num_train, self.train_source.given)

    def weight_specs(self) -> list[WeightSpec]:
        return specs(self.model)

    def copy_weights(self, destination: Sequence[NDArray[Any]]) -> Callable[[], None] | None:
        return self._copies.copy(self.model, destination)
