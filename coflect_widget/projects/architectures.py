"""Small networks that an experiment's file calls by a name; each for one kind of input."""

from __future__ import annotations

import math

import torch
from torch import nn

from coflect_widget.projects import demo_model


def mlp(input_shape: tuple[int, ...], outputs: int, width: int = 64, depth: int = 2) -> nn.Module:
    """Rows or flattened samples: `depth` layers of `width` with ReLU, then `outputs`."""
    layers: list[nn.Module] = [nn.Flatten()]
    size = math.prod(input_shape)
    for _ in range(depth):
        layers += [nn.Linear(size, width), nn.ReLU()]
        size = width
    return nn.Sequential(*layers, nn.Linear(size, outputs))


def small_resnet(
    input_shape: tuple[int, ...], outputs: int, width: int = 16, seed: int = 0
) -> nn.Module:
    """Pictures (channels, height, width) of 32 pixels or so: three residual blocks."""
    return demo_model.small_resnet(outputs, width, input_shape[0], seed)


def series_cnn(input_shape: tuple[int, ...], outputs: int, width: int = 16) -> nn.Module:
    """Series (channels, steps): two convolutions with batch normalisation, mean over time."""
    return nn.Sequential(
        nn.Conv1d(input_shape[0], width, 7, padding=3), nn.BatchNorm1d(width), nn.ReLU(),
        nn.Conv1d(width, 2 * width, 5, padding=2), nn.BatchNorm1d(2 * width), nn.ReLU(),
        nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(2 * width, outputs),
    )  # fmt: skip


class TextCnn(nn.Module):
    """Looks words up, slides over three of them, keeps the strongest."""

    def __init__(self, words: int, outputs: int, width: int) -> None:
        super().__init__()
        self.embed = nn.Embedding(words, width, padding_idx=0)
        self.slide = nn.Conv1d(width, width, 3, padding=1)
        self.decide = nn.Linear(width, outputs)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Ids (B, L) -> (B, outputs)."""
        seen = torch.relu(self.slide(self.embed(ids).transpose(1, 2)))
        found: torch.Tensor = self.decide(seen.amax(2))
        return found


def text_cnn(words: int, outputs: int, width: int = 32) -> nn.Module:
    """Texts as ids, of which 0 is padding: an embedding, a convolution over three words."""
    return TextCnn(words, outputs, width)
