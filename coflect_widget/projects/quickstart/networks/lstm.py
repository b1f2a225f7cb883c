"""A recurrent network for timelines."""

from __future__ import annotations

import torch
from torch import nn


class LstmNet(nn.Module):
    """Two LSTMs one after the other, 128 and 64 wide; all moments ahead are told from the last.

    As in the other network for timelines, what the first channel will be is told as a change of its
    last value, and a linear part sees each step by itself.
    """

    def __init__(
        self, channels: int, length: int, outputs: int, wide: int = 128, narrow: int = 64
    ) -> None:
        super().__init__()
        self.wide = nn.LSTM(channels, wide, batch_first=True)
        self.narrow = nn.LSTM(wide, narrow, batch_first=True)
        self.line = nn.Linear(channels * length, outputs)
        self.head = nn.Sequential(nn.Dropout(0.2), nn.Linear(narrow, outputs))

    def prepare(self, x: torch.Tensor, evidence: torch.Tensor) -> None:
        """Nothing is to be learned before training."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, channels, length) -> (B, outputs)."""
        seen, _ = self.narrow(self.wide(x.transpose(1, 2))[0])
        change = self.line(x.flatten(1)) + self.head(seen[:, -1])
        found: torch.Tensor = x[:, 0, -1:] + change
        return found
