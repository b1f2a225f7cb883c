"""A person's data for the Keras backend: checked once, numbered, served batch by batch.

All of it is numpy; the order of an epoch depends on (seed, epoch) alone and is the same as
that of the Torch backend.
"""

from __future__ import annotations

import contextlib
import random
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coflect_widget.backends.base import Batch, batch_cuts
from coflect_widget.backends.items import check_item, has_own_items
from coflect_widget.backends.progress import shown
from coflect_widget.data.arrays import ArrayDataset

Array = NDArray[Any]

_PROBES = 64  # samples of a map-style data set that are looked at before training
_MOST_KEPT = 2**30  # bytes of them that are kept until the session stands
#: A tf.data.Dataset up to this size is read into memory, where each sample has a place.
_LARGEST_READ = 2 * 2**30


class Source:
    """Samples by index, and batches of an epoch; inputs as the person's model takes them.

    Parameters
    ----------
    data : map-style data set of (x, y) or (x, y, index), pair of arrays, or tf.data.Dataset
        Labels are class numbers (N,) or (N, 1), or one-hot rows (N, classes).
    argument : str
        Name used in error messages.
    scaled : bool
        Whether the model scales its inputs itself, so that nobody is told to do it.
    """

    def __init__(self, data: Any, argument: str, *, scaled: bool = False) -> None:
        self.argument = argument
        self._scaled = scaled
        self.one_hot = False  # the form that its labels come in
        self.inputs: Array | None = None
        self.targets: NDArray[np.int64] | None = None
        self.dataset: Any = None
        #: whether samples are (C, H, W) by their data set's own promise
        self.channels_first = isinstance(data, ArrayDataset)
        self.swap_channels = False  # give (H, W, C) where the data set has (C, H, W)
        self.draws_random_numbers = False
        self._lock = threading.Lock()
        #: of a data set: what was read of the probes, until `forget_read`, and their labels
        self._read: dict[int, tuple[NDArray[np.float32], int]] = {}
        self._probed: list[int] = []
        arrays = _as_arrays(data, argument)
        if arrays is not None:
            inputs, labels = _checked_arrays(*arrays, argument)
            self.inputs = self._as_float(inputs)
            self.targets = class_numbers(labels, argument)
            self.one_hot = labels.ndim == 2 and labels.shape[1] > 1
            self.length = len(self.inputs)
        else:
            self.dataset = _checked_dataset(data, argument)
            self.length = len(data)
        if self.length == 0:
            raise ValueError(f"{argument} is empty; it needs at least one sample")
        if self.dataset is not None:
            self._probe()

    def input(self, index: int) -> NDArray[np.float32]:
        """One input as the model takes it."""
        return self._item(index)[0]

    def target(self, index: int) -> int:
        """Class number of one sample."""
        return self._item(index)[1] if self.targets is None else int(self.targets[index])

    def labels(self) -> NDArray[np.int64]:
        """All class numbers where they are known without reading every sample; else the probes'."""
        if self.targets is not None:
            return self.targets
        return np.array(self._probed, dtype=np.int64)

    def readings(self, index: int, enough: Callable[[list[Array]], bool]) -> list[Array]:
        """One sample's input, read anew until there are `enough`; [] where the data are arrays."""
        found: list[Array] = []
        if self.dataset is None:
            return found
        with self._lock, _random_state_kept():
            while not enough(found):
                found.append(self._turned(self._as_float(self.dataset[index][0]).copy()))
        return found

    def read_so_far(self) -> list[int]:
        """Indices of samples that are given without reading the data set again."""
        return self.probes() if self.dataset is None else list(self._read)

    def forget_read(self) -> None:
        """Let go of what was read before training; samples are read anew from now on."""
        self._read = {}

    def probes(self) -> list[int]:
        """Indices spread evenly over the data."""
        count = min(_PROBES, self.length)
        return [int(i) for i in np.linspace(0, self.length - 1, count).round()]

    def steps(self, batch_size: int) -> int:
        """Batches an epoch."""
        return len(batch_cuts(self.length, batch_size))

    def batches(self, order: NDArray[np.int64], batch_size: int, skip: int = 0) -> Iterator[Batch]:
        """Batches in the given order; inputs float32 (B, ...) and targets int64 (B,)."""
        for first, last in batch_cuts(self.length, batch_size)[skip:]:
            group = order[first:last]
            if self.inputs is not None and self.targets is not None:
                yield Batch(group, self._turned(self.inputs[group]), self.targets[group])
            else:
                items = [self._item(int(i)) for i in group]
                yield Batch(
                    group,
                    np.stack([x for x, _ in items]),
                    np.array([y for _, y in items], dtype=np.int64),
                )

    def _item(self, index: int) -> tuple[NDArray[np.float32], int]:
        if self.inputs is not None and self.targets is not None:
            return self._turned(self.inputs[index]), int(self.targets[index])
        if index in self._read:
            x, label = self._read[index]
            return self._turned(x), label
        keep = _random_state_kept() if self.draws_random_numbers else contextlib.nullcontext()
        with self._lock, keep:
            x, y, *_ = self.dataset[index]
        return self._turned(self._as_float(x)), _label(y)

    def _turned(self, x: Array) -> NDArray[np.float32]:
        return np.ascontiguousarray(np.moveaxis(x, -3, -1)) if self.swap_channels else x

    def _as_float(self, x: Any) -> NDArray[np.float32]:
        array = np.asarray(x)
        if array.dtype.kind != "f":
            scale = "" if self._scaled else " / 255"
            raise ValueError(
                f"{self.argument} has inputs of type {array.dtype}; the model needs floating "
                f"point, for example images.astype('float32'){scale}"
            )
        return array.astype(np.float32, copy=False)

    def _probe(self) -> None:
        before = _random_state()
        shape: tuple[int, ...] | None = None
        room = _MOST_KEPT
        probes = self.probes()
        for index in shown(probes, len(probes), f"samples of {self.argument}"):
            item = self.dataset[index]
            check_item(item, self.argument, index)
            _refuse_several(item[0], self.argument)
            self.one_hot = np.size(item[1]) > 1
            x = self._as_float(item[0])
            self._probed.append(_label(item[1]))
            room -= x.nbytes
            if index == 0 or room > 0:  # a copy: a data set may fill one buffer for each item
                self._read[index] = (x.copy(), self._probed[-1])
            found = x.shape
            if shape is not None and found != shape:
                raise ValueError(
                    f"{self.argument}[{index}] has shape {found}, but sample 0 has {shape}; images "
                    "must be of one shape: resize or crop them in the data set"
                )
            shape = found
        self.draws_random_numbers = _random_state() != before


