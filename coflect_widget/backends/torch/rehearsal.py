"""One training step on a copy of the model, before any thread starts.

What does not fit together, such as a loss and its targets, is found here and named. Training
afterwards is the same, bit for bit, as without: the copy takes the step, the optimizer takes none,
and the random generators are put back.
"""

from __future__ import annotations

import copy
import types
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from coflect_widget.backends.torch.modes import Frozen, evaluating
from coflect_widget.backends.torch.numbers import call
from coflect_widget.backends.torch.outputs import logits_of
from coflect_widget.backends.torch.random_state import random_state_kept
from coflect_widget.backends.torch.several import noted

#: Weights of more bytes are not copied; the rows of a rehearsal, and the numbers in them, at most.
_LARGEST, _ROWS, _NUMBERS = 2**30, 4, 2**18


class _NotCopiedError(Exception):
    """The model has no copy to rehearse on; the message says why."""


def rehearse(
    model: nn.Module,
    loss: Callable[..., Any],
    inputs: Tensor,
    targets: Tensor,
    *,
    outputs: int,
    frozen: Frozen,
    autocast: Callable[[], AbstractContextManager[Any]],
) -> tuple[Any, str]:
    """Forward, loss and backward of a few rows.

    Parameters
    ----------
    model : torch.nn.Module
        On its device; neither its weights, buffers, gradients nor modes change.
    loss : callable
    inputs : Tensor (n, ...)
    targets : Tensor (n,) or (n, D)
    outputs : int
        How many the model has.
    frozen : Frozen
        Modules that stay in eval mode.
    autocast : callable
        As in training.

    Returns
    -------
    output
        What the model gave in train mode; None where no copy could be made.
    str
        Why no copy was made, or "".

    Raises
    ------
    ValueError
        If the step cannot be taken; the message says what to do.
    """
    device = targets.device
    gradients = [
        (p, p.grad, None if p.grad is None else p.grad.clone()) for p in model.parameters()
    ]
    kept = [p.data for p, *_ in gradients]
    memo: dict[int, Any] = {}
    with random_state_kept(device), torch.inference_mode(mode=False), torch.enable_grad():
        try:
            twin = _twin(model, kept, memo)
        except _NotCopiedError as why:
            _forward_only(model, copied(loss, memo), inputs, targets, outputs)
            return None, str(why)
        frozen.train_twin(model, twin)
        try:
            with autocast():
                output = _forward(twin, inputs)
                logits = logits_of(output, twin, outputs)
                total = _total(copied(loss, memo), logits, targets, loss)
            _check_gradient(copied(loss, memo), logits, targets, total)
            if total.requires_grad:
                _backward(total)
        except (MemoryError, torch.OutOfMemoryError):
            return None, "there is no room in memory for a copy of the model"
        finally:
            for parameter, gradient, values in gradients:  # a loss may hold the model itself
                parameter.grad = gradient
                if gradient is not None and values is not None:
                    gradient.copy_(values)
    return output, ""


def shown_shape(model: nn.Module, inputs: Tensor) -> str:
    """The shape of a batch as the model takes it."""
    rows = noted(model)
    return str(tuple(inputs.shape)) if rows is None else rows.shown(inputs)


