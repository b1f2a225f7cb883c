"""Data that come in batches, ``tf.data.Dataset`` and ``keras.utils.PyDataset``, by sample."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from coflect_widget.backends.in_batches import Batched, guess_names
from coflect_widget.backends.items import name_index
from coflect_widget.backends.keras.kinds import find_kind
from coflect_widget.backends.keras.label_remedies import Place
from coflect_widget.backends.keras.pictures import ModelInput

Array = NDArray[Any]

_WEIGHTS = (
    "a session weighs no single sample: leave the weights out; class_weight= weighs classes, and "
    'session.judge(i, "leave out") leaves a sample out'
)


class _KerasBatches(Batched):
    """What both kinds say of themselves."""

    to_draw = (
        "put it into the model (keras.layers.RandomFlip, for example), leave shuffle() out (a "
        "session draws its own order), or pass a map-style data set or a keras.utils.PyDataset"
    )
    to_resize = "tf.image.resize(x, (H, W))"


def batched(data: Any, argument: str, takes: ModelInput) -> Batched | None:
    """`data` as batches, None where they are something else."""
    if isinstance(data, keras.utils.PyDataset):
        return PyBatches(data, argument, takes)
    if hasattr(data, "element_spec") and hasattr(data, "as_numpy_iterator"):
        return TfBatches(data, argument, takes)
    return None


class TfBatches(_KerasBatches):
    """A ``tf.data.Dataset`` of (x, y), of batches or of single samples."""

    def __init__(self, data: Any, argument: str, takes: ModelInput) -> None:
        super().__init__(data, argument, takes)
        spec = data.element_spec
        if isinstance(spec, Mapping):
            raise ValueError(
                f"{argument} is a tf.data.Dataset of a dict; give (x, y): " + _pair(spec, "data")
            )
        if not isinstance(spec, tuple) or len(spec) not in (2, 3):
            raise ValueError(
                f"{argument} is a tf.data.Dataset of {spec}, not of (x, y); give each sample its "
                "label, for example with tf.data.Dataset.zip((inputs, labels))"
            )
        x, y = self.picked(spec[0]), spec[1]
        shapes = [getattr(part, "shape", None) for part in (x, y)]
        if isinstance(y, Mapping | tuple | list):
            raise ValueError(
                f"{argument} has {len(y)} labels a sample ({type(y).__name__}), and a session "
                "trains on one: data.map(lambda x, y: (x, y[...])) chooses it"
            )
        if any(shape is None or shape.rank is None for shape in shapes):
            raise ValueError(
                f"{argument} is a tf.data.Dataset of {spec}, whose inputs or labels are no tensors "
                "of known rank; say it where the pipeline loses it: tf.ensure_shape(x, (H, W, C)) "
                "and tf.ensure_shape(y, ())"
            )
        if len(spec) == 3 and spec[2].dtype.is_floating:
            raise ValueError(f"{argument} is a tf.data.Dataset of (x, y, weight), and {_WEIGHTS}")
        self._batched = _is_batched(x.shape, y.shape, takes)
        shape = tuple(x.shape[1:] if self._batched else x.shape)
        find_kind(shape, np.dtype(x.dtype.as_numpy_dtype).kind, argument, takes)
        self._check_length()
        self.count = int(data.cardinality())
        self.unit = "batches" if self._batched else "samples"

    def _check_length(self) -> None:
        number = int(self.data.cardinality())
        if number == -1:
            raise ValueError(
                f"{self.argument} is a tf.data.Dataset without an end, so that its samples cannot "
                "be numbered; leave repeat() out: train(epochs=...) goes through it again"
            )
        if number < 0:
            raise ValueError(
                f"{self.argument} is a tf.data.Dataset of unknown length, so that its samples "
                f"cannot be numbered; say how many {'batches' if self._batched else 'samples'} it "
                f"has: data.apply(tf.data.experimental.assert_cardinality(n)), or pass a pair of "
                "arrays or a map-style data set"
            )

    @property
    def keeps_order(self) -> bool:
        """See `Batched`: no part of the pipeline shuffles."""
        return not any(_mixes(one) for one in _chain(self.data))

    def batches(self, ranks: NDArray[np.int64] | None = None) -> Iterator[tuple[int, Array, Array]]:
        """See `Batched`; in the pipeline's own order."""
        first = 0
        elements = iter(self.data.prefetch(2))
        while True:
            try:
                x, y, *_ = next(elements)
            except StopIteration:
                return
            except Exception as error:
                raise ValueError(
                    f"{self.argument} cannot be read after its first {first} samples: {error}"
                ) from error
            inputs, labels = np.asarray(self.picked(x)), np.asarray(y)
            if not self._batched:
                inputs, labels = inputs[None], labels[None]
            yield first, inputs, labels
            first += len(inputs)


