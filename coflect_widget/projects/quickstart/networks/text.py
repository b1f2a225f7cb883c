"""A network for texts: what each word says by itself, and what three in a row say."""

from __future__ import annotations

import torch
from torch import nn

#: A word's evidence is drawn towards nothing as if it had been seen so often without any.
_SHRINK = 3.0
_PADDING = 0


class TextNet(nn.Module):
    """One embedding, whose first columns are each word's evidence for the outputs.

    Evidence is summed over the words of a text, as in a linear model of words; the other columns
    go through a convolution over three words, of which the strongest answer counts.
    """

    def __init__(self, words: int, outputs: int, width: int = 64, filters: int = 96) -> None:
        super().__init__()
        self.outputs = outputs
        self.embedding = nn.Embedding(words, outputs + width, padding_idx=_PADDING)
        self.spread = nn.Dropout1d(0.2)  # whole words
        self.layer = nn.Conv1d(outputs + width, filters, 3, padding=1)
        self.drop = nn.Dropout(0.4)
        self.head = nn.Linear(filters, outputs)
        self.scale = nn.Parameter(torch.tensor(4.0))

    def prepare(self, x: torch.Tensor, evidence: torch.Tensor) -> None:
        """Begin with what the words of the training part, ids (N, L), went along with."""
        words = self.embedding.num_embeddings
        sums = torch.zeros(words, self.outputs)
        counts = torch.full((words, 1), _SHRINK)
        for ids, told in zip(x, evidence, strict=True):
            seen = torch.unique(ids)
            sums[seen] += told
            counts[seen] += 1
        with torch.no_grad():
            self.embedding.weight *= 0.5
            self.embedding.weight[:, : self.outputs] = sums / counts
            self.embedding.weight[_PADDING] = 0

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """(B, L) whole numbers -> (B, outputs)."""
        there = ids != _PADDING
        words = self.spread(self.embedding(ids))  # (B, L, outputs + width)
        count = there.sum(1, keepdim=True).clamp(min=1)
        evidence = (words[..., : self.outputs] * there[..., None]).sum(1) / count.sqrt()
        answers = torch.relu(self.layer(words.transpose(1, 2))) * there[:, None]
        found: torch.Tensor = self.scale * evidence + self.head(self.drop(answers.amax(2)))
        return found
