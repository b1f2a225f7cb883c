"""A loss term whose gradient is known, and known to be finite, before anybody sums it up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from coflect_widget.backends.differentiable import Checked

#: What `sent` gives until the device has come that far.
UNKNOWN = 2

Gradients = tuple[Tensor | None, ...]


class _Known(torch.autograd.Function):
    """A value with a gradient that was computed already."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, gradients: Gradients, *_: Tensor) -> Tensor:
        ctx.gradients = gradients
        return value.clone()

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> Any:
        scaled = (None if g is None else g * upstream.to(g.device) for g in ctx.gradients)
        return (None, None, *scaled)


def differentiate(term: Tensor, parameters: Sequence[Tensor], scale: float = 1.0) -> Checked:
    """Value and gradients of a term; whatever its graph can raise, it raises here.

    Parameters
    ----------
    term : Tensor ()
    parameters : sequence of Tensor
    scale : float
        The backward pass is made on ``scale * term``, which 16-bit gradients may need.
    """
    with torch.autocast(term.device.type, enabled=False):
        gradients = torch.autograd.grad(term * scale, parameters, allow_unused=True)
        if scale != 1.0:
            gradients = tuple(None if g is None else g / scale for g in gradients)
    value = term.detach()
    return Checked(value, gradients, _finite(value, gradients))


def accumulate(term: Tensor, parameters: Sequence[Tensor], scale: float = 1.0) -> Checked:
    """As `differentiate`, for graphs that only a whole backward pass goes through.

    Reentrant checkpointing is such. The parameters' own gradients are as before afterwards.
    """
    before = [parameter.grad for parameter in parameters]
    for parameter in parameters:
        parameter.grad = None
    try:
        with torch.autocast(term.device.type, enabled=False):
            (term * scale).backward()  # type: ignore[no-untyped-call]  # torch's has no types
        found = [parameter.grad for parameter in parameters]
    finally:
        for parameter, gradient in zip(parameters, before, strict=True):
            parameter.grad = gradient
    gradients = tuple(None if g is None else g / scale for g in found)
    value = term.detach()
    return Checked(value, gradients, _finite(value, gradients))


def summand(checked: Checked, parameters: Sequence[Tensor]) -> Tensor:
    """The term as a tensor () that can be added to a loss; its backward pass cannot fail."""
    found: Tensor = _Known.apply(checked.value, checked.gradients, *parameters)  # type: ignore[no-untyped-call]
    return found


def cleared(checked: Checked) -> Checked:
    """The same, but 0 where it is not finite; no value is looked at on the processor."""
    finite = checked.finite

    def clear(value: Tensor) -> Tensor:
        if value.is_sparse:
            value = value.to_dense()
        return torch.where(finite.to(value.device), value, torch.zeros_like(value))

    gradients = tuple(None if g is None else clear(g) for g in checked.gradients)
    return Checked(clear(checked.value), gradients, finite)


def sent(flag: Tensor) -> Tensor:
    """A flag () of bool on its way to the processor; nobody waits for it.

    Returns
    -------
    Tensor () of int8
        1 or 0 once the device has come that far, `UNKNOWN` until then.
    """
    arrived = torch.full((), UNKNOWN, dtype=torch.int8, pin_memory=flag.is_cuda)
    return arrived.copy_(flag.to(torch.int8), non_blocking=True)


def _finite(value: Tensor, gradients: Gradients) -> Tensor:
    """Whether all are finite, () of bool; the largest magnitude of a tensor tells for all of it."""
    known = [g.coalesce().values() if g.is_sparse else g for g in gradients if g is not None]
    known = [g for g in known if g.numel()]
    largest = torch._foreach_norm(known, ord=float("inf")) if known else ()
    every = [value.float(), *(norm.to(value.device, torch.float32) for norm in largest)]
    return torch.stack(every).isfinite().all()
