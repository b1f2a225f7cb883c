"""One class out of several for each sample."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import array_api_compat as compat
import numpy as np
from numpy.typing import NDArray

from coflect_widget.tasks.base import PerSample, Words, is_elsewhere, to_numpy
from coflect_widget.tasks.cross_entropy import LARGE, measure
from coflect_widget.tasks.measures.of_classes import OfClasses

_WORDS = Words(
    quality="accuracy",
    quality_first="Accuracy",
    quality_from="",
    shortfall="Error",
    far_wrong="confidently wrong",
    getting_worse="losing confidence",
    close="low confidence",
)


class Classification:
    """Outputs (B, C) are logits, targets (B,) class numbers; see `tasks.base.Task`.

    Where C is 2, outputs may be (B, 1): the one logit of a binary classifier, for class 1. The
    loss is the cross-entropy in nats; the margin is the target's logit less the largest other.

    Parameters
    ----------
    classes : int
        At least 2.
    """

    name = "classification"
    words = _WORDS
    labelled = of_labels = True
    guidable = True
    by_batch = False
    tells_values = False
    predicts_targets = True
    in_training = "accuracy"
    placed = False
    least_loss = 1.0

    def __init__(self, classes: int) -> None:
        if classes < 2:
            raise ValueError(
                f"the model has {classes} output{'s' * (classes != 1)}; a classifier needs at "
                "least 2: give a binary classifier two outputs"
            )
        self.classes = self.groups = self.width = int(classes)

    def __repr__(self) -> str:
        return f"Classification({self.classes})"

    def check(self, outputs: Any, targets: Any = None, losses: Any = None) -> None:
        shape = tuple(np.shape(outputs))
        if len(shape) != 2 or not (shape[1] == self.classes or (shape[1], self.classes) == (1, 2)):
            raise ValueError(
                f"logits has shape {shape}; expected (B, {self.classes}), one row for each sample "
                "and one column for each class"
            )
        if targets is not None and tuple(np.shape(targets)) != shape[:1]:
            raise ValueError(
                f"logits {shape} and targets {tuple(np.shape(targets))} do not belong together; "
                f"expected (B, {self.classes}) and (B,)"
            )
        if losses is not None and tuple(np.shape(losses)) != shape[:1]:
            raise ValueError(f"losses has shape {tuple(np.shape(losses))}; expected {shape[:1]}")

    def summarise(self, outputs: Any, targets: Any, losses: Any = None) -> PerSample:
        self.check(outputs, targets, losses)
        if is_elsewhere(outputs):
            return _by_standard(outputs, targets, losses, self.classes)
        scores, labels, given = self._arrays(outputs, targets, losses)
        usable, labelled = _usable(scores, labels, given, self.classes)
        if usable is not None:
            # Values that do no harm; the rows count nowhere.
            scores = np.where(usable[:, None], scores, np.float32(0))
            labels = np.where(usable, labels, 0)
        loss, margin, predicted = measure(scores, labels)
        if given is not None:
            loss = given if usable is None else np.where(usable, given, np.float32(0))
        return PerSample(loss, margin, predicted == labels, predicted, labels, usable, labelled)

    def cross_entropy(
        self, outputs: Any, targets: Any, losses: Any = None
    ) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float32] | None] | None:
        self.check(outputs, targets, losses)
        return None if is_elsewhere(outputs) else self._arrays(outputs, targets, losses)

    def _arrays(
        self, outputs: Any, targets: Any, losses: Any
    ) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float32] | None]:
        scores: NDArray[np.float32] = to_numpy(outputs, np.float32)
        labels: NDArray[np.int64] = to_numpy(targets, np.int64)
        given = None if losses is None else to_numpy(losses, np.float32)
        if scores.shape[1] != self.classes:
            scores = np.concatenate([np.zeros_like(scores), scores], axis=1)
        return scores, labels, given

    def losses(self, outputs: Any, targets: Any) -> NDArray[np.float32]:
        found = self.summarise(outputs, targets).on_host()
        losses: NDArray[np.float32] = found.loss
        return losses if found.usable is None else np.where(found.usable, losses, np.float32(0))

    def score(self, outputs: Any, target: int) -> Any:
        return outputs[:, target]

    def measures(self) -> OfClasses:
        return OfClasses(self.classes)

    def metrics(self) -> tuple[str, ...]:
        return ("loss", "accuracy")

    def chance(self, commonest: float | None = None) -> float:
        equal = 1 / self.classes
        return equal if commonest is None else max(equal, commonest)

    def guess(self, chance: float) -> str:
        if chance >= 1 / self.classes + 0.01:
            return f"always naming the most frequent class ({chance:.0%})"
        return f"guessing among {self.classes} classes"

    def has_label(self, label: int) -> bool:
        return 0 <= label < self.classes

    def outcomes(self, names: list[str] | None) -> list[str]:
        return names or [str(number) for number in range(self.classes)]

    def explained(self, target: int | None) -> int | None:
        return target

    def verdict(self, explained: int, output: float, targets: NDArray[np.floating] | None) -> None:
        return None

    def likeliest(
        self,
        shares: NDArray[np.floating],
        count: int,
        outputs: NDArray[np.floating] | None = None,
    ) -> Mapping[int, float]:
        top = np.argsort(-shares, kind="stable")[:count]
        return {int(number): float(shares[number]) for number in top}

    def odds(
        self, outputs: NDArray[np.floating], target: int
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Outputs (B, C) may be logits or probabilities."""
        values = outputs.astype(np.float64)
        if (values >= 0).all() and np.allclose(values.sum(1), 1, atol=1e-4):
            values = np.log(np.maximum(values, 1e-12))
        values = values - values.max(1, keepdims=True)
        own = values[:, target]
        others = np.log(np.exp(np.delete(values, target, axis=1)).sum(1) + 1e-300)
        odds = own - others
        return odds, 1 / (1 + np.exp(-odds))


