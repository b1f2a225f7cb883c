"""A loader's batch that a loop of the user's own trains on in pieces, and counts as one step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coflect_widget.backends.base import StepOutput

Indices = NDArray[np.int64]
Concatenate = Callable[[Sequence[Any]], Any]


class Pieces:
    """Which rows of a batch its pieces are; they come in the order of the batch.

    Parameters
    ----------
    indices : ndarray (B,)
        Places of the batch's samples in the training data.

    Attributes
    ----------
    taken : int
        Rows observed so far.
    """

    def __init__(self, indices: Indices) -> None:
        self.indices = indices
        self.taken = 0
        self._outputs: list[StepOutput] = []
        self._newest: tuple[int, Any] | None = None  # first row and targets of the piece observed
        self._guided = 0  # rows that guidance was asked for
        self._terms: list[Any] = []
        self._losses: list[Any] = []  # that guidance was relative to

    @property
    def whole(self) -> bool:
        """Whether each row was observed."""
        return self.taken == len(self.indices)

    def next(self, rows: int) -> Indices:
        """Places of the next so many rows.

        Raises
        ------
        ValueError
            If the batch has fewer left.
        """
        left = len(self.indices) - self.taken
        if rows > left:
            raise ValueError(
                f"observe() got {rows} more rows, but of this batch of {len(self.indices)} only "
                f"{left} are left; without indices the pieces of a batch are taken in order, each "
                "row once: observe each piece once, or give observe() the indices of its samples"
            )
        return self.indices[self.taken : self.taken + rows]

    def add(self, output: StepOutput, targets: Any) -> None:
        """A piece was observed; `targets` as the loop gave them."""
        self._newest = (self.taken, targets)
        self.taken += len(output.indices)
        self._outputs.append(output)

    def guided(self, rows: int, targets: Any) -> Indices | None:
        """Places of the piece that guidance is asked for, None where nobody knows.

        That is the piece observed last, if these are its targets, or the one that comes next.
        """
        start = max(self.taken, self._guided)
        if self._newest is not None:
            first, of_newest = self._newest
            if targets is of_newest:
                start = first
            elif self._guided <= first and len(of_newest) == rows:
                return None  # it may be either
        if start + rows > len(self.indices):
            return None
        self._guided = start + rows
        return self.indices[start : start + rows]

    def add_guidance(self, term: Any | None, loss: Any) -> None:
        """What guidance gave for a piece, and the loss that it is relative to."""
        self._losses.append(_detached(loss))
        if term is not None:
            self._terms.append(_detached(term))

    def joined(self, concatenate: Concatenate) -> StepOutput:
        """All that was observed as one step: the mean loss of its rows."""
        outputs = self._outputs
        indices = np.concatenate([o.indices for o in outputs])
        loss = sum(o.loss * (len(o.indices) / len(indices)) for o in outputs)
        guidance = None
        if self._terms:
            # Pieces of k often come with a k-th of their loss: only the ratio is the same in both.
            mean = sum(self._losses) / len(self._losses)
            guidance = loss * (sum(self._terms) / (mean * len(outputs) + 1e-12))
        return StepOutput(
            indices,
            concatenate([o.targets for o in outputs]),
            concatenate([o.logits for o in outputs]),
            loss,
            guidance,
        )


def _detached(value: Any) -> Any:
    return value.detach() if hasattr(value, "detach") else value
