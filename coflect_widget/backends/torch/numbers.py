"""Whole numbers as inputs: how those that a model is to leave out are kept, and how it is told.

A sample is one array (E). A number n that is left out, as attention leaves out padding, is kept as
its complement, ~n, which is negative. A model whose ``forward`` has an argument `attention_mask`
gets the numbers and that mask; another gets the numbers alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from coflect_widget.backends.named_items import MASK
from coflect_widget.backends.torch.outputs import forward_names
from coflect_widget.backends.torch.several import noted
from coflect_widget.modalities.base import Member


def takes_mask(model: nn.Module) -> bool:
    """Whether a model can be told which numbers to leave out."""
    return MASK in forward_names(model)


def apart(x: Tensor) -> tuple[Tensor, Tensor]:
    """Numbers (B, E), and 1 where they count, 0 where they are left out."""
    return numbers_of(x), (x >= 0).long()


def numbers_of(x: Tensor) -> Tensor:
    """Numbers (B, E), also those that are left out."""
    if not x.dtype.is_signed:
        return x
    # All bits of the sign: 0, or -1, which turns each bit round. Steps call this, so it is short.
    return x ^ (x >> (8 * x.element_size() - 1))


def call(model: nn.Module, x: Any) -> Any:
    """What a model gives for inputs as batches have them, several packed into rows."""
    rows = noted(model)
    if rows is not None:
        given, named = rows.arguments(x)
        return model(*given, **named)
    if x.is_floating_point():
        return model(x)
    if not takes_mask(model):
        return model(numbers_of(x))
    numbers, mask = apart(x)
    return model(numbers, **{MASK: mask})


def within(model: nn.Module, row: Tensor, part: Member) -> Callable[[Tensor], Any]:
    """The model as a function of one part (B, ...) of a row (1, T), whose other parts are held."""

    def called(x: Tensor) -> Any:
        flat = x.reshape(len(x), -1).to(row.dtype)
        before, after = row[:, : part.start], row[:, part.stop :]
        rows = [before.expand(len(x), -1), flat, after.expand(len(x), -1)]
        return call(model, torch.cat(rows, 1))

    return called
