"""Whole numbers as inputs: how those that a model is to leave out are kept, and how it is told.

A sample is one array (E). A number n that is left out, as attention leaves out padding, is kept as
its complement, ~n, which is negative. A model whose ``forward`` has an argument `attention_mask`
gets the numbers and that mask; another gets the numbers alone.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from coflect_widget.backends.named_items import MASK
from coflect_widget.backends.torch.outputs import forward_names


def takes_mask(model: nn.Module) -> bool:
    """Whether a model can be told which numbers to leave out."""
    return MASK in forward_names(model)


def apart(x: Tensor) -> tuple[Tensor, Tensor]:
    """Numbers (B, E), and 1 where they count, 0 where they are left out."""
    return torch.where(x < 0, ~x, x), (x >= 0).long()


def call(model: nn.Module, x: Any) -> Any:
    """What a model gives for inputs as batches have them: an array, or a tuple of several."""
    if isinstance(x, tuple):
        return model(*x)
    if x.is_floating_point():
        return model(x)
    numbers, mask = apart(x)
    return model(numbers, **{MASK: mask}) if takes_mask(model) else model(numbers)
