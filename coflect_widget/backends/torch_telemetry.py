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


_NO_ARRAY = np.empty(0, np.bool_)


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

    def keep(
        self,
        indices: NDArray[np.int64],
        logits: torch.Tensor,
        targets: torch.Tensor,
        loss: torch.Tensor,
        guidance_loss: torch.Tensor | None,
    ) -> StepOutput:
        """In a block, as numpy arrays and floats; detached, as it is, where it is large.

        Every step pays for this, so that it asks tensors for as little as possible.
        """
        logits = logits.detach()
        try:
            x, y = logits.numpy(), targets.numpy()
        except (TypeError, RuntimeError):  # of another device, or bfloat16, which numpy lacks
            x = y = _NO_ARRAY
        if (
            x.dtype != np.float32
            or y.dtype != np.int64
            or x.ndim != 2
            or y.shape != x.shape[:1]
            or x.nbytes > LARGE
        ):
            guidance = None if guidance_loss is None else guidance_loss.detach()
            return StepOutput(indices, targets, logits, loss.detach(), guidance)
        rows, classes = x.shape
        first = self._used
        last = first + rows
        if last > self._rows or classes != self._classes:
            self._renew(STEPS * max(rows, 1), classes)
            first, last = 0, rows
        self._used = last
        place = slice(first, last)
        kept_indices, kept_targets = self._indices[place], self._targets[place]
        kept_logits = self._logits[place]
        kept_indices[:], kept_targets[:], kept_logits[:] = indices, y, x
        term = None if guidance_loss is None else guidance_loss.item()
        return StepOutput(kept_indices, kept_targets, kept_logits, loss.item(), term)
