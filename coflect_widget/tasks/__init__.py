"""Kinds of training: what is right and wrong, and in which words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from coflect_widget.tasks.base import PerSample, Placed, Task, Values, Words
from coflect_widget.tasks.classification import Classification
from coflect_widget.tasks.clustering import Clustering
from coflect_widget.tasks.multi_label import MultiLabel
from coflect_widget.tasks.own_loss import OwnLoss
from coflect_widget.tasks.regression import Regression
from coflect_widget.tasks.segmentation import Segmentation

__all__ = [
    "Classification", "Clustering", "MultiLabel", "OwnLoss", "PerSample", "Placed", "Regression",
    "Segmentation", "Task", "Values", "Words", "arguments_for", "given_names", "task_of",
]  # fmt: skip


def task_of(backend: Any, *, error_quantile: float = 0.8) -> Task:
    """The task of a backend: the one that it names, as ``backend.task``, or else by its outputs.

    Parameters
    ----------
    backend : backends.base.Backend
        Without a task, ``num_classes`` tells: 0 means values to regress on.
    error_quantile : float
        For `Regression`.

    Raises
    ------
    ValueError
        If a classifier has fewer than 2 outputs.
    """
    named: Task | None = backend.task
    if named is not None:
        return named
    if backend.num_classes == 0:
        return Regression(error_quantile)
    return Classification(backend.num_classes)


def given_names(outcomes: Sequence[str]) -> list[str] | None:
    """Names that a person gave, of what `Task.outcomes` made of them; None of a task's own words.

    Of several labels those of the labels, without their absence.
    """
    names = list(outcomes)
    of_errors = (Regression, OwnLoss, Clustering)
    if not names or tuple(names) in [task.words.outcomes for task in of_errors]:
        return None
    labels = names[: len(names) // 2]
    if len(labels) > 1 and MultiLabel(len(labels)).outcomes(labels) == names:
        return labels
    return names


def arguments_for(name: str, *, told: bool = False) -> dict[str, Any]:
    """What a backend is given beside model and data, so that it takes them for the task `name`.

    No step is made of it: of a loss only its kind matters. `told` says that there is a backend for
    this task, which is told so.
    """
    found: dict[str, Any] = {"num_classes": None, "loss": None}
    if told:
        found["task"] = name
    elif name == Regression.name:
        found["loss"] = _squares
    elif name in (MultiLabel.name, OwnLoss.name):
        found["task"] = name
    return found


def _squares(outputs: Any, targets: Any) -> Any:
    return ((outputs - targets) ** 2).mean()
