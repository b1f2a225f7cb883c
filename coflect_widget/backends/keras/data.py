"""A person's data for the Keras backend: checked once, numbered, served batch by batch.

The order of an epoch depends on (seed, epoch) alone and is the same as that of the Torch
backend, but for data that are read anew in each epoch and have no room in memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coflect_widget.backends import source
from coflect_widget.backends.base import Batch, batch_cuts
from coflect_widget.backends.items import check_item, has_own_items, name_index
from coflect_widget.backends.keras.kinds import find_kind
from coflect_widget.backends.keras.pictures import ModelInput, Turn, scaled_remedy
from coflect_widget.backends.keras.pipeline import (
    Batched,
    batched,
    guess_names,
    read,
    said_of_reading,
)
from coflect_widget.backends.keras.targets import Form, Place, read_labels
from coflect_widget.backends.looked_up import check_numbers
from coflect_widget.backends.rereading import OrderChangedError, in_order
from coflect_widget.backends.source import other_shape
from coflect_widget.backends.targets import SEVERAL_LABELS
from coflect_widget.data.arrays import ArrayDataset
from coflect_widget.data.tables import TableDataset
from coflect_widget.modalities import Modality, container

Array = NDArray[Any]


class Source(source.Source):
    """Samples by index, and batches of an epoch; inputs as the person's model takes them.

    Parameters
    ----------
    data : map-style data set of (x, y) or (x, y, index), pair of arrays, or data in batches
        Labels are class numbers (N,) or (N, 1), or one-hot rows (N, classes). Data in batches are
        a finite tf.data.Dataset or a keras.utils.PyDataset.
    argument : str
        Name used in error messages.
    takes : ModelInput
        What the model says of its input.
    anew : bool
        Whether data in batches that are drawn anew in each reading are to be read in each epoch.

    Attributes
    ----------
    assumptions, warnings : list of str
        What was guessed, and what a person should know.
    """

    width = 0  #: numbers of a target; 0 where that is a class
    class_numbers = True  #: whether targets are such

    def __init__(
        self, data: Any, argument: str, *, takes: ModelInput | None = None, anew: bool = True
    ) -> None:
        super().__init__(argument)
        self.assumptions: list[str] = []
        self.warnings: list[str] = []
        self.place: Place = "arrays"
        self.form: Form = "numbers"  # that its labels come in
        self.fractional = False  # whether labels are floating point
        self.inputs: Array | None = None
        self.targets: Array | None = None
        #: whether samples are (C, H, W) by their data set's own promise
        self.channels_first = isinstance(data, ArrayDataset)
        self.turn: Turn = ""  # put the channels there
        #: what the model takes, and what the data set says that its inputs are
        self.takes = takes or ModelInput()
        self._anew: Batched | None = None
        self._shape: tuple[int, ...] | None = None  # of the first item
        arrays = self._as_arrays(data, anew=anew)
        if arrays is None:
            self.place = "items"
            self.dataset = _checked_dataset(data, argument)
            self.length = len(data)
        else:
            inputs, labels = self._checked_arrays(*arrays)
            self.length = len(inputs)
            self.inputs = self._as_float(inputs)
            self.fractional = labels.dtype.kind == "f"
            if self.length:
                self.targets, self.form = self.read_targets(labels)
        self.look()

    def read_targets(self, values: Any, index: int | None = None) -> tuple[Array, Form]:
        """Class numbers (N,), or of sample `index` alone (1,), and the form they were given in."""
        return read_labels(values, self.argument, index, self.place)

    def one(self, target: Any) -> Any:
        """One of the targets, for a sample by itself: a class number."""
        return int(target)

    def sample(self, index: int) -> tuple[NDArray[np.float32], Any]:
        """One input as the model takes it, and its class number."""
        x, y = self.item(index)
        return self._turned(x), y

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

    @property
    def reads_anew(self) -> bool:
        """Whether each epoch reads a pipeline again."""
        return self._anew is not None

    def batches(self, order: NDArray[np.int64], batch_size: int, skip: int = 0) -> Iterator[Batch]:
        """Batches in the given order; inputs float32 (B, ...) and targets int64 (B,)."""
        cuts = batch_cuts(len(order), batch_size)
        if self._anew is not None:
            yield from self._read_anew(order, [b - a for a, b in cuts], skip)
            return
        for first, last in cuts[skip:]:
            group = order[first:last]
            if self.inputs is not None and self.targets is not None and self.added is None:
                yield Batch(group, self._turned(self.inputs[group]), self.targets[group])
            else:
                items = [self._read_alone(int(i)) for i in group]
                yield Batch(
                    group,
                    self._turned(self._stacked([x for x, _ in items], group)),
                    np.array([y for _, y in items]),
                )

    def _read_anew(self, order: NDArray[np.int64], sizes: list[int], skip: int) -> Iterator[Batch]:
        """An epoch of data in batches; where their order changes, of the first reading's copies."""
        data, inputs, targets = self._anew, self.inputs, self.targets
        assert data is not None and inputs is not None and targets is not None  # noqa: S101, PT018
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
                    x = self._as_float(x)
                    yield Batch(indices, self._turned(x), targets[indices])
        except OrderChangedError as error:
            self._anew = None
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
                    yield Batch(group, self._turned(inputs[group]), targets[group])

    def _checked_arrays(self, x: Any, y: Any) -> tuple[Array, Array]:
        argument = self.argument
        if isinstance(y, Mapping):
            raise ValueError(
                f"{argument} has a dict of {len(y)} labels, and a session trains on one: pass its "
                "array alone"
            )
        try:
            inputs = np.asarray(x)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"{argument}: the inputs cannot be used ({error}); they must be one array "
                "(N, H, W, C), all of one shape"
            ) from error
        try:
            labels = np.asarray(y)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"{argument}: the labels cannot be used ({error}); {SEVERAL_LABELS}: here "
                "they must be one array (N,) of class numbers"
            ) from error
        if inputs.dtype == object and inputs.ndim == 1 and hasattr(inputs[0], "shape"):
            raise ValueError(
                f"{argument} has inputs of several shapes, such as {inputs[0].shape}; resize them "
                "to one, and numpy.stack makes one array of a list"
            )
        self._look_at_kind(inputs.shape[1:], inputs.dtype)
        given = labels.shape[0] if labels.ndim else 1
        if not labels.ndim or len(inputs) != given:
            raise ValueError(
                f"{argument} has {len(inputs)} inputs but {given} labels; pass one label for each "
                "input"
            )
        return inputs, labels

    def _look_at_kind(self, shape: tuple[int, ...], dtype: Any) -> None:
        """Raise ValueError for inputs of no kind; of whole numbers it is kept which they are."""
        kind = find_kind(shape, dtype.kind, self.argument, self.takes)
        if kind.whole:
            self._name(kind)

    @property
    def whole(self) -> bool:
        """Whether inputs are whole numbers that the model looks up."""
        return self.takes.named is not None and self.takes.named.whole

    def check_numbers(self, count: int) -> None:
        """Raise ValueError where one is not among 0 to `count` - 1, as far as is known."""
        if self.inputs is not None:
            check_numbers(self.inputs, count, self.argument)
            return
        for index in self.read_so_far():
            check_numbers(self.input(index)[None], count, self.argument, index)

    def _stacked(self, inputs: list[NDArray[np.float32]], indices: Array) -> NDArray[np.float32]:
        for x, index in zip(inputs, indices, strict=True):
            if x.shape != inputs[0].shape:
                raise ValueError(
                    other_shape(self.argument, index, x.shape, indices[0], inputs[0].shape)
                )
        return np.stack(inputs)

    def of_arrays(self, index: int) -> tuple[NDArray[np.float32], Any]:
        """See `source.Source`."""
        inputs, targets = self.inputs, self.targets
        assert inputs is not None and targets is not None  # noqa: S101, PT018 - narrows the types
        return inputs[index], self.one(targets[index])

    def form_to_add(self) -> tuple[tuple[int, ...], int]:
        """See `source.Source`."""
        if self._anew is not None:
            raise ValueError(
                f"{self.argument} is read anew in each epoch, in an order of its own; give the "
                "session arrays or a map-style data set to add samples while it trains"
            )
        return self.item(0)[0].shape, self.width

    def of_added(self, x: NDArray[np.float32], y: Any) -> tuple[NDArray[np.float32], Any]:
        """See `source.Source`."""
        return (x.astype(np.int64) if self.whole else x), self.one(y)

    def of_dataset(self, index: int) -> tuple[NDArray[np.float32], Any]:
        """See `source.Source`."""
        where = f"{self.argument}[{index}]"
        try:
            item = self.dataset[index]
        except Exception as error:
            name_index(error, self.argument, index)
            raise
        if isinstance(item, Mapping):
            x, y = guess_names(list(item))
            raise ValueError(
                f"{where} is a {type(item).__name__}, expected (x, y): give "
                f"(item[{x!r}], item[{y!r}]) for each index"
            )
        check_item(item, self.argument, index)
        try:
            inputs, said = self.takes.pick(item[0], self.argument)
        except ValueError as error:
            name_index(error, self.argument, index)
            raise
        if said and said not in self.assumptions:
            self.assumptions.append(said)
        array = np.asarray(inputs)
        self._look_at_kind(array.shape, array.dtype)
        return self._as_float(array), self._label(item[1], index)

    def _label(self, label: Any, index: int) -> Any:
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

    def _turned(self, x: Array) -> NDArray[np.float32]:
        if not self.turn:
            return x
        ends = (-3, -1) if self.turn == "last" else (-1, -3)
        return np.ascontiguousarray(np.moveaxis(x, *ends))

    def _as_float(self, array: Array) -> NDArray[np.float32]:
        if self.whole:  # or else what they are is refused with all other kinds
            return array.astype(np.int64, copy=False) if array.dtype.kind in "iu" else array
        if array.dtype.kind not in "fV":  # bfloat16 is of kind V
            raise ValueError(
                f"{self.argument} has inputs of type {array.dtype}; the model needs floating "
                f"point: {scaled_remedy(array, self.place, self.takes)}"
            )
        return array.astype(np.float32, copy=False)

    def _read_alone(self, index: int) -> tuple[NDArray[np.float32], Any]:
        added = self.added is not None and index >= self.added.first
        if added or self.dataset is None:
            found: tuple[NDArray[np.float32], Any] = self.item(index)
            return found
        with self.lock:
            return self.of_dataset(index)

    def picture(self, item: tuple[NDArray[np.float32], Any]) -> NDArray[np.float32]:
        """See `source.Source`."""
        return self._turned(item[0].copy())

    def probe(self, index: int) -> tuple[tuple[NDArray[np.float32], Any], Any, int]:
        """See `source.Source`."""
        x, y = self.of_dataset(index)
        if self._shape is None:
            self._shape = x.shape
        elif x.shape != self._shape:
            raise ValueError(other_shape(self.argument, index, x.shape, 0, self._shape))
        return (x.copy(), y), y, x.nbytes

    def _name(self, kind: Modality | None) -> None:
        self.takes = replace(self.takes, named=kind)

    def _as_arrays(self, data: Any, *, anew: bool) -> tuple[Any, Any] | None:
        self._name(self.takes.named or container(data))
        if isinstance(data, ArrayDataset) and not has_own_items(data, ArrayDataset):
            return data.images, data.labels
        if isinstance(data, TableDataset) and not has_own_items(data, TableDataset):
            return data.rows, data.labels
        if isinstance(data, tuple | list) and _is_pair(data):
            inputs, said = self.takes.pick(data[0], self.argument)
            self.assumptions += [said] if said else []
            known = self.takes.named or container(inputs)
            if known is not None:
                known, inputs = known.unpacked(inputs, self.argument)
                self._name(known)
            return inputs, data[1]
        batches = batched(data, self.argument, self.takes)
        if batches is None:
            return None
        self.place = batches.place
        reading = read(batches, twice=anew)
        self._anew = reading.anew
        self.assumptions += [*batches.said, *said_of_reading(reading, self.argument)]
        self.warnings += [reading.warning] if reading.warning else []
        return reading.inputs, reading.labels


def _is_pair(data: tuple[Any, ...] | list[Any]) -> bool:
    """Whether this is (inputs, labels), and no data set of a few items."""
    first = data[0] if data else None
    if len(data) == 3 and all(getattr(part, "shape", ()) for part in data):
        raise ValueError(
            "arrays (inputs, labels, weights) are not read: a session weighs no single sample; "
            "pass (inputs, labels), and class_weight= to weigh classes"
        )
    if len(data) != 2 or not hasattr(data[1], "__len__"):
        return False
    if getattr(first, "shape", ()):
        return True
    named_or_several = isinstance(first, Mapping) or (
        isinstance(first, tuple | list) and all(hasattr(part, "shape") for part in first)
    )
    return named_or_several and hasattr(data[1], "shape")


def _checked_dataset(data: Any, argument: str) -> Any:
    if not (hasattr(data, "__getitem__") and hasattr(data, "__len__")):
        raise TypeError(
            f"{argument}={type(data).__name__} is neither a pair of arrays (inputs, labels) nor a "
            "map-style data set (__len__ and __getitem__ giving (x, y)) nor a finite "
            "tf.data.Dataset of (x, y) nor a keras.utils.PyDataset"
        )
    return data
