"""A person's data by index, for every framework: probed once, and read without a trace."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coflect_widget.backends.added import Added, rows_to_add
from coflect_widget.backends.progress import shown
from coflect_widget.backends.random_state import random_state_kept
from coflect_widget.modalities.base import Modality

PROBES = 64  # samples of a map-style data set that are looked at before training
MOST_KEPT = 2**30  # bytes of them that are kept until the session stands


class OtherShapeError(ValueError):
    """A sample's input has another shape than the first one's."""


class Source:
    """Samples by index, from arrays or from a map-style data set.

    Parameters
    ----------
    argument : str
        Name used in error messages, "train_data" or "val_data".

    Attributes
    ----------
    length : int
    dataset : object
        The map-style data set; None where the data are arrays.
    draws_random_numbers : bool
        Whether reading a sample moves a global random generator, as augmentation does.
    added : Added or None
        Samples that a person has put after those of the data.
    """

    length: int

    def __init__(self, argument: str) -> None:
        self.argument = argument
        self.dataset: Any = None
        self.draws_random_numbers = False
        self.added: Added | None = None
        #: of a data set: what was read of the probes, until `forget_read`, and their targets
        self._read: dict[int, Any] = {}
        self._probed: list[Any] = []
        # Pictures are read beside training; a data set may be no match for two readers at once.
        self.lock = threading.Lock()

    # --- what a framework says -----------------------------------------------------------------

    def kept_random_state(self) -> AbstractContextManager[Callable[[], bool]]:
        """The generators that a data set may draw from, put back at the end."""
        return random_state_kept()

    def of_arrays(self, index: int) -> Any:
        """One sample, where the data are arrays."""
        raise NotImplementedError

    def of_dataset(self, index: int) -> Any:
        """One sample, read from the data set."""
        raise NotImplementedError

    def probe(self, index: int) -> tuple[Any, Any, int]:
        """Sample, target and size in bytes of one that is looked at; raises where it does not fit.

        The sample has memory of its own: a data set may fill one buffer for each item.
        """
        raise NotImplementedError

    def picture(self, item: Any) -> NDArray[np.float32]:
        """The input of a sample that `of_dataset` gave, in memory of its own."""
        raise NotImplementedError

    def form_to_add(self) -> tuple[tuple[int, ...], int]:
        """Shape of an input, and numbers of a target in regression, else 0, of a sample to add.

        Raises
        ------
        ValueError
            If none can be added.
        """
        raise NotImplementedError

    def of_added(self, x: NDArray[np.float32], y: Any) -> Any:
        """One sample that was added."""
        raise NotImplementedError

    # --- reading ---------------------------------------------------------------------------------

    def item(self, index: int) -> Any:
        """A sample for another purpose than training, which changes nothing."""
        if self.added is not None and index >= self.added.first:
            return self.of_added(*self.added.item(index))
        if index in self._read:
            return self._read[index]
        if self.dataset is None:
            return self.of_arrays(index)
        # Only where reading draws: putting back what training drew meanwhile would be wrong.
        keep = self.kept_random_state() if self.draws_random_numbers else contextlib.nullcontext()
        with self.lock, keep:
            return self.of_dataset(index)

    def readings(
        self, index: int, enough: Callable[[list[NDArray[np.float32]]], bool]
    ) -> list[NDArray[np.float32]]:
        """One sample's input, read anew until there are `enough`; [] where the data are arrays."""
        found: list[NDArray[np.float32]] = []
        if self.dataset is None:
            return found
        with self.lock, self.kept_random_state():
            while not enough(found):
                found.append(self.picture(self.of_dataset(index)))
        return found

    def read_so_far(self) -> list[int]:
        """Indices of samples that are given without reading the data set again."""
        return self.probes() if self.dataset is None else list(self._read)

    def forget_read(self) -> None:
        """Let go of what was read before training; samples are read anew from now on."""
        self._read = {}

    def probes(self) -> list[int]:
        """Indices spread evenly over the data, without what was added."""
        length = self.length if self.added is None else self.added.first
        return [int(i) for i in np.linspace(0, length - 1, min(PROBES, length)).round()]

    def rows_to_add(self, x: Any, y: Any) -> tuple[NDArray[np.float32], NDArray[Any]]:
        """What a person gave as samples, for `add`: inputs (n, ...) and targets (n,) or (n, D).

        Raises
        ------
        ValueError
            If they do not fit the data, or these cannot grow.
        """
        return rows_to_add(x, y, *self.form_to_add())

    def add(self, inputs: NDArray[np.float32], targets: NDArray[Any]) -> None:
        """Put samples after the last one; at a step boundary."""
        if self.added is None:
            self.added = Added(self.length, inputs, targets)
        else:
            self.added = self.added.and_(inputs, targets)
        self.length += len(inputs)

    def look(self) -> None:
        """Read the probes of a data set, whose random numbers are as before afterwards."""
        if self.length == 0:
            raise ValueError(f"{self.argument} is empty; it needs at least one sample")
        if self.dataset is None:
            return
        room = MOST_KEPT
        probes = self.probes()
        with self.kept_random_state() as moved:
            for index in shown(probes, len(probes), f"samples of {self.argument}"):
                sample, target, size = self.probe(index)
                self._probed.append(target)
                room -= size
                if index == 0 or room > 0:
                    self._read[index] = sample
            self.draws_random_numbers = moved()

    def fitted(
        self, modality: Modality, inputs: Any, ordered: Callable[[Any], Any] | None = None
    ) -> Modality:
        """A kind of input with what `inputs` (N, ...) tell; None of samples that were looked at.

        `ordered` turns an input as the model takes it to one as `modality` takes it.
        """
        if inputs is not None:
            given: Any = np.asarray(inputs) if ordered is None else map(ordered, inputs)
            return modality.fitted(given, self.argument)
        looked_at: Any = map(self.picture, self._read.values())
        looked_at = looked_at if ordered is None else map(ordered, looked_at)
        return modality.fitted(looked_at, self.argument, list(self._read))


def other_shape(argument: str, index: int, shape: Any, first: int, other: Any) -> str:
    """What to say of a sample whose input has another shape than that of sample `first`."""
    return (
        f"{argument}[{index}] has shape {shape}, but sample {first} has {other}; images must be of "
        "one shape: resize or crop them in the data set"
    )
