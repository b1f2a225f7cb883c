"""A torch model that gives a class to each place of a picture: ``task="segmentation"``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from coflect_widget.backends.base import Batch, StepOutput
from coflect_widget.backends.guided_outputs import OfPlaces
from coflect_widget.backends.masks import (
    TASK,
    VOID,
    OfPlacesBackend,
    check_outputs_of_places,
)
from coflect_widget.backends.torch.backend import TorchBackend
from coflect_widget.backends.torch.checks import Outputs
from coflect_widget.backends.torch.masks import MaskSource
from coflect_widget.backends.torch.modes import evaluating
from coflect_widget.backends.torch.numbers import call
from coflect_widget.backends.torch.ops import TorchOps
from coflect_widget.backends.torch.outputs import logits_of
from coflect_widget.tasks import Segmentation
from coflect_widget.tasks.tallies import Overlap


def figures(task: Segmentation, logits: Tensor, masks: Tensor) -> Tensor:
    """See `Segmentation.figures`; on the device, without a wait for it."""
    with torch.no_grad():
        found: Tensor = task.figures(logits, masks.to(logits.device), _counted)
    return found


def _counted(numbers: Tensor, length: int, weights: Tensor | None) -> Tensor:
    each = torch.ones_like(numbers) if weights is None else weights
    counts = torch.zeros(length, dtype=each.dtype, device=numbers.device)
    return counts.scatter_add_(0, numbers, each)


class SegmentationBackend(OfPlacesBackend, TorchBackend):
    """Implements `backends.base.Backend` for masks (N, H, W) and logits (N, C, H, W).

    Parameters
    ----------
    loss : callable or None
        ``loss(logits, masks) -> scalar``; cross-entropy if None. Its attribute ``ignore_index``,
        -100 if it has none, is the target of places without a label.
    """

    reads = MaskSource
    figures = staticmethod(figures)
    task: Segmentation

    def __init__(
        self,
        model: nn.Module,
        train_data: Any,
        val_data: Any | None,
        *,
        task: str | None = None,
        **more: Any,
    ) -> None:
        del task  # it is this one
        super().__init__(model, train_data, val_data, **more)

    def find_task(
        self,
        model: nn.Module,
        task: str | None,
        loss: Any,
        num_classes: int | None,
        class_weight: Mapping[int, float] | None,
    ) -> list[str]:
        del model, task, num_classes
        if class_weight is not None:
            raise ValueError(
                f"class_weight= is for one class a sample; under {TASK} pass "
                "loss=torch.nn.CrossEntropyLoss(weight=...)"
            )
        modality = self.train_source.modality
        if modality.members or modality.axes != 2:
            raise ValueError(f"{TASK} is for a model of one input, a picture (C, H, W)")
        self._void = int(getattr(loss, "ignore_index", VOID))
        return []

    def find_outputs(self, num_classes: int | None, device: torch.device) -> Outputs:
        """Run the model on the first sample; how many classes it has."""
        first = self.train_source.sample(0)
        inputs = torch.from_numpy(first.input)[None].to(device)
        try:
            with evaluating(self.model):
                logits = logits_of(call(self.model, inputs.clone()), self.model)
        except Exception as error:
            raise ValueError(
                f"model fails on a batch of shape {tuple(inputs.shape)} made from "
                f"train_data[0]: {error}"
            ) from error
        given, places = tuple(logits.shape), tuple(self.train_source.values().shape[1:])
        found = f"model gives {given} for one picture"
        if logits.ndim != 4:
            raise ValueError(
                f"{found}; under {TASK} it must give logits (1, classes, {places[0]}, {places[1]}):"
                " one output for each pixel and class. To classify whole pictures pass class "
                "numbers and leave task= out"
            )
        outputs = given[1]
        resized = (
            f"let forward() end with torch.nn.functional.interpolate(logits, {places}, "
            "mode='bilinear')"
        )
        check_outputs_of_places(given, given[2:], outputs, places, num_classes, resized)
        return Outputs(outputs, [])

    def check_targets(self, outputs: int) -> None:
        for source in self.sources():
            source.fit(outputs, self._void)
        self.know(self.train_source.values(), outputs, self._void)

    def plain_loss(self) -> Any:
        return F.cross_entropy

    def tally(self) -> Overlap:
        return Overlap(self.task, _counted)

    # --- what is kept of a step ----------------------------------------------------------------

    def train_step(self, batch: Batch) -> StepOutput:
        return self.reduced(super().train_step(batch))

    def observed(self, rows: int, logits: Any, targets: Any, loss: Any) -> tuple[Any, Any, Any]:
        found = super().observed(rows, logits, targets, loss)
        self.task.check(logits, targets)
        return found

    def step_output(
        self,
        indices: NDArray[np.int64],
        logits: Tensor,
        targets: Any,
        loss: Any,
        guidance_loss: Any,
    ) -> StepOutput:
        logits, masks = logits.detach(), torch.as_tensor(targets).detach().long()
        if loss is None:
            with torch.no_grad():
                loss = self.loss(logits, masks)
        return self.reduced(self._output(indices, logits, masks, loss, guidance_loss))

    def no_labels(self, rows: int) -> Tensor:
        return torch.zeros(rows, dtype=torch.int64)

    def labels(self) -> NDArray[Any]:
        """Masks (N, H, W), as far as known without reading."""
        return self.train_source.values()

    # --- guidance ------------------------------------------------------------------------------

    def ops(self) -> OfPlaces:
        return OfPlaces(TorchOps(), self._void)

    def read_rows(self, indices: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Pictures and masks; places without a label have a number above all classes."""
        inputs, masks = super().read_rows(indices)
        masks = masks.long()
        unknown = (masks < 0) | (masks == self._void)
        return inputs, torch.where(unknown, self._outputs, masks)
