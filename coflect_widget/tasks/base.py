"""What is right and wrong in a training: one small protocol.

Store, forecast, gates, scheduler, workers and the view know samples by the numbers in `PerSample`
and by a task's words. What a model gives and what is wanted of it is the task's alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import array_api_compat as compat
import numpy as np
from numpy.typing import NDArray


class Values(NamedTuple):
    """What a person may read of samples whose target is a number, (B,) each."""

    target: Any  #: float32, in the units of the training data; NaN for a target of several numbers
    output: Any  #: float32, in the same units; NaN likewise
    error: Any  #: float32, how far the output is from the target, in the same units


_TYPES = (
    np.dtype(np.float32),
    np.dtype(np.float32),
    np.dtype(np.bool_),
    np.dtype(np.int64),
    np.dtype(np.int64),
)


class PerSample(NamedTuple):
    """What a step's output comes to, (B,) each: all that is kept of it, however wide it was.

    Arrays are numpy's, or of the framework and on the device that the output was on.
    """

    loss: Any  #: float32
    margin: Any  #: float32; above 0 right, below 0 wrong, and how surely
    right: Any  #: bool
    predicted: Any  #: integer; changes where the model says something else than before
    target: Any  #: integer; the label, which is the sample's group; 0 where there is but one
    usable: Any = None  #: bool, False where a row says nothing; None where all do
    labelled: Any = None  #: bool, False where the target is none, such as -100; None where all are
    values: Values | None = None
    #: float32 in [0, 1]; of tasks in which a sample can be right in part, such as by its overlap
    quality: Any = None

    def part(self, rows: slice) -> PerSample:
        """Of these rows alone."""
        values = self.values
        return PerSample(
            self.loss[rows],
            self.margin[rows],
            self.right[rows],
            self.predicted[rows],
            self.target[rows],
            None if self.usable is None else self.usable[rows],
            None if self.labelled is None else self.labelled[rows],
            None if values is None else Values(*(array[rows] for array in values)),
            None if self.quality is None else self.quality[rows],
        )

    def _is_plain(self) -> bool:
        for array, kind in zip(self, _TYPES, strict=False):
            if not isinstance(array, np.ndarray) or array.dtype is not kind:
                return False
        others = (self.usable, self.labelled, self.quality, *(self.values or ()))
        return all(array is None or isinstance(array, np.ndarray) for array in others)

    def on_host(self) -> PerSample:
        """In numpy, in the types above; `usable` and `labelled` are None where they say nothing."""
        if self._is_plain():
            return self
        usable, labelled = (
            None if flags is None else to_numpy(flags, np.bool_)
            for flags in (self.usable, self.labelled)
        )
        return PerSample(
            to_numpy(self.loss, np.float32),
            to_numpy(self.margin, np.float32),
            to_numpy(self.right, np.bool_),
            to_numpy(self.predicted, np.int64),
            to_numpy(self.target, np.int64),
            None if usable is None or usable.all() else usable,
            None if labelled is None or labelled.all() else labelled,
            None
            if self.values is None
            else Values(*(to_numpy(v, np.float32) for v in self.values)),
            None if self.quality is None else to_numpy(self.quality, np.float32),
        )


@dataclass(frozen=True, slots=True)
class Words:
    """How a task is spoken of."""

    #: figure of the model's quality, as the gate and as a sentence's first word name it ...
    quality: str
    quality_first: str
    #: ... where it comes from, if from validation alone, and what is left to 1
    quality_from: str
    shortfall: str
    #: reasons in the queue: a wrong sample far on the wrong side; one whose loss grows; no other
    far_wrong: str
    getting_worse: str
    close: str
    #: names of what can be predicted; empty where those of the data set's labels are
    outcomes: tuple[str, ...] = ()
    #: what a step gives of a sample, and of all samples of a batch
    outputs: str = "outputs of the model"
    all_outputs: str = "The model's outputs"
    #: what a loop of the user's own gives `Session.observe` after the indices
    observed: str = "logits, y"


class Verdict(NamedTuple):
    """What is right of one sample's explained output, where it has a target of its own."""

    target: int  #: outcome
    predicted: int | None  #: outcome; None where it is the likeliest one
    there: tuple[int, ...]  #: all labels of the sample


