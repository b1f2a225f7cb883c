"""What the loop needs from a framework: one small protocol.

The loop, the scheduler, the forecaster and the session know only these names; everything
that says ``torch`` or ``keras`` stands in the backend that implements them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from coflect_widget.backends.differentiable import Guided
from coflect_widget.backends.knobs import Knobs
from coflect_widget.backends.last_layer import LastLayer
from coflect_widget.backends.state import Memory, TrainingState
from coflect_widget.distributed.group import Group
from coflect_widget.modalities.base import Modality
from coflect_widget.records.trees import Arrays
from coflect_widget.tasks.base import Task


class MissingFrameworkError(ImportError):
    """The framework that a model needs is not installed; the message has the pip command."""


class NonFiniteLossError(ArithmeticError):
    """The loss of a step is NaN or infinite; the step was not taken.

    Attributes
    ----------
    batch : Batch or None
        What the step was of; the loop knows it where the backend does not say so.
    logits : tensor (B, C) or None
        What the model gave for it.
    elsewhere : bool
        Whether it was the batch of another process.
    """

    def __init__(
        self,
        text: str,
        batch: Batch | None = None,
        logits: Any = None,
        *,
        elsewhere: bool = False,
    ) -> None:
        super().__init__(text)
        self.elsewhere = elsewhere
        self.batch, self.logits = batch, logits


class Batch(NamedTuple):
    """One mini-batch; `inputs` and `targets` are the framework's tensors, on any device."""

    indices: NDArray[np.int64]  # (B,) the data set's own
    inputs: Any  # (B, ...); several inputs are packed in rows (B, T)
    targets: Any  # (B,)


@dataclass(slots=True)
class StepOutput:
    """What a step computed anyway, as references or copies; nothing is synchronised."""

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

    input: NDArray[np.float32]  # (C, H, W) of a picture; several inputs are packed in a row (T,)
    target: int
    targets: NDArray[np.float32] | None = None  # (D,), where there is more than a class number


@lru_cache(maxsize=8)
def batch_cuts(length: int, batch_size: int) -> tuple[tuple[int, int], ...]:
    """First and last place (not included) of each batch of an epoch over `length` samples.

    Batch normalisation cannot train on one sample: a single one left over joins the others,
    unless batches of one are what was asked for.
    """
    cuts = [(a, min(a + batch_size, length)) for a in range(0, length, batch_size)]
    if batch_size > 1 and len(cuts) > 1 and cuts[-1][1] - cuts[-1][0] == 1:
        last = cuts.pop()
        cuts[-1] = (cuts[-1][0], last[1])
    return tuple(cuts)


def epoch_order(seed: int, epoch: int, members: range | NDArray[np.int64]) -> NDArray[np.int64]:
    """The samples of an epoch, `members` or all of a range from 0, as (seed, epoch) orders them."""
    order = np.random.default_rng([seed, epoch]).permutation(len(members))
    return order if isinstance(members, range) else members[order]


def class_weights(given: Mapping[int, float], classes: int) -> NDArray[np.float32]:
    """Weight of each class (classes,), 1 where none is given.

    Raises
    ------
    ValueError
        If a key is no class, or a weight no number of at least 0.
    """
    weights = np.ones(classes, np.float32)
    if not isinstance(given, Mapping):
        raise ValueError(
            f"class_weight={given!r} must be a mapping of class numbers to weights, for example "
            "class_weight={0: 1.0, 1: 2.5}, or dict(enumerate(weights))"
        )
    for number, weight in given.items():
        if not (isinstance(number, int | np.integer) and 0 <= number < classes):
            raise ValueError(f"class_weight has {number!r}; classes are 0..{classes - 1}")
        if not (isinstance(weight, int | float | np.number) and 0 <= weight < float("inf")):
            raise ValueError(f"class_weight[{number}] = {weight!r} must be a number of at least 0")
        weights[number] = weight
    return weights


def processors() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def unknown_order(_loader: object) -> Iterator[Callable[[], NDArray[np.int64] | None]]:
    """What `Backend.follow` gives where the order of a loader cannot be known."""
    yield lambda: None


