"""What sets several labels a sample apart from other tasks for the Torch backend."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch.nn.functional as F
from torch import nn

from coflect_widget.backends.targets import kind_of_targets, task_of_labels
from coflect_widget.backends.torch.data import Source
from coflect_widget.tasks import MultiLabel

NAME = MultiLabel.name
#: Losses that mean a probability of its own for each label, as far as they are known by name.
_PLAIN = (nn.BCEWithLogitsLoss, nn.MultiLabelSoftMarginLoss)
_PLAIN_FUNCTIONS = (F.binary_cross_entropy_with_logits, F.multilabel_soft_margin_loss)


def check_task(task: str | None) -> None:
    """Raise ValueError for a name of a task that need not, or cannot, be given."""
    if task not in (None, NAME):
        raise ValueError(
            f"task={task!r}; expected {NAME!r}, 'segmentation' or 'own_loss', or leave task= out: "
            "class numbers are a classification, floating point targets with loss= a regression"
        )


def means_labels(model: nn.Module, loss: Any, task: str | None) -> bool:
    """Whether rows of 0 and 1 are labels, by what was said or by a loss that takes nothing else.

    Raises
    ------
    ValueError
        If there is no `task` of this name here.
    """
    check_task(task)
    if task == NAME or says_labels(model):
        return True
    return isinstance(loss, _PLAIN) or loss in _PLAIN_FUNCTIONS


def says_labels(model: nn.Module) -> bool:
    """Whether a model of transformers says of itself that its samples have several labels."""
    kind = getattr(getattr(model, "config", None), "problem_type", None)
    return kind == "multi_label_classification"


def labels_task(
    source: Source,
    model: nn.Module,
    task: str | None,
    loss: Any,
    num_classes: int | None,
    class_weight: Mapping[int, float] | None,
) -> tuple[MultiLabel | None, list[str]]:
    """The task, where targets are labels; None where they are something else. What was assumed.

    Raises
    ------
    ValueError
        If the targets cannot be those of the task.
    """
    told = task == NAME or says_labels(model)
    if not told and not (source.regression and means_labels(model, loss, task)):
        return None, []
    asked = f"task={NAME!r}" if task == NAME else "several labels a sample"
    if not source.regression:
        raise ValueError(
            f"{asked} needs targets (N, L) of 0 and 1, and {source.argument} has class numbers "
            "(N,): leave task= out"
            + (
                ", with model.config.problem_type = 'single_label_classification'"
                if says_labels(model)
                else ""
            )
            + ", or pass numpy.eye(L, dtype='float32')[labels]"
        )
    values = source.values()
    kind = kind_of_targets(values)
    if not told and kind != "multi-hot":
        return None, []  # one-hot rows and shares could mean one class each
    if values.shape[1] < 2:
        raise ValueError(
            f"{asked} needs targets (N, L) of two labels or more, and {source.argument} has "
            f"targets of shape (N, {values.shape[1]}); for one label, there or not, pass class "
            "numbers as integers (N,) and a model of two outputs"
        )
    made = task_of_labels(values, source, asked)
    labels = values.shape[1]
    if num_classes not in (None, labels):
        raise ValueError(
            f"classes= names {num_classes} labels, but {source.argument} has targets of {labels}; "
            "name one for each column"
        )
    if class_weight is not None:
        raise ValueError(
            "class_weight= is for one class a sample; give loss=torch.nn.BCEWithLogitsLoss("
            "pos_weight=...) the weight of each label"
        )
    said = []
    if not told:
        said.append(
            f"Rows of 0 and 1 with loss={getattr(loss, '__name__', None) or type(loss).__name__} "
            f"were taken for {labels} labels, each there or not: task='multi_label' says so."
        )
    if ((values > 0) & (values < 1)).any():
        said.append(
            "Some targets are between 0 and 1, as smoothed or mixed labels are: they enter the "
            "loss as they are, and a label counts as there where its target is above 0.5."
        )
    return made, said