class Task(Protocol):
    """One kind of training.

    Attributes
    ----------
    name : str
    words : Words
    labelled : bool
        Whether a target is one label out of several: a person can doubt it and judge it, a stroke
        can speak for it, it has odds, and it tells alone whether an output is right.
    of_labels : bool
        Whether outputs belong to labels, one each: the target in the queue is an outcome, a stroke
        keeps outputs right, and each output has odds.
    guidable : bool
        Whether a stroke can keep outputs right; a task of one's own may leave it out, where it is
        as `of_labels`.
    groups : int
        Groups of samples that a snapshot raises and lowers together: one for each label, else 1.
    width : int
        Numbers that the model gives for a sample, as far as known; at least 1.
    by_batch : bool
        Whether what a batch comes to depends on the batches before it.
    tells_values : bool
        Whether `PerSample.values` is there.
    predicts_targets : bool
        Whether a sample is right where its prediction is its target, and nowhere else: compiled
        kernels take in such tasks alone. It counts in the class that says it, not where that is
        inherited; a task of one's own may leave it out.
    recent : by_quantile.RecentErrors
        The errors that tell what is usual, where that is what "wrong" means: a training that is
        gone on with goes on with them. A task that remembers none leaves it out.
    measures : callable () -> measures.Measures
        What an evaluation tells; a task of one's own may leave it out, and is measured by its loss.
    in_training : str
        Name of the mean over samples of `PerSample.right`, or of `PerSample.quality` where there is
        one, in a window of the training; "" where that tells nothing.
    placed : bool
        Whether the model has outputs for each place of an input, and a target there: it is a
        `Placed`, and ``Sample.targets`` are class numbers (E).
    least_loss : float
        A loss below it is small: growth counts in parts of this.
    """

    name: str
    words: Words
    labelled: bool
    of_labels: bool
    guidable: bool
    groups: int
    width: int
    by_batch: bool
    tells_values: bool
    predicts_targets: bool
    in_training: str
    placed: bool
    least_loss: float

    def check(self, outputs: Any, targets: Any = None, losses: Any = None) -> None:
        """Look at shapes alone, without a wait for a device; None is not looked at.

        Raises
        ------
        ValueError
            If what `summarise` takes means nothing here, or does not belong together.
        """

    def summarise(self, outputs: Any, targets: Any, losses: Any = None) -> PerSample:
        """Reduce a step's output, or that of several, one after the other.

        Parameters
        ----------
        outputs : array (B, ...)
            numpy, or any array of the array API standard on a device: reduced there.
        targets : array (B,) or (B, D)
        losses : array (B,), optional
            Each sample's loss, where the training's own is another than the task's.

        Raises
        ------
        ValueError
            As `check`.
        """

    def cross_entropy(
        self, outputs: Any, targets: Any, losses: Any = None
    ) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float32] | None] | None:
        """Logits (B, C), labels (B,) and losses (B,), where `summarise` makes no more of them.

        Compiled kernels take them in at once. None where a row's loss is something else, or the
        outputs are on a device.

        Raises
        ------
        ValueError
            As `check`.
        """

    def losses(self, outputs: Any, targets: Any) -> NDArray[np.float32]:
        """Loss of each row (B,), as `summarise` has it; nothing is remembered, 0 without a target.

        Raises
        ------
        ValueError
            As `check`.
        """

    def score(self, outputs: Any, target: int) -> Any:
        """(B, ...) -> (B,), the scalar of each row whose gradient is a map."""

    def metrics(self) -> tuple[str, ...]:
        """Names in a validation: of the loss first, and of the quality, at most 1, second.

        "accuracy" among them says that the share of samples that are right is one.
        """

    def chance(self, commonest: float | None = None) -> float:
        """Quality of a model that knows nothing but the share of the most frequent label."""

    def guess(self, chance: float) -> str:
        """How such a quality is reached, in words that follow "by"."""

    def has_label(self, label: int) -> bool:
        """Whether a person may give a sample this label."""

    def outcomes(self, names: list[str] | None) -> list[str]:
        """Name of each thing that can be predicted; `names` are a person's."""

    def explained(self, target: int | None) -> int | None:
        """What a map is of where a person asked for `target`; None is left to the model."""

    def verdict(
        self, explained: int, output: float, targets: NDArray[np.floating] | None
    ) -> Verdict | None:
        """Of output number `explained`; None where the sample's label and prediction tell.

        `targets` (D,) are all of the sample's, where it has more than a class number.
        """

    def likeliest(
        self,
        shares: NDArray[np.floating],
        count: int,
        outputs: NDArray[np.floating] | None = None,
    ) -> Mapping[int, float]:
        """Of one sample's `shares` of all outcomes the largest, largest first; maybe none.

        `outputs` (...) are what the shares were made of, where they are known.
        """

    def odds(
        self, outputs: NDArray[np.floating], target: int
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Log-odds (B,) and probability (B,) of label `target` in outputs (B, ...).

        Raises
        ------
        ValueError
            If the task is not `of_labels`.
        """


class Placed(Task, Protocol):
    """A task with a class for each place of an input.

    Attributes
    ----------
    classes : int
    void : int
        Target of places without a label.
    """

    classes: int
    void: int

    def region(
        self,
        outputs: NDArray[np.floating] | None,
        target: int | None,
        at: tuple[int, ...] | None,
        truth: NDArray[Any] | None = None,
    ) -> tuple[NDArray[np.bool_], int]:
        """The places (E) that a map is of, and the class, of one sample's outputs (C, E).

        None for outputs lets `truth` alone count.

        Parameters
        ----------
        target : int or None
            The class that a person asked for.
        at : tuple of int or None
            The place that a person pointed at.
        truth : ndarray (E), optional
            The sample's targets.
        """


def to_numpy(values: Any, dtype: Any) -> NDArray[Any]:
    """An array of any kind, on any device, or a list, as numpy's; a number too large is infinite.

    Nothing is copied where nothing must be.
    """
    if isinstance(values, np.ndarray) and values.dtype == dtype:
        return values
    if is_elsewhere(values):
        values = compat.to_device(values, "cpu")
    with np.errstate(over="ignore", invalid="ignore"):
        return np.asarray(values, dtype=dtype)


def is_elsewhere(values: Any) -> bool:
    """Whether an array lies where numpy cannot look at it: on an accelerator."""
    if isinstance(values, np.ndarray | list | tuple) or not compat.is_array_api_obj(values):
        return False
    return "cpu" not in str(compat.device(values)).lower()
