"""A person's data for the Keras backend: checked once, numbered, served batch by batch.

The order of an epoch depends on (seed, epoch) alone and is the same as that of the Torch
backend, but for data that are read anew in each epoch and have no room in memory.
"""

from __future__ import annotations

import contextlib
import random
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coflect_widget.backends.added import Added, rows_to_add
from coflect_widget.backends.base import Batch, batch_cuts
from coflect_widget.backends.items import check_item, has_own_items, name_index
from coflect_widget.backends.keras.pictures import ModelInput, Turn, check_picture, scaled_remedy
from coflect_widget.backends.keras.pipeline import (
    Batched,
    OrderChangedError,
    batched,
    guess_names,
    in_order,
    read,
    said_of_reading,
)
from coflect_widget.backends.keras.targets import Form, Place, read_labels
from coflect_widget.backends.progress import shown
from coflect_widget.data.arrays import ArrayDataset

Array = NDArray[Any]

_PROBES = 64  # samples of a map-style data set that are looked at before training
_MOST_KEPT = 2**30  # bytes of them that are kept until the session stands


class Source:
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

    def __init__(
        self, data: Any, argument: str, *, takes: ModelInput | None = None, anew: bool = True
    ) -> None:
        self.argument = argument
        self.assumptions: list[str] = []
        self.warnings: list[str] = []
        self.place: Place = "arrays"
        self.form: Form = "numbers"  # that its labels come in
        self.fractional = False  # whether labels are floating point
        self.inputs: Array | None = None
        self.targets: NDArray[np.int64] | None = None
        self.dataset: Any = None
        #: whether samples are (C, H, W) by their data set's own promise
        self.channels_first = isinstance(data, ArrayDataset)
        self.turn: Turn = ""  # put the channels there
        self.draws_random_numbers = False
        self._takes = takes or ModelInput()
        self._anew: Batched | None = None
        #: of a data set: what was read of the probes, until `forget_read`, and their labels
        self._read: dict[int, tuple[NDArray[np.float32], int]] = {}
        self._probed: list[int] = []
        self.added: Added | None = None
        self._lock = threading.Lock()
        arrays = self._as_arrays(data, anew=anew)
        if arrays is None:
            self.place = "items"
            self.dataset = _checked_dataset(data, argument)
            self.length = len(data)
        else:
            inputs, labels = _checked_arrays(*arrays, argument, self._takes)
            self.length = len(inputs)
            self.inputs = self._as_float(inputs)
            self.fractional = labels.dtype.kind == "f"
            if self.length:
                self.targets, self.form = read_labels(labels, argument, place=self.place)
        if self.length == 0:
            raise ValueError(f"{argument} is empty; it needs at least one sample")
        if self.dataset is not None:
            with _random_state_kept():
                self._probe()

    def sample(self, index: int) -> tuple[NDArray[np.float32], int]:
        """One input as the model takes it, and its class number."""
        x, y = self._item(index)
        return self._turned(x), y

    def input(self, index: int) -> NDArray[np.float32]:
        """One input as the model takes it."""
        return self.sample(index)[0]

    def target(self, index: int) -> int:
        """Class number of one sample."""
        return self._item(index)[1]

    def labels(self) -> NDArray[np.int64]:
        """All class numbers where they are known without reading every sample; else the probes'."""
        if self.targets is not None:
            return self.targets
        return np.array(self._probed, dtype=np.int64)

    def probes(self) -> list[int]:
        """Indices spread evenly over the data, without what was added."""
        length = self.length if self.added is None else self.added.first
        return [int(i) for i in np.linspace(0, length - 1, min(_PROBES, length)).round()]

    def add(self, x: Any, y: Any) -> int:
        """Put samples after the last one; at a step boundary. Gives how many there were of them.

        Raises
        ------
        ValueError
            If they do not fit the data, or these are read anew in each epoch.
        """
        if self._anew is not None:
            raise ValueError(
                f"{self.argument} is read anew in each epoch, in an order of its own; give the "
                "session arrays or a map-style data set to add samples while it trains"
            )
        inputs, targets = rows_to_add(x, y, self._item(0)[0].shape)
        if self.added is None:
            self.added = Added(self.length, inputs, targets)
        else:
            self.added = self.added.and_(inputs, targets)
        self.length += len(inputs)
        return len(inputs)

    def readings(self, index: int, enough: Callable[[list[Array]], bool]) -> list[Array]:
        """One sample's input, read anew until there are `enough`; [] where the data are arrays."""
        found: list[Array] = []
        if self.dataset is None:
            return found
        with self._lock, _random_state_kept():
            while not enough(found):
                found.append(self._turned(self._read_item(index, locked=True)[0].copy()))
        return found

    def read_so_far(self) -> list[int]:
        """Indices of samples that are given without reading the data set again."""
        return self.probes() if self.dataset is None else list(self._read)

    def forget_read(self) -> None:
        """Let go of what was read before training; samples are read anew from now on."""
        self._read = {}

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
            elif self.inputs is not None and self.targets is not None:
                pairs = [self._item(int(i)) for i in group]
                yield Batch(
                    group,
                    self._turned(np.stack([x for x, _ in pairs])),
                    np.array([y for _, y in pairs], dtype=np.int64),
                )
            else:
                items = [self._read_item(int(i)) for i in group]
                yield Batch(
                    group,
                    self._turned(self._stacked([x for x, _ in items], group)),
                    np.array([y for _, y in items], dtype=np.int64),
                )

    def _read_anew(self, order: NDArray[np.int64], sizes: list[int], skip: int) -> Iterator[Batch]:
        """An epoch of data in batches; where their order changes, of the first reading's copies."""
        data, inputs, targets = self._anew, self.inputs, self.targets
        assert data is not None and inputs is not None and targets is not None  # noqa: S101, PT018
        left = np.ones(self.length, bool)
        done = 0
        try:
            for indices, x, y in in_order(data, order, sizes):
                numbers, _ = read_labels(y, self.argument, place=self.place)
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

    def _stacked(self, inputs: list[NDArray[np.float32]], indices: Array) -> NDArray[np.float32]:
        for x, index in zip(inputs, indices, strict=True):
            if x.shape != inputs[0].shape:
                raise ValueError(_other_shape(self.argument, index, x, indices[0], inputs[0]))
        return np.stack(inputs)

    def _item(self, index: int) -> tuple[NDArray[np.float32], int]:
        """A sample for another purpose than training, which changes nothing."""
        if self.added is not None and index >= self.added.first:
            x, y = self.added.item(index)
            return x, int(y)
        if self.inputs is not None and self.targets is not None:
            return self.inputs[index], int(self.targets[index])
        if index in self._read:
            return self._read[index]
        keep = _random_state_kept() if self.draws_random_numbers else contextlib.nullcontext()
        with self._lock, keep:
            return self._read_item(index, locked=True)

    def _read_item(self, index: int, *, locked: bool = False) -> tuple[NDArray[np.float32], int]:
        """A sample of a map-style data set, which may draw random numbers, or an added one."""
        if self.added is not None and index >= self.added.first:
            x, y = self.added.item(index)
            return x, int(y)
        where = f"{self.argument}[{index}]"
        with contextlib.nullcontext() if locked else self._lock:
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
        inputs, said = self._takes.pick(item[0], self.argument)
        if said and said not in self.assumptions:
            self.assumptions.append(said)
        array = np.asarray(inputs)
        check_picture(array.shape, array.dtype.kind, self.argument, self._takes)
        return self._as_float(array), self._label(item[1], index)

    def _label(self, label: Any, index: int) -> int:
        if isinstance(label, int | np.integer):
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
        numbers, form = read_labels(label, self.argument, index, self.place)
        if not self._probed:
            self.form = form
        self.fractional |= label.dtype.kind == "f"
        return int(numbers[0])

    def _turned(self, x: Array) -> NDArray[np.float32]:
        if not self.turn:
            return x
        ends = (-3, -1) if self.turn == "last" else (-1, -3)
        return np.ascontiguousarray(np.moveaxis(x, *ends))

    def _as_float(self, array: Array) -> NDArray[np.float32]:
        if array.dtype.kind not in "fV":  # bfloat16 is of kind V
            raise ValueError(
                f"{self.argument} has inputs of type {array.dtype}; the model needs floating "
                f"point: {scaled_remedy(array, self.place, self._takes)}"
            )
        return array.astype(np.float32, copy=False)

    def _probe(self) -> None:
        room = _MOST_KEPT
        probes = self.probes()
        for index in shown(probes, len(probes), f"samples of {self.argument}"):
            before = _random_state()
            x, y = self._read_item(index)
            self.draws_random_numbers |= _random_state() != before
            if self._read and x.shape != self._read[0][0].shape:
                raise ValueError(_other_shape(self.argument, index, x, 0, self._read[0][0]))
            self._probed.append(y)
            room -= x.nbytes
            if index == 0 or room > 0:  # a copy: a data set may fill one buffer for each item
                self._read[index] = (x.copy(), y)

    def _as_arrays(self, data: Any, *, anew: bool) -> tuple[Any, Any] | None:
        if isinstance(data, ArrayDataset) and not has_own_items(data, ArrayDataset):
            return data.images, data.labels
        if isinstance(data, tuple | list) and _is_pair(data):
            inputs, said = self._takes.pick(data[0], self.argument)
            self.assumptions += [said] if said else []
            return inputs, data[1]
        batches = batched(data, self.argument, self._takes)
        if batches is None:
            return None
        self.place = batches.place
        reading = read(batches, twice=anew)
        self._anew = reading.anew
        self.assumptions += [*batches.said, *said_of_reading(reading, self.argument)]
        self.warnings += [reading.warning] if reading.warning else []
        return reading.inputs, reading.labels


