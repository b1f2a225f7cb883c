"""Gradients of a torch model's scores by its inputs and by a layer's output."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn

from coflect_widget.backends.differentiable import Ops
from coflect_widget.backends.layers import Layer
from coflect_widget.backends.torch import numbers, outputs
from coflect_widget.backends.torch.entry import Entry
from coflect_widget.backends.torch.layers import as_maps, find_layer, tapped
from coflect_widget.backends.torch.ops import TorchOps


class TorchGradients:
    """`backends.differentiable.Differentiable` for PyTorch; the first derivative alone.

    Parameters
    ----------
    model : torch.nn.Module
        In eval mode, on the CPU.
    call : callable, optional
        Runs the model on inputs (B, ...), where ``model(x)`` does not.
    entry : Entry, optional
        Where whole numbers enter the model, as far as it is known.
    region : Tensor (H, W) of bool, optional
        Of a model with outputs for each place, those whose mean logits count; all if left out.
    """

    ops = cast("Ops", TorchOps())

    def __init__(
        self,
        model: nn.Module,
        call: Callable[[Tensor], Any] | None = None,
        entry: Entry | None = None,
        region: Tensor | None = None,
    ) -> None:
        self.model = model
        self._region = region
        self._call: Callable[[Tensor], Any] = call or partial(numbers.call, model)
        self._entry = entry or Entry(model)

    def own(self, x: Any) -> Tensor:
        return torch.as_tensor(x)

    def chw(self, x: Tensor) -> Tensor:
        return x.detach()

    def in_order(self, x: Tensor) -> Tensor:
        return x

    def logits(self, x: Tensor) -> Tensor:
        # The copy keeps an in-place first layer from changing the input, or failing on it.
        logits = logits_of(self._call(x.clone()), self.model)
        return logits if logits.ndim == 2 else over_places(logits, self._region)

    def input_gradient(self, x: Tensor, score: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
        x = x.detach().requires_grad_()
        with torch.enable_grad():
            logits = self.logits(x)
            (gradient,) = torch.autograd.grad(score(logits), x)
        return logits, gradient

    def entered(self, x: Tensor) -> Tensor:
        seen: list[Tensor] = []

        def keep(output: Tensor) -> Tensor:
            seen.append(output.detach())
            return output

        with torch.no_grad(), self._entry.given(x, self._call, keep):
            self.logits(x)
        return seen[0]

    def entry_gradient(
        self, x: Tensor, entered: Tensor, score: Callable[[Tensor], Tensor]
    ) -> tuple[Tensor, Tensor]:
        leaf = entered.detach().clone().requires_grad_()
        rows = x.expand(len(leaf), *x.shape[1:])
        with torch.enable_grad(), self._entry.given(x, self._call, lambda _: leaf.clone()):
            logits = self.logits(rows)
            (gradient,) = torch.autograd.grad(score(logits), leaf)
        return logits, gradient

    def layer_gradient(
        self, x: Tensor, score: Callable[[Tensor], Tensor], layer: Layer
    ) -> tuple[Tensor, Tensor]:
        with torch.enable_grad(), tapped(self.model, layer.name, apart=True) as captured:
            value = score(self.logits(x.detach().clone().requires_grad_()))
            (gradient,) = torch.autograd.grad(value, captured[-1])
        return as_maps(layer, captured[-1].detach()), as_maps(layer, gradient)

    def find_layer(self, input_shape: Sequence[int], name: str | None = None) -> Layer:
        return find_layer(self.model, input_shape, name, self._call)


def logits_of(output: Any, model: nn.Module) -> Tensor:
    """The logits (B, classes), or (B, classes, H, W), in what `model` gave.

    Raises
    ------
    TypeError, ValueError
        If there are none.
    """
    logits = outputs.logits_of(output, model)
    if logits.ndim not in (2, 4):
        raise ValueError(
            f"the model gives {tuple(logits.shape)}; an explanation needs logits (B, classes)"
        )
    return logits


def over_places(logits: Tensor, region: Tensor | None = None) -> Tensor:
    """The mean logits (B, classes) of logits (B, classes, H, W) over a region (H, W), or all."""
    if region is None:
        return logits.flatten(2).mean(2)
    inside = region.to(logits)
    return (logits * inside).flatten(2).sum(2) / inside.sum().clamp(min=1)
