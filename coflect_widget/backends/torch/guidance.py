"""Second passes of a torch model beside a step's main one, and their derivatives."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, cast

import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from coflect_widget.backends.differentiable import Checked, Ops
from coflect_widget.backends.layers import Layer
from coflect_widget.backends.torch.checked_terms import (
    UNKNOWN,
    accumulate,
    cleared,
    differentiate,
    sent,
    summand,
)
from coflect_widget.backends.torch.gradients import TorchGradients
from coflect_widget.backends.torch.layers import as_maps, find_layer, tapped
from coflect_widget.backends.torch.numbers import call
from coflect_widget.backends.torch.ops import TorchCell, TorchOps
from coflect_widget.backends.torch.outputs import logits_of
from coflect_widget.backends.torch.quiet import (
    held_statistics,
    normalises_by_batch,
    quiet,
    refresh_statistics,
)
from coflect_widget.backends.torch.ranks import several

#: Factor on a term before its backward pass in float16, so that small gradients do not vanish;
#: it shrinks, down to 1, where large ones do not fit.
HALF_SCALE, SHRINK = 1024.0, 4.0

_TOGETHER = (
    "where several processes train, only what torch.autograd.grad differentiates is guided, as "
    "checkpointed layers are with use_reentrant=False; it says: "
)

ReadRows = Callable[[Sequence[int]], tuple[Tensor, Tensor]]


class TorchGuided(TorchGradients):
    """`backends.differentiable.Guided` for PyTorch.

    Parameters
    ----------
    model : torch.nn.Module
        Classifier that maps (B, C, H, W) to logits (B, classes).
    read_rows : callable
        Indices -> inputs (n, C, H, W) and labels (n,), or (n, L), on the model's device.
    device : str or torch.device
    ops : differentiable.Ops, optional
        How logits and targets make a loss.
    wrapped : bool
        Whether the model is in a wrapper that averages gradients over processes.
    """

    def __init__(
        self,
        model: nn.Module,
        read_rows: ReadRows,
        device: str | torch.device = "cpu",
        ops: Any = None,
        *,
        wrapped: bool = False,
    ) -> None:
        super().__init__(model)
        self.placed = False
        self.ops = cast("Ops", ops or TorchOps())
        self.read_rows = read_rows
        self._device = torch.device(device)
        self.looks = self._device.type == "cpu"
        self._wrapped = wrapped
        self._whole = False  # whether only a whole backward pass gives a gradient
        self._scale = HALF_SCALE

    def own(self, x: Any) -> Tensor:
        return torch.as_tensor(x)

    def tensors(self, array: NDArray[Any]) -> Tensor:
        return torch.from_numpy(array.copy()).to(self._device)

    def cell(self) -> TorchCell:
        return TorchCell(self._device)

    # --- passes --------------------------------------------------------------------------------

    def logits(self, x: Tensor) -> Tensor:
        with quiet(self.model, self._device):
            return logits_of(call(self.model, x), self.model)

    # Attention is differentiated twice, which its fast forms do not offer.

    def input_gradient(self, x: Tensor, score: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
        if not x.is_floating_point():
            return self._entry_gradient(x, score)
        x = x.detach().requires_grad_()
        with sdpa_kernel(SDPBackend.MATH):
            logits = self.logits(x).float()
        (gradient,) = torch.autograd.grad(score(logits), x, create_graph=True)
        return logits, gradient

    def _entry_gradient(
        self, x: Tensor, score: Callable[[Tensor], Tensor]
    ) -> tuple[Tensor, Tensor]:
        """By what looked-up numbers (B, E) became, (B, D, E)."""
        leaves: list[Tensor] = []

        def keep(output: Tensor) -> Tensor:
            leaves.append(output if output.requires_grad else output.requires_grad_())
            return output

        with self._entry.given(x, self._call, keep), sdpa_kernel(SDPBackend.MATH):
            logits = self.logits(x).float()
        (gradient,) = torch.autograd.grad(score(logits), leaves[0], create_graph=True)
        return logits, gradient.movedim(-1, 1)

    def layer_gradient(
        self, x: Tensor, score: Callable[[Tensor], Tensor], layer: Layer
    ) -> tuple[Tensor, Tensor]:
        with tapped(self.model, layer.name) as outputs, sdpa_kernel(SDPBackend.MATH):
            logits = self.logits(x).float()
        # By the very tensor that the logits were computed from: a view of it has no derivative.
        (gradient,) = torch.autograd.grad(score(logits), outputs[-1], create_graph=True)
        return as_maps(layer, outputs[-1]), as_maps(layer, gradient)

    def find_layer(self, input_shape: Sequence[int], name: str | None = None) -> Layer:
        # On a copy, so that the model stays as it is.
        return find_layer(copy.deepcopy(self.model).cpu().eval(), input_shape, name)

    def normalises_by_batch(self) -> bool:
        return normalises_by_batch(self.model)

    def held_statistics(self) -> AbstractContextManager[Any]:
        return held_statistics(self.model)

    def refresh_statistics(self, inputs: Tensor, steps: int) -> None:
        refresh_statistics(self.model, inputs, steps)

    # --- derivatives ---------------------------------------------------------------------------

    def _parameters(self) -> list[nn.Parameter]:
        return [p for p in self.model.parameters() if p.requires_grad]

    def reaches_weights(self, value: Callable[[], Tensor]) -> bool:
        with torch.enable_grad():
            found = torch.autograd.grad(value(), self._parameters(), allow_unused=True)
        return any(gradient is not None for gradient in found)

    def differentiate(self, term: Callable[[], Tensor], **how: Any) -> Checked:
        parameters = self._parameters()
        scale = self._scale if self._in_half() else 1.0
        # The backward pass may compute layers again, where they are checkpointed.
        with torch.enable_grad(), quiet(self.model, self._device):
            # A whole backward pass would set off what averages the gradients, too early.
            together = self._wrapped or several()
            if together or not self._whole:
                value = term()
                try:
                    return differentiate(value, parameters, scale)
                except torch.OutOfMemoryError:
                    raise
                except RuntimeError as error:
                    if together:
                        raise RuntimeError(f"{_TOGETHER}{error}") from error
            checked = accumulate(term(), parameters, scale)
            self._whole = True
            return checked

    def summand(self, checked: Checked) -> Tensor:
        return summand(checked, self._parameters())

    def cleared(self, checked: Checked) -> Checked:
        return cleared(checked)

    def sent(self, checked: Checked, task_loss: Tensor) -> Callable[[], bool | None]:
        verdict = sent(checked.finite | ~task_loss.isfinite())
        return lambda: None if int(verdict) == UNKNOWN else bool(verdict)

    def overflowed(self, *, scaled: bool) -> bool:
        if not self._in_half() or self._scale <= 1:
            return False
        self._scale = max(1.0, self._scale / SHRINK)
        return True

    def fits(self) -> None:
        pass

    def kept(self) -> dict[str, Any]:
        return {"whole": self._whole, "scale": self._scale}

    def take(self, kept: Mapping[str, Any]) -> None:
        self._whole, self._scale = kept["whole"], kept["scale"]

    def _in_half(self) -> bool:
        kind = self._device.type
        return torch.is_autocast_enabled(kind) and torch.get_autocast_dtype(kind) == torch.half