def rows_for(batch_size: int, available: int, outputs: int, numbers: int) -> int:
    """How many rows to rehearse with: as many as the smallest batch allows, and few.

    `numbers` are those of one row. So many rows as outputs would hide a loss that takes its
    targets for another shape.
    """
    rows = min(batch_size, available, _ROWS, max(2, _NUMBERS // max(1, numbers)))
    return rows - 1 if rows == outputs and rows > 2 else rows


def copied(loss: Any, memo: dict[int, Any] | None = None) -> Any:
    """A loss whose state may change without changing that of `loss`, as far as it can be copied.

    A function's own variables are copied too; where one is the model, it is the copy in `memo`.
    """
    memo = {} if memo is None else memo
    if isinstance(loss, types.FunctionType):
        if not loss.__closure__:
            return loss
        cells = tuple(types.CellType(_cell(cell, memo)) for cell in loss.__closure__)
        twin = types.FunctionType(
            loss.__code__, loss.__globals__, loss.__name__, loss.__defaults__, cells
        )
        twin.__kwdefaults__ = loss.__kwdefaults__
        return twin
    try:
        return copy.deepcopy(loss, memo)
    except Exception:  # noqa: BLE001 - whatever hinders it, the loss itself serves
        return loss


def _cell(cell: types.CellType, memo: dict[int, Any]) -> Any:
    value = cell.cell_contents
    if isinstance(value, Tensor | np.ndarray) or not isinstance(value, nn.Module | list | dict):
        return value
    try:
        return copy.deepcopy(value, memo)
    except Exception:  # noqa: BLE001 - as above
        return value


def _twin(model: nn.Module, kept: list[Tensor], memo: dict[int, Any]) -> nn.Module:
    inner: nn.Module = getattr(model, "_orig_mod", model)  # compiling takes longer than a step
    size = sum(t.numel() * t.element_size() for t in [*model.parameters(), *model.buffers()])
    if size > _LARGEST:
        raise _NotCopiedError(f"its weights take more than {_LARGEST >> 30} GiB")
    device = kept[0].device if kept else torch.device("cpu")
    if device.type == "cuda" and torch.cuda.mem_get_info(device)[0] < 4 * size:
        raise _NotCopiedError("there is no room in the device's memory for a copy of the model")
    try:
        twin = copy.deepcopy(inner, memo)
    except Exception as error:
        raise _NotCopiedError(f"it cannot be copied ({error})") from error
    own = {t.data_ptr() for t in kept if t.numel()}
    if any(p.data_ptr() in own for p in twin.parameters() if p.numel()):
        raise _NotCopiedError("a copy of it shares its weights")
    return twin


def _forward(model: nn.Module, inputs: Tensor) -> Any:
    try:
        return call(model, inputs.clone())
    except (MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        raise ValueError(
            f"model fails in train mode on a batch of shape {shown_shape(model, inputs)}: "
            f"{error}{_one_row(inputs)}"
        ) from error


def _one_row(inputs: Tensor) -> str:
    if len(inputs) > 1:
        return ""
    return (
        ". Batches have one sample: batch normalisation needs two or more of them, so pass "
        "batch_size=2 or more and at least two samples, or hold its layers in eval mode"
    )


def _total(loss: Any, logits: Tensor, targets: Tensor, given: Any) -> Tensor:
    """The loss of a batch, one number."""
    try:
        total = loss(logits, targets)
    except (MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        raise ValueError(
            f"loss={_name(given)} fails on outputs of shape {tuple(logits.shape)} and targets of "
            f"shape {tuple(targets.shape)} and type {targets.dtype}: {error}"
            f"{_loss_remedy(targets)}"
        ) from error
    if not isinstance(total, Tensor):
        raise ValueError(
            f"loss={_name(given)} gives a {type(total).__name__}; it must give a tensor () that "
            "gradients flow through, so without .item() and without anything beside it"
        )
    if total.numel() != 1:
        raise ValueError(
            f"loss={_name(given)} gives a tensor of shape {tuple(total.shape)}, a value for each "
            'sample or class; training needs one number: compute it with reduction="mean", or '
            "return loss.mean()"
        )
    return total


def _loss_remedy(targets: Tensor) -> str:
    if targets.ndim > 2:
        return (
            ". Outputs are (B, classes, H, W) and masks (B, H, W) of class numbers, which "
            "torch.nn.CrossEntropyLoss() takes, or leave loss= out"
        )
    if targets.is_floating_point():
        return ". In regression outputs and targets are (B, D), floating point"
    return (
        ". The targets are class numbers (B,), which torch.nn.CrossEntropyLoss() takes, or leave "
        "loss= out; to regress, pass floating point targets"
    )


def _check_gradient(loss: Any, logits: Tensor, targets: Tensor, total: Tensor) -> None:
    if total.requires_grad:
        return
    if not logits.requires_grad:
        raise ValueError(
            "nothing in the model can be trained: all weights have requires_grad=False, or "
            "forward() cuts the gradients off, as torch.no_grad() and detach() do; let the layers "
            "to train learn again, for example model.fc.requires_grad_(True)"
        )
    # A loss of nothing but zeros may mean that these few rows gave it nothing to compare.
    if not torch.equal(loss(logits.detach() * 3 + 1, targets).detach(), total):
        raise ValueError(
            "loss= gives a number without a gradient, so that nothing would be trained: leave out "
            "detach(), torch.no_grad() and conversions to numpy"
        )


def _backward(total: Tensor) -> None:
    try:
        total.sum().backward()  # type: ignore[no-untyped-call]
    except (MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        raise ValueError(f"the loss has no gradient that can be computed: {error}") from error


def _forward_only(
    model: nn.Module, loss: Any, inputs: Tensor, targets: Tensor, outputs: int
) -> None:
    with evaluating(model):
        logits = logits_of(call(model, inputs.clone()), model, outputs)
        _total(loss, logits, targets, loss)
    if not any(p.requires_grad for p in model.parameters()):
        raise ValueError(
            "nothing in the model can be trained: all weights have requires_grad=False; let the "
            "layers to train learn again, for example model.fc.requires_grad_(True)"
        )


def _name(loss: Any) -> str:
    return getattr(loss, "__name__", None) or repr(loss)
