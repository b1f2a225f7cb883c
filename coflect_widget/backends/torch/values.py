"""What guidance needs of a torch model whose outputs are values to regress on."""

from __future__ import annotations

import torch
from torch import Tensor

from coflect_widget.backends.torch.ops import TorchOps


class ValueOps(TorchOps):
    """`TorchOps` where outputs (B, D) are values: guidance keeps them near their targets.

    Parameters
    ----------
    spread : float
        Mean square distance of the targets from their mean: the loss of who knows nothing.
    """

    def __init__(self, spread: float) -> None:
        self._spread = spread

    def ignorance(self, logits: Tensor) -> float:
        """Who knows nothing says the mean."""
        return self._spread

    @staticmethod
    def log_softmax(logits: Tensor) -> Tensor:
        """The values themselves: a unit that moves one of them counts."""
        return logits

    @staticmethod
    def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
        """Mean square errors (B,) of both (B, D)."""
        return (logits - targets.to(logits).reshape(logits.shape)).square().mean(1)

    @staticmethod
    def beside(logits: Tensor, targets: Tensor) -> Tensor:
        """Each value and its opposite, (B, 2 D): what all values share is no less a prediction."""
        return torch.cat([logits, -logits], 1)

    @staticmethod
    def of_classes(logits: Tensor, targets: Tensor) -> Tensor:
        """The values (B, 1), added up."""
        return logits.sum(1, keepdim=True)
