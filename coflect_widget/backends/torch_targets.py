"""What sets regression apart from classification for the Torch backend."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F

from coflect_widget.backends.torch_data import Source

#: Losses over floating point targets that stand for classes all the same.
_OF_CLASSES = (torch.nn.BCELoss, torch.nn.BCEWithLogitsLoss, torch.nn.CrossEntropyLoss)
_FUNCTIONS_OF_CLASSES = (
    F.binary_cross_entropy,
    F.binary_cross_entropy_with_logits,
    F.cross_entropy,
)


def check_regression(
    loss: object, num_classes: int | None, class_weight: Mapping[int, float] | None
) -> None:
    """Raise ValueError where floating point targets come with what only classes have."""
    if isinstance(loss, _OF_CLASSES) or loss in _FUNCTIONS_OF_CLASSES:
        raise ValueError(
            f"loss={loss!r} is for classes, but the targets are floating point; pass class "
            "numbers as integers of shape (N,), and for a binary classifier two outputs and "
            "loss=torch.nn.CrossEntropyLoss()"
        )
    given = "classes" if num_classes is not None else "class_weight"
    if num_classes is not None or class_weight is not None:
        raise ValueError(
            f"{given}= is for classes, but the targets are floating point, which means "
            f"regression; pass class numbers as integers, or leave {given}= out"
        )


def check_values(source: Source, outputs: int) -> None:
    """Raise ValueError unless a model of so many outputs fits the values to regress on."""
    values = source.values().shape[1]
    if values != outputs:
        raise ValueError(
            f"model has {outputs} outputs but {source.argument} has targets of {values} "
            f"values; give the last layer {values} outputs"
        )


class Hits:
    """Accuracy over batches, without a wait for the device."""

    name = "accuracy"

    def __init__(self, device: torch.device) -> None:
        self._hits = torch.zeros((), dtype=torch.int64, device=device)

    def add(self, logits: torch.Tensor, targets: torch.Tensor) -> None:
        """(B, classes) and (B,)."""
        self._hits += (logits.argmax(1) == targets).sum().to(self._hits)

    def value(self, rows: int) -> float:
        """In [0, 1], of so many rows."""
        return float(self._hits) / rows


class Explained:
    """R squared over batches: 1 less the squared error over the targets' own spread.

    0 is as good as always saying the mean, and below it is worse. Of several values, each
    counts by its spread.
    """

    name = "r2"

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._error: Any = 0.0
        self._sum: Any = 0.0
        self._squares: Any = 0.0

    def add(self, outputs: torch.Tensor, targets: torch.Tensor) -> None:
        """Both (B, D)."""
        wanted = targets.to(self._device, torch.float64)
        given = outputs.to(self._device, torch.float64)
        self._error = self._error + (given - wanted).square().sum(0)
        self._sum = self._sum + wanted.sum(0)
        self._squares = self._squares + wanted.square().sum(0)

    def value(self, rows: int) -> float:
        """At most 1; 0 where the targets are all the same."""
        spread = float((self._squares - self._sum.square() / rows).sum())
        return 1 - float(self._error.sum()) / spread if spread > 0 else 0.0