def _as_arrays(data: Any, argument: str) -> tuple[Any, Any] | None:
    if isinstance(data, ArrayDataset) and not has_own_items(data, ArrayDataset):
        return data.images, data.labels
    if isinstance(data, tuple | list) and len(data) == 2 and hasattr(data[1], "shape"):
        _refuse_several(data[0], argument)
        if hasattr(data[0], "shape"):
            return data[0], data[1]
    if hasattr(data, "element_spec") and hasattr(data, "as_numpy_iterator"):
        return _read_pipeline(data, argument)
    return None


def _refuse_several(inputs: Any, argument: str) -> None:
    """Raise ValueError for inputs that are a tuple, list or mapping of arrays."""
    named = isinstance(inputs, Mapping)
    if named or (isinstance(inputs, tuple | list) and any(hasattr(a, "shape") for a in inputs)):
        raise ValueError(
            f"{argument} has a {type(inputs).__name__} of {len(inputs)} arrays as inputs; the "
            "Keras backend trains models of one input: pass its array alone (numpy.stack makes "
            "one of a list of images)"
        )


def _read_pipeline(data: Any, argument: str) -> tuple[Array, Array]:
    """A tf.data.Dataset as arrays: in a pipeline no sample has a place of its own."""
    spec = data.element_spec
    remedy = f"pass a pair of arrays (inputs, labels) as {argument}, or a map-style data set"
    if not isinstance(spec, tuple) or len(spec) not in (2, 3):
        raise ValueError(f"{argument} is a tf.data.Dataset of {spec}, not of (x, y); {remedy}")
    _refuse_several(spec[0], argument)
    shapes = [getattr(part, "shape", None) for part in spec]
    if any(shape is None or shape.rank is None for shape in shapes):
        raise ValueError(
            f"{argument} is a tf.data.Dataset of {spec}, whose inputs or labels are no tensors of "
            f"known rank; {remedy}"
        )
    if len(spec) == 3 and spec[2].dtype.is_floating:
        raise ValueError(
            f"{argument} is a tf.data.Dataset of (x, y, weight), and a session weighs no single "
            "sample: leave the weights out; class_weight= weighs classes, and "
            'session.judge(i, "leave out") leaves a sample out'
        )
    number = int(data.cardinality())
    if number < 0:
        raise ValueError(
            f"{argument} is a tf.data.Dataset of unknown or endless length, so its samples cannot "
            f"be numbered; {remedy}"
        )
    inputs: list[Array] = []
    labels: list[Array] = []
    size = 0
    x_shape, y_shape = spec[0].shape, spec[1].shape
    # (H, W, C) with one-hot labels (classes,) has the ranks of (B, H, W) with labels (B,).
    batched = len(x_shape) == 4 or (
        len(x_shape) == 3 and len(y_shape) > 0 and x_shape[0] == y_shape[0]
    )
    what = f"{'batches' if batched else 'samples'} of {argument}"
    for x, y, *_ in shown(data.as_numpy_iterator(), number, what):
        inputs.append(np.asarray(x))
        labels.append(np.asarray(y))
        size += inputs[-1].nbytes
        if size > _LARGEST_READ:
            raise ValueError(
                f"{argument} is a tf.data.Dataset of more than {_LARGEST_READ >> 30} GiB, too much "
                f"to number its samples in memory; {remedy}"
            )
    join = np.concatenate if batched else np.stack
    return (join(inputs), join(labels)) if inputs else (np.zeros((0, 1, 1)), np.zeros(0, int))


