"""A residual network for series."""

from __future__ import annotations

import torch
from torch import nn


class _Block(nn.Module):
    """Two convolutions along time, and a short cut past them."""

    def __init__(self, channels_in: int, channels: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv1d(channels_in, channels, kernel, stride, kernel // 2), nn.BatchNorm1d(channels),
            nn.ReLU(), nn.Conv1d(channels, channels, 3, padding=1), nn.BatchNorm1d(channels),
        )  # fmt: skip
        self.past = nn.Conv1d(channels_in, channels, 1, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, channels_in, L) -> (B, channels, L / stride)."""
        found: torch.Tensor = torch.relu(self.layers(x) + self.past(x))
        return found


class SeriesNet(nn.Module):
    """Three blocks, their mean and largest value along time, and a linear part.

    The blocks tell a shape wherever it stands; the linear part tells what stands at a fixed step,
    as the hours of a day do.
    """

    def __init__(self, channels: int, length: int, outputs: int, width: int = 32) -> None:
        super().__init__()
        self.blocks = nn.Sequential(
            _Block(channels, width, 7, 1), _Block(width, 2 * width, 5, 2),
            _Block(2 * width, 2 * width, 3, 2),
        )  # fmt: skip
        self.drop = nn.Dropout(0.2)
        self.head = nn.Linear(4 * width, outputs)
        self.line = nn.Linear(channels * length, outputs)

    def prepare(self, x: torch.Tensor, evidence: torch.Tensor) -> None:
        """Nothing is to be learned before training."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, channels, L) -> (B, outputs)."""
        seen = self.blocks(x)
        shapes = self.head(self.drop(torch.cat((seen.mean(2), seen.amax(2)), 1)))
        found: torch.Tensor = shapes + self.line(x.flatten(1))
        return found


class ForecastNet(nn.Module):
    """What the first channel will be, told as a change of its last value.

    Where in the window something stood matters: a linear part sees each step by itself, and the
    blocks tell what is not linear.
    """

    def __init__(self, channels: int, length: int, outputs: int, width: int = 32) -> None:
        super().__init__()
        self.blocks = nn.Sequential(
            _Block(channels, width, 7, 1), _Block(width, width, 5, 2), _Block(width, width, 3, 2)
        )
        self.line = nn.Linear(channels * length, outputs)
        self.head = nn.Sequential(nn.Dropout(0.2), nn.Linear(width * -(-length // 4), outputs))

    def prepare(self, x: torch.Tensor, evidence: torch.Tensor) -> None:
        """Nothing is to be learned before training."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, channels, length) -> (B, outputs)."""
        change = self.line(x.flatten(1)) + self.head(self.blocks(x).flatten(1))
        found: torch.Tensor = x[:, 0, -1:] + change
        return found
