"""A class for each place of an input: segmentation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import array_api_compat as compat
import numpy as np
from numpy.typing import NDArray

from coflect_widget.tasks.base import PerSample, Verdict, Words, to_numpy
from coflect_widget.tasks.classification import Classification
from coflect_widget.tasks.cross_entropy import LARGE

_WORDS = Words(
    quality="IoU",
    quality_first="IoU",
    quality_from=" on validation data",
    shortfall="Missing overlap",
    far_wrong="confidently wrong",
    getting_worse="losing overlap",
    close="little overlap",
)

#: A sample is right where each of its classes overlaps with its ground truth by so much.
LEAST_IOU = 0.5
#: A class that the ground truth of a sample has not counts from this share of its places on.
LEAST_SHARE = 0.01
#: Log-odds below say no more, nor do probabilities of something else that are smaller.
_FAR, _SURE = 1e4, 1e-7
#: So small is the margin of a sample whose log-odds are at odds with the verdict.
_NEAR = 1e-3
#: What is kept of a sample: loss, margin, predicted, target, IoU, and 1 where a place is labelled.
FIGURES = 6
LOOKED_AT = 512  # masks that tell how frequent classes are
_SHOWN = 12  # classes with their probabilities beside a map

#: How often each number from 0 to n - 1 comes in an array (m,), as (n,); or sums of weights (m,).
Counted = Callable[[Any, int, Any], Any]


class Segmentation:
    """Outputs (B, C, *E) are logits, targets (B, *E) class numbers; see `tasks.base.Task`.

    E are the places of an input: rows and columns of a picture. A place whose target is `void` is
    in no figure. The loss of a sample is the mean cross-entropy over its places, in nats. Its
    classes are those of its ground truth, and those that the model gives to 1 % of its places or
    more. The sample is right where the IoU (intersection over union) of each of them is at least
    0.5, and `PerSample.quality` is their mean. Its margin is the least of theirs: the mean, over
    the places that are of a class or are called it, of the log-odds of a place's own class. An
    overlap alone would say of a class that is missed by a hair's breadth what it says of one that
    is surely missed, and foretell less.

    `PerSample.target` is the class of the smallest IoU, and `predicted` the class that it is mostly
    confused with, where the sample is wrong.

    What is kept of a step are figures (B, 6), which `figures` gives; the methods take them in the
    place of outputs.

    Parameters
    ----------
    classes : int
        At least 2.
    void : int
        Target of places without a label.
    commonest : int
        Class of most places in the training data.
    known : float
        Mean IoU of who always gives the most frequent class, from 0 to 1.
    """

    name = "segmentation"
    words = _WORDS
    labelled = False
    of_labels = True
    guidable = True
    groups = 1
    by_batch = False
    tells_values = False
    predicts_targets = False
    in_training = "iou"
    placed = True
    least_loss = 1.0
    width = FIGURES

    def __init__(
        self, classes: int, void: int = -100, commonest: int = 0, known: float = 0.0
    ) -> None:
        if classes < 2:
            raise ValueError(
                f"the model has {classes} output{'s' * (classes != 1)} for each place; a "
                "segmentation needs 2 or more: of one object and what is around it, two"
            )
        self.classes, self.void = int(classes), int(void)
        self.commonest, self.known = int(commonest), float(known)

    def __repr__(self) -> str:
        return f"Segmentation({self.classes}, {self.void}, {self.commonest}, {self.known:.4f})"

    def check(self, outputs: Any, targets: Any = None, losses: Any = None) -> None:
        shape = tuple(np.shape(outputs))
        figures = len(shape) == 2 and shape[1] == FIGURES
        if not figures and (len(shape) < 3 or shape[1] != self.classes):
            raise ValueError(
                f"logits has shape {shape}; expected (B, {self.classes}, H, W), for each place of "
                "a sample one number a class"
            )
        wanted = (*shape[:1], *shape[2:])
        if targets is not None and not figures and tuple(np.shape(targets)) != wanted:
            raise ValueError(
                f"logits {shape} and masks {tuple(np.shape(targets))} do not belong together; "
                f"expected {wanted} masks of class numbers"
            )
        if losses is not None and tuple(np.shape(losses)) != shape[:1]:
            raise ValueError(f"losses has shape {tuple(np.shape(losses))}; expected {shape[:1]}")

    def figures(
        self, outputs: Any, targets: Any, counted: Counted | None = None, xp: Any = None
    ) -> Any:
        """What a step's output comes to, (B, 6) float32: so little is kept, however many places.

        Parameters
        ----------
        outputs : array (B, C, *E)
        targets : array (B, *E)
        counted : callable, optional
            How often each number from 0 to n - 1 comes in an array (m,), as (n,), or what its
            weights (m,) come to, where they are not None: of the framework that the arrays are of.
            numpy's if left out.
        xp : namespace, optional
            Functions of the array API standard, where the arrays do not name them.
        """
        xp = xp or compat.array_namespace(outputs)
        return self.of_counts(*self.counts(outputs, targets, counted, xp), xp)

    def counts(
        self, outputs: Any, targets: Any, counted: Counted | None, xp: Any
    ) -> tuple[Any, Any, Any]:
        """Places of each sample by their class and the one said, (B, C, C), and losses (B,).

        And sums over the same places, (B, C, C), of the log-odds of their own class.
        """
        rows, classes = outputs.shape[0], self.classes
        scores = xp.astype(xp.reshape(outputs, (rows, classes, -1)), xp.float32)
        wanted = xp.astype(xp.reshape(targets, (rows, -1)), xp.int64)
        known = (wanted >= 0) & (wanted < classes) & (wanted != self.void)
        wanted = xp.where(known, wanted, xp.zeros_like(wanted))
        said = xp.argmax(scores, axis=1)
        top = xp.max(scores, axis=1)
        total = xp.log(xp.sum(xp.exp(scores - top[:, None, :]), axis=1)) + top
        own = xp.take_along_axis(scores, wanted[:, None, :], axis=1)[:, 0, :]
        each = xp.where(known, total - own, xp.zeros_like(own))
        places = xp.sum(xp.astype(known, xp.float32), axis=1)
        loss = xp.sum(each, axis=1) / xp.clip(places, 1.0, None)
        loss = xp.clip(loss, None, float(LARGE))  # what is not a number stays so
        pairs = xp.where(known, wanted * classes + said, xp.full_like(said, classes * classes))
        first = xp.arange(rows, dtype=xp.int64, device=compat.device(outputs))
        pairs = pairs + first[:, None] * (classes * classes + 1)
        pairs, shape = xp.reshape(pairs, (-1,)), (rows, classes, classes)

        def in_pairs(weights: Any = None) -> Any:
            summed = (counted or _counted)(pairs, rows * (classes * classes + 1), weights)
            return xp.reshape(xp.reshape(summed, (rows, -1))[:, :-1], shape)

        # Log-odds of a place's own class; what is surely right is so far right and no farther.
        above = -each - xp.log(xp.clip(1 - xp.exp(-each), _SURE, None))
        above = xp.reshape(xp.clip(above, -_FAR, None), (-1,))
        return in_pairs(), loss, in_pairs(above)

    def of_counts(self, confusion: Any, loss: Any, odds: Any, xp: Any) -> Any:
        """`figures` of what `counts` gives."""
        number = xp.arange(self.classes, device=compat.device(loss))[None, :]
        same = xp.astype(number[0, :, None] == number, xp.int64)
        met = xp.astype(xp.sum(confusion * same, axis=2), xp.float32)
        there = xp.astype(xp.sum(confusion, axis=2), xp.float32)
        said = xp.astype(xp.sum(confusion, axis=1), xp.float32)
        places = xp.sum(there, axis=1)
        counts = (there > 0) | ((said > 0) & (said >= LEAST_SHARE * places[:, None]))
        union = xp.clip(there + said - met, 1.0, None)
        each = met / union
        share = xp.astype(counts, xp.float32)
        mean = xp.sum(each * share, axis=1) / xp.clip(xp.sum(share, axis=1), 1.0, None)
        least = xp.where(counts, each, xp.full_like(each, 2.0))
        smallest = xp.min(least, axis=1)
        # Of equal ones the first counts, which argmin promises on no device.
        none = xp.full_like(number, self.classes)
        target = xp.min(xp.where(least == smallest[:, None], number, none), axis=1)
        own = xp.astype(target[:, None] == number, xp.int64)
        mixed = xp.sum(confusion * own[:, :, None], axis=1) + xp.sum(
            confusion * own[:, None, :], axis=2
        )
        mixed = xp.where(own == 1, xp.full_like(mixed, -1), mixed)
        most = mixed == xp.max(mixed, axis=1)[:, None]
        other = xp.min(xp.where(most, number, none), axis=1)
        right = smallest >= LEAST_IOU
        once = xp.sum(odds * xp.astype(same, xp.float32), axis=2)
        margin = (xp.sum(odds, axis=2) + xp.sum(odds, axis=1) - once) / union
        margin = xp.min(xp.where(counts, margin, xp.full_like(margin, _FAR)), axis=1)
        margin = xp.where(right, xp.clip(margin, _NEAR, None), xp.clip(margin, None, -_NEAR))
        predicted = xp.where(right, target, other)
        columns = [loss, margin, predicted, target, mean, places > 0]
        return xp.stack([xp.astype(column, xp.float32) for column in columns], axis=1)

    def summarise(self, outputs: Any, targets: Any, losses: Any = None) -> PerSample:
        self.check(outputs, targets, losses)
        found: NDArray[np.float32] = to_numpy(outputs, np.float32)
        if found.ndim > 2:
            with np.errstate(over="ignore", invalid="ignore"):
                found = self.figures(found, to_numpy(targets, np.int64))
        loss, margin, predicted, target, quality, places = found.T
        if losses is not None:
            loss = to_numpy(losses, np.float32)
        labelled = places > 0
        usable = labelled & np.isfinite(loss)
        loss, margin = (np.where(usable, given, np.float32(0)) for given in (loss, margin))
        predicted, target = predicted.astype(np.int64), target.astype(np.int64)
        return PerSample(
            loss, margin, predicted == target, predicted, target, usable, labelled, None, quality
        )

    def cross_entropy(self, outputs: Any, targets: Any, losses: Any = None) -> None:
        return None

    def losses(self, outputs: Any, targets: Any) -> NDArray[np.float32]:
        losses: NDArray[np.float32] = self.summarise(outputs, targets).on_host().loss
        return losses

    def score(self, outputs: Any, target: int) -> Any:
        """The mean of a class's logits over all places."""
        return outputs.reshape(len(outputs), self.classes, -1)[:, target].mean(-1)

    def metrics(self) -> tuple[str, ...]:
        return ("loss", "iou", "mean_iou")

    def chance(self, commonest: float | None = None) -> float:
        return self.known

    def guess(self, chance: float) -> str:
        return f"always giving the most frequent class (IoU {chance:.2f})"

    def has_label(self, label: int) -> bool:
        return 0 <= label < self.classes

    def outcomes(self, names: list[str] | None) -> list[str]:
        return names or [str(number) for number in range(self.classes)]

    def explained(self, target: int | None) -> int | None:
        return target

    def verdict(
        self, explained: int, output: float, targets: NDArray[np.floating] | None
    ) -> Verdict | None:
        """Of the places (n,) that a map is of: the class of most of them; None where all are void.

        `predicted` is None: the mean of the logits over these places tells.
        """
        known = np.asarray([] if targets is None else targets).reshape(-1)
        known = known[(known >= 0) & (known < self.classes) & (known != self.void)].astype(np.int64)
        if not len(known):
            return None
        return Verdict(int(np.bincount(known).argmax()), None, ())

    def region(
        self,
        outputs: NDArray[np.floating] | None,
        target: int | None,
        at: tuple[int, ...] | None,
        truth: NDArray[Any] | None = None,
    ) -> tuple[NDArray[np.bool_], int]:
        """The places whose mean score a map is of, and the class that it is of.

        Parameters
        ----------
        outputs : ndarray (C, *E) or None
            Of one sample; None where the ground truth alone counts.
        target : int or None
            The class that a person asked for.
        at : tuple of int or None
            A place that a person pointed at: the connected region of one predicted class there.
            Without one it is all that is predicted as `target`, else all that is so in the ground
            truth, else everything. Without `target` either it is that of the largest class but the
            most frequent one.
        truth : ndarray (*E), optional
            Class numbers.
        """
        said = None if outputs is None else outputs.argmax(0)
        if at is not None and said is not None:
            from scipy import ndimage  # type: ignore[import-untyped]  # scipy ships no types

            own = int(said[at])
            regions, _ = ndimage.label(said == own)
            return regions == regions[at], own if target is None else target
        given = [mask for mask in (said, truth) if mask is not None]
        if target is None:
            areas = [
                np.bincount(m[(m >= 0) & (m < self.classes)].ravel(), minlength=self.classes)
                for m in given
            ]
            for area in areas:
                area[self.commonest] = 0
            largest = [int(area.argmax()) for area in areas if area.any()]
            target = largest[0] if largest else self.commonest
        for mask in given:
            if (mask == target).any():
                return mask == target, target
        return np.ones(given[0].shape, np.bool_), target

    def likeliest(
        self,
        shares: NDArray[np.floating],
        count: int,
        outputs: NDArray[np.floating] | None = None,
    ) -> Mapping[int, float]:
        return Classification(self.classes).likeliest(shares, max(count, _SHOWN))

    def odds(
        self, outputs: NDArray[np.floating], target: int
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Of mean scores (B, C)."""
        return Classification(self.classes).odds(outputs, target)


class KnownMasks(NamedTuple):
    """What some masks tell of a data set.

    Attributes
    ----------
    commonest : int
        Class of most places.
    iou : float
        Mean IoU of always giving it; 0 where no place has a class.
    missing : list of int
        Classes that no mask has.
    """

    commonest: int
    iou: float
    missing: list[int]


def known_masks(masks: NDArray[Any], classes: int, void: int) -> KnownMasks:
    """Look at masks (N, *E), at most `LOOKED_AT` of them, spread evenly."""
    counts = np.zeros((min(len(masks), LOOKED_AT), classes), np.int64)
    for row, at in enumerate(np.linspace(0, len(masks) - 1, len(counts)).astype(int)):
        mask = masks[at].astype(np.int64).ravel()
        known = (mask >= 0) & (mask < classes) & (mask != void)
        counts[row] = np.bincount(mask[known], minlength=classes)
    areas = counts.sum(0)
    commonest = int(areas.argmax())
    counts = counts[counts.sum(1) > 0]
    there = counts > 0
    there[:, commonest] = True
    share = counts[:, commonest] / counts.sum(1) / there.sum(1)
    missing = [int(k) for k in np.flatnonzero(areas == 0) if k != void]
    return KnownMasks(commonest, float(share.mean()) if len(share) else 0.0, missing)


def _counted(numbers: NDArray[np.int64], length: int, weights: Any) -> NDArray[Any]:
    found = np.bincount(numbers, weights, minlength=length)
    return found if weights is None else found.astype(np.float32)
