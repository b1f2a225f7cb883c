"""What steps computed, kept for the telemetry where it does not stand in training's way.

A tensor that is kept while many steps come and go keeps its place in the allocator's heap, and the
next step's activations come to lie elsewhere than the last one's did, where no cache knows them: a
step took some percent longer for nothing but that. So small outputs are copied side by side into
blocks.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from coflect_widget.backends.base import StepOutput

#: Elements of a step's logits beyond which they are kept as they are.
LARGE = 1 << 15


def copy_small(outputs: Sequence[StepOutput]) -> None:
    """Put numpy arrays in one block in the place of a CPU's outputs.

    Logits and targets stay the tensors that they are where they are large or do not fit together.
    A block lives as long as anybody holds an output in it.
    """
    lengths = [len(output.indices) for output in outputs]
    if sum(lengths) * outputs[0].logits.shape[-1] > LARGE * len(outputs):
        return
    try:
        logits = torch.cat([output.logits for output in outputs])
        targets = torch.cat([output.targets for output in outputs])
    except (RuntimeError, TypeError):
        return
    rows = (sum(lengths),)
    if logits.dtype != torch.float32 or logits.ndim != 2 or targets.dtype != torch.int64:
        return
    if logits.shape[:1] != rows or targets.shape != rows:
        return
    x, y = logits.numpy(), targets.numpy()
    first = 0
    for output, length in zip(outputs, lengths, strict=True):
        last = first + length
        output.logits, output.targets = x[first:last], y[first:last]
        first = last
