"""Reads logits and targets off a torch model that a loop of another's trains.

Callbacks of Lightning and transformers are not shown what the model computed. A forward hook
is: it keeps a reference to the newest batch, and is gone after the training.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from coflect_widget.backends.named_items import MASK, NUMBERS
from coflect_widget.backends.targets import SEVERAL_LABELS
from coflect_widget.backends.torch.outputs import logits_of
from coflect_widget.tasks.base import Task


class ForwardTap:
    """Keeps inputs and logits of the newest forward pass in train mode.

    Parameters
    ----------
    model : torch.nn.Module
    on_forward : callable (inputs, keywords, output) -> output, optional
        May give another output in its place.

    Attributes
    ----------
    inputs, logits : Tensor or None
    """

    def __init__(
        self, model: nn.Module, on_forward: Callable[[Any, dict[str, Any], Any], Any] | None = None
    ) -> None:
        self.inputs: Tensor | None = None
        self.logits: Tensor | None = None
        self._on_forward = on_forward
        self._off = False
        self._handle = model.register_forward_hook(self._hook, with_kwargs=True)

    def _hook(
        self, module: nn.Module, arguments: tuple[Any, ...], keywords: dict[str, Any], output: Any
    ) -> Any:
        if self._off or not module.training or not torch.is_grad_enabled():
            return None
        given = given_to(arguments, keywords)
        self.inputs, self.logits = given, logits_of(output, module)
        return None if self._on_forward is None else self._on_forward(given, keywords, output)

    @contextlib.contextmanager
    def off(self) -> Iterator[None]:
        """Passes within the block are not looked at: guidance makes one of its own."""
        self._off = True
        try:
            yield
        finally:
            self._off = False

    def forget(self) -> None:
        """Let go of the batch."""
        self.inputs = self.logits = None

    def remove(self) -> None:
        """Take the hook off the model."""
        self._handle.remove()
        self.forget()


def add_gradient(term: Tensor, model: nn.Module) -> None:
    """Add the gradient of a term (), which has a graph of its own, to that of the weights.

    As a backward pass would, but past what averages gradients over processes: that waits for one
    backward pass a step, and averages then what the weights have.
    """
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    for weight, gradient in zip(
        weights, torch.autograd.grad(term, weights, allow_unused=True), strict=True
    ):
        if gradient is not None:
            weight.grad = gradient if weight.grad is None else weight.grad + gradient


def given_to(arguments: tuple[Any, ...], keywords: dict[str, Any]) -> Tensor | None:
    """The input among what a model was called with, as a session's samples have it."""
    numbers = keywords.get(NUMBERS)
    if not isinstance(numbers, Tensor):
        return next((a for a in (*arguments, *keywords.values()) if isinstance(a, Tensor)), None)
    mask = keywords.get(MASK)
    return torch.where(mask.bool(), numbers, ~numbers) if isinstance(mask, Tensor) else numbers


def targets_of(backend: Any, task: Task, indices: Any) -> Tensor:
    """Labels (B,), or values (B, D), of samples by their places, where batches do not show theirs.

    Raises
    ------
    ValueError
        If the indices are not known.
    """
    if indices is None:
        raise ValueError(
            "neither the batch's labels nor its samples' indices are known; give the trainer "
            "batches of (x, y) from a torch DataLoader, or of (x, y, index)"
        )
    labels = backend.labels()
    if len(labels) == backend.num_train:
        return torch.from_numpy(labels[indices])
    if not task.labelled:
        raise ValueError(
            "the values that the batch's samples regress on are not known; give the trainer "
            "batches of (x, y)"
        )
    return torch.tensor([backend.read_sample(int(i)).target for i in indices])


def values_of_step(
    outputs: Tensor, targets: Any, loss: Tensor | None, compute: Callable[[Tensor, Tensor], Tensor]
) -> tuple[Tensor, Tensor]:
    """Values (B, D) and loss of a step of a loop of the user's own."""
    targets = torch.as_tensor(targets).detach().reshape(outputs.shape)
    if loss is None:
        with torch.no_grad():
            loss = compute(outputs.detach(), targets)
    return targets, loss


def classes_of_step(
    logits: Tensor, targets: Any, loss: Tensor | None, *, look: bool
) -> tuple[Tensor, Tensor]:
    """Class numbers (B,) and loss of a step of a loop of the user's own.

    `targets` are (B,), (B, 1) or shares (B, classes); `look` at whether these are such.
    """
    targets = torch.as_tensor(targets).detach()
    if targets.ndim == 2 and targets.shape[1] == 1:
        targets = targets[:, 0]
    elif look and bool(((targets.float().sum(1) - 1).abs() > 0.01).any()):
        raise ValueError(f"targets are (B, {targets.shape[1]}), but {SEVERAL_LABELS}")
    if loss is None:
        with torch.no_grad():
            loss = torch.nn.functional.cross_entropy(logits.detach().float(), targets)
    return targets if targets.ndim == 1 else targets.argmax(1), loss
