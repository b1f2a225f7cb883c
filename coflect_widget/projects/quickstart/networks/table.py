"""A network for rows: a linear part, and what bins of the numbers say beside it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

#: Bins of a number, by quantiles of the training part.
_BINS = 16
#: Cells by which the bins and the linear part are found.
_CELLS = 5_000_000
#: Up to so many rows the hidden layers are narrow, and more of them is dropped out.
_FEW = 2000
_NARROW, _WIDE = (32, 0.5), (192, 0.2)
#: How much the linear part may be held back, to be chosen among.
_PENALTIES = np.logspace(-1, 4, 21)


class TableNet(nn.Module):
    """Two hidden layers on columns and on bins of the numbers among them, and a linear part.

    A number's bins are filled one after another, the one it lies in as far as it reaches (Gorishniy
    et al. 2022, piecewise linear encoding): a network finds thresholds as easily as a tree does.
    Training begins with the linear part alone, as ridge regression has it; the hidden layers add
    what is not linear, on few rows little.
    """

    edges: torch.Tensor

    def __init__(
        self, columns: int, numbers: Sequence[int], outputs: int, rows: int | None = None
    ) -> None:
        super().__init__()
        width, dropped = _NARROW if rows is not None and rows <= _FEW else _WIDE
        self.numbers = list(numbers)
        self.register_buffer("edges", torch.zeros(len(self.numbers), _BINS + 1))
        self.layers = nn.Sequential(
            nn.Linear(columns + _BINS * len(self.numbers), width), nn.ReLU(), nn.Dropout(dropped),
            nn.Linear(width, width // 2), nn.ReLU(), nn.Dropout(dropped),
            nn.Linear(width // 2, outputs),
        )  # fmt: skip
        # Networks of runs of before, which say nothing of rows, have no linear part.
        self.line = None if rows is None else nn.Linear(columns, outputs)

    def prepare(self, x: torch.Tensor, evidence: torch.Tensor) -> None:
        """Learn bins and the linear part from rows (N, columns) of the training part."""
        rows = x[:: -(-x.numel() // _CELLS)]
        if self.numbers:
            shares = torch.linspace(0, 1, _BINS + 1)
            self.edges.copy_(torch.quantile(rows[:, self.numbers], shares, dim=0).T)
        if self.line is None:
            return
        from sklearn.linear_model import RidgeCV

        told = evidence[:: -(-x.numel() // _CELLS)]
        found = RidgeCV(alphas=_PENALTIES).fit(rows.double().numpy(), told.double().numpy())
        last = self.layers[-1]
        assert isinstance(last, nn.Linear)  # noqa: S101 - as it was made above
        with torch.no_grad():
            self.line.weight.copy_(torch.from_numpy(np.atleast_2d(found.coef_)))
            self.line.bias.copy_(torch.from_numpy(np.atleast_1d(found.intercept_)))
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, columns) -> (B, outputs)."""
        values = x[:, self.numbers]  # (B, numbers)
        low, high = self.edges[:, :-1], self.edges[:, 1:]
        # A bin of no width, as of a number that is mostly 0, is full from its edge on.
        wide = (high - low).clamp(min=1e-3)
        bins = ((values[:, :, None] - low) / wide).clamp(0, 1)
        found: torch.Tensor = self.layers(torch.cat((x, bins.flatten(1)), 1))
        return found if self.line is None else found + self.line(x)