class Backend(Protocol):
    """A model with its data, ready to be trained one step at a time.

    `backends.defaults` has what a backend need not say itself, marked here with an asterisk.
    """

    name: str
    device: str
    model: Any
    #: classes that the model tells apart, 0 where its outputs are values
    num_classes: int
    num_train: int
    num_val: int
    batch_size: int
    #: * samples that an epoch goes over, None for all; set between two epochs
    members: NDArray[np.int64] | None
    #: * what a person may turn; None where that is nothing
    knobs: Knobs | None
    #: * whether a loop of the user's own steps the optimizer that `knobs` turns
    shares_optimizer: bool
    #: * what an input is, where the backend knows; else the session finds out
    modality: Modality | None
    #: True where reading a sample moves the random numbers that training draws
    reads_at_boundary: bool
    #: * the same for samples of the validation data
    val_reads_at_boundary: bool
    #: * what is right and wrong, where `num_classes` does not tell
    task: Task | None
    #: * import path "module:function" that a worker process calls with the model's structure; it
    #: gives a `differentiable.WorkerModel`, or an `attribution.worker.Explainer`. "": no maps
    explainer: str
    #: * import path of a `portable.Portable`, made from `structure()` and a device; "": none, and
    #: the model is neither exported nor evaluated
    portable: str
    #: * why its weights cannot be copied, and there are no checkpoints; "": they can
    without_weights: str
    #: * what a person should know; the loop tells it and takes it off
    warnings: list[str]
    #: * what was guessed about model and data, a sentence each, where the guess could matter: the
    #: session tells it and writes it into ``config.yaml``
    assumptions: list[str]
    #: * whether `set_labels` and `label_of` can be asked
    takes_labels: bool
    #: * whether `read_val_sample` can be asked
    reads_val: bool
    #: * (model, keywords, output of a call) -> losses (B,), where samples are known by these alone
    losses_of_output: Callable[[Any, dict[str, Any], Any], Any] | None
    #: * whether this process is of a training of several that another process leads
    follows: bool
    #: * whether `last_layer` can be asked
    refits: bool
    #: * whether processes that train this model together have met, before their training or in it
    several: bool

    @property
    def lapses(self) -> list[Any]:
        """* Guidance (guidance.lapses.Lapse) that went out of force by itself.

        The loop tells it and takes it off.
        """

    @property
    def steps_per_epoch(self) -> int:
        """Batches an epoch."""

    @property
    def fills_processors(self) -> bool:
        """* Whether a step computes on every processor that this process may use.

        Then work beside it holds all its threads up, and costs more than a rest for it.
        """

    # --- training ------------------------------------------------------------------------------

    def expect(self, steps: int) -> None:
        """* So many more steps are about to be trained by the loop.

        What it guesses by that is appended to `assumptions`.
        """

    def group(self) -> Group:
        """* The processes that train this model together; all call it at the same place."""

    def share(self, group: Group) -> None:
        """* Go over this process's share of each epoch from now on, in equally many steps.

        Raises
        ------
        ValueError
            If the model is none whose steps several processes take together.
        """

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

    def finish(self) -> None:
        """* Called once a training has ended without an error."""

    def state(self, memory: Memory, *, own_loop: bool = False) -> TrainingState:
        """* Copy all that the next step depends on; at a step boundary, and quickly.

        Weights, buffers, optimizer, schedule, random states, guidance in force. `own_loop`: the
        steps are those of a loop that the backend does not make. Where it is missing, a checkpoint
        has the weights alone.
        """

    def restore(self, weights: Arrays, rest: Mapping[str, Any], guidance: Any) -> None:
        """* Put back what `state` gave, into a model of the same names and shapes.

        `guidance` is the GuidanceState that was in force. The random states are put back by the
        next `begin`.

        Raises
        ------
        ValueError
            If something does not fit, or the backend cannot.
        """

    def draw_states(self) -> dict[str, Any]:
        """* Of all random generators that the data and the steps draw from."""

    def put_draw_states(self, kept: Mapping[str, Any]) -> None:
        """* Put back what `draw_states` gave."""

    # --- telemetry, and loops of the user's own ------------------------------------------------

    def telemetry_arrays(self, outputs: Sequence[StepOutput]) -> tuple[Any, Any]:
        """* Outputs (R, ...) and targets (R, ...) of these steps, one after the other.

        numpy arrays, or those of a framework of the array API standard, which a task then reduces
        on the device where they are. Called on the forecaster's thread. It raises where their
        shapes do not fit together, and is then asked for each alone.
        """

    def scalars(self, values: Sequence[Any]) -> list[float]:
        """* Detached scalar tensors as floats (waits for the device, once)."""

    def observed(self, rows: int, logits: Any, targets: Any, loss: Any) -> tuple[Any, Any, Any]:
        """* What a loop of the user's own gave of a step: outputs and targets, (B, ...) each, loss.

        The loss is the mean, or None. `rows` are those that may be meant: there are no more.

        Raises
        ------
        ValueError
            If something is missing, or is not of these rows.
        """

    def step_output(
        self, indices: NDArray[np.int64], logits: Any, targets: Any, loss: Any, guidance_loss: Any
    ) -> StepOutput:
        """What a loop of the user's own computed; nothing is copied or synchronised.

        `targets` may be (B, classes); `loss` None means cross-entropy of the logits.
        """

    def concatenate(self, parts: Sequence[Any]) -> Any:
        """* Logits (B, C), or targets (B,), of the pieces of one step, one after the other."""

    def follow(self, loader: Any) -> AbstractContextManager[Callable[[], NDArray[np.int64] | None]]:
        """* Within the block a function that gives the indices of the batch that came last.

        It is called once after each batch, and gives None where they cannot be known.
        """

    # --- guidance ------------------------------------------------------------------------------

    def guided(self) -> Guided | None:
        """* The model for second passes of `guidance.losses`; None where it takes no guidance."""

    def attach_guidance(self, losses: Any) -> None:
        """* Let `losses` (guidance.losses.GuidanceLosses) add to each step from now on."""

    def set_guidance(self, guidance: Any) -> str:
        """* Use `guidance` (a GuidanceState) from the next step on; returns the losses chosen."""

    def guidance_term(
        self, inputs: Any, targets: Any, loss: Any, indices: NDArray[np.int64] | None
    ) -> Any | None:
        """* The loss () of the guidance in force on a batch; None where there is none in this step.

        `indices` are the rows' places in the training data, None where nobody knows.
        """

    def set_labels(self, labels: Mapping[int, int | None]) -> None:
        """* Train with these labels from the next step on; None leaves a sample out."""

    def label_of(self, index: int) -> int:
        """* The data set's own label of a sample."""

    # --- the model elsewhere -------------------------------------------------------------------

    def weight_specs(self) -> list[WeightSpec]:
        """What `copy_weights` copies, in order."""

    def copy_weights(self, destination: Sequence[NDArray[Any]]) -> Callable[[], None] | None:
        """Copy parameters and buffers, in the order of `weight_specs`, into `destination`.

        Where a device only begins to copy, what is returned waits for it and fills
        `destination`; it is called on another thread.
        """

    def last_layer(self, probe: NDArray[Any]) -> LastLayer:
        """* The layer that gives the logits, found by inputs (n, ...); ValueError without one."""

    def lasting_names(self) -> list[str]:
        """* Names of the same weights that another process gives them too; [] where all last."""

    def structure(self) -> bytes:
        """* What `explainer` rebuilds the model from, but for its weights.

        Raises
        ------
        ModelNotSendableError
            If it cannot be sent; training goes on without maps.
        """

    def check_layer(self, structure: bytes, sample: Sample, name: str | None) -> None:
        """* Raise NoSuitableLayerError where class activation maps have nothing to read."""

    # --- data ----------------------------------------------------------------------------------

    def read_sample(self, index: int) -> Sample:
        """One training sample as the model sees it."""

    def read_val_sample(self, index: int) -> Sample:
        """* One validation sample as the model sees it."""

    def labels(self) -> NDArray[Any]:
        """Labels (N,) or values (N, D) of the training data, as far as known without reading."""

    def probes(self) -> list[NDArray[np.float32]]:
        """A spread of inputs, for the fingerprint of the data."""

    def portable_batches(
        self, size: int, *, validation: bool
    ) -> Iterator[tuple[tuple[NDArray[Any], ...], NDArray[Any]]]:
        """* Inputs (B, ...) as the model takes them, and targets (B, ...), in the data's order.

        Of the validation data, or of the training data; both in numpy.
        """

    def portable_beside(self, *, validation: bool) -> bool:
        """* Whether `portable_batches` may be read while another thread trains.

        Not where reading draws random numbers that training counts on.
        """

    def readings(
        self, index: int, enough: Callable[[list[NDArray[Any]]], bool]
    ) -> list[NDArray[np.float32]]:
        """* One training sample's input, read anew until `enough` says so.

        [] where each reading gives the same.
        """

    def rows_to_add(self, x: Any, y: Any) -> tuple[NDArray[np.float32], NDArray[Any]]:
        """* What a person gave as samples: inputs (n, ...), targets (n,) or (n, D); any thread.

        Raises ValueError where they do not fit, or the data cannot grow.
        """

    def add_samples(self, inputs: NDArray[np.float32], targets: NDArray[Any]) -> None:
        """* Put what `rows_to_add` gave after the last sample, at a step boundary.

        It can be read at once, and is trained on once it is among `members`.
        """

    def losses_alone(self, batch: Batch) -> NDArray[np.float32] | None:
        """* Loss of each row (B,) by itself, in eval mode; None where that is not known.

        At a step boundary; nothing of the model changes. One row that is NaN spoils all of a batch
        that is normalised together.
        """

    def forget_read(self) -> None:
        """* The session stands: samples read to check them need not be kept."""
