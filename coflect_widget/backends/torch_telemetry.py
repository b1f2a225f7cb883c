"""What steps computed, kept for the telemetry where it does not stand in training's way.

A tensor that is kept while the next steps come and go keeps its place in the allocator's heap, and
the next step's activations come to lie elsewhere than the last one's did, where no cache knows
them: a step took some percent longer for nothing but that. So small outputs are copied side by
side into blocks that serve many steps.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from coflect_widget.backends.base import StepOutput

#: Steps of one block ...
STEPS = 64
#: ... and bytes of a step's logits beyond which they are kept as they are.
LARGE = 1 << 17


class OutputBlocks:
    """Copies outputs of a CPU, no others; for the training thread alone.

    A block lives as long as anybody holds an output in it.
    """

    def __init__(self) -> None:
        self._renew(0, 0)

    def _renew(self, rows: int, classes: int) -> None:
        self._used, self._rows, self._classes = 0, rows, classes
        self._indices: NDArray[np.int64] = np.empty(rows, np.int64)
        self._targets: NDArray[np.int64] = np.empty(rows, np.int64)
        self._logits: NDArray[np.float32] = np.empty((rows, classes), np.float32)

    def keep(self, output: StepOutput) -> StepOutput:
        """The same in a block, as numpy arrays and floats; else, and where it is large, itself."""
        logits, targets = output.logits, output.targets
        if (
            logits.device.type != "cpu"  # a copy would wait for the device
            or targets.device.type != "cpu"
            or logits.ndim != 2
            or logits.dtype != torch.float32
            or targets.dtype != torch.int64
            or targets.shape != logits.shape[:1]
            or 4 * logits.numel() > LARGE
        ):
            return output
        rows, classes = logits.shape
        first = self._used
        if first + rows > self._rows or classes != self._classes:
            self._renew(STEPS * max(rows, 1), classes)
            first = 0
        self._used = last = first + rows
        self._indices[first:last] = output.indices
        self._targets[first:last] = targets.numpy()
        self._logits[first:last] = logits.numpy()
        guidance = output.guidance_loss
        return StepOutput(
            indices=self._indices[first:last],
            targets=self._targets[first:last],
            logits=self._logits[first:last],
            loss=float(output.loss),
            guidance_loss=None if guidance is None else float(guidance),
        )
