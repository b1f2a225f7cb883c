"""What backends have in common whose model is plain arrays and whose data lie in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coflect_widget.backends.base import Sample, StepOutput
from coflect_widget.backends.defaults import BackendDefaults
from coflect_widget.backends.last_layer import LastLayer
from coflect_widget.backends.state import Memory, TrainingState, copied
from coflect_widget.records.trees import Arrays

Rows = tuple[NDArray[Any], NDArray[Any]]


class InMemoryBackend(BackendDefaults):
    """A backend of rows (N, columns) and of a model that gives its ``weights()`` as arrays.

    A subclass sets `train`, `val`, `seed` and `num_classes`.

    Attributes
    ----------
    train, val : pair of ndarray
        Rows (N, columns) and targets, class numbers (N,) or values (N, D); `val` may be None.
    """

    device, reads_at_boundary = "cpu", False
    #: kind of the model, what messages call it, and why it takes no loss, optimizer or schedule
    takes: type
    called: str
    without: str
    #: why there is no guidance, and what a checkpoint lacks
    no_guidance: str
    lacks: str
    model: Any
    train: Rows
    val: Rows | None

    def refuse(self, model: object, **given: Any) -> None:
        """Raise TypeError for a model of another kind, ValueError for arguments without meaning."""
        if not isinstance(model, self.takes):
            raise TypeError(f"model is a {type(model).__name__}; expected {self.called}")
        for argument, value in given.items():
            if value is not None:
                raise ValueError(f"{argument}= is not for {self.without}")

    @property
    def num_train(self) -> int:
        return len(self.train[0])

    @property
    def num_val(self) -> int:
        return 0 if self.val is None else len(self.val[0])

    @property
    def reads_val(self) -> bool:  # type: ignore[override]  # a constant of the class there
        return self.val is not None

    # --- training ------------------------------------------------------------------------------

    def step_output(
        self, indices: NDArray[np.int64], logits: Any, targets: Any, loss: Any, guidance_loss: Any
    ) -> StepOutput:
        return StepOutput(indices, targets, logits, loss, guidance_loss)

    def judged(self, val: Rows) -> dict[str, float]:
        """Loss and quality on the validation data."""
        raise NotImplementedError

    def evaluate(self, boundary: Callable[[], bool]) -> dict[str, float] | None:
        del boundary
        return {} if self.val is None else self.judged(self.val)

    def end_epoch(self, validation: dict[str, float]) -> None:
        pass

    def set_guidance(self, guidance: Any) -> str:
        raise ValueError(self.no_guidance)

    def last_layer(self, probe: NDArray[Any]) -> LastLayer:
        """None of them has one."""
        raise ValueError(f"there is no last layer to fit again; {self.no_guidance}")

    # --- weights, samples ----------------------------------------------------------------------

    def state(self, memory: Memory, *, own_loop: bool = False) -> TrainingState:
        del own_loop
        weights: Arrays = {
            name: copied(memory, name, w) for name, w in self.model.weights().items()
        }
        return TrainingState(weights, {}, lacks=[self.lacks])

    def read_sample(self, index: int) -> Sample:
        return _sample(self.train, index)

    def read_val_sample(self, index: int) -> Sample:
        if self.val is None:
            raise IndexError("there is no validation data")
        return _sample(self.val, index)

    def labels(self) -> NDArray[Any]:
        return self.train[1]

    def probes(self) -> list[NDArray[np.float32]]:
        return list(self.train[0][:8])


def _sample(rows: Rows, index: int) -> Sample:
    x, targets = rows
    if targets.ndim > 1:
        return Sample(x[index], 0, targets[index].astype(np.float32))
    return Sample(x[index], int(targets[index]))
