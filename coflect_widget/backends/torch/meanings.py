"""What targets and outputs mean to the Torch backend: classes, values, or several labels.

A backend of another task derives from `backend.TorchBackend` and says the same of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F

from coflect_widget.backends.guided_outputs import OfLabels, OfValues
from coflect_widget.backends.items import check_labels
from coflect_widget.backends.sourced import SourcedBackend
from coflect_widget.backends.torch.checks import Outputs, find_outputs
from coflect_widget.backends.torch.data import Source
from coflect_widget.backends.torch.guidance import TorchGuided
from coflect_widget.backends.torch.labels import labels_task
from coflect_widget.backends.torch.ops import TorchOps
from coflect_widget.backends.torch.targets import check_regression, check_values
from coflect_widget.tasks.tallies import Explained, Hits, Labels


class Meanings(SourcedBackend):
    """Answers of `TorchBackend` that depend on the task."""

    #: what reads the data
    reads: type[Source] = Source
    model: Any
    regression: bool
    _device: torch.device
    _wrapper: torch.nn.Module | None

    def find_task(
        self,
        model: torch.nn.Module,
        task: str | None,
        loss: Any,
        num_classes: int | None,
        class_weight: Mapping[int, float] | None,
    ) -> list[str]:
        """Set `task`, where classes and values do not tell; what was assumed.

        Raises
        ------
        ValueError
            If targets, loss and names do not belong together.
        """
        asked = (loss, num_classes, class_weight)
        self.task, assumed = labels_task(self.train_source, model, task, *asked)
        if self.regression and self.task is None:
            assumed += check_regression(self.train_source, *asked)
        return assumed

    def find_outputs(self, num_classes: int | None, device: torch.device) -> Outputs:
        """See `checks.find_outputs`."""
        return find_outputs(self.model, self.train_source, num_classes, device)

    def check_targets(self, outputs: int) -> None:
        """Raise ValueError unless all targets belong to a model of so many outputs."""
        for source in self.sources():
            if self.regression:
                check_values(source, outputs)
            else:
                check_labels(source, outputs)
                source.num_classes = outputs

    def plain_loss(self) -> Any:
        """The loss where a person gives none; None for cross-entropy."""
        return F.binary_cross_entropy_with_logits if self.task else None

    def tally(self) -> Any:
        """What counts how good outputs are, with ``add(logits, targets)`` and ``values(rows)``."""
        return Labels() if self.task else Explained() if self.regression else Hits()

    def ops(self) -> Any:
        """How outputs and targets make a loss of guidance, as `differentiable.Ops`."""
        if self.task:
            return OfLabels(TorchOps())
        if not self.regression:
            return TorchOps()
        return OfValues(TorchOps(), float(self.train_source.values().var(0).mean()))

    def guided(self) -> TorchGuided:
        wrapped = self._wrapper is not None
        return TorchGuided(self.model, self.read_rows, self._device, self.ops(), wrapped=wrapped)

    def read_rows(self, indices: Any) -> tuple[torch.Tensor, torch.Tensor]:
        """Inputs and targets of training samples."""
        raise NotImplementedError
