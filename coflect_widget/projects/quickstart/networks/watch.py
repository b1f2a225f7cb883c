"""A network that tells windows again from a short code."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn


class WatchNet(nn.Module):
    """An autoencoder: a linear part each way, and what is not linear beside it.

    Training begins with the linear parts alone, which are principal components then.
    """

    def __init__(
        self, channels: int, length: int, outputs: int, code: int, width: int = 64
    ) -> None:
        super().__init__()
        size = channels * length
        if size != outputs:
            raise RuntimeError(f"windows of {size} numbers are not told by {outputs}")
        self.into, self.out = nn.Linear(size, code), nn.Linear(code, size)
        self.bend_into = nn.Sequential(nn.Linear(size, width), nn.ReLU(), nn.Linear(width, code))
        self.bend_out = nn.Sequential(nn.Linear(code, width), nn.ReLU(), nn.Linear(width, size))

    def prepare(self, x: torch.Tensor, evidence: torch.Tensor) -> None:
        """Learn the linear parts from windows (N, channels, length) of the training part."""
        del evidence
        flat = x.flatten(1).double().numpy()
        mean = flat.mean(0)
        _, _, axes = np.linalg.svd(flat - mean, full_matrices=False)
        axes = axes[: self.into.out_features]
        with torch.no_grad():
            self.into.weight[: len(axes)] = torch.from_numpy(axes)
            self.into.bias[: len(axes)] = torch.from_numpy(-axes @ mean)
            self.out.weight.zero_()
            self.out.weight[:, : len(axes)] = torch.from_numpy(axes.T)
            self.out.bias.copy_(torch.from_numpy(mean))
            for bend in (self.bend_into, self.bend_out):
                for parameter in bend[-1].parameters():
                    parameter.zero_()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, channels, length) -> (B, channels * length)."""
        flat = x.flatten(1)
        code = self.into(flat) + self.bend_into(flat)
        found: torch.Tensor = self.out(code) + self.bend_out(code)
        return found
