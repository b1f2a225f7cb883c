"""Boosted trees as a backend: a batch is all rows, a step a round, and an epoch is one step."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from copy import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coflect_widget.backends.base import Batch, StepOutput, WeightSpec
from coflect_widget.backends.in_memory import InMemoryBackend, Rows
from coflect_widget.backends.trees import methods
from coflect_widget.backends.trees.forest import Forest
from coflect_widget.backends.trees.growing import GROWERS, RATE, Grower
from coflect_widget.config import Config
from coflect_widget.modalities.base import Modality
from coflect_widget.tasks import Classification, Regression, Task

_LIKELY = 1e-12
#: Maps that need no gradient.
MAPS = ("shapley",)
NO_GUIDANCE = (
    "boosted trees take no guidance while they grow; leave the column out and train again, "
    "quickstart(..., leave_out=[...])"
)


class TreesBackend(InMemoryBackend):
    """Implements `backends.base.Backend` for a `Forest`.

    Parameters
    ----------
    model : Forest
    train_data, val_data : pair of ndarray
        Rows (N, columns), and classes (N,) or values (N, 1).
    """

    name = "trees"
    explainer = "coflect_widget.backends.trees.methods:load"
    takes, called = Forest, "a Forest"
    without = "boosted trees, which have their own"
    no_guidance, lacks = NO_GUIDANCE, "what the next round begins from"

    def __init__(
        self,
        model: Forest,
        train_data: Any,
        val_data: Any | None,
        *,
        num_classes: int | None = None,
        loss: Any = None,
        optimizer: Any = None,
        scheduler: Any = None,
        batch_size: int,
        config: Config,
        modality: Modality | None = None,
    ) -> None:
        self.refuse(model, loss=loss, optimizer=optimizer, scheduler=scheduler)
        del batch_size
        self.model, self.seed = model, config.seed
        self._specs = methods.specs_of(model)
        if modality is not None:
            self.modality = copy(modality)
            self.modality.methods = MAPS
        x, targets = (np.asarray(part) for part in train_data)
        self.train = x, targets
        self.val = None if val_data is None else (np.asarray(val_data[0]), np.asarray(val_data[1]))
        self.batch_size = len(x)
        # Values are (N, 1), and classes are told by whole numbers.
        self.num_classes = 0 if targets.ndim > 1 else int(num_classes or model.outputs)
        self.task: Task = Classification(self.num_classes) if self.num_classes else Regression()
        self._grower: Grower | None = None
        self._told = self._val_told = np.zeros((0, model.outputs))

    # --- training ------------------------------------------------------------------------------

    @property
    def steps_per_epoch(self) -> int:
        return 1

    def begin(self) -> None:
        if self._grower is None:
            if len(self.model):
                raise ValueError("trees that were grown elsewhere do not grow on; begin a new run")
            kind = GROWERS[self.model.learner]
            self._grower = kind(*self.train, self.num_classes, self.model.seed)
            self._told = np.zeros((self.num_train, self.model.outputs))
            self._val_told = np.zeros((self.num_val, self.model.outputs))

    def train_batches(self, epoch: int, skip: int = 0) -> Iterator[Batch]:
        if not skip:
            yield Batch(np.arange(self.num_train), *self.train)

    def train_step(self, batch: Batch) -> StepOutput:
        assert self._grower is not None  # noqa: S101 - the loop calls `begin` before
        before, trees = (self.model.start + self._told).astype(np.float32), len(self.model)
        self.model.grow(self._grower.round())
        if not trees:  # what is told without trees is known from the first round on
            self.model.start = self._grower.start
            before += self.model.start.astype(np.float32)
        x, targets = self.train
        self._told += self.model.told(x, trees)
        if self.val is not None:
            self._val_told += self.model.told(self.val[0], trees)
        return self.step_output(batch.indices, before, batch.targets, _loss(before, targets), None)

    def judged(self, val: Rows) -> dict[str, float]:
        told, wanted = self.model.start + self._val_told, val[1]
        return {"loss": _loss(told, wanted), self.task.metrics()[1]: _quality(told, wanted)}

    def learning_rate(self) -> float:
        return RATE

    # --- weights -------------------------------------------------------------------------------

    def weight_specs(self) -> list[WeightSpec]:
        return self._specs

    def copy_weights(self, destination: Sequence[NDArray[Any]]) -> None:
        methods.copy_to(self.model, self._specs, destination)

    def structure(self) -> bytes:
        return methods.structure(self.model)


def _loss(told: NDArray[Any], wanted: NDArray[Any]) -> float:
    """Mean cross-entropy of logits (N, classes), or mean square of what is missed."""
    if wanted.ndim > 1:
        return float(((told - wanted) ** 2).mean())
    moved = told - told.max(1, keepdims=True)
    shares = np.exp(moved) / np.exp(moved).sum(1, keepdims=True)
    return float(-np.log(shares[np.arange(len(wanted)), wanted] + _LIKELY).mean())


def _quality(told: NDArray[Any], wanted: NDArray[Any]) -> float:
    """Accuracy, or R squared."""
    if wanted.ndim > 1:
        spread = float(((wanted - wanted.mean(0)) ** 2).mean())
        return 1 - float(((told - wanted) ** 2).mean()) / spread if spread else math.nan
    return float((told.argmax(1) == wanted).mean())
