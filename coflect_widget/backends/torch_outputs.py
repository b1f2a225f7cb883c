"""The logits among what a torch model gives."""

from __future__ import annotations

from typing import Any

from torch import Tensor


def logits_of(output: Any) -> Tensor:
    """The logits (B, classes) in a model's output, which may carry more.

    Hugging Face's models give an object with `logits`; others a tuple or a mapping, of which
    the first tensor counts.

    Raises
    ------
    TypeError
        If there is no tensor in it.
    """
    if isinstance(output, Tensor):
        return output
    named = getattr(output, "logits", None)
    if isinstance(named, Tensor):
        return named
    values = list(output.values()) if isinstance(output, dict) else output
    if isinstance(values, list | tuple):
        for value in values:
            if isinstance(value, Tensor):
                return value
    raise TypeError(f"the model gives a {type(output).__name__} without a tensor in it")
