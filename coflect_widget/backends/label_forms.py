"""What labels in numpy mean: class numbers, or a refusal that says the way out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from coflect_widget.backends.items import Labelled, label_error
from coflect_widget.backends.targets import SEVERAL_LABELS

Array = NDArray[Any]
#: How labels are given: (N,), (N, 1) or one-hot rows (N, classes).
Form = Literal["numbers", "column", "one-hot"]
#: What to write for a change of labels, by what is wrong with them: "likeliest" and "smoothed" of
#: soft ones, "minus one", "signs", "known" and "names".
Changes = Mapping[str, str]

_REGRESSION = "that is regression, which needs task='regression'"
_ONE_CLASS = (
    f"{SEVERAL_LABELS}; a session trains one class a sample, with class numbers (N,) or one-hot "
    "rows (N, classes)"
)


def read_labels(
    values: Any, argument: str, changes: Changes, index: int | None = None
) -> tuple[NDArray[np.int64], Form]:
    """Class numbers (N,) of labels, and the form that they were given in.

    Parameters
    ----------
    values : array_like (N,), (N, 1) or (N, classes)
        Whole numbers, or rows of which one value is 1 and all others 0.
    argument : str
        What messages call the data.
    changes : Changes
    index : int, optional
        `values` is the label of this sample alone.

    Raises
    ------
    ValueError
        For several labels a sample, shares, numbers with fractions, names and masks.
    """
    labels = np.asarray(values)
    if index is not None:
        labels = labels[None]
    if labels.dtype.kind in "OSU" and labels.size:
        _refuse_objects(labels, argument, index, changes)
    form: Form = "numbers"
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels, form = labels[:, 0], "column"
    if labels.dtype.kind == "f" and np.isnan(labels).any():
        at = int(np.argwhere(np.isnan(labels))[0][0]) if index is None else index
        raise ValueError(
            f"{argument} has the label nan at index {at}; leave the sample out or correct it"
        )
    if labels.ndim == 1:
        if labels.dtype.kind not in "fiub":
            raise ValueError(f"{argument} has labels of type {labels.dtype}; {_ONE_CLASS}")
        numbers = labels.astype(np.int64)
        if labels.dtype.kind != "f" or np.array_equal(numbers, labels):
            return numbers, form
        at = int(np.flatnonzero(numbers != labels)[0])
        where = at if index is None else index
        raise ValueError(
            f"{argument} has the target {labels[at]:g} at index {where}, with a fraction; "
            f"{_REGRESSION}"
        )
    if labels.ndim != 2:
        raise ValueError(
            f"{argument} has labels of shape {_shape(labels, index)}, like masks, which need "
            "task='segmentation'; without it a session needs one class number a sample"
        )
    return _one_hot(labels, argument, index, changes), "one-hot"


def _one_hot(
    labels: Array, argument: str, index: int | None, changes: Changes
) -> NDArray[np.int64]:
    binary = np.isin(labels, (0, 1)).all(1)
    wrong = np.flatnonzero(~binary | (labels.sum(1) != 1))
    if not len(wrong):
        found: NDArray[np.int64] = np.argmax(labels, 1).astype(np.int64)
        return found
    at = int(wrong[0])
    row, where = labels[at], at if index is None else index
    shape = _shape(labels, index)
    if binary.all():
        raise ValueError(
            f"{argument} has labels of shape {shape} with {int(row.sum())} of {len(row)} set at "
            f"index {where}; {_ONE_CLASS}"
        )
    sums = bool((labels >= 0).all()) and np.allclose(labels.sum(1), 1, atol=1e-3)
    if sums:
        raise ValueError(
            f"{argument} has soft labels of shape {shape}, shares that sum to 1 (index {where}), "
            "which are not supported so far; take the likeliest class, "
            f"{changes['likeliest']}, and where they were smoothed let the loss do it: "
            f"{changes['smoothed']}"
        )
    if labels.dtype.kind == "f" and (labels % 1 != 0).any():
        raise ValueError(
            f"{argument} has targets of shape {shape} with fractions (index {where}); {_REGRESSION}"
        )
    raise ValueError(
        f"{argument} has labels of shape {shape}, whose rows are not one-hot (index {where}); "
        f"{_ONE_CLASS}"
    )


def _refuse_objects(labels: Array, argument: str, index: int | None, changes: Changes) -> None:
    where = 0 if index is None else index
    first = labels.reshape(-1)[:1].tolist()[0]
    if isinstance(first, str | bytes):
        raise ValueError(
            f"{argument} has the label {first!r} at index {where}; labels must be class numbers: "
            f"{changes['names']}, with classes=names"
        )
    if any(value is None for value in labels.reshape(-1)):
        raise ValueError(
            f"{argument} has a label that is None; give each sample a label, or leave it out"
        )
    if isinstance(first, list | tuple | set):
        raise ValueError(
            f"{argument} has a {type(first).__name__} as label at index {where}; {_ONE_CLASS}"
        )
    raise ValueError(
        f"{argument} has labels that numpy cannot read as numbers (a {type(first).__name__} at "
        f"index {where}); {_ONE_CLASS}"
    )


def _shape(labels: Array, index: int | None) -> str:
    inner = ", ".join(str(side) for side in labels.shape[1:])
    return f"({len(labels) if index is None else 'N'}, {inner})"


def check_classes(source: Labelled, classes: int, changes: Changes) -> None:
    """Raise ValueError for the first label that is no class, as far as labels are known."""
    labels = source.labels()
    wrong = np.flatnonzero((labels < 0) | (labels >= classes))
    if not len(wrong):
        return
    low, high = int(labels.min()), int(labels.max())
    first = int(wrong[0])
    where = first if len(labels) == source.length else source.probes()[first]
    said = f"{source.argument} has the label {labels[first]} at index {where}"
    if (low, high) == (1, classes):
        raise ValueError(
            f"{said}: its labels run from 1 to {high}, and classes are counted from 0; "
            f"{changes['minus one']}"
        )
    if low == -1 and classes == 2 and set(labels.tolist()) <= {-1, 1}:
        raise ValueError(
            f"{said}: its labels are -1 and 1, and classes are counted from 0; {changes['signs']}"
        )
    if low == -1 and high < classes:
        raise ValueError(
            f"{said}, which often means that nobody knows it; leave those samples out: "
            f"{changes['known']}"
        )
    raise ValueError(label_error(source.argument, where, int(labels[first]), classes))


def refuse_odd_labels(indices: NDArray[np.int64], labels: NDArray[np.int64], classes: int) -> None:
    """Raise ValueError for a label (B,) that is no class, of a data set that was only probed."""
    wrong = np.flatnonzero((labels < 0) | (labels >= classes))
    if len(wrong):
        at = int(wrong[0])
        raise ValueError(label_error("train_data", int(indices[at]), int(labels[at]), classes))


def said_of_labels(
    argument: str, numbers: NDArray[np.int64], form: Form, *, fractions: bool, classes: int
) -> list[str]:
    """What was guessed where the labels of `argument` were read."""
    said = []
    if form == "column":
        said.append(f"The labels of {argument}, of shape (N, 1), were read as class numbers (N,).")
    elif form == "one-hot":
        said.append(f"The rows of {argument}'s labels were taken for one-hot: one class a sample.")
    if fractions and form != "one-hot":
        said.append(
            f"The labels of {argument} are whole numbers in floating point; they were taken for "
            "class numbers."
        )
    highest = int(numbers.max()) + 1 if len(numbers) else 0
    if classes > 2 and highest * 4 <= classes:
        said.append(
            f"The model has outputs for {classes} classes, and the labels of {argument} that were "
            f"looked at name only the first {highest}."
        )
    return said


def labels_of_step(targets: Any) -> NDArray[np.int64]:
    """Class numbers (B,) of what a loop of the user's own trains on, (B,) or (B, classes).

    Of shares, as mixing of samples makes them, the likeliest class counts.

    Raises
    ------
    ValueError
        If a row has several labels.
    """
    given = np.asarray(targets)
    if given.ndim != 2 or given.shape[1] == 1:
        return given.reshape(-1).astype(np.int64)
    several = np.flatnonzero((given == 1).sum(1) > 1)
    if len(several):
        raise ValueError(
            f"targets of shape {given.shape} have {int(given[several[0]].sum())} labels in row "
            f"{several[0]}; {_ONE_CLASS}"
        )
    numbers: NDArray[np.int64] = given.argmax(1).astype(np.int64)
    return numbers
