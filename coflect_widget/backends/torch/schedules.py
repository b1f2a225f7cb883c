"""Schedules of the learning rate: given or made, and whether they count batches or epochs."""

from __future__ import annotations

import copy
import warnings
from typing import Any

import torch
from torch.optim import lr_scheduler
from torch.optim.lr_scheduler import LRScheduler, OneCycleLR, ReduceLROnPlateau

from coflect_widget.backends.schedule_units import Unit, end_of, judge

#: Steps of a schedule that are tried on a copy, at most.
_TRIED = 4096


def make_scheduler(
    given: Any, optimizer: torch.optim.Optimizer, *, validates: bool
) -> LRScheduler | None:
    """A schedule of this optimizer's learning rate, or None if none is given.

    Raises
    ------
    ValueError
        If it is of another optimizer, or follows a validation that there is not.
    TypeError
        If it is neither a schedule nor makes one from an optimizer.
    """
    made = given(optimizer) if callable(given) and not isinstance(given, LRScheduler) else given
    if made is given and isinstance(made, LRScheduler) and made.optimizer is not optimizer:
        raise ValueError(
            "scheduler is of another optimizer; pass that one as optimizer=, or pass a "
            "function that makes a scheduler from the optimizer"
        )
    if isinstance(made, ReduceLROnPlateau) and not validates:
        raise ValueError(
            "scheduler is a ReduceLROnPlateau, which follows the validation: give val_data"
        )
    if given is None:
        return None
    if isinstance(made, LRScheduler):
        return made
    raise TypeError(
        f"scheduler={given!r} must be a torch.optim.lr_scheduler, or a function that makes one "
        "from an optimizer, for example lambda o: StepLR(o, step_size=10)"
    )


class BatchSchedule:
    """A schedule that counts in batches.

    A OneCycleLR that has ended keeps its last learning rate: torch would end the training.

    Parameters
    ----------
    scheduler : LRScheduler
    warnings : list of str
        Gets a line where training outlasts it.
    past : int
        Steps that it has outlasted it by already.
    """

    def __init__(self, scheduler: LRScheduler, warnings: list[str], past: int = 0) -> None:
        self._scheduler = scheduler
        self._warnings = warnings
        self._steps_past = past

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


def schedule_of_batches(
    scheduler: LRScheduler | None, unit: str | None, steps_per_epoch: int, warnings: list[str]
) -> tuple[BatchSchedule | None, bool]:
    """The schedule as one that steps by batches, if it does, and whether that is known.

    Where it is not, the training's length tells; see `unit_of`.
    """
    if isinstance(scheduler, ReduceLROnPlateau) and unit == "batch":
        raise ValueError(
            "config['schedule_unit'] = 'batch', but scheduler is a ReduceLROnPlateau, which "
            "follows the validation at each epoch's end; leave the setting out"
        )
    counts = isinstance(scheduler, OneCycleLR | lr_scheduler.CyclicLR)
    if scheduler is None or unit == "epoch":
        return None, True
    if counts:
        check_length(scheduler, steps_per_epoch)
    if counts or unit == "batch":
        return BatchSchedule(scheduler, warnings), True
    return None, False


def step_epoch(scheduler: LRScheduler | None, validation: dict[str, float]) -> None:
    """An epoch has ended with this validation; for schedules that count in epochs."""
    if isinstance(scheduler, ReduceLROnPlateau):
        wanted = (
            ("accuracy", "r2", "iou", "label_accuracy") if scheduler.mode == "max" else ("loss",)
        )
        for name in validation.keys() & set(wanted):
            scheduler.step(validation[name])
    elif scheduler is not None:
        scheduler.step()


def check_length(scheduler: LRScheduler | None, steps_per_epoch: int) -> None:
    """Raise ValueError for a OneCycleLR that ends within the first epoch: it counts in epochs."""
    if isinstance(scheduler, OneCycleLR) and scheduler.total_steps < steps_per_epoch:
        raise ValueError(
            f"scheduler is a OneCycleLR of {scheduler.total_steps} steps, but it steps after each "
            f"of {steps_per_epoch} batches an epoch; make it with epochs=... and "
            f"steps_per_epoch={steps_per_epoch}"
        )


def unit_of(scheduler: LRScheduler, steps: int, per_epoch: int) -> Unit:
    """Whether a schedule counts batches or epochs, judged by the training that is announced.

    Nothing is changed: its curve is tried on a copy.

    Parameters
    ----------
    scheduler : LRScheduler
        None that is known to count batches.
    steps, per_epoch : int
        That are to be trained, and of an epoch.
    """
    if per_epoch < 2 or isinstance(scheduler, ReduceLROnPlateau):
        return Unit("epoch")
    length = _length(scheduler, steps)
    curve = _curve(scheduler, min(_TRIED, max(steps, length or 0) + 1))
    return judge(type(scheduler).__name__, length, curve, steps, per_epoch)


def _length(scheduler: Any, steps: int) -> int | None:
    """Steps after which a schedule has reached its end, or its first fall; None where unknown."""
    if isinstance(scheduler, lr_scheduler.SequentialLR):
        start = max(scheduler._milestones, default=0)
        last = _length(scheduler._schedulers[-1], max(steps - start, 1))
        return start + (last or 0)
    if isinstance(scheduler, lr_scheduler.ChainedScheduler):
        lengths = [_length(each, steps) for each in scheduler._schedulers]
        return max((each for each in lengths if each is not None), default=None)
    if isinstance(scheduler, lr_scheduler.MultiStepLR):
        return max(scheduler.milestones, default=None)
    for name in ("T_max", "T_0", "total_iters", "step_size"):
        value = getattr(scheduler, name, None)
        if isinstance(value, int) and not isinstance(value, bool):
            return value
    if isinstance(scheduler, lr_scheduler.LambdaLR):
        return end_of(scheduler.lr_lambdas[0], steps)
    return None


def _curve(scheduler: LRScheduler, steps: int) -> list[float]:
    """The first group's learning rates of so many steps, from where the schedule stands."""
    real = scheduler.optimizer
    groups = [
        {
            **{k: copy.deepcopy(v) for k, v in group.items() if k != "params"},
            "params": [torch.zeros(1)],
        }
        for group in real.param_groups
    ]
    stand_in = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    stand_in.param_groups = groups
    try:
        twin = copy.deepcopy(scheduler, {id(real): stand_in})
        rates = [float(groups[0]["lr"])]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that the stand-in takes no steps
            for _ in range(steps - 1):
                twin.step()
                rates.append(float(groups[0]["lr"]))
    except Exception:  # noqa: BLE001 - a schedule of one's own may need more than a stand-in
        return []
    return rates
