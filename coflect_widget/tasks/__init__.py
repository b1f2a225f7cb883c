"""Kinds of training: what is right and wrong, and in which words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from coflect_widget.tasks.base import PerSample, Task, Values, Words
from coflect_widget.tasks.classification import Classification
from coflect_widget.tasks.multi_label import MultiLabel
from coflect_widget.tasks.own_loss import OwnLoss
from coflect_widget.tasks.regression import Regression

__all__ = [
    "Classification", "MultiLabel", "OwnLoss", "PerSample", "Regression", "Task", "Values", "Words",
    "named_by_a_person", "task_of",
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


def named_by_a_person(names: Sequence[str]) -> bool:
    """Whether outcomes have names that somebody gave, and not those of a task."""
    return tuple(names) not in (Regression.words.outcomes, OwnLoss.words.outcomes)
