"""A person's data for the Keras backend: checked once, numbered, served batch by batch.

The order of an epoch depends on (seed, epoch) alone and is the same as that of the Torch
backend, but for data that are read anew in each epoch and have no room in memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coflect_widget.backends.in_batches import guess_names, read, said_of_reading
from coflect_widget.backends.in_numpy import NumpySource
from coflect_widget.backends.items import (
    check_item,
    is_map_style,
    is_pair,
    name_index,
    whole_arrays,
)
from coflect_widget.backends.keras.kinds import find_kind
from coflect_widget.backends.keras.label_remedies import CHANGES, Place
from coflect_widget.backends.keras.pictures import ModelInput, Turn, scaled_remedy
from coflect_widget.backends.keras.pipeline import batched
from coflect_widget.backends.label_forms import Form, read_labels
from coflect_widget.backends.targets import SEVERAL_LABELS
from coflect_widget.data.arrays import ArrayDataset
from coflect_widget.modalities import Modality, container

Array = NDArray[Any]


class Source(NumpySource):
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
    """

    def __init__(
        self, data: Any, argument: str, *, takes: ModelInput | None = None, anew: bool = True
    ) -> None:
        super().__init__(argument)
        self.place: Place = "arrays"
        #: whether samples are (C, H, W) by their data set's own promise
        self.channels_first = isinstance(data, ArrayDataset)
        self.turn: Turn = ""  # put the channels there
        #: what the model takes, and what the data set says that its inputs are
        self.takes = takes or ModelInput()
        arrays = self._as_arrays(data, anew=anew)
        if arrays is None:
            self.place = "items"
            self.dataset = _checked_dataset(data, argument)
            self.length = len(data)
        else:
            inputs, labels = self._checked_arrays(*arrays)
            self.length = len(inputs)
            self.inputs = self.typed(inputs)
            self.fractional = labels.dtype.kind == "f"
            if self.length:
                self.targets, self.form = self.read_targets(labels)
        self.look()

    def read_targets(self, values: Any, index: int | None = None) -> tuple[Array, Form]:
        """Class numbers (N,), or of sample `index` alone (1,), and the form they were given in."""
        return read_labels(values, self.argument, CHANGES[self.place], index)

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
        return self.typed(array), self.label_of_item(item[1], index)

    def turned(self, x: Array) -> NDArray[np.float32]:
        """Inputs with their channels where the model takes them."""
        if not self.turn:
            return x
        ends = (-3, -1) if self.turn == "last" else (-1, -3)
        return np.ascontiguousarray(np.moveaxis(x, *ends))

    def typed(self, array: Array) -> NDArray[np.float32]:
        """Inputs as float32, whole numbers as int64; ValueError for others."""
        if self.whole:  # or else what they are is refused with all other kinds
            return array.astype(np.int64, copy=False) if array.dtype.kind in "iu" else array
        if array.dtype.kind not in "fV":  # bfloat16 is of kind V
            raise ValueError(
                f"{self.argument} has inputs of type {array.dtype}; the model needs floating "
                f"point: {scaled_remedy(array, self.place, self.takes)}"
            )
        return array.astype(np.float32, copy=False)

    def _name(self, kind: Modality | None) -> None:
        self.takes = replace(self.takes, named=kind)

    def _as_arrays(self, data: Any, *, anew: bool) -> tuple[Any, Any] | None:
        self._name(self.takes.named or container(data))
        arrays = whole_arrays(data)
        if arrays is not None:
            return arrays
        if isinstance(data, tuple | list) and is_pair(data):
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
        self.anew = reading.anew
        self.assumptions += [*batches.said, *said_of_reading(reading, self.argument)]
        self.warnings += [reading.warning] if reading.warning else []
        return reading.inputs, reading.labels


def _checked_dataset(data: Any, argument: str) -> Any:
    if not is_map_style(data):
        raise TypeError(
            f"{argument}={type(data).__name__} is neither a pair of arrays (inputs, labels) nor a "
            "map-style data set (__len__ and __getitem__ giving (x, y)) nor a finite "
            "tf.data.Dataset of (x, y) nor a keras.utils.PyDataset"
        )
    return data
