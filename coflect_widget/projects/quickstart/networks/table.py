"""A network for rows: each number is also told by the bin that it lies in."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

#: Bins of a number, by quantiles of the training part.
_BINS = 16
#: Cells by which the bins are found.
_CELLS = 5_000_000


class TableNet(nn.Module):
    """Two hidden layers on columns and on bins of the numbers among them.

    A number's bins are filled one after another, the one it lies in as far as it reaches (Gorishniy
    et al. 2022, piecewise linear encoding): a network finds thresholds as easily as a tree does.
    """

    edges: torch.Tensor

    def __init__(
        self, columns: int, numbers: Sequence[int], outputs: int, width: int = 192
    ) -> None:
        super().__init__()
        self.numbers = list(numbers)
        self.register_buffer("edges", torch.zeros(len(self.numbers), _BINS + 1))
        self.layers = nn.Sequential(
            nn.Linear(columns + _BINS * len(self.numbers), width), nn.ReLU(), nn.Dropout(0.2),
            nn.Linear(width, width // 2), nn.ReLU(), nn.Dropout(0.2),
            nn.Linear(width // 2, outputs),
        )  # fmt: skip

    def prepare(self, x: torch.Tensor, evidence: torch.Tensor) -> None:
        """Learn the bins from rows (N, columns) of the training part."""
        del evidence
        if self.numbers:
            shares = torch.linspace(0, 1, _BINS + 1)
            rows = x[:: -(-len(x) * len(self.numbers) // _CELLS), self.numbers]
            self.edges.copy_(torch.quantile(rows, shares, dim=0).T)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, columns) -> (B, outputs)."""
        values = x[:, self.numbers]  # (B, numbers)
        low, high = self.edges[:, :-1], self.edges[:, 1:]
        # A bin of no width, as of a number that is mostly 0, is full from its edge on.
        wide = (high - low).clamp(min=1e-3)
        bins = ((values[:, :, None] - low) / wide).clamp(0, 1)
        found: torch.Tensor = self.layers(torch.cat((x, bins.flatten(1)), 1))
        return found
