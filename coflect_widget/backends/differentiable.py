"""What maps and losses of guidance need of a framework: a few primitives, and arrays.

Methods over them are written once (`attribution.methods`, `guidance.passes`); a backend that gives
these has both.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from coflect_widget.backends.layers import Layer
from coflect_widget.modalities.base import Member

#: From logits (B, classes) to a scalar whose gradient is wanted.
Score = Callable[[Any], Any]
#: From a shape and a standard deviation to normal noise.
Noise = Callable[[tuple[int, ...], float], Any]


class Held(NamedTuple):
    """One part of a sample with several inputs, whose other parts are held as they are."""

    row: NDArray[np.float32]  # (T,) of the sample
    part: Member


class Cell(Protocol):
    """A number () that outlives a step, in and out of compiled ones; below 0: not known yet."""

    @property
    def value(self) -> Any:
        """The tensor ()."""

    def assign(self, value: Any) -> None:
        """Keep another one."""

    def forget(self) -> None:
        """It is not known any more."""


class Ops(Protocol):
    """Array functions of a framework, named as the array API standard names them.

    Besides these `relu`, `log_softmax` over classes, `log_sigmoid`, `detach`, `real`, which makes
    float32, and `whole`, which makes int64.
    """

    channels: int  #: axis of a map's channels
    places: tuple[int, int]  #: and of its rows and columns

    sum: Callable[..., Any]
    mean: Callable[..., Any]
    min: Callable[..., Any]
    abs: Callable[..., Any]
    square: Callable[..., Any]
    where: Callable[..., Any]
    concat: Callable[..., Any]
    isfinite: Callable[..., Any]
    maximum: Callable[..., Any]  #: of a tensor and a number
    relu: Callable[..., Any]
    log_softmax: Callable[..., Any]
    log_sigmoid: Callable[..., Any]
    detach: Callable[..., Any]
    real: Callable[..., Any]
    whole: Callable[..., Any]

    def halves(self, x: Any) -> tuple[Any, Any]:
        """The first and the second half of (2n, ...)."""

    def like(self, x: Any, other: Any) -> Any:
        """`x` of the type and in the shape of `other`, and where that is."""

    def rows(self, x: Any) -> Any:
        """(B, ...) as (B, n)."""

    def cross_entropy(self, logits: Any, targets: Any) -> Any:
        """(B,) of logits (B, classes); (B, E) of logits (B, classes, E)."""

    def ignorance(self, logits: Any) -> float:
        """The loss of a model that knows nothing, log(classes) of logits (B, classes)."""

    def beside(self, logits: Any, targets: Any) -> Any:
        """(B, ...) of logits: those that shall not change where rows are in part exchanged."""

    def of_classes(self, logits: Any, targets: Any) -> Any:
        """The logit of each row's class, (B,) or (B, 1); targets may be (B, classes)."""

    def pooled(self, region: Any, size: tuple[int, int]) -> Any:
        """Regions (B, H, W) at a map's size: each cell gets the share of it that is covered."""

    def resized(self, cam: Any, size: tuple[int, ...]) -> NDArray[np.float32]:
        """A map (1, h, w) as (H, W), bilinear."""

    def numpy(self, x: Any) -> NDArray[np.float32]:
        """The same values outside the framework."""


class Differentiable(Protocol):
    """A model whose scores have gradients; `x` are inputs (B, ...) as it takes them."""

    ops: Ops

    def own(self, x: Any) -> Any:
        """Inputs (B, C, H, W) as the model takes them."""

    def chw(self, x: Any) -> Any:
        """What has the shape of inputs as the model takes them as (B, C, H, W).

        An array of numpy or of the array API, detached. Inputs that are no pictures are as they
        are.
        """

    def in_order(self, x: Any) -> Any:
        """As `chw`, but a tensor of the framework through which derivatives go."""

    def logits(self, x: Any) -> Any:
        """(B, classes)."""

    def input_gradient(self, x: Any, score: Score) -> tuple[Any, Any]:
        """Logits, and the gradient of their score by `x`, of the shape of `x`.

        Of whole numbers (B, E), which a model looks up, it is by what it looks up, (B, D, E).
        """

    def layer_gradient(self, x: Any, score: Score, layer: Layer) -> tuple[Any, Any]:
        """A layer's output and the gradient of the score by it, as maps.

        The axes of a map are `ops.channels` and `ops.places`.
        """

    def find_layer(self, input_shape: Sequence[int], name: str | None = None) -> Layer:
        """The layer that class activation maps read, of inputs (C, H, W).

        Raises
        ------
        NoSuitableLayerError
            If no output is spatial, or if the named one is not there or not spatial.
        """