def _usable(
    scores: NDArray[np.float32],
    labels: NDArray[np.int64],
    given: NDArray[np.float32] | None,
    classes: int,
) -> tuple[NDArray[np.bool_] | None, NDArray[np.bool_] | None]:
    """Which rows have finite numbers and a label, and which have a label; None where all have."""
    if not len(labels):
        return None, None
    labelled = None
    if labels.min() < 0 or labels.max() >= classes:
        labelled = (labels >= 0) & (labels < classes)
    with np.errstate(over="ignore", invalid="ignore"):  # one bad number makes the sum bad
        total = scores.sum() if given is None else scores.sum() + given.sum()
    if labelled is None and np.isfinite(total):
        return None, None
    usable: NDArray[np.bool_] = np.logical_and.reduce(np.isfinite(scores), axis=1)
    if given is not None:
        usable &= np.isfinite(given)
    if labelled is not None:
        usable &= labelled
    return usable, labelled


def _by_standard(outputs: Any, targets: Any, losses: Any, classes: int) -> PerSample:
    """`summarise` on the device of `outputs`, without a wait for it."""
    xp = compat.array_namespace(outputs)
    scores, place = xp.astype(outputs, xp.float32), compat.device(outputs)
    labels = xp.astype(xp.asarray(targets, device=place), xp.int64)
    if scores.shape[1] != classes:
        scores = xp.concat([xp.zeros_like(scores), scores], axis=1)
    labelled = (labels >= 0) & (labels < classes)
    usable = labelled & xp.all(xp.isfinite(scores), axis=1)
    given = None
    if losses is not None:
        given = xp.astype(xp.asarray(losses, device=place), xp.float32)
        usable = usable & xp.isfinite(given)
    scores = xp.where(usable[:, None], scores, xp.zeros_like(scores))
    labels = xp.where(usable, labels, xp.zeros_like(labels))
    number = xp.arange(classes, dtype=xp.int64, device=place)[None, :]
    own = labels[:, None] == number
    shifted = scores - xp.max(scores, axis=1, keepdims=True)
    # Of equal ones the first counts, which argmax promises on no device.
    peaks = xp.where(shifted == 0, number, xp.full_like(number, classes))
    predicted = xp.min(peaks, axis=1)
    of_target = xp.sum(xp.where(own, shifted, xp.zeros_like(shifted)), axis=1)
    others = xp.max(xp.where(own, xp.full_like(shifted, -float("inf")), shifted), axis=1)
    limit = float(LARGE)
    loss = xp.clip(xp.log(xp.sum(xp.exp(shifted), axis=1)) - of_target, None, limit)
    if given is not None:
        loss = xp.where(usable, given, xp.zeros_like(given))
    margin = xp.clip(of_target - others, -limit, limit)
    return PerSample(loss, margin, predicted == labels, predicted, labels, usable, labelled)