def _other_shape(argument: str, index: int, x: Array, first: int, other: Array) -> str:
    return (
        f"{argument}[{index}] has shape {x.shape}, but sample {first} has {other.shape}; images "
        "must be of one shape: resize or crop them in the data set"
    )


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


def _checked_arrays(x: Any, y: Any, argument: str, takes: ModelInput) -> tuple[Array, Array]:
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
            f"{argument}: the labels cannot be used ({error}); several labels a sample are not "
            "supported so far: they must be one array (N,) of class numbers"
        ) from error
    if inputs.dtype == object and inputs.ndim == 1 and hasattr(inputs[0], "shape"):
        raise ValueError(
            f"{argument} has inputs of several shapes, such as {inputs[0].shape}; resize them to "
            "one, and numpy.stack makes one array of a list"
        )
    check_picture(inputs.shape[1:], inputs.dtype.kind, argument, takes)
    given = labels.shape[0] if labels.ndim else 1
    if not labels.ndim or len(inputs) != given:
        raise ValueError(
            f"{argument} has {len(inputs)} inputs but {given} labels; pass one label for each input"
        )
    return inputs, labels


def _checked_dataset(data: Any, argument: str) -> Any:
    if not (hasattr(data, "__getitem__") and hasattr(data, "__len__")):
        raise TypeError(
            f"{argument}={type(data).__name__} is neither a pair of arrays (inputs, labels) nor a "
            "map-style data set (__len__ and __getitem__ giving (x, y)) nor a finite "
            "tf.data.Dataset of (x, y) nor a keras.utils.PyDataset"
        )
    return data


def _random_state() -> object:
    state: Any = np.random.get_state()  # noqa: NPY002 - the generator that users draw from
    return (random.getstate(), state[1].tobytes(), state[2:])


@contextlib.contextmanager
def _random_state_kept() -> Iterator[None]:
    python_state, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002
    try:
        yield
    finally:
        np.random.set_state(numpy_state)  # noqa: NPY002
        random.setstate(python_state)
