"""What a data set's targets can mean, and what to do with those that are no class numbers.

Frameworks share it: targets are numpy arrays here.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from coflect_widget.backends.source import Source
from coflect_widget.tasks import MultiLabel

Kind = Literal[
    "class numbers",  # (N,) of integers
    "column",  # (N, 1) of integers
    "one-hot",  # (N, C) of 0 and 1, exactly one 1 in each row
    "multi-hot",  # (N, C) of 0 and 1
    "soft",  # (N, C) within 0 and 1, each row sums to 1
    "graded",  # (N, C) within 0 and 1
    "several numbers",  # (N, K) of other integers
    "places",  # (N, H, W, ...): one target for each place
    "binary",  # (N,) or (N, 1) of floating point, all of them 0 or 1
    "values",  # all other floating point
]

SEVERAL_LABELS = "several labels a sample need task='multi_label'"


def kind_of_targets(targets: NDArray[Any]) -> Kind:
    """What targets (N,), (N, D) or (N, ...) look like."""
    floating = targets.dtype.kind == "f"
    if targets.ndim > 2:
        return "places"
    one = targets.ndim < 2 or targets.shape[1] == 1
    if one and not floating:
        return "class numbers" if targets.ndim < 2 else "column"
    hot = targets.size > 0 and bool(((targets == 0) | (targets == 1)).all())
    if one:
        return "binary" if hot else "values"
    if hot:
        return "one-hot" if bool((targets.sum(1) == 1).all()) else "multi-hot"
    if not floating:
        return "several numbers"
    if targets.size and bool(((targets >= 0) & (targets <= 1)).all()):
        return "soft" if np.allclose(targets.sum(1), 1, atol=1e-3) else "graded"
    return "values"


def label_remedy(kind: Kind, name: str = "labels", *, alone: bool = False) -> str:
    """What to do with targets that are no class numbers.

    Parameters
    ----------
    kind
        Of all targets that are known.
    name : str
        What the code in the remedy calls them.
    alone : bool
        Whether `name` is the label of one sample, of whose others nothing is known.
    """
    argmax = f"{name}.argmax()" if alone else f"{name}.argmax(1)"
    if kind == "column":
        return f"pass class numbers as integers of shape (N,): {name}[:, 0]"
    if kind == "one-hot" and alone:
        return (
            "a label must be one class number, an integer: where every label has exactly one 1 "
            f"give {argmax}; {SEVERAL_LABELS}"
        )
    if kind == "one-hot":
        return f"these are one-hot; pass class numbers as integers of shape (N,): {argmax}"
    if kind == "soft":
        return (
            "these are soft labels, a probability for each class, which are not supported so "
            f"far; {argmax} trains on the likeliest class alone"
        )
    if kind in ("multi-hot", "graded"):
        return (
            f"{SEVERAL_LABELS}; a classifier has one class for each sample. To train on one of "
            f"them, as yes or no, pass "
            + (f"int({name}[k])" if alone else f"{name}[:, k] as integers")
            + " and a model of two outputs"
        )
    if kind == "several numbers":
        return (
            f"{SEVERAL_LABELS}; pass the class numbers of one of them, "
            + (f"{name}[k]" if alone else f"{name}[:, k]")
            + ", as integers"
        )
    if kind == "places":
        return (
            "a target for each place, such as a mask (N, H, W) of class numbers, needs "
            "task='segmentation'"
        )
    return "pass class numbers as integers of shape (N,)"


def task_of_labels(rows: NDArray[Any], source: Source, asked: str) -> MultiLabel:
    """The task of targets (N, L) of several labels, 1 where a label is there and 0 where not.

    Parameters
    ----------
    rows : ndarray (N, L)
        Of all samples of `source`, or of those that it probes.
    asked : str
        What asks for such targets, as an error begins.

    Raises
    ------
    ValueError
        Where a target is below 0 or above 1; it names index and label.
    """
    wrong = np.argwhere((rows < 0) | (rows > 1))
    if len(wrong):
        row, label = wrong[0].tolist()
        at = row if len(rows) == source.length else source.probes()[row]
        raise ValueError(
            f"{source.argument} has the target {rows[row, label]:g} at index {at}, label {label}; "
            f"{asked} needs 1 where a label is there and 0 where it is not"
        )
    share = (rows > 0.5).mean(axis=0)
    return MultiLabel(rows.shape[1], float(np.maximum(share, 1 - share).mean()))