class PyBatches(_KerasBatches):
    """A ``keras.utils.PyDataset``; ``on_epoch_end`` is not called, so that samples keep places."""

    place: Place = "items"

    def __init__(self, data: Any, argument: str, takes: ModelInput) -> None:
        super().__init__(data, argument, takes)
        try:
            self.count = len(data)
        except (TypeError, NotImplementedError, ValueError) as error:
            raise ValueError(
                f"{argument} is a PyDataset without an end ({error}), so that its samples cannot "
                "be numbered; give it a __len__, its number of batches"
            ) from error
        self._first: dict[int, int] = {}  # the place of each batch's first sample

    def batches(self, ranks: NDArray[np.int64] | None = None) -> Iterator[tuple[int, Array, Array]]:
        """See `Batched`."""
        order = list(range(self.count))
        if ranks is not None:
            order.sort(key=lambda number: int(ranks[self._first[number]]))
        first = 0
        for number in order:
            where = f"{self.argument}[{number}]"
            try:
                item = self.data[number]
            except Exception as error:
                name_index(error, self.argument, number)
                raise
            if not isinstance(item, tuple | list) or len(item) not in (2, 3):
                raise ValueError(
                    f"{where} is a {type(item).__name__}, expected a batch (inputs, labels)"
                )
            if len(item) == 3 and np.asarray(item[2]).dtype.kind == "f":
                raise ValueError(f"{self.argument} gives (x, y, weight), and {_WEIGHTS}")
            if isinstance(item[1], Mapping):
                raise ValueError(
                    f"{where} has {len(item[1])} labels a sample (dict), and a session trains on "
                    "one: give (inputs, labels) with the labels alone"
                )
            inputs, labels = np.asarray(self.picked(item[0])), np.asarray(item[1])
            if inputs.ndim == 0 or labels.ndim == 0 or len(inputs) != len(labels):
                raise ValueError(
                    f"{where} has inputs of shape {inputs.shape} and labels of shape "
                    f"{labels.shape}; expected a batch, one label for each input"
                )
            find_kind(inputs.shape[1:], inputs.dtype.kind, self.argument, self.takes)
            place = self._first.setdefault(number, first)
            yield place, inputs, labels
            first = place + len(inputs)


def _is_batched(x: Any, y: Any, takes: ModelInput) -> bool:
    # (H, W, C) with one-hot labels (classes,) has the ranks of (B, H, W) with labels (B,).
    wanted = takes.shape
    if len(y) == 0:
        return False
    if len(x) >= 4:
        return True
    if wanted is not None and len(wanted) == len(x):
        fits = all(a is None or b is None or a == b for a, b in zip(x, wanted, strict=True))
        if fits and x[-1] == wanted[-1]:
            return False
    return bool(x[0] == y[0]) if len(x) else False


def _chain(data: Any) -> Iterator[Any]:
    """A tf.data.Dataset and all those that it is made from."""
    yield data
    for one in data._inputs():
        yield from _chain(one)


def _mixes(data: Any) -> bool:
    """Whether this part of a pipeline gives another order in each reading."""
    kind = type(data).__name__
    if any(word in kind for word in ("Shuffle", "Random", "Sample", "DirectedInterleave")):
        return True
    return getattr(data, "_deterministic", None) == "false" or (
        data.options().deterministic is False
    )


def _pair(spec: Mapping[str, Any], data: str) -> str:
    names = list(spec)
    x, y = guess_names(names)
    return f"{data}.map(lambda item: (item[{x!r}], item[{y!r}]))"
