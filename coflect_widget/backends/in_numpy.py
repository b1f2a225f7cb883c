"""Samples and batches in numpy, for frameworks that take its arrays as they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coflect_widget.backends import source
from coflect_widget.backends.base import Batch, batch_cuts
from coflect_widget.backends.looked_up import check_numbers
from coflect_widget.backends.rereading import OrderChangedError, Rereadable, in_order
from coflect_widget.backends.source import other_shape

Array = NDArray[Any]


class NumpySource(source.Source):
    """A `source.Source` of arrays, of map-style items, or of batches that are read in each epoch.

    A subclass sets `length`, and `inputs` and `targets` or `dataset`, and says what an input and
    targets are.

    Attributes
    ----------
    inputs, targets : ndarray (N, ...) or None
    anew : Rereadable or None
        What each epoch reads again, beside the copies of its first reading.
    form : str
        That labels came in, as `read_targets` names it.
    fractional : bool
        Whether labels are floating point.
    assumptions, warnings : list of str
        What was guessed, and what a person should know.
    """

    width = 0  #: numbers of a target; 0 where that is a class
    class_numbers = True  #: whether targets are such
    form: Any = "numbers"

    def __init__(self, argument: str) -> None:
        super().__init__(argument)
        self.assumptions: list[str] = []
        self.warnings: list[str] = []
        self.fractional = False
        self.inputs: Array | None = None
        self.targets: Array | None = None
        self.anew: Rereadable | None = None
        self._shape: tuple[int, ...] | None = None  # of the first item

    # --- what a framework or a task says -------------------------------------------------------

    @property
    def whole(self) -> bool:
        """Whether inputs are whole numbers that the model looks up."""
        raise NotImplementedError

    def read_targets(self, values: Any, index: int | None = None) -> tuple[Array, Any]:
        """Class numbers (N,), or of sample `index` alone (1,), and the form they were given in."""
        raise NotImplementedError

    def one(self, target: Any) -> Any:
        """One of the targets, for a sample by itself: a class number."""
        return int(target)

    def turned(self, x: Array) -> NDArray[np.float32]:
        """Inputs (..., *input) as the model takes them."""
        return x

    def typed(self, array: Array) -> NDArray[np.float32]:
        """Inputs of the type that the model takes; ValueError where they are of another."""
        raise NotImplementedError

    # --- reading -------------------------------------------------------------------------------

    def sample(self, index: int) -> tuple[NDArray[np.float32], Any]:
        """One input as the model takes it, and its class number."""
        x, y = self.item(index)
        return self.turned(x), y

    def input(self, index: int) -> NDArray[np.float32]:
        """One input as the model takes it."""
        return self.sample(index)[0]

    def target(self, index: int) -> Any:
        """Class number of one sample."""
        return self.item(index)[1]

    def labels(self) -> Array:
        """All class numbers where they are known without reading every sample; else the probes'."""
        if self.targets is not None:
            return self.targets
        return np.array(self._probed)

    def check_numbers(self, count: int) -> None:
        """Raise ValueError where one is not among 0 to `count` - 1, as far as is known."""
        if self.inputs is not None:
            check_numbers(self.inputs, count, self.argument)
            return
        for index in self.read_so_far():
            check_numbers(self.input(index)[None], count, self.argument, index)

    def of_arrays(self, index: int) -> tuple[NDArray[np.float32], Any]:
        """See `source.Source`."""
        inputs, targets = self.inputs, self.targets
        assert inputs is not None and targets is not None  # noqa: S101, PT018 - narrows the types
        return inputs[index], self.one(targets[index])

    def form_to_add(self) -> tuple[tuple[int, ...], int]:
        """See `source.Source`."""
        if self.anew is not None:
            raise ValueError(
                f"{self.argument} is read anew in each epoch, in an order of its own; give the "
                "session arrays or a map-style data set to add samples while it trains"
            )
        return self.item(0)[0].shape, self.width

    def of_added(self, x: NDArray[np.float32], y: Any) -> tuple[NDArray[np.float32], Any]:
        """See `source.Source`."""
        return (x.astype(np.int64) if self.whole else x), self.one(y)

    def picture(self, item: tuple[NDArray[np.float32], Any]) -> NDArray[np.float32]:
        """See `source.Source`."""
        return self.turned(item[0].copy())

    def probe(self, index: int) -> tuple[tuple[NDArray[np.float32], Any], Any, int]:
        """See `source.Source`."""
        x, y = self.of_dataset(index)
        if self._shape is None:
            self._shape = x.shape
        elif x.shape != self._shape:
            raise ValueError(other_shape(self.argument, index, x.shape, 0, self._shape))
        return (x.copy(), y), y, x.nbytes

    def label_of_item(self, label: Any, index: int) -> Any:
        """The target that a data set gave for a sample."""
        if self.class_numbers and isinstance(label, int | np.integer):
            return int(label)
        if isinstance(label, Mapping):
            raise ValueError(
                f"{self.argument}[{index}] has a dict of {len(label)} labels, and a session trains "
                "on one: give its label alone"
            )
        if label is None:
            raise ValueError(
                f"{self.argument}[{index}] has the label None; give each sample a label, or leave "
                "it out"
            )
        label = np.asarray(label)
        numbers, form = self.read_targets(label, index)
        if not self._probed:
            self.form = form
        self.fractional |= label.dtype.kind == "f"
        return self.one(numbers[0])

    # --- batches -------------------------------------------------------------------------------

    def batches(self, order: NDArray[np.int64], batch_size: int, skip: int = 0) -> Iterator[Batch]:
        """Batches in the given order; inputs float32 (B, ...) and targets int64 (B,)."""
        cuts = batch_cuts(len(order), batch_size)
        if self.anew is not None:
            yield from self._read_anew(self.anew, order, [b - a for a, b in cuts], skip)
            return
        for first, last in cuts[skip:]:
            group = order[first:last]
            if self.inputs is not None and self.targets is not None and self.added is None:
                yield Batch(group, self.turned(self.inputs[group]), self.targets[group])
            else:
                items = [self._read_alone(int(i)) for i in group]
                yield Batch(
                    group,
                    self.turned(self._stacked([x for x, _ in items], group)),
                    np.array([y for _, y in items]),
                )

    def _read_anew(
        self, data: Rereadable, order: NDArray[np.int64], sizes: list[int], skip: int
    ) -> Iterator[Batch]:
        """An epoch of data in batches; where their order changes, of the first reading's copies."""
        inputs, targets = self.inputs, self.targets
        assert inputs is not None and targets is not None  # noqa: S101, PT018 - narrows the types
        left = np.ones(self.length, bool)
        done = 0
        try:
            for indices, x, y in in_order(data, order, sizes):
                numbers, _ = self.read_targets(y)
                if not np.array_equal(numbers, targets[indices]):
                    raise OrderChangedError("other labels than before")
                left[indices] = False
                done += 1
                if done > skip:
                    yield Batch(indices, self.turned(self.typed(x)), targets[indices])
        except OrderChangedError as error:
            self.anew = None
            self.warnings.append(
                f"{self.argument} was read anew and had {error}, so that nobody can tell which "
                "sample is which: the session goes on with the copies of the first reading, and "
                "random augmentation stays as it was there."
            )
            rest = order[left[order]]
            for size in sizes[done:]:
                group, rest = rest[:size], rest[size:]
                done += 1
                if done > skip:
                    yield Batch(group, self.turned(inputs[group]), targets[group])

    def _stacked(self, inputs: list[NDArray[np.float32]], indices: Array) -> NDArray[np.float32]:
        for x, index in zip(inputs, indices, strict=True):
            if x.shape != inputs[0].shape:
                raise ValueError(
                    other_shape(self.argument, index, x.shape, indices[0], inputs[0].shape)
                )
        return np.stack(inputs)

    def _read_alone(self, index: int) -> tuple[NDArray[np.float32], Any]:
        added = self.added is not None and index >= self.added.first
        if added or self.dataset is None:
            found: tuple[NDArray[np.float32], Any] = self.item(index)
            return found
        with self.lock:
            return self.of_dataset(index)  # type: ignore[no-any-return]
