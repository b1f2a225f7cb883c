"""The optimizer, given or made, for the Torch backend."""

from __future__ import annotations

from typing import Any

import torch


def make_optimizer(given: Any, model: torch.nn.Module) -> torch.optim.Optimizer:
    """An optimizer over the model's parameters; AdamW with 1e-3 if None is given.

    Raises
    ------
    ValueError
        If it is of another model, or asks for the loss more than once a step.
    TypeError
        If it is neither an optimizer nor makes one from parameters.
    """
    if given is None:
        return torch.optim.AdamW(model.parameters(), lr=1e-3)
    made = _made(given, model)
    if isinstance(made, torch.optim.LBFGS):
        raise ValueError(
            "optimizer is an LBFGS, which computes the loss several times in a step; use another, "
            "such as torch.optim.AdamW, or write the loop yourself, with session.loop()"
        )
    return made


def _made(given: Any, model: torch.nn.Module) -> torch.optim.Optimizer:
    if isinstance(given, torch.optim.Optimizer):
        own = {id(p) for p in model.parameters()}
        used = {id(p) for group in given.param_groups for p in group["params"]}
        if not own & used:
            raise ValueError(
                "optimizer holds none of the model's parameters; make it from "
                "model.parameters() of this model"
            )
        return given
    if callable(given):
        made = given(model.parameters())
        if isinstance(made, torch.optim.Optimizer):
            return made
    raise TypeError(
        f"optimizer={given!r} must be a torch.optim.Optimizer, or a function that makes one "
        "from parameters, for example lambda p: torch.optim.SGD(p, lr=0.1)"
    )
