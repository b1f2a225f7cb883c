"""Checks of what a data set gives, the same for every framework; each error says the remedy."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from coflect_widget.backends.targets import kind_of_targets, label_remedy
from coflect_widget.data.arrays import ArrayDataset
from coflect_widget.data.tables import TableDataset


class Labelled(Protocol):
    """A data set as a backend reads it; `argument` is what messages call it."""

    argument: str
    length: int

    def labels(self) -> NDArray[np.int64]:
        """Class numbers of all samples, or of the probes alone."""

    def probes(self) -> list[int]:
        """Indices spread evenly over the data."""


def has_own_items(data: object, base: type) -> bool:
    """Whether the class of `data`, a `base`, reads its items in a way of its own."""
    names = ("__getitem__", "__getitems__", "__len__")
    return any(getattr(type(data), name, None) is not getattr(base, name, None) for name in names)


def whole_arrays(data: object) -> tuple[Any, Any] | None:
    """Inputs and labels of a data set of this package, where they are all there is to it.

    A subclass may augment them; then it is read item by item.
    """
    if isinstance(data, ArrayDataset) and not has_own_items(data, ArrayDataset):
        return data.images, data.labels
    if isinstance(data, TableDataset) and not has_own_items(data, TableDataset):
        return data.rows, data.labels
    return None


def is_pair(data: tuple[Any, ...] | list[Any]) -> bool:
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


def is_map_style(data: object) -> bool:
    """Whether `data` tells how many samples it has and gives each by its index."""
    return hasattr(data, "__getitem__") and hasattr(data, "__len__")


def name_index(error: Exception, argument: str, index: int) -> None:
    """Have an error that a data set raised say at which index; its type stays.

    The index goes in front of the text where the text is the error's own argument, and into a
    note where it is made of other things.
    """
    where = f"{argument}[{index}]"
    if where in str(error) or any(where in note for note in getattr(error, "__notes__", ())):
        return
    if isinstance(error, OSError) and error.strerror is not None:
        error.strerror = f"{where}: {error.strerror}"
    elif len(error.args) == 1 and (type(error) is KeyError or str(error) == error.args[0]):
        error.args = (f"{where}: {error.args[0]}",)
    elif not error.args and not str(error):
        error.args = (f"{where} raised it",)
    if where not in str(error):
        error.add_note(f"{where} raised it")


def error_line(error: BaseException) -> str:
    """Type, text and notes of an error in one line."""
    notes = "".join(f" ({note})" for note in getattr(error, "__notes__", ()))
    return f"{type(error).__name__}: {error}{notes}"


def check_item(item: object, argument: str, index: int) -> None:
    """Raise ValueError unless what a data set gives at `index` is (x, y) or (x, y, index).

    `argument` is what the data set is called in the message.
    """
    if not isinstance(item, Sequence) or len(item) not in (2, 3):
        raise ValueError(
            f"{argument}[{index}] is a {type(item).__name__}, expected (x, y) or (x, y, index)"
        )
    if len(item) == 3 and _integer(item[2]) != index:
        raise ValueError(
            f"{argument}[{index}] says that its index is {_shown(item[2])}; the third element "
            "must be the position in the data set, or leave it out"
        )


def class_number(label: object, argument: str, index: int) -> int:
    """The label of a sample as a number; a tensor or array of one element has one.

    Raises
    ------
    ValueError
        If it is none.
    """
    number = _integer(label)
    if number is not None:
        return number
    if isinstance(label, str):
        remedy = "give the class's place among the names, for example names.index(label)"
    elif label is None:
        remedy = "give each sample a label, or leave it out"
    else:
        raise ValueError(_no_class_number(label, argument, index))
    raise ValueError(
        f"{argument}[{index}][1] is {_shown(label)}; a label must be one class number, an integer: "
        f"{remedy}"
    )


def _no_class_number(label: Any, argument: str, index: int) -> str:
    """What to say of a label that is an array, a list or a number with a fraction."""
    try:
        value = np.asarray(label)
    except (TypeError, ValueError, RuntimeError):
        value = np.asarray(None)
    shown = f"{argument}[{index}][1] is {_shown(label)}"
    if value.dtype.kind not in "iubf" or value.ndim == 0:
        return f"{shown}; a label must be one class number, an integer"
    return f"{shown}; {label_remedy(kind_of_targets(value[None]), 'label', alone=True)}"


def _integer(value: Any) -> int | None:
    if hasattr(value, "item") and math.prod(value.shape) == 1:
        value = value.item()
    return int(value) if isinstance(value, int) else None


def _shown(value: Any) -> str:
    shape = getattr(value, "shape", ())
    return f"of shape {tuple(shape)} and type {value.dtype}" if shape else repr(value)


def check_labels(source: Labelled, num_classes: int) -> None:
    """Raise ValueError for the first label that is no class, as far as labels are known."""
    labels = source.labels()
    wrong = np.flatnonzero((labels < 0) | (labels >= num_classes))
    if len(wrong):
        if labels.min() == 1 and labels.max() == num_classes:
            raise ValueError(
                f"{source.argument} has labels from 1 to {num_classes} for {num_classes} classes; "
                "they are counted from 0: pass labels - 1"
            )
        where = int(wrong[0])
        at = where if len(labels) == source.length else source.probes()[where]
        raise ValueError(label_error(source.argument, at, int(labels[where]), num_classes))


def check_finite(values: NDArray[np.float32], argument: str, index: int | None = None) -> None:
    """Raise ValueError for the first target of a regression that is NaN or infinite.

    `values` are all of them, (N, D), or those of the sample `index`, (D,).
    """
    finite = np.isfinite(values)
    if not finite.all():
        at = int(np.argwhere(~finite)[0][0]) if index is None else index
        raise ValueError(
            f"{argument} has a target at index {at} that is NaN or infinite; leave the sample "
            "out or correct it"
        )


def label_error(argument: str, index: int, label: int, num_classes: int) -> str:
    """What to say of a label that is no class."""
    return (
        f"{argument} has the label {label} at index {index}, outside 0..{num_classes - 1} for "
        f"{num_classes} classes; correct the labels, or add classes and outputs"
    )