def _checked_arrays(x: Any, y: Any, argument: str) -> tuple[Array, Array]:
    try:
        inputs, labels = np.asarray(x), np.asarray(y)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{argument}: the arrays cannot be used ({error}); inputs must be one array "
            "(N, H, W, C), all of one shape, and labels one array (N,)"
        ) from error
    if len(inputs) != len(labels):
        raise ValueError(
            f"{argument} has {len(inputs)} inputs but {len(labels)} labels; "
            "pass one label for each input"
        )
    if inputs.ndim not in (3, 4):
        raise ValueError(
            f"{argument} has inputs of shape {inputs.shape}; expected images (N, H, W, C)"
        )
    return inputs, labels


def class_numbers(labels: Array, argument: str) -> NDArray[np.int64]:
    """Class numbers (N,) of labels (N,), (N, 1) or one-hot (N, classes)."""
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim == 1:
        numbers = labels.astype(np.int64)
        if labels.dtype.kind in "iub" or np.array_equal(numbers, labels):
            return numbers
    elif labels.ndim == 2 and np.isin(labels, (0, 1)).all() and (np.sum(labels, 1) == 1).all():
        found: NDArray[np.int64] = np.argmax(labels, 1).astype(np.int64)
        return found
    raise ValueError(
        f"{argument} has labels of shape {labels.shape} and type {labels.dtype}; pass class "
        "numbers as integers of shape (N,), or one-hot rows (N, classes); regression is for "
        "torch models"
    )


def _label(y: Any) -> int:
    value = np.asarray(y)
    return int(value.argmax()) if value.size > 1 else int(value.reshape(()))


def _checked_dataset(data: Any, argument: str) -> Any:
    if not (hasattr(data, "__getitem__") and hasattr(data, "__len__")):
        raise TypeError(
            f"{argument}={type(data).__name__} is neither a pair of arrays (inputs, labels) nor a "
            "map-style data set (__len__ and __getitem__ giving (x, y)) nor a finite "
            "tf.data.Dataset of (x, y)"
        )
    if hasattr(data, "max_queue_size"):  # keras.utils.PyDataset
        raise TypeError(
            f"{argument} is a PyDataset, which gives batches without their samples' indices; pass "
            "a data set that gives one sample (x, y) for each index, or a pair of arrays"
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
