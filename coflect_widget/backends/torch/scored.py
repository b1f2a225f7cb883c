"""A torch model as a function of the user's own reads it: one number a sample.

A loss alone does not say which output of a model a map would be of, or a stroke would keep. A
function ``score(model, inputs)`` does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from coflect_widget.backends.torch.entry import Entry
from coflect_widget.backends.torch.modes import modes, restore

#: (model, inputs (B, ...)) -> (B,)
ScoreFunction = Callable[[nn.Module, Tensor], Tensor]
_INNER = "model."


class Scored(nn.Module):
    """Gives a model's scores as its outputs, (B, 1).

    Parameters
    ----------
    model : torch.nn.Module
        Its weights are those of this module, by other names; see `own_names`.
    score : callable
        ``score(model, inputs) -> (B,)``.
    """

    def __init__(self, model: nn.Module, score: ScoreFunction) -> None:
        super().__init__()
        self.model = model
        self.score = score

    def forward(self, x: Tensor) -> Tensor:
        """(B, ...) -> (B, 1).

        Raises
        ------
        ValueError
            If the scores are not one a sample.
        """
        found: Any = self.score(self.model, x)
        what = f"score= gave {_shown(found)} for inputs of shape {tuple(x.shape)}"
        if not isinstance(found, Tensor):
            raise ValueError(f"{what}; give a tensor of torch, one number a sample, ({len(x)},)")
        if tuple(found.shape) != (len(x),):
            raise ValueError(
                f"{what}; give one number a sample, ({len(x)},): of outputs (B, n) for example "
                "outputs[:, 0] or outputs.sum(1), of what is lower where the loss is good the "
                "negative"
            )
        if not found.is_floating_point():
            raise ValueError(
                f"{what}, of type {found.dtype}; a map is of its gradient: give floats"
            )
        return found[:, None]


def own_names(weights: dict[str, Tensor], known: set[str]) -> tuple[dict[str, Tensor], set[str]]:
    """Weights of a `Scored`, by the names that they have in its model."""
    return (
        {name.removeprefix(_INNER): weight for name, weight in weights.items()},
        {name.removeprefix(_INNER) for name in known},
    )


def try_score(scored: Scored, x: Tensor) -> None:
    """Raise ValueError where the scores of inputs (B, ...) cannot be had, or have no gradient."""
    before = modes(scored)
    scored.eval()
    shape, kind = tuple(x.shape), str(x.dtype).removeprefix("torch.")
    try:
        with torch.enable_grad(), torch.random.fork_rng(devices=[]):
            leaf = x.clone().requires_grad_() if x.is_floating_point() else x
            try:
                found = scored(leaf)
            except Exception as error:
                if str(error).startswith("score= "):
                    raise
                raise ValueError(
                    f"score= raises {type(error).__name__}: {error}. It is called as "
                    f"score(model, inputs) with the model in eval mode and inputs of shape {shape} "
                    f"and type {kind}, which are what can be drawn of the samples, and gives one "
                    f"number for each of them, ({len(x)},)"
                ) from error
            if x.is_floating_point():
                reached = found.requires_grad and _gradient(found, leaf) is not None
            else:
                reached = found.requires_grad
                Entry(scored).find(x, scored)
        if not reached:
            raise ValueError(
                "score= gives numbers that have no gradient by its inputs, of which a map is made; "
                "compute it from the outputs of model(inputs), without detach(), item(), numpy() "
                "or argmax()"
            )
    finally:
        restore(before)


def _gradient(found: Tensor, leaf: Tensor) -> Tensor | None:
    gradient: Tensor | None
    (gradient,) = torch.autograd.grad(found.sum(), leaf, allow_unused=True)
    return gradient


def _shown(found: Any) -> str:
    if isinstance(found, Tensor):
        return f"a tensor of shape {tuple(found.shape)}"
    return f"a {type(found).__name__}"
