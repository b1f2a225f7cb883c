"""The logits among what a torch model gives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

#: What models call their logits: Hugging Face's and most, then torchvision's segmentation.
_NAMES = ("logits", "out")


def logits_of(output: Any) -> Tensor:
    """The logits (B, classes) in a model's output, which may carry more.

    What is called `logits`, or else `out`, counts, as a key or an attribute; of a mapping
    without these its one tensor of two dimensions, and of a tuple, (main, auxiliary), the
    first tensor.

    Raises
    ------
    TypeError
        If there is no tensor in it.
    ValueError
        If a mapping has several tensors that could be it.
    """
    if isinstance(output, Tensor):
        return output
    for name in _NAMES:
        named = output.get(name) if isinstance(output, Mapping) else getattr(output, name, None)
        if isinstance(named, Tensor):
            return named
    tensors = _tensors(output)
    if not tensors:
        raise TypeError(
            f"the model gives a {type(output).__name__} without logits that could be found; have "
            'it give the logits (B, classes) alone, or as the key or attribute "logits"'
        )
    if isinstance(output, Mapping):
        likely = [t for t in tensors if t.ndim == 2 and t.is_floating_point()]
        if len(likely) > 1:
            raise ValueError(
                f"the model gives a mapping of {', '.join(map(str, output))}, of which several "
                'could be the logits; call the right one "logits"'
            )
        tensors = likely or tensors
    return tensors[0]


def gives_several(output: Any) -> bool:
    """Whether there are more tensors in a model's output than the logits."""
    return len(_tensors(output)) > 1


def _tensors(output: Any) -> list[Tensor]:
    values = output.values() if isinstance(output, Mapping) else output
    if not isinstance(output, Mapping | list | tuple):
        return []
    return [value for value in values if isinstance(value, Tensor)]
