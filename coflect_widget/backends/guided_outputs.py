"""What outputs are to guidance: classes, or values, scores, several labels, places.

Each of the others puts some functions in the place of a framework's own (`differentiable.Ops`) and
leaves the rest to them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any


class OfClasses:
    """Outputs (B, classes) are logits: what of a framework's functions needs none of its own."""

    def ignorance(self, logits: Any) -> float:
        """Who knows nothing says that all classes are as likely."""
        return math.log(max(int(logits.shape[1]), 2))

    @staticmethod
    def beside(logits: Any, targets: Any) -> Any:
        """All logits as they are."""
        del targets
        return logits


class _Beside:
    """A framework's array functions, where none of its own says otherwise."""

    def __init__(self, ops: Any) -> None:
        self._ops = ops

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ops, name)


class OfValues(_Beside):
    """Outputs (B, D) are values: guidance keeps them near their targets.

    Parameters
    ----------
    ops : differentiable.Ops
    spread : float
        Mean square distance of the targets from their mean: the loss of who knows nothing.
    """

    def __init__(self, ops: Any, spread: float) -> None:
        super().__init__(ops)
        self._spread = spread

    def ignorance(self, logits: Any) -> float:
        """Who knows nothing says the mean."""
        return self._spread

    def log_softmax(self, logits: Any) -> Any:
        """The values themselves: a unit that moves one of them counts."""
        return logits

    def cross_entropy(self, logits: Any, targets: Any) -> Any:
        """Mean square errors (B,) of both (B, D)."""
        ops = self._ops
        return ops.mean(ops.square(logits - ops.like(targets, logits)), axis=1)

    def beside(self, logits: Any, targets: Any) -> Any:
        """Each value and its opposite, (B, 2 D): what all values share is no less a prediction."""
        return self._ops.concat([logits, -logits], axis=1)

    def of_classes(self, logits: Any, targets: Any) -> Any:
        """The values (B, 1), added up."""
        return self._ops.sum(logits, axis=1, keepdims=True)


class OfScores(OfValues):
    """Outputs (B, 1) are scores of which no target is known: guidance keeps them as they are.

    The loss of the training alone says what is right.

    Parameters
    ----------
    ops : differentiable.Ops
    at_first : callable
        How large the losses of the first step were that had any, about those of who knows
        nothing; not negative, and 0 before that step.
    """

    def __init__(self, ops: Any, at_first: Callable[[], float]) -> None:
        super().__init__(ops, 0.0)
        self._at_first = at_first

    def ignorance(self, logits: Any) -> float:
        """Who knows nothing has the loss of the beginning."""
        return self._at_first()

    def cross_entropy(self, logits: Any, targets: Any) -> Any:
        """0 for each row, (B,)."""
        return self._ops.sum(0 * logits, axis=1)


class OfLabels(_Beside):
    """Each output is a label of its own: guidance keeps all of them right."""

    def log_softmax(self, logits: Any) -> Any:
        """Of both answers to each label, added up."""
        return self._ops.log_sigmoid(logits) + self._ops.log_sigmoid(-logits)

    def cross_entropy(self, logits: Any, targets: Any) -> Any:
        """Of both (B, L), the mean over labels (B,)."""
        ops = self._ops
        wanted = ops.like(targets, logits)
        each = wanted * ops.log_sigmoid(logits) + (1 - wanted) * ops.log_sigmoid(-logits)
        return -ops.mean(each, axis=1)

    def beside(self, logits: Any, targets: Any) -> Any:
        """Of each label both answers, (B, 2 L): what all labels share is no less a prediction."""
        return self._ops.concat([logits, -logits], axis=1)

    def of_classes(self, logits: Any, targets: Any) -> Any:
        """The logits (B, 1) of the labels that are there, added up."""
        there = self._ops.like(targets > 0.5, logits)
        return self._ops.sum(logits * there, axis=1, keepdims=True)


class OfPlaces(_Beside):
    """Each place has a class; targets (B, 2, E) are those of a `guidance.placed` row.

    Parameters
    ----------
    ops : differentiable.Ops
    void : int
        Target of places without a class, besides all that is no class number.
    """

    def __init__(self, ops: Any, void: int = -1) -> None:
        super().__init__(ops)
        self._void = void

    def cross_entropy(self, logits: Any, targets: Any) -> Any:
        """Of (B, C, E), the mean over places with a class (B,)."""
        ops = self._ops
        masks = ops.whole(targets[:, 0])
        known = (masks >= 0) & (masks < logits.shape[1]) & (masks != self._void)
        each = ops.cross_entropy(logits, ops.where(known, masks, 0 * masks))
        each = ops.where(known, each, 0 * each)
        places = tuple(range(1, len(each.shape)))
        return ops.sum(each, axis=places) / ops.maximum(ops.sum(ops.real(known), axis=places), 1.0)

    def beside(self, logits: Any, targets: Any) -> Any:
        """(B, C x E), about a mean of 0 at each place and 0 where rows were exchanged."""
        ops = self._ops
        centred = logits - ops.mean(logits, axis=1, keepdims=True)
        return ops.rows(centred * ops.real(targets[:, 1:]))

    def of_classes(self, logits: Any, targets: Any) -> Any:
        """There is no one class."""
        raise NotImplementedError("masks have no one class; see `GuidedPasses.activation`")
