"""Data by a name: the made sets of `coflect.data`, arrays in a file, a table in a file.

Each function gives the arguments of a `Session` that are about data.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coflect_widget import data
from coflect_widget.data.decoy_digits import Square
from coflect_widget.data.patients import Invoice
from coflect_widget.data.signals import Decoy
from coflect_widget.data.tables import TableDataset
from coflect_widget.modalities import Table

Given = dict[str, Any]
_VALUES = 500  # different values of a column of words, at most


def _labelled(train: Any, val: Any) -> Given:
    return {"train_data": train, "val_data": val, "classes": train.classes}


def reviews(n: int = 2000, leak: float = 0.97, length: int = 24, seed: int = 0) -> Given:
    """`data.reviews`; a quarter as many to validate, in which nothing leaks."""
    train = data.reviews(n, length, leak, seed)
    return _labelled(train, data.reviews(max(1, n // 4), length, 0.0, seed + 1)) | {
        "tokenizer": train.words
    }


def patients(n: int = 1200, invoice: Invoice = "class", seed: int = 0) -> Given:
    """`data.patients`; half as many to validate, whose invoices are of chance."""
    val = data.patients(max(1, n // 2), invoice="random", seed=seed + 1)
    return _labelled(data.patients(n, invoice=invoice, seed=seed), val)


def signals(
    n: int = 800,
    decoy: Decoy = "class",
    classes: int = 2,
    channels: int = 2,
    length: int = 128,
    seed: int = 0,
) -> Given:
    """`data.signals`; half as many to validate, whose decoys are of chance."""
    train, val = (
        data.signals(
            many, decoy=shown, classes=classes, channels=channels, length=length, seed=chance
        )
        for many, shown, chance in (
            (n, decoy, seed),
            (max(1, n // 2), "none" if decoy == "none" else "random", seed + 1),
        )
    )
    return _labelled(train, val)


def synthetic(n: int = 2000, classes: int = 4, size: int = 32, seed: int = 0) -> Given:
    """`data.synthetic`; a quarter as many to validate."""
    val = data.synthetic(max(1, n // 4), classes, size, seed + 1)
    return _labelled(data.synthetic(n, classes, size, seed), val)


def decoy_digits(square: Square = "class", size: int = 32, seed: int = 0) -> Given:
    """`data.decoy_digits`; the other digits to validate, without squares."""
    val = data.decoy_digits("test", square="none", size=size, seed=seed)
    return _labelled(data.decoy_digits("train", square=square, size=size, seed=seed), val)


def npz(path: str, val_share: float = 0.2, seed: int = 0) -> Given:
    """Arrays in a ``.npz``: ``x`` and ``y``, and ``x_val`` and ``y_val`` where they are there.

    Parameters
    ----------
    path : str
        ``x`` (N, ...) and ``y`` (N,) or (N, D), as of a `Session`; ``classes``, if it is there,
        are names (K,). Nothing in the file is executed.
    val_share : float
        How much of the samples is for validation, by chance, where there is no ``x_val``; from 0
        to 0.9, and 0 for none.
    seed : int
    """
    with np.load(path, allow_pickle=False) as file:
        found = {name: file[name] for name in file.files}
    for name in ("x", "y"):
        if name not in found:
            raise ValueError(f"{path} has no array {name!r}; it holds {sorted(found)}")
    x, y = found["x"], found["y"]
    if len(x) != len(y):
        raise ValueError(f"{path}: x has {len(x)} samples and y has {len(y)}")
    given: Given = {}
    if "x_val" in found and "y_val" in found:
        given |= {"train_data": (x, y), "val_data": (found["x_val"], found["y_val"])}
    else:
        train, val = _split(len(x), val_share, seed)
        given["train_data"] = (x[train], y[train])
        given["val_data"] = (x[val], y[val]) if len(val) else None
    if "classes" in found:
        given["classes"] = [str(name) for name in found["classes"]]
    return given


def table(path: str, target: str, val_share: float = 0.2, seed: int = 0) -> Given:
    """A table in a ``.csv``: a line of names, then a row a line; numbers, or words.

    Numbers are given to the model less the mean of the training rows and divided by their standard
    deviation; of a column of words each word is a column of 0 and 1.

    Parameters
    ----------
    path : str
    target : str
        Column that is predicted: its words, or whole numbers of at most 20 values, are the classes.
    val_share : float
        How much of the rows is for validation, by chance; from 0 to 0.9.
    seed : int
    """
    columns = _columns(path)
    if target not in columns:
        raise ValueError(f"{path} has no column {target!r}; its columns are {list(columns)}")
    said = columns.pop(target)
    classes = sorted(set(said), key=_in_order)
    if len(classes) > 20 and all(_number(value) is not None for value in classes):
        raise ValueError(
            f"{path}: column {target!r} has {len(classes)} numbers, which are no classes; "
            "to predict numbers give arrays as a .npz, or a function of your own"
        )
    labels = np.array([classes.index(value) for value in said])
    train, val = _split(len(labels), val_share, seed)
    names: list[str] = []
    groups: dict[str, list[str]] = {}
    values: list[NDArray[np.float64]] = []
    means: list[float] = []
    stds: list[float] = []
    for name, column in columns.items():
        numbers = [_number(value) for value in column]
        if None not in numbers:
            row = np.array(numbers, np.float64)
            means.append(float(row[train].mean()))
            stds.append(float(row[train].std()) or 1.0)
            values.append((row - means[-1]) / stds[-1])
            names.append(name)
            continue
        words = sorted(set(column))
        if len(words) > _VALUES:
            raise ValueError(
                f"{path}: column {name!r} has {len(words)} different words; leave it out"
            )
        groups[name] = [f"{name}_{word}" for word in words]
        names += groups[name]
        values += [np.array([value == word for value in column], np.float64) for word in words]
        means += [0.0] * len(words)
        stds += [1.0] * len(words)
    rows = np.stack(values, 1).astype(np.float32)
    kind = Table(names, groups=groups, mean=means, std=stds)
    sets = [
        TableDataset(rows[k], labels[k], classes, kind) if len(k) else None for k in (train, val)
    ]
    return {"train_data": sets[0], "val_data": sets[1], "classes": classes}


def _columns(path: str) -> dict[str, list[str]]:
    with Path(path).open(newline="", encoding="utf-8-sig") as file:
        lines = [line for line in csv.reader(file) if line]
    if len(lines) < 3:
        raise ValueError(f"{path} has {len(lines)} lines; expected names and at least two rows")
    head = [name.strip() for name in lines[0]]
    for number, line in enumerate(lines[1:], 2):
        if len(line) != len(head):
            raise ValueError(f"{path}, row {number}: {len(line)} values for {len(head)} columns")
        if "" in (empty := [value.strip() for value in line]):
            name = head[empty.index("")]
            raise ValueError(
                f"{path}, row {number}: {name!r} is empty; fill it, or leave the row out"
            )
    return {name: [line[k].strip() for line in lines[1:]] for k, name in enumerate(head)}


def _number(value: str) -> float | None:
    try:
        number = float(value)
    except ValueError:
        return None
    return number if np.isfinite(number) else None


def _in_order(value: str) -> tuple[bool, float, str]:
    number = _number(value)
    return (number is None, number or 0.0, value)


def _split(count: int, share: float, seed: int) -> Sequence[NDArray[np.int64]]:
    """Places of the training samples and of those to validate, by chance."""
    if not 0 <= share <= 0.9:
        raise ValueError(f"val_share = {share}; expected 0 to 0.9")
    order = np.random.default_rng(seed).permutation(count)
    many = round(count * share)
    return np.sort(order[many:]), np.sort(order[:many])
