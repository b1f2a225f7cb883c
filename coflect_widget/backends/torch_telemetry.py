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
        self._shape: tuple[int, ...] = ()
        self._places: list[tuple[NDArray[np.float32], NDArray[np.int64]]] = []

    def keep(
        self,
        indices: NDArray[np.int64],
        logits: torch.Tensor,
        targets: torch.Tensor,
        loss: float,
        guidance_loss: float | None,
    ) -> StepOutput:
        """In a block, as numpy arrays; detached, as it is, where it is large or of another kind.

        Every step pays for this, so that it asks tensors for as little as possible; each line
        costs several times what it does alone, because the step has filled the caches.
        """
        logits = logits.detach()
        if logits.shape != self._shape or not self._places:
            self._renew(logits)
        if self._places and logits.dtype is torch.float32 and targets.dtype is torch.int64:
            kept_logits, kept_targets = self._places[-1]
            try:
                kept_logits[:], kept_targets[:] = logits.numpy(), targets.numpy()
            except (TypeError, ValueError):  # of another device or shape
                pass
            else:
                self._places.pop()
                return StepOutput(indices, kept_targets, kept_logits, loss, guidance_loss)
        return StepOutput(indices, targets, logits, loss, guidance_loss)

    def _renew(self, logits: torch.Tensor) -> None:
        """A block for outputs of this shape; none where they are no rows, or large."""
        self._shape = logits.shape
        self._places = []
        if logits.device.type == "cpu" and logits.ndim == 2 and 0 < 4 * logits.numel() <= LARGE:
            rows, classes = logits.shape
            scores = np.empty((STEPS, rows, classes), np.float32)
            labels = np.empty((STEPS, rows), np.int64)
            self._places = [*zip(scores[::-1], labels[::-1], strict=True)]
