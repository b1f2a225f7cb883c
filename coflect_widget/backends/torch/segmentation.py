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
from coflect_widget.backends.torch.backend import TorchBackend
from coflect_widget.backends.torch.checks import Outputs
from coflect_widget.backends.torch.guidance import TorchGuided
from coflect_widget.backends.torch.masks import TASK, MaskSource
from coflect_widget.backends.torch.modes import evaluating
from coflect_widget.backends.torch.numbers import call
from coflect_widget.backends.torch.ops import TorchOps
from coflect_widget.backends.torch.outputs import logits_of
from coflect_widget.tasks import Segmentation
from coflect_widget.tasks.segmentation import known_masks

#: Target of places without a label, where the loss does not say.
VOID = -100
#: Masks of so many classes fit the bytes that a map is kept with; one number stands for no class.
MOST_CLASSES = 255


class SegmentationBackend(TorchBackend):
    """Implements `backends.base.Backend` for masks (N, H, W) and logits (N, C, H, W).

    Parameters
    ----------
    loss : callable or None
        ``loss(logits, masks) -> scalar``; cross-entropy if None. Its attribute ``ignore_index``,
        -100 if it has none, is the target of places without a label.
    """

    reads = MaskSource
    takes_labels = False
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
        if given[2:] != places:
            raise ValueError(
                f"{found}, and masks are {places}; let forward() end with "
                f"torch.nn.functional.interpolate(logits, {places}, mode='bilinear')"
            )
        outputs = given[1]
        if outputs == 1:
            raise ValueError(
                f"{found}, one output a pixel; give it two, one for what is around the object, "
                "and leave loss= out"
            )
        if num_classes is not None and outputs != num_classes:
            raise ValueError(
                f"model has {outputs} outputs for each pixel but classes= names {num_classes}; "
                f"give the last layer {num_classes} outputs or name {outputs} classes"
            )
        if outputs > MOST_CLASSES:
            raise ValueError(f"{found}; at most {MOST_CLASSES} classes can be shown")
        return Outputs(outputs, [])

    def check_targets(self, outputs: int) -> None:
        for source in self.sources():
            source.fit(outputs, self._void)
        known = known_masks(self.train_source.values(), outputs, self._void)
        self.task = Segmentation(outputs, self._void, known.commonest, known.iou)
        if known.missing:
            named = ", ".join(map(str, known.missing[:8]))
            self.assumptions.append(
                f"The model has outputs for {outputs} classes, and no mask that was looked at has "
                f"{named}: where the model has too many outputs, give it fewer."
            )

    def plain_loss(self) -> Any:
        return F.cross_entropy

    def tally(self, where: torch.device) -> Any:
        return Overlap(self.task, where)

    # --- what is kept of a step ----------------------------------------------------------------

    def train_step(self, batch: Batch) -> StepOutput:
        return self._reduced(super().train_step(batch))

    def observed(self, rows: int, logits: Any, targets: Any, loss: Any) -> tuple[Any, Any, Any]:
        if logits is None or targets is None:
            raise ValueError(
                "observe() needs logits and masks: session.observe(indices, logits, masks)"
            )
        self.task.check(logits, targets)
        return logits, targets, loss

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
        return self._reduced(self._output(indices, logits, masks, loss, guidance_loss))

    def _reduced(self, output: StepOutput) -> StepOutput:
        """A step's output with six figures a sample in the place of its logits."""
        if len(output.indices):
            output.logits = figures(self.task, output.logits, output.targets)
        output.targets = torch.zeros(len(output.indices), dtype=torch.int64)
        return output

    def labels(self) -> NDArray[Any]:
        """Masks (N, H, W), as far as known without reading."""
        return self.train_source.values()

    # --- guidance ------------------------------------------------------------------------------

    def guided(self) -> TorchGuided:
        made = TorchGuided(self.model, self.read_rows, self._device, MaskOps())
        made.placed = True
        return made

    def read_rows(self, indices: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Pictures and masks; places without a label have a number above all classes."""
        inputs, masks = super().read_rows(indices)
        masks = masks.long()
        unknown = (masks < 0) | (masks == self._void)
        return inputs, torch.where(unknown, self._outputs, masks)


def figures(task: Segmentation, logits: Tensor, masks: Tensor) -> Tensor:
    """See `Segmentation.figures`; on the device, without a wait for it."""
    with torch.no_grad():
        found: Tensor = task.figures(logits, masks.to(logits.device), _counted)
    return found


def _counted(numbers: Tensor, length: int) -> Tensor:
    counts = torch.zeros(length, dtype=torch.int64, device=numbers.device)
    return counts.scatter_add_(0, numbers, torch.ones_like(numbers))


class Overlap:
    """IoU over batches, without a wait for the device."""

    def __init__(self, task: Segmentation, device: torch.device) -> None:
        self._task = task
        self._device = device
        self._of_samples: Any = 0.0
        self._labelled: Any = 0
        self._confusion: Any = 0

    def add(self, logits: Tensor, targets: Tensor) -> None:
        """(B, C, H, W) and (B, H, W)."""
        classes = self._task.classes
        found = figures(self._task, logits, targets)
        self._of_samples = self._of_samples + (found[:, 4] * found[:, 5]).sum().to(self._device)
        self._labelled = self._labelled + found[:, 5].sum().to(self._device)
        known = (targets >= 0) & (targets < classes) & (targets != self._task.void)
        pairs = torch.where(known, targets * classes + logits.argmax(1), classes * classes)
        counts = _counted(pairs.reshape(-1), classes * classes + 1)[:-1].to(self._device)
        self._confusion = self._confusion + counts.reshape(classes, classes)

    def values(self, rows: int) -> dict[str, float]:
        """``iou``, the mean over samples; ``mean_iou``, over the classes of all places together."""
        table = self._confusion.double()
        met, union = table.diagonal(), table.sum(0) + table.sum(1) - table.diagonal()
        each = met[union > 0] / union[union > 0]
        labelled = float(self._labelled)
        return {
            "iou": float(self._of_samples) / labelled if labelled else float("nan"),
            "mean_iou": float(each.mean()) if len(each) else float("nan"),
        }


class MaskOps(TorchOps):
    """`TorchOps` where each place has a class; targets are those of a `guidance.placed` row."""

    @staticmethod
    def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
        """Of (B, C, H, W) and (B, 2, H, W), the mean over places with a class (B,)."""
        masks = targets[:, 0].long()
        known = (masks >= 0) & (masks < logits.shape[1])
        masks = torch.where(known, masks, VOID)
        each = F.cross_entropy(logits, masks, reduction="none", ignore_index=VOID)
        return each.flatten(1).sum(1) / known.flatten(1).sum(1).clamp(min=1)

    @staticmethod
    def beside(logits: Tensor, targets: Tensor) -> Tensor:
        """(B, C x H x W), about a mean of 0 at each place and 0 where rows were exchanged."""
        centred = logits - logits.mean(1, keepdim=True)
        return (centred * targets[:, 1:].to(logits)).flatten(1)

    @staticmethod
    def of_classes(logits: Tensor, targets: Tensor) -> Tensor:
        raise NotImplementedError("masks have no one class; see `GuidedPasses.activation`")
