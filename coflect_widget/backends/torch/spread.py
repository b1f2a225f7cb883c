"""Models whose weights are spread over processes (FSDP, tensor parallel), in a loop of one's own.

No process has all of the weights, and to gather them is work of all processes at once. So the model
is never called here, and its weights are never read: what a loop observes gives the metrics and the
forecast, and a person pauses, turns knobs and stops. Maps, strokes and checkpoints are refused.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import nn

from coflect_widget.backends.base import StepOutput, WeightSpec
from coflect_widget.backends.state import Memory, TrainingState, weights_alone
from coflect_widget.backends.torch.backend import TorchBackend
from coflect_widget.backends.torch.checks import check_model
from coflect_widget.backends.torch.data import Source
from coflect_widget.backends.torch.own_loss import OwnLossBackend
from coflect_widget.backends.torch.ranks import Ranked, is_spread
from coflect_widget.backends.torch.state import KeepsState
from coflect_widget.backends.torch.steps import OfSteps
from coflect_widget.backends.torch.tap import classes_of_step
from coflect_widget.config import Config
from coflect_widget.modalities.base import Modality

SPREAD = (
    "the model's weights are spread over processes (FSDP, DTensor), and no process has all of "
    "them: there are metrics, the forecast, pause, knobs and stop, and no {what}{instead}"
)
_NO_MAPS = SPREAD.format(what="maps and strokes", instead="")
_NO_CHECKPOINTS = SPREAD.format(
    what="checkpoints", instead="; save its weights with torch.distributed.checkpoint"
)


class Spread(KeepsState, Ranked, OfSteps):
    """What a backend answers for a model whose weights no process has."""

    explainer = portable = ""
    takes_labels = reads_val = False
    without_weights = _NO_CHECKPOINTS

    def _take_off(self, model: nn.Module) -> nn.Module:
        """The model as it is: it averages its gradients itself."""
        self._wrapper = None
        if dist.is_available() and dist.is_initialized():
            self._rank, self._ranks = dist.get_rank(), dist.get_world_size()
        return model

    def _check_whole(self) -> None:
        """They are spread, as is known here."""

    def choose(self, model: nn.Module, wanted: str | None) -> torch.device:
        """Where the model is; it is not moved."""
        del wanted
        return next(model.parameters()).device

    def expect(self, steps: int) -> None:
        """Refuse to train: the steps of such a model are those of its script."""
        raise ValueError(
            SPREAD.format(what="training of its own", instead="; write the loop yourself: ")
            + "for x, y in session.loop(loader): ... session.observe(None, logits, y) ..."
        )

    def structure(self) -> bytes:
        raise ValueError(_NO_MAPS)

    def set_guidance(self, guidance: Any) -> str:
        raise ValueError(_NO_MAPS)

    def weight_specs(self) -> list[WeightSpec]:
        return []

    def copy_weights(self, destination: Sequence[NDArray[Any]]) -> Callable[[], None] | None:
        return None

    def state(self, memory: Memory, *, own_loop: bool = False) -> TrainingState:
        return weights_alone(self, memory)


class SpreadBackend(Spread):
    """Implements `backends.base.Backend` for a classifier whose weights are spread over processes.

    Parameters
    ----------
    model : torch.nn.Module
        After ``fully_shard``, ``FullyShardedDataParallel`` or ``parallelize_module``.
    num_classes : int or None
        Found from the labels where they are known without reading each sample.
    optimizer : torch.optim.Optimizer
        Of the loop, which can be turned by knobs.

    Raises
    ------
    TypeError, ValueError
        If an argument means nothing where the model cannot be called.
    """

    name = "torch"

    def __init__(
        self,
        model: nn.Module,
        train_data: Any,
        val_data: Any | None,
        *,
        num_classes: int | None,
        loss: Any,
        optimizer: Any,
        scheduler: Any,
        batch_size: int,
        config: Config,
        class_weight: Mapping[int, float] | None = None,
        modality: Modality | None = None,
        task: str | None = None,
    ) -> None:
        super().__init__()
        for argument, given, instead in (
            ("val_data", val_data, "validate in your own loop, in all processes"),
            ("loss", loss, "compute it in your own loop"),
            ("class_weight", class_weight, "weigh the losses in your own loop"),
            ("task", task, "only classes and task='own_loss' are followed"),
        ):
            if given is not None:
                what = f"{argument}="
                raise ValueError(SPREAD.format(what=what, instead=f"; leave it out: {instead}"))
        check_model(model)
        self.seed, self.batch_size = config.seed, batch_size
        self.train_source = Source(
            train_data, "train_data", config.loader_workers, may_regress=True, modality=modality
        )
        self.val_source = None
        if self.train_source.regression:
            instead = ": pass task='own_loss', and session.observe(None, loss=losses) in the loop"
            raise ValueError(SPREAD.format(what="regression", instead=instead))
        self.modality = self.train_source.modality
        self.num_classes = num_classes or self._counted()
        self.model = self._take_off(model)
        self._device = self.choose(model, config.device)
        self.device = str(self._device)
        self.take_optimizer(optimizer, scheduler)
        self._looks_left = 8  # at targets (B, classes); each waits for the device

    def _counted(self) -> int:
        labels = self.train_source.labels()
        if len(labels) != self.num_train:
            raise ValueError(
                "the model cannot be asked how many classes it has, because its weights are spread "
                "over processes, and train_data does not tell either: pass classes=[...]"
            )
        found = int(labels.max()) + 1
        self.assumptions.append(
            f"The model was taken to have {found} outputs, as many as there are labels: its weights"
            " are spread over processes, and it was not asked. Pass classes= where it has more."
        )
        return found

    def step_output(
        self,
        indices: NDArray[np.int64],
        logits: torch.Tensor,
        targets: torch.Tensor,
        loss: torch.Tensor | None,
        guidance_loss: torch.Tensor | None,
    ) -> StepOutput:
        looked = np.ndim(targets) == 2 and self._looks_left > 0
        self._looks_left -= looked
        targets, loss = classes_of_step(logits, targets, loss, look=looked)
        found = loss.item() if loss.device.type == "cpu" else loss.detach()
        return StepOutput(indices, targets, logits.detach(), found, None)


class SpreadLossBackend(Spread, OwnLossBackend):
    """The same for losses of a loop of the user's own, of data and outputs of any form."""

    def _with_score(self, score: Any) -> Any:
        """Raise ValueError: a score would call the model."""
        raise ValueError(SPREAD.format(what="score=", instead="; leave it out"))


def _with_arguments_of(backend: type) -> Callable[[Any], Any]:
    """Let a factory be asked which arguments it takes: those of a backend."""

    def told(factory: Any) -> Any:
        factory.__signature__ = inspect.signature(backend)
        return factory

    return told


@_with_arguments_of(TorchBackend)
def for_model(model: Any, train_data: Any, val_data: Any, **more: Any) -> Any:
    """The backend of a torch model: another one where its weights are spread over processes."""
    spread = isinstance(model, nn.Module) and is_spread(model)
    return (SpreadBackend if spread else TorchBackend)(model, train_data, val_data, **more)


@_with_arguments_of(OwnLossBackend)
def for_losses(model: Any, train_data: Any, val_data: Any, **more: Any) -> Any:
    """The same for losses of a loop of the user's own."""
    spread = isinstance(model, nn.Module) and is_spread(model)
    return (SpreadLossBackend if spread else OwnLossBackend)(model, train_data, val_data, **more)