class LooksUp(Differentiable, Protocol):
    """One whose inputs may be whole numbers (B, E), which it looks up."""

    def entered(self, x: Any) -> Any:
        """What whole numbers (B, E) are looked up as, (B, E, D).

        Raises
        ------
        ValueError
            If no module looks each of them up.
        """

    def entry_gradient(self, x: Any, entered: Any, score: Score) -> tuple[Any, Any]:
        """Logits of rows (n, E, D) in the place of what `x` (1, E) is looked up as.

        And the gradient (n, E, D) of their score by these rows.
        """


class WorkerModel(ABC):
    """A worker's own copy of a model, in eval mode; its weights come and go.

    Attributes
    ----------
    region : ndarray (E) of bool or None
        Of a model with outputs for each place of an input, those whose mean is its output for now;
        None for all.
    """

    region: NDArray[np.bool_] | None = None

    @abstractmethod
    def load_weights(self, views: Mapping[str, NDArray[Any]]) -> None:
        """Copy weights, by name, into the model.

        Raises
        ------
        KeyError
            If one is missing, unknown or of another shape: the model was changed since it was
            sent.
        """

    @abstractmethod
    def fill(self) -> None:
        """Give the weights some values with which a model can run."""

    @abstractmethod
    def randomise(self, seed: int) -> None:
        """Give the model random weights, as before any training."""

    @abstractmethod
    def bound(self, held: Held | None = None) -> Differentiable:
        """The model as a function of its inputs, or of the one part that `held` names."""

    @abstractmethod
    def probabilities(self, logits: Any) -> NDArray[np.float32]:
        """(classes,) of logits (1, classes)."""

    @abstractmethod
    def seeded(self, seed: int) -> AbstractContextManager[Noise]:
        """Within the block equal seeds give equal noise; afterwards random state is as before."""

    @abstractmethod
    def outputs(self, x: NDArray[np.float32], held: Held | None = None) -> NDArray[np.float32]:
        """(B, classes) for inputs (B, C, H, W), without gradients."""

    def places(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Outputs (B, classes, E) for each place of inputs (B, ...), where a model has such."""
        raise NotImplementedError("models of this framework have no outputs for places")


class Checked(NamedTuple):
    """A loss term and its derivative.

    Attributes
    ----------
    value : tensor ()
        Detached.
    gradients : sequence of tensor or None
        One for each trained weight; None where the term does not depend on it.
    finite : tensor () of bool
        Value and gradients are free of NaN and infinity.
    """

    value: Any
    gradients: Sequence[Any]
    finite: Any


class Guided(Differentiable, Protocol):
    """The model that is trained, for second passes beside a step's main one.

    A pass leaves no trace in the model: neither in running statistics, nor in the random state, nor
    in hooks. Its gradients can be differentiated again.
    """

    #: whether a value can be looked at without a wait for a device
    looks: bool
    #: whether targets are a class for each place of an input, (B, E); see `guidance.placed`
    placed: bool

    def read_rows(self, indices: Sequence[int]) -> tuple[Any, Any]:
        """Inputs (n, C, H, W) and labels (n,) of training samples; -1 of those left out."""

    def cell(self) -> Cell:
        """A number that is not known yet."""

    def tensors(self, array: NDArray[Any]) -> Any:
        """An array of a plan as what `read_rows` gives its arrays as."""

    def normalises_by_batch(self) -> bool:
        """Whether a layer that is trained normalises a row by the others."""

    def held_statistics(self) -> AbstractContextManager[Any]:
        """Keep a main pass out of the running statistics."""

    def refresh_statistics(self, inputs: Any, steps: int) -> None:
        """Let running statistics see `inputs` as often as `steps` ordinary passes would have."""

    def reaches_weights(self, value: Callable[[], Any]) -> bool:
        """Whether a number () has a gradient by any weight; raises what computing that raises."""

    def differentiate(
        self,
        term: Callable[[], Any],
        *,
        scale_loss: Callable[[Any], Any] | None = None,
        clear: bool = True,
    ) -> Checked:
        """Value and gradients of a term; whatever its graph can raise, it raises here.

        `scale_loss` scales the gradients as the optimizer scales those of the task loss, and with
        `clear` those that are not finite become 0; a backend that does so elsewhere needs neither.
        """

    def summand(self, checked: Checked) -> Any:
        """The term as a tensor () to add to a loss; its backward pass cannot fail."""

    def cleared(self, checked: Checked) -> Checked:
        """The same, but 0 where it is not finite."""

    def sent(self, checked: Checked, task_loss: Any) -> Callable[[], bool | None]:
        """Whether a term is sound, or its batch is at fault, told once the device has said it."""

    def overflowed(self, *, scaled: bool) -> bool:
        """Whether gradients that are not finite may only have been too large for 16 bits.

        Called once for each of them.
        """

    def fits(self) -> None:
        """A term was sound."""

    def kept(self) -> dict[str, Any]:
        """What its passes have learned of the model, as plain values, for a checkpoint."""

    def take(self, kept: Mapping[str, Any]) -> None:
        """Take what `kept` gave."""
