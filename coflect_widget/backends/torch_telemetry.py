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
    """Put numpy arrays in one block in the place of the outputs' logits and targets.

    They stay the tensors that they are where they are large, not a CPU's or of another kind.
    Outputs that do not fit together are copied one by one. A block lives as long as anybody holds
    an output in it.
    """
    if not _copied(outputs) and len(outputs) > 1:
        for output in outputs:
            _copied([output])


def _copied(outputs: Sequence[StepOutput]) -> bool:
    first = outputs[0].logits
    if first.dtype != torch.float32 or first.ndim != 2 or not first.is_cpu:
        return False
    lengths = [len(output.indices) for output in outputs]
    if sum(lengths) * first.shape[1] > LARGE * len(outputs):
        return False
    try:
        logits = torch.cat([output.logits for output in outputs])
        targets = torch.cat([output.targets for output in outputs])
    except (RuntimeError, TypeError):
        return False
    rows = (sum(lengths),)
    if logits.dtype != torch.float32 or logits.shape[:1] != rows:
        return False
    if targets.dtype != torch.int64 or targets.shape != rows or not targets.is_cpu:
        return False
    x, y = logits.numpy(), targets.numpy()
    at = 0
    for output, length in zip(outputs, lengths, strict=True):
        output.logits, output.targets = x[at : at + length], y[at : at + length]
        at += length
    return True
