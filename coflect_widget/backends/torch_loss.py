"""A torch loss over many batches as one number, which hangs on neither their size nor order."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn


def check_loss(loss: object) -> None:
    """Raise ValueError for a loss that gives a value for each sample."""
    if getattr(loss, "reduction", None) == "none":
        raise ValueError(
            f'loss={loss!r} has reduction="none" and gives a value for each sample; training '
            'needs one number: make it with reduction="mean"'
        )


def weights_in(loss: object, classes: int) -> torch.Tensor | None:
    """What each class counts in the mean that a loss of torch's takes, (classes,).

    None where all count the same, as far as can be known.
    """
    if not isinstance(loss, nn.CrossEntropyLoss | nn.NLLLoss):
        return None
    ignored = loss.ignore_index
    if loss.weight is None and not 0 <= ignored < classes:
        return None
    weights = torch.ones(classes) if loss.weight is None else loss.weight.detach().clone()
    if 0 <= ignored < classes:
        weights[ignored] = 0
    return weights


class TotalLoss:
    """Adds up the losses of batches, without a wait for the device.

    Parameters
    ----------
    loss : callable
        What the batches' losses were computed with. One of ``reduction="sum"`` is scaled to a
        batch of `batch_size`, as training shows it.
    weights : Tensor (classes,) or None
        What each class counts in the mean of a batch.
    batch_size : int
    device : torch.device
    """

    def __init__(
        self, loss: object, weights: torch.Tensor | None, batch_size: int, device: torch.device
    ) -> None:
        self._sums = getattr(loss, "reduction", None) == "sum"
        self._weights = None if weights is None else weights.to(device)
        self._scale = batch_size if self._sums else 1
        self._total = torch.zeros((), dtype=torch.float64, device=device)
        self._count: Any = 0

    def add(self, loss: torch.Tensor, targets: torch.Tensor) -> None:
        """Of one batch: () and (B,) or (B, D)."""
        if self._sums:
            self._total += loss.to(self._total)
            self._count += len(targets)
        elif self._weights is None:
            self._total += loss.to(self._total) * len(targets)
            self._count += len(targets)
        else:
            weight = self._weights[targets.to(self._weights.device)].sum()
            # The mean of a batch without any weight is NaN.
            self._total += torch.where(weight > 0, loss.to(self._total) * weight, 0)
            self._count += weight

    def value(self) -> float:
        """Over all batches; NaN where no sample counts."""
        count = float(self._count)
        return self._scale * float(self._total) / count if count else float("nan")
