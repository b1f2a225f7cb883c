"""Several labels for each sample, each there or not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import array_api_compat as compat
import numpy as np
from numpy.typing import NDArray

from coflect_widget.tasks.base import PerSample, Verdict, Words, is_elsewhere, to_numpy
from coflect_widget.tasks.cross_entropy import LARGE
from coflect_widget.tasks.measures.of_labels import OfLabels

_WORDS = Words(
    quality="accuracy of the labels",
    quality_first="Accuracy of the labels",
    quality_from=" on validation data",
    shortfall="Error",
    far_wrong="confidently wrong in a label",
    getting_worse="losing confidence",
    close="low confidence",
)


_SHOWN = 12  # labels with their probabilities beside a map


class MultiLabel:
    """Outputs (B, L) are logits, targets (B, L) are 0 and 1; see `tasks.base.Task`.

    The loss of a sample is the mean of the binary cross-entropies of its labels, in nats. Its
    margin is that of its worst label: the logit where the label is there, less the logit where the
    label is not. A sample is right where all of its labels are, at a probability of 0.5. A target
    between 0 and 1, as of smoothed or mixed labels, enters the loss as it is, and counts as there
    above 0.5.

    `PerSample.target` and `predicted` tell of the worst label: number k says that label k is there,
    number L + k that it is not.

    Parameters
    ----------
    labels : int
        At least 2.
    known : float
        Accuracy of the labels of who always gives each label's more frequent value, 0.5 to 1.
    """

    name = "multi_label"
    words = _WORDS
    labelled = False
    of_labels = True
    guidable = True
    groups = 1
    by_batch = False
    tells_values = False
    predicts_targets = True
    in_training = ""
    placed = False
    least_loss = 1.0

    def __init__(self, labels: int, known: float = 0.5) -> None:
        if labels < 2:
            raise ValueError(
                f"several labels need 2 outputs or more, and the model has {labels}; for one "
                "label, there or not, give the model two outputs and pass class numbers (N,)"
            )
        self.labels = self.width = int(labels)
        self.known = float(known)

    def __repr__(self) -> str:
        return f"MultiLabel({self.labels}, {self.known:.4f})"

    def check(self, outputs: Any, targets: Any = None, losses: Any = None) -> None:
        shape = tuple(np.shape(outputs))
        if len(shape) != 2 or shape[1] != self.labels:
            raise ValueError(
                f"logits has shape {shape}; expected (B, {self.labels}), one row for each sample "
                "and one column for each label"
            )
        if targets is not None and tuple(np.shape(targets)) != shape:
            raise ValueError(
                f"logits {shape} and targets {tuple(np.shape(targets))} do not belong together; "
                f"expected (B, {self.labels}) both, targets of 0 and 1. Of class numbers (B,) "
                f"numpy.eye({self.labels})[labels] makes such"
            )
        if losses is not None and tuple(np.shape(losses)) != shape[:1]:
            raise ValueError(f"losses has shape {tuple(np.shape(losses))}; expected {shape[:1]}")

    def summarise(self, outputs: Any, targets: Any, losses: Any = None) -> PerSample:
        self.check(outputs, targets, losses)
        if is_elsewhere(outputs):
            xp, place = compat.array_namespace(outputs), compat.device(outputs)
            scores = xp.astype(outputs, xp.float32)
            wanted = xp.astype(xp.asarray(targets, device=place), xp.float32)
            given = losses
            if losses is not None:
                given = xp.astype(xp.asarray(losses, device=place), xp.float32)
            return self._measured(xp, scores, wanted, given, xp.arange(self.labels, device=place))
        given = None if losses is None else to_numpy(losses, np.float32)
        scores, wanted = to_numpy(outputs, np.float32), to_numpy(targets, np.float32)
        xp = compat.array_namespace(scores)
        with np.errstate(over="ignore", invalid="ignore"):
            return self._measured(xp, scores, wanted, given, np.arange(self.labels))

    def _measured(self, xp: Any, scores: Any, wanted: Any, given: Any, number: Any) -> PerSample:
        labelled = xp.all((wanted >= 0) & (wanted <= 1), axis=1)  # NaN is neither
        usable = labelled & xp.all(xp.isfinite(scores), axis=1)
        if given is not None:
            usable = usable & xp.isfinite(given)
        # Values that do no harm; the rows count nowhere.
        scores = xp.where(usable[:, None], scores, xp.zeros_like(scores))
        wanted = xp.where(usable[:, None], wanted, xp.zeros_like(wanted))
        limit = float(LARGE)
        if given is None:
            positive = xp.where(scores > 0, scores, xp.zeros_like(scores))
            each = positive - scores * wanted + xp.log1p(xp.exp(-xp.abs(scores)))
            loss = xp.clip(xp.mean(each, axis=1), None, limit)
        else:
            loss = xp.where(usable, given, xp.zeros_like(given))
        there = wanted > 0.5
        signed = xp.where(there, scores, -scores)
        # At a logit of 0 the label is not said to be there: wrong where it is.
        wrong = (scores > 0) != there
        margin = xp.min(signed, axis=1)
        none = xp.full_like(number, self.labels)
        # Of equal ones the first counts, and a wrong one before a right one.
        least = signed == margin[:, None]
        at = least & (wrong | ~xp.any(least & wrong, axis=1)[:, None])
        worst = xp.min(xp.where(at, number[None, :], none[None, :]), axis=1)
        chosen = number[None, :] == worst[:, None]
        target = xp.where(xp.any(chosen & there, axis=1), worst, worst + self.labels)
        predicted = xp.where(xp.any(chosen & (scores > 0), axis=1), worst, worst + self.labels)
        margin = xp.clip(margin, -limit, limit)
        return PerSample(loss, margin, predicted == target, predicted, target, usable, labelled)

    def cross_entropy(self, outputs: Any, targets: Any, losses: Any = None) -> None:
        return None

    def losses(self, outputs: Any, targets: Any) -> NDArray[np.float32]:
        found = self.summarise(outputs, targets).on_host()
        losses: NDArray[np.float32] = found.loss
        return losses

    def score(self, outputs: Any, target: int) -> Any:
        return outputs[:, target % self.labels]

    def measures(self) -> OfLabels:
        return OfLabels()

    def metrics(self) -> tuple[str, ...]:
        return ("loss", "label_accuracy", "macro_f1")

    def chance(self, commonest: float | None = None) -> float:
        return self.known

    def guess(self, chance: float) -> str:
        return f"always giving each label's more frequent value ({chance:.0%})"

    def has_label(self, label: int) -> bool:
        return 0 <= label < self.labels

    def outcomes(self, names: list[str] | None) -> list[str]:
        """Names of the labels, and of their absence: label k is at k, its absence at L + k."""
        known = names or [str(number) for number in range(self.labels)]
        return [*known, *(f"no {name}" for name in known)]

    def explained(self, target: int | None) -> int | None:
        return None if target is None else target % self.labels

    def verdict(
        self, explained: int, output: float, targets: NDArray[np.floating] | None
    ) -> Verdict | None:
        if targets is None:
            return None
        there = tuple(int(label) for label in np.flatnonzero(targets > 0.5))
        absent = explained + self.labels
        target = explained if explained in there else absent
        return Verdict(target, explained if output > 0 else absent, there)

    def likeliest(
        self,
        shares: NDArray[np.floating],
        count: int,
        outputs: NDArray[np.floating] | None = None,
    ) -> Mapping[int, float]:
        """Of each label its own probability, of up to 12; they do not sum to 1."""
        if outputs is None:
            return {}
        each = 1 / (1 + np.exp(-np.clip(outputs.astype(np.float64), -700, 700)))
        top = np.argsort(-each, kind="stable")[: max(count, _SHOWN)]
        return {int(number): float(each[number]) for number in top}

    def odds(
        self, outputs: NDArray[np.floating], target: int
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        values = outputs[:, target % self.labels].astype(np.float64)
        return values, 1 / (1 + np.exp(-np.clip(values, -700, 700)))
