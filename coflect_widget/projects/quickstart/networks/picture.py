"""A small residual network for pictures, with light and contrast varied as it trains."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from coflect_widget.projects.demo_model import ResidualBlock

#: How far brightness (of the whole range) and contrast are varied, at most.
_LIGHT, _CONTRAST = 0.1, 0.2


class PictureNet(nn.Module):
    """Values from 0 to 1 are scaled inside, so that pictures are shown and exported as they are.

    Pictures are not turned, cut or mirrored in training: what a person marks has its place.
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(
        self,
        channels: int,
        outputs: int,
        mean: Sequence[float],
        std: Sequence[float],
        *,
        halved: bool,
        width: int = 16,
    ) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(list(mean)).reshape(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(list(std)).reshape(1, -1, 1, 1))
        self.stem = nn.Sequential(
            nn.Conv2d(channels, width, 3, 2 if halved else 1, padding=1, bias=False),
            nn.BatchNorm2d(width), nn.ReLU(),
        )  # fmt: skip
        self.stage1 = ResidualBlock(width, width, stride=1)
        self.stage2 = ResidualBlock(width, 2 * width, stride=2)
        self.stage3 = ResidualBlock(2 * width, 4 * width, stride=2)
        self.head = nn.Linear(4 * width, outputs)

    def prepare(self, x: torch.Tensor, evidence: torch.Tensor) -> None:
        """Nothing is to be learned before training."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, channels, H, W) from 0 to 1 -> (B, outputs)."""
        if self.training:
            light, contrast = torch.rand(2, len(x), 1, 1, 1, device=x.device) * 2 - 1
            x = (x - self.mean) * (1 + _CONTRAST * contrast) + self.mean + _LIGHT * light
        x = (x - self.mean) / self.std
        x = self.stage3(self.stage2(self.stage1(self.stem(x))))
        found: torch.Tensor = self.head(x.mean(dim=(2, 3)))
        return found
