"""Array functions of PyTorch, for maps and guidance."""

from __future__ import annotations

from typing import Any

import array_api_compat.torch as xp
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from coflect_widget.backends.guided_outputs import OfClasses


class TorchCell:
    """A number () on a device."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self.forget()

    def assign(self, value: Tensor) -> None:
        """Keep another one."""
        self.value = value

    def forget(self) -> None:
        """It is not known any more."""
        self.value = torch.full((), -1.0, device=self._device)


class TorchOps(OfClasses):
    """`backends.differentiable.Ops`; maps are (B, C, h, w)."""

    channels, places = 1, (2, 3)
    sum, mean, min = staticmethod(xp.sum), staticmethod(xp.mean), staticmethod(xp.min)
    abs, square, where = torch.abs, torch.square, torch.where
    concat, isfinite, relu = staticmethod(xp.concat), torch.isfinite, torch.relu
    detach, real = staticmethod(Tensor.detach), staticmethod(Tensor.float)
    whole, log_sigmoid = staticmethod(Tensor.long), staticmethod(F.logsigmoid)

    @staticmethod
    def maximum(x: Tensor, least: float) -> Tensor:
        return x.clamp(min=least)

    @staticmethod
    def log_softmax(logits: Tensor) -> Tensor:
        return F.log_softmax(logits, 1)

    @staticmethod
    def like(x: Tensor, other: Tensor) -> Tensor:
        return x.to(other).reshape(other.shape)

    @staticmethod
    def rows(x: Tensor) -> Tensor:
        return x.flatten(1)

    @staticmethod
    def halves(x: Tensor) -> tuple[Tensor, Tensor]:
        return x[: len(x) // 2], x[len(x) // 2 :]

    @staticmethod
    def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(logits, targets, reduction="none")

    @staticmethod
    def of_classes(logits: Tensor, targets: Tensor) -> Tensor:
        labels = targets if targets.ndim == 1 else targets.argmax(1)
        return logits.gather(1, labels[:, None])

    @staticmethod
    def pooled(region: Tensor, size: tuple[int, int]) -> Tensor:
        return F.adaptive_avg_pool2d(region[:, None], size)[:, 0]

    @staticmethod
    def resized(cam: Tensor, size: tuple[int, ...]) -> NDArray[np.float32]:
        return TorchOps.numpy(F.interpolate(cam[:, None], size, mode="bilinear")[0, 0])

    @staticmethod
    def numpy(x: Tensor) -> NDArray[Any]:
        found: NDArray[Any] = x.detach().float().cpu().numpy()
        return found
