"""What steps computed, kept for the telemetry where it does not stand in training's way.

A tensor that is kept while many steps come and go keeps its place in the allocator's heap, and the
next step's activations come to lie elsewhere than the last one's did, where no cache knows them: a
step took some percent longer for nothing but that. So small outputs are copied side by side into
blocks. Some at once, because a step fills the caches: the same line of Python costs several times
as much the first time after it.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from coflect_widget.backends.base import StepOutput

#: Steps that are copied at once ...
TOGETHER = 16
#: ... and elements of a step's logits beyond which they are kept as they are.
LARGE = 1 << 15


class OutputBlocks:
    """Copies outputs of a CPU, no others; for the training thread alone.

    A block lives as long as anybody holds an output in it.
    """

    def __init__(self) -> None:
        self._fresh: list[StepOutput] = []

    def keep(
        self,
        indices: NDArray[np.int64],
        targets: torch.Tensor,
        logits: torch.Tensor,
        loss: float,
        guidance_loss: float | None,
    ) -> StepOutput:
        """An output whose logits and targets will be numpy arrays in a block some steps later.

        They stay the tensors that they are where they are large or of another kind than the block.
        """
        output = StepOutput(indices, targets, logits.detach(), loss, guidance_loss)
        self._fresh.append(output)
        if len(self._fresh) >= TOGETHER:
            fresh, self._fresh = self._fresh, []
            _copy(fresh)
        return output


def _copy(outputs: list[StepOutput]) -> None:
    small = [output for output in outputs if _small(output)]
    alike = [o for o in small if o.logits.shape[1] == small[0].logits.shape[1]]
    if not alike:
        return
    logits = torch.cat([output.logits for output in alike]).numpy()
    targets = torch.cat([output.targets for output in alike]).numpy()
    first = 0
    # Another thread may be reading: each array is complete when it takes its place.
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
