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

    They stay the tensors that they are where they are large, not a CPU's, or of another kind than
    the block. A block lives as long as anybody holds an output in it.
    """
    small = [output for output in outputs if _small(output)]
    alike = [o for o in small if o.logits.shape[1] == small[0].logits.shape[1]]
    if not alike:
        return
    logits = torch.cat([output.logits for output in alike]).numpy()
    targets = torch.cat([output.targets for output in alike]).numpy()
    first = 0
    for output in alike:
        last = first + len(output.indices)
        output.logits, output.targets = logits[first:last], targets[first:last]
        first = last


def _small(output: StepOutput) -> bool:
    logits, targets = output.logits, output.targets
    return bool(
        logits.ndim == 2
        and logits.numel() <= LARGE
        and logits.dtype == torch.float32
        and logits.device.type == "cpu"
        and targets.shape == logits.shape[:1] == output.indices.shape
        and targets.dtype == torch.int64
    )
