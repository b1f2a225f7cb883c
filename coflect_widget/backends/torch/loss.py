"""What a torch loss is for, and its mean over many batches, whatever their size and order."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from coflect_widget.backends.base import class_weights
from coflect_widget.backends.torch.random_state import random_state_kept

#: Losses over floating point targets that stand for classes.
_OF_CLASSES = (
    nn.BCELoss, nn.BCEWithLogitsLoss, nn.CrossEntropyLoss, nn.MultiLabelSoftMarginLoss,
    nn.SoftMarginLoss, nn.KLDivLoss,
)  # fmt: skip
_FUNCTIONS_OF_CLASSES = (
    F.binary_cross_entropy, F.binary_cross_entropy_with_logits, F.cross_entropy,
    F.multilabel_soft_margin_loss, F.soft_margin_loss, F.kl_div,
)  # fmt: skip
_LOOKED_AT = 64  # targets with which a loss is tried


def of_classes(loss: Any, targets: Tensor) -> bool:
    """Whether a loss over floating point targets is one for classes, and none for values.

    A loss for values is smallest where the outputs are the targets. One for classes becomes
    smaller where outputs go on beyond 0 and 1, or cannot take any there, because its outputs are
    probabilities.

    Parameters
    ----------
    loss : callable
    targets : Tensor (N, D)
        Of the data set; others than from 0 to 1, or -1 and 1, are values.
    """
    if isinstance(loss, _OF_CLASSES) or loss in _FUNCTIONS_OF_CLASSES:
        return True
    targets = targets[:_LOOKED_AT].float()
    signs = bool(((targets == -1) | (targets == 1)).all())
    if not signs and not bool(((targets >= 0) & (targets <= 1)).all()):
        return False
    near = targets * 0.98 if signs else targets.clamp(0.02, 0.98)
    beyond = [5 * targets] if signs else [near.logit(), near.log()]
    with random_state_kept(), torch.no_grad():
        there = _value(loss, near, targets)
        if there is None:
            return False  # it fails on all, which the rehearsal says
        for outputs in beyond:
            value = _value(loss, outputs, targets)
            if value is None or value < there - 1e-3 * abs(there):
                return True
    return False


def _value(loss: Any, outputs: Tensor, targets: Tensor) -> float | None:
    """The loss's mean; None where it is none."""
    try:
        value = torch.as_tensor(_on_cpu(loss)(outputs, targets)).float().mean().item()
    except Exception:  # noqa: BLE001 - a person's function, tried with numbers of our own
        return None
    return value if math.isfinite(value) else None


def _on_cpu(loss: Any) -> Any:
    """A copy, because a loss may keep a state, and a wrong number ends the work of a GPU."""
    if not isinstance(loss, nn.Module):
        return loss
    return copy.deepcopy(loss).cpu()


def check_loss(loss: object) -> None:
    """Raise ValueError for a loss that gives a value for each sample."""
    if loss is not None and not callable(loss):
        raise TypeError(
            f"loss={loss!r} must be a function (logits, targets) -> tensor (), such as "
            "torch.nn.CrossEntropyLoss()"
        )
    if isinstance(loss, type):
        raise TypeError(f"loss={loss.__name__} is a class; pass an object of it, {loss.__name__}()")
    if getattr(loss, "reduction", None) == "none":
        raise ValueError(
            f'loss={loss!r} has reduction="none" and gives a value for each sample; training '
            'needs one number: make it with reduction="mean"'
        )


def check_weights(loss: object, classes: int) -> None:
    """Raise ValueError for a loss of torch's whose weights are those of other classes."""
    weight = getattr(loss, "weight", None)
    if not isinstance(loss, nn.CrossEntropyLoss | nn.NLLLoss) or weight is None:
        return
    if weight.numel() != classes:
        raise ValueError(
            f"loss={type(loss).__name__} has weights of {weight.numel()} classes, but the model "
            f"has {classes} outputs; give one weight for each of them"
        )


def weights_in(loss: object, classes: int) -> torch.Tensor | None:
    """What each class counts in the mean that a loss of torch's takes, (classes,).

    None where all count the same, as far as can be known.
    """
    if not isinstance(loss, nn.CrossEntropyLoss | nn.NLLLoss):
        return None
    ignored = loss.ignore_index
    if loss.weight is None and not 0 <= ignored < classes:
        return None
    weights = torch.ones(classes) if loss.weight is None else loss.weight.detach().clone()
    if 0 <= ignored < classes:
        weights[ignored] = 0
    return weights


def make_loss(
    given: Any, class_weight: Mapping[int, float] | None, classes: int, device: torch.device
) -> tuple[Any, Tensor | None]:
    """The loss, cross-entropy if None is given, and what each class counts in its mean.

    Parameters
    ----------
    classes : int
        0 for values to regress on.
    """
    if classes:
        check_weights(given, classes)
    if class_weight is None:
        return given or F.cross_entropy, weights_in(given, classes)
    if given is not None:
        raise ValueError(
            "class_weight is for the loss that is made for you; give your own its "
            "weights, for example loss=torch.nn.CrossEntropyLoss(weight=...)"
        )
    weights = torch.from_numpy(class_weights(class_weight, classes)).to(device)
    return partial(F.cross_entropy, weight=weights), weights


def metric_device(device: torch.device) -> torch.device:
    """Where sums in float64 are made: Apple's GPUs have none."""
    return torch.device("cpu") if device.type == "mps" else device


class TotalLoss:
    """Adds up the losses of batches, without a wait for the device.

    Parameters
    ----------
    loss : callable
        What the batches' losses were computed with. One of ``reduction="sum"`` is scaled to a
        batch of `batch_size`, as training shows it.
    weights : Tensor (classes,) or None
        What each class counts in the mean of a batch.
    batch_size : int
    device : torch.device
    """

    def __init__(
        self, loss: object, weights: torch.Tensor | None, batch_size: int, device: torch.device
    ) -> None:
        self._sums = getattr(loss, "reduction", None) == "sum"
        self._weights = None if weights is None else weights.to(device)
        self._scale = batch_size if self._sums else 1
        self._total = torch.zeros((), dtype=torch.float64, device=device)
        self._count: Any = 0

    def add(self, loss: torch.Tensor, targets: torch.Tensor) -> None:
        """Of one batch: () and (B,) or (B, D)."""
        if self._sums:
            self._total += loss.to(self._total)
            self._count += len(targets)
        elif self._weights is None:
            self._total += loss.to(self._total) * len(targets)
            self._count += len(targets)
        else:
            weight = self._weights[targets.to(self._weights.device)].sum()
            # The mean of a batch without any weight is NaN.
            self._total += torch.where(weight > 0, loss.to(self._total) * weight, 0)
            self._count += weight

    def value(self) -> float:
        """Over all batches; NaN where no sample counts."""
        count = float(self._count)
        return self._scale * float(self._total) / count if count else float("nan")
