"""What the loop needs from a framework: one small protocol.

The loop, the scheduler, the forecaster and the session know only these names; everything
that says ``torch`` or ``keras`` stands in the backend that implements them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


class MissingFrameworkError(ImportError):
    """The framework that a model needs is not installed; the message has the pip command."""


class NonFiniteLossError(ArithmeticError):
    """The loss of a step is NaN or infinite; the step was not taken."""


@dataclass(frozen=True, slots=True)
class Batch:
    """One mini-batch; `inputs` and `targets` are the framework's tensors, on any device."""

    indices: NDArray[np.int64]  # (B,) the data set's own
    inputs: Any  # (B, ...)
    targets: Any  # (B,)


@dataclass(frozen=True, slots=True)
class StepOutput:
    """References to what a step computed anyway; nothing is copied or synchronised."""

    indices: NDArray[np.int64]  # (B,)
    targets: Any  # (B,)
    logits: Any  # (B, C) detached
    loss: Any  # () detached task loss, guidance not included
    guidance_loss: Any | None  # () detached, or None where no guidance is active


@dataclass(frozen=True, slots=True)
class WeightSpec:
    """Name, shape and numpy dtype of one tensor of a snapshot."""

    name: str
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True, slots=True)
class Sample:
    """One input as the model sees it, and its label."""

    input: NDArray[np.float32]  # (C, H, W) for images
    target: int


class Backend(Protocol):
    """A model with its data, ready to be trained one step at a time."""

    name: str
    device: str
    num_classes: int
    num_train: int
    num_val: int
    batch_size: int
    image_size: tuple[int, int]  # (H, W)
    #: True where reading a sample moves the random numbers that training draws
    reads_at_boundary: bool
    #: import path "module:function" that a worker process calls with the model's structure
    explainer: str

    @property
    def steps_per_epoch(self) -> int:
        """Batches an epoch."""

    def begin(self) -> None:
        """Called once, on the training thread, before the first step."""

    def train_batches(self, epoch: int, skip: int = 0) -> Iterator[Batch]:
        """Batches of one epoch in the order that (seed, epoch) gives, after the first `skip`."""

    def train_step(self, batch: Batch) -> StepOutput:
        """One optimizer step. Raises NonFiniteLossError before any weight changes, if it can."""

    def evaluate(self, boundary: Callable[[], bool]) -> dict[str, float] | None:
        """Mean loss and accuracy on the validation data; None if `boundary()` said to stop."""

    def learning_rate(self) -> float:
        """The optimizer's present learning rate."""

    def end_epoch(self, validation: dict[str, float]) -> None:
        """Called after each epoch and its validation; schedules of the learning rate step here."""

    def telemetry_arrays(
        self, outputs: Sequence[StepOutput]
    ) -> list[tuple[NDArray[np.float32], NDArray[np.int64]]]:
        """(B, C) logits and (B,) targets of each output, on the calling thread."""

    def scalar(self, value: Any) -> float:
        """A detached scalar tensor as a float (waits for the device)."""

    def set_guidance(self, guidance: Any) -> str:
        """Use `guidance` (a GuidanceState) from the next step on; returns the losses chosen."""

    def weight_specs(self) -> list[WeightSpec]:
        """What `copy_weights` copies, in order."""

    def copy_weights(self, destination: Sequence[NDArray[Any]]) -> None:
        """Copy parameters and buffers, in the order of `weight_specs`, into `destination`."""

    def read_sample(self, index: int) -> Sample:
        """One training sample as the model sees it."""

    def save_checkpoint(self, path: Path) -> Path:
        """Write the weights as safetensors or npz beside `path`; returns the file."""
