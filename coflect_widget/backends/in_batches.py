"""Data that come in batches, by sample.

Such data give no sample a place of its own. They are read once into memory, where each sample
has one. Where a second reading differs because samples are augmented at random, and the order is
the same, each epoch reads them anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coflect_widget.backends.progress import shown
from coflect_widget.backends.rereading import second_look

Array = NDArray[Any]

#: Data up to this size are read into memory.
LARGEST_READ = 2 * 2**30
_COPIES = (
    "{argument} draws its samples anew in each reading, and their order too, so that nobody can "
    "tell which sample is which: the session trains on the copies of the first reading, and random "
    "augmentation stays as it was there. To have it drawn anew, {remedy}."
)
_ANEW = (
    "{argument} draws its samples anew in each reading, in one order: each epoch reads it anew, "
    "and pictures and maps show the copies of the first reading."
)


class Batched:
    """Data that come in batches.

    Parameters
    ----------
    data
    argument : str
        What messages call them.
    takes
        What the model takes of a batch's inputs: its ``pick(inputs, argument)`` gives them, and
        what was guessed.
    """

    place: Any = "pipeline"  # where a remedy is to be written
    unit = "batches"  # that it gives one after the other
    count: int  # of them
    #: how to have samples drawn anew, and how to make inputs one shape
    to_draw: str
    to_resize: str

    def __init__(self, data: Any, argument: str, takes: Any) -> None:
        self.data = data
        self.argument = argument
        self.takes = takes
        self.said: list[str] = []

    @property
    def keeps_order(self) -> bool:
        """Whether nothing is known that would change the order from reading to reading."""
        return True

    def batches(self, ranks: NDArray[np.int64] | None = None) -> Iterator[tuple[int, Array, Array]]:
        """Place of the first sample, inputs (b, ...) and labels (b, ...) of each batch.

        Where batches can be read in any order, that with the lowest `ranks` (N,) comes first.
        """
        raise NotImplementedError

    def picked(self, inputs: Any) -> Any:
        """The model's input among what a batch has."""
        found, said = self.takes.pick(inputs, self.argument)
        if said and said not in self.said:
            self.said.append(said)
        return found


@dataclass(frozen=True, slots=True)
class Reading:
    """All samples as they were first read.

    Attributes
    ----------
    inputs, labels : ndarray (N, ...)
    anew : Batched or None
        What each epoch reads anew, None where `inputs` are trained on.
    warning : str
        What a person should know, or "".
    """

    inputs: Array
    labels: Array
    anew: Batched | None = None
    warning: str = ""


def read(data: Batched, *, twice: bool) -> Reading:
    """All samples, and with `twice` whether another reading would have others.

    Raises
    ------
    ValueError
        If they are too many for memory, or pictures are not of one shape.
    """
    inputs: list[Array] = []
    labels: list[Array] = []
    size = 0
    for _, x, y in shown(data.batches(), data.count, f"{data.unit} of {data.argument}"):
        inputs.append(x)
        labels.append(y)
        size += x.nbytes
        if size > LARGEST_READ:
            raise ValueError(
                f"{data.argument} has more than {LARGEST_READ >> 30} GiB, too much to number its "
                "samples in memory; pass a map-style data set, which gives one sample (x, y) for "
                "each index"
            )
    if not inputs:
        return Reading(np.zeros((0, 1, 1)), np.zeros(0, int))
    try:
        x, y = np.concatenate(inputs), np.concatenate(labels)
    except ValueError as error:
        raise ValueError(
            f"{data.argument} has pictures or labels of several shapes ({error}); make pictures "
            f"one shape, for example with {data.to_resize}"
        ) from error
    found = second_look(data, x, y) if twice else "same"
    if found == "anew":
        return Reading(x, y, anew=data)
    warning = (
        _COPIES.format(argument=data.argument, remedy=data.to_draw) if found == "copies" else ""
    )
    return Reading(x, y, warning=warning)


def said_of_reading(reading: Reading, argument: str) -> list[str]:
    """What was guessed about it."""
    return [] if reading.anew is None else [_ANEW.format(argument=argument)]


def guess_names(names: list[Any]) -> tuple[Any, Any]:
    """Which of a mapping's names are the input and the label, for an example in a message."""
    known = ("label", "labels", "target", "targets", "y", "class")
    label = next((name for name in names if str(name).lower() in known), None)
    rest = [name for name in names if name != label]
    inputs = ("image", "images", "img", "pixel_values", "x", "picture", "input", "inputs")
    first = next((name for name in rest if str(name).lower() in inputs), rest[0] if rest else "x")
    return first, "label" if label is None else label
