"""Small nets that read texts."""

import torch
from torch import nn


class Convolutions(nn.Module):
    """Words three at a time, and the strongest of them."""

    def __init__(self, ids, width=24):
        super().__init__()
        self.embedding = nn.Embedding(ids, width, padding_idx=0)
        self.layer = nn.Conv1d(width, 32, 3, padding=1)
        self.head = nn.Linear(32, 2)

    def forward(self, ids):
        seen = torch.relu(self.layer(self.embedding(ids).transpose(1, 2)))
        return self.head(seen.amax(2))


class Transformer(nn.Module):
    """Two layers of attention, and the mean over the words."""

    def __init__(self, ids, length, width=24):
        super().__init__()
        self.words = nn.Embedding(ids, width)
        self.places = nn.Embedding(length, width)
        layer = nn.TransformerEncoderLayer(width, 2, 32, dropout=0.0, batch_first=True)
        self.layers = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(width, 2)

    def forward(self, ids):
        empty = ids == 0
        x = self.words(ids) + self.places(torch.arange(ids.shape[1], device=ids.device))
        x = self.layers(x, src_key_padding_mask=empty)
        kept = (~empty)[..., None].float()
        return self.head((x * kept).sum(1) / kept.sum(1))


def made(kind, data):
    """One of the two, for `coflect.data.reviews`."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        ids, length = len(data.words), data.ids.shape[1]
        return Convolutions(ids) if kind == "convolutions" else Transformer(ids, length)
