"""Boosted trees as a backend: a batch is all rows, a step a round, and an epoch is one step."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from copy import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coflect_widget.backends.base import Batch, Sample, StepOutput, WeightSpec
from coflect_widget.backends.defaults import BackendDefaults
from coflect_widget.backends.state import Memory, TrainingState, copied
from coflect_widget.backends.trees import methods
from coflect_widget.backends.trees.forest import Forest
from coflect_widget.backends.trees.growing import GROWERS, RATE, Grower
from coflect_widget.config import Config
from coflect_widget.modalities.base import Modality
from coflect_widget.records.trees import Arrays
from coflect_widget.tasks import Classification, Regression, Task

_LIKELY = 1e-12
#: Maps that need no gradient.
MAPS = ("shapley",)
NO_GUIDANCE = (
    "boosted trees take no guidance while they grow; leave the column out and train again, "
    "quickstart(..., leave_out=[...])"
)


class TreesBackend(BackendDefaults):
    """Implements `backends.base.Backend` for a `Forest`.

    Parameters
    ----------
    model : Forest
    train_data, val_data : pair of ndarray
        Rows (N, columns), and classes (N,) or values (N, 1).
    """

    name, device, reads_at_boundary = "trees", "cpu", False
    explainer = "coflect_widget.backends.trees.methods:load"

    def __init__(
        self,
        model: Forest,
        train_data: Any,
        val_data: Any | None,
        *,
        num_classes: int | None,
        loss: Any = None,
        optimizer: Any = None,
        scheduler: Any = None,
        batch_size: int,
        config: Config,
        modality: Modality | None = None,
    ) -> None:
        if not isinstance(model, Forest):
            raise TypeError(f"model is a {type(model).__name__}; expected a Forest")
        for argument, value in (("loss", loss), ("optimizer", optimizer), ("scheduler", scheduler)):
            if value is not None:
                raise ValueError(f"{argument}= is not for boosted trees, which have their own")
        del batch_size
        self.model, self.seed = model, config.seed
        self._specs = methods.specs_of(model)
        if modality is not None:
            self.modality = copy(modality)
            self.modality.methods = MAPS
        self._x, self._targets = (np.asarray(part) for part in train_data)
        self._val = None if val_data is None else tuple(np.asarray(part) for part in val_data)
        self.num_train = self.batch_size = len(self._x)
        self.num_val = 0 if self._val is None else len(self._val[0])
        # Values are (N, 1), and classes are told by whole numbers.
        self.num_classes = 0 if self._targets.ndim > 1 else int(num_classes or model.outputs)
        self.task: Task = Classification(self.num_classes) if self.num_classes else Regression()
        self.reads_val = self._val is not None
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
            self._grower = kind(self._x, self._targets, self.num_classes, self.model.seed)
            self._told = np.zeros((self.num_train, self.model.outputs))
            self._val_told = np.zeros((self.num_val, self.model.outputs))

    def train_batches(self, epoch: int, skip: int = 0) -> Iterator[Batch]:
        if not skip:
            yield Batch(np.arange(self.num_train), self._x, self._targets)

    def train_step(self, batch: Batch) -> StepOutput:
        assert self._grower is not None  # noqa: S101 - the loop calls `begin` before
        before, trees = (self.model.start + self._told).astype(np.float32), len(self.model)
        self.model.grow(self._grower.round())
        if not trees:  # what is told without trees is known from the first round on
            self.model.start = self._grower.start
            before += self.model.start.astype(np.float32)
        self._told += self.model.told(self._x, trees)
        if self._val is not None:
            self._val_told += self.model.told(self._val[0], trees)
        loss = _loss(before, self._targets)
        return self.step_output(batch.indices, before, batch.targets, loss, None)

    def step_output(
        self, indices: NDArray[np.int64], logits: Any, targets: Any, loss: Any, guidance_loss: Any
    ) -> StepOutput:
        return StepOutput(indices, targets, logits, loss, guidance_loss)

    def evaluate(self, boundary: Callable[[], bool]) -> dict[str, float] | None:
        del boundary
        if self._val is None:
            return {}
        told, wanted = self.model.start + self._val_told, self._val[1]
        return {"loss": _loss(told, wanted), self.task.metrics()[1]: _quality(told, wanted)}

    def learning_rate(self) -> float:
        return RATE

    def end_epoch(self, validation: dict[str, float]) -> None:
        pass

    def set_guidance(self, guidance: Any) -> str:
        raise ValueError(NO_GUIDANCE)

    # --- weights, samples ----------------------------------------------------------------------

    def weight_specs(self) -> list[WeightSpec]:
        return self._specs

    def copy_weights(self, destination: Sequence[NDArray[Any]]) -> None:
        methods.copy_to(self.model, self._specs, destination)

    def state(self, memory: Memory, *, own_loop: bool = False) -> TrainingState:
        del own_loop
        weights: Arrays = {
            name: copied(memory, name, w) for name, w in self.model.weights().items()
        }
        return TrainingState(weights, {}, lacks=["what the next round begins from"])

    def structure(self) -> bytes:
        return methods.structure(self.model)

    def read_sample(self, index: int) -> Sample:
        return _sample(self._x, self._targets, index)

    def read_val_sample(self, index: int) -> Sample:
        if self._val is None:
            raise IndexError("there is no validation data")
        return _sample(self._val[0], self._val[1], index)

    def labels(self) -> NDArray[Any]:
        return self._targets

    def probes(self) -> list[NDArray[np.float32]]:
        return list(self._x[:8])


def _sample(x: NDArray[Any], targets: NDArray[Any], index: int) -> Sample:
    if targets.ndim > 1:
        return Sample(x[index], 0, targets[index].astype(np.float32))
    return Sample(x[index], int(targets[index]))


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
