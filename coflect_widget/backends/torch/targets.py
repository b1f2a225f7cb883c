"""What sets regression apart from classification for the Torch backend."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from coflect_widget.backends.targets import kind_of_targets, label_remedy
from coflect_widget.backends.torch.data import Source
from coflect_widget.backends.torch.loss import of_classes

_AS_CLASSES = (
    "pass class numbers as integers of shape (N,), and for a binary classifier two outputs and "
    "loss=torch.nn.CrossEntropyLoss()"
)


def check_regression(
    source: Source,
    loss: Any,
    num_classes: int | None,
    class_weight: Mapping[int, float] | None,
) -> list[str]:
    """What floating point targets were taken for, a sentence where that could be doubted.

    Raises
    ------
    ValueError
        If they come with what only classes have, such as a loss for classes.
    """
    values = source.values()
    kind = kind_of_targets(values)
    if of_classes(loss, torch.from_numpy(values)):
        remedy = _AS_CLASSES if kind in ("binary", "values") else label_remedy(kind)
        raise ValueError(
            f"loss={getattr(loss, '__name__', None) or repr(loss)} is for classes, but "
            f"{source.argument} has targets that are floating point; {remedy}"
        )
    given = "classes" if num_classes is not None else "class_weight"
    if num_classes is not None or class_weight is not None:
        raise ValueError(
            f"{given}= is for classes, but the targets are floating point, which means "
            f"regression; pass class numbers as integers, or leave {given}= out"
        )
    if kind != "values":
        what = "0 and 1" if kind in ("binary", "one-hot", "multi-hot") else "shares from 0 to 1"
    elif (values >= 0).all() and (values == values.round()).all():
        what = f"whole numbers from {values.min():.0f} to {values.max():.0f}"
    else:
        return []
    return [
        f"Targets of {what} were taken for values to regress on, because they are floating point "
        "and loss= is smallest where outputs equal them. Class numbers are to be integers."
    ]


def check_values(source: Source, outputs: int) -> None:
    """Raise ValueError unless a model of so many outputs fits the values to regress on."""
    known = source.values()
    values = known.shape[1]
    if values == outputs:
        return
    whole = bool((known >= 0).all() and (known == known.round()).all())
    if values == 1 and whole and known.max() < outputs:
        raise ValueError(
            f"model has {outputs} outputs and {source.argument} has targets of one value, whole "
            f"numbers up to {known.max():.0f}, which look like class numbers: pass them as "
            "integers, labels.astype('int64') of an array or labels.long() of a tensor"
        )
    raise ValueError(
        f"model has {outputs} outputs but {source.argument} has targets of {values} "
        f"values; give the last layer {values} outputs"
    )
