"""The optimizer and the schedule of its learning rate, given or made, for the Torch backend."""

from __future__ import annotations

from typing import Any

import torch
from torch.optim.lr_scheduler import CyclicLR, LRScheduler, OneCycleLR


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


def make_scheduler(given: Any, optimizer: torch.optim.Optimizer) -> LRScheduler | None:
    """A schedule of this optimizer's learning rate, or None if none is given.

    Raises
    ------
    ValueError
        If it is of another optimizer.
    TypeError
        If it is neither a schedule nor makes one from an optimizer.
    """
    if given is None or isinstance(given, LRScheduler):
        if given is not None and given.optimizer is not optimizer:
            raise ValueError(
                "scheduler is of another optimizer; pass that one as optimizer=, or pass a "
                "function that makes a scheduler from the optimizer"
            )
        return given
    made = given(optimizer) if callable(given) else None
    if isinstance(made, LRScheduler):
        return made
    raise TypeError(
        f"scheduler={given!r} must be a torch.optim.lr_scheduler, or a function that makes one "
        "from an optimizer, for example lambda o: StepLR(o, step_size=10)"
    )


class BatchSchedule:
    """A schedule that counts in batches, OneCycleLR or CyclicLR.

    A OneCycleLR that has ended keeps its last learning rate: torch would end the training.

    Parameters
    ----------
    scheduler : OneCycleLR or CyclicLR
    warnings : list of str
        Gets a line where training outlasts it.
    """

    def __init__(self, scheduler: OneCycleLR | CyclicLR, warnings: list[str]) -> None:
        self._scheduler = scheduler
        self._warnings = warnings
        self._steps_past = 0

    def step(self) -> None:
        """A batch was trained on."""
        schedule = self._scheduler
        # The rate of the last but one is the lowest; torch's after the last is past the curve.
        if not isinstance(schedule, OneCycleLR) or schedule.last_epoch < schedule.total_steps - 1:
            schedule.step()
            return
        self._steps_past += 1
        if self._steps_past == 2:
            self._warnings.append(
                f"The OneCycleLR has ended after its {schedule.total_steps} steps; training goes "
                "on at its last learning rate. Make one for all steps that you train."
            )


def check_length(scheduler: LRScheduler | None, steps_per_epoch: int) -> None:
    """Raise ValueError for a OneCycleLR that ends within the first epoch: it counts in epochs."""
    if isinstance(scheduler, OneCycleLR) and scheduler.total_steps < steps_per_epoch:
        raise ValueError(
            f"scheduler is a OneCycleLR of {scheduler.total_steps} steps, but it steps after each "
            f"of {steps_per_epoch} batches an epoch; make it with epochs=... and "
            f"steps_per_epoch={steps_per_epoch}"
        )
