"""Schedules of the learning rate: given or made, and whether they count batches or epochs."""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch.optim import lr_scheduler
from torch.optim.lr_scheduler import LRScheduler, OneCycleLR, ReduceLROnPlateau

#: Steps of a schedule that are tried on a copy, at most.
_TRIED = 4096
#: Few train so many epochs, and nobody so many: a schedule as long counts batches.
_MANY_EPOCHS, _NO_EPOCHS = 400, 2000
#: A warm-up of fewer epochs may be one.
_WARM = 20


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


def check_length(scheduler: LRScheduler | None, steps_per_epoch: int) -> None:
    """Raise ValueError for a OneCycleLR that ends within the first epoch: it counts in epochs."""
    if isinstance(scheduler, OneCycleLR) and scheduler.total_steps < steps_per_epoch:
        raise ValueError(
            f"scheduler is a OneCycleLR of {scheduler.total_steps} steps, but it steps after each "
            f"of {steps_per_epoch} batches an epoch; make it with epochs=... and "
            f"steps_per_epoch={steps_per_epoch}"
        )


@dataclass(frozen=True, slots=True)
class Unit:
    """What a schedule counts, as far as can be told.

    Attributes
    ----------
    unit : {"batch", "epoch"}
    said : str
        The evidence as a sentence for a person; "" where nothing speaks against epochs.
    doubtful : bool
        Whether the other unit is as likely.
    """

    unit: Literal["batch", "epoch"]
    said: str = ""
    doubtful: bool = False


def unit_of(scheduler: LRScheduler, steps: int, per_epoch: int) -> Unit:
    """Whether a schedule counts batches or epochs, judged by the training that is announced.

    Nothing is changed: its curve is tried on a copy.

    Parameters
    ----------
    scheduler : LRScheduler
        None that is known to count batches, and no ReduceLROnPlateau.
    steps, per_epoch : int
        That are to be trained, and of an epoch.
    """
    epochs = math.ceil(steps / per_epoch)
    if per_epoch < 2 or isinstance(scheduler, ReduceLROnPlateau):
        return Unit("epoch")
    name = type(scheduler).__name__
    length = _length(scheduler, steps)
    curve = _curve(scheduler, min(_TRIED, max(steps, length or 0) + 1))
    peak = max(curve, default=0.0)
    batch = f"The {name} steps after each batch, not at each epoch's end: "
    other = " config={'schedule_unit': 'epoch'} steps it at each epoch's end."
    if len(curve) > 1 and peak > 0 and curve[0] <= 1e-6 * peak:
        why = "its first learning rate is 0, with which the whole first epoch would train nothing."
        return Unit("batch", batch + why + other)
    in_epochs = curve[:epochs]
    warm = next((k for k, rate in enumerate(curve) if rate >= 0.99 * peak), 0)
    if _warming(in_epochs, 0.25 * peak) and warm >= max(4 * epochs, _WARM):
        why = f"counted in epochs its warm-up would outlast these {epochs} epochs."
        return Unit("batch", batch + why + other)
    if length is not None and length > epochs:
        whole = abs(length - steps) <= 0.02 * steps
        if (whole and length > 2 * epochs) or length > _NO_EPOCHS:
            why = f"it is made for {length} steps, and {epochs} epochs of {per_epoch} batches are "
            return Unit("batch", f"{batch}{why}{steps}.{other}")
        far = 0.3 * steps <= length <= 1.5 * steps and length >= max(4 * epochs, per_epoch)
        if epochs > 1 and length >= _MANY_EPOCHS and (far or 20 * epochs <= length <= steps):
            why = f"it is made for {length} steps, far more than these {epochs} epochs."
            return Unit("batch", batch + why + other)
    doubt = _doubt(in_epochs, curve, length, epochs, per_epoch)
    if not doubt:
        return Unit("epoch")
    ways = (
        " If it counts batches, pass config={'schedule_unit': 'batch'}; 'epoch' keeps it and "
        "leaves this notice out."
    )
    return Unit("epoch", f"The {name} steps at each epoch's end, but {doubt}.{ways}", doubtful=True)


def _doubt(
    in_epochs: list[float], curve: list[float], length: int | None, epochs: int, per_epoch: int
) -> str:
    """What speaks against counting in epochs, or ""."""
    peak = max(curve, default=0.0)
    if in_epochs and 0 < in_epochs[0] < 0.005 * peak:
        return "then its first learning rate, almost 0, holds for the whole first epoch"
    if _warming(in_epochs, 0.6 * peak):
        return f"then its warm-up outlasts these {epochs} epochs"
    if length is not None and epochs > 1 and length > 2 * epochs:
        return f"it is made for {length} steps, and these are {epochs} epochs"
    if length is not None and epochs == 1 and length >= _MANY_EPOCHS:
        return f"it is made for {length} steps"
    multiple = length is not None and length > per_epoch and length % per_epoch == 0
    if length is not None and multiple and epochs == 1 and per_epoch >= 8:
        return (
            f"it is made for {length} steps, which are {length // per_epoch} epochs of {per_epoch} "
            "batches"
        )
    change = max(in_epochs, default=0.0) - min(in_epochs, default=0.0)
    flat = epochs > 1 and length is None and change <= 0.002 * epochs * peak
    if flat and curve and min(curve) < 0.8 * peak:
        return f"then it hardly changes anything in these {epochs} epochs"
    return ""


def _warming(in_epochs: list[float], below: float) -> bool:
    """Whether a schedule only ever rises in these epochs, and not to `below`."""
    rising = len(in_epochs) > 1 and in_epochs == sorted(in_epochs) and in_epochs[-1] > in_epochs[0]
    return rising and in_epochs[-1] < below


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
        return _end_of_lambda(scheduler.lr_lambdas[0], steps)
    return None


def _end_of_lambda(function: Callable[[int], float], steps: int) -> int | None:
    """Where a function of the step reaches 0, after it was more; None where it does not."""
    further = (round(64 * 1.1**k) for k in range(90))  # up to 300,000 steps
    places = sorted({*range(64), *(round(steps * k / 256) for k in range(1, 385)), *further})
    values = [_call(function, place) for place in places]
    peak = max((value for value in values if value is not None), default=0.0)
    before: int | None = None
    for place, value in zip(places, values, strict=True):
        if value is None:  # such as past the end of a table
            return None if before is None else _first(function, before, place, peak)
        if before is not None and value <= 1e-9 * peak:
            end = _first(function, before, place, peak)
            # A line or a cosine reaches 0 soon after it is small; a power takes for ever.
            return end if end <= 1.4 * before + 2 else None
        if value > 0.02 * peak:
            before = place
    return None


def _first(function: Callable[[int], float], above: int, below: int, peak: float) -> int:
    while below - above > 1:
        middle = (above + below) // 2
        value = _call(function, middle)
        if value is not None and value > 1e-9 * peak:
            above = middle
        else:
            below = middle
    return below


def _call(function: Callable[[int], float], place: int) -> float | None:
    try:
        value = float(function(place))
    except Exception:  # noqa: BLE001 - a person's function, past the steps that it knows
        return None
    return value if math.isfinite(value) else None


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
