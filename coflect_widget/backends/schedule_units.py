"""What a schedule of the learning rate counts, batches or epochs, judged by its curve."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

#: Few train so many epochs, and nobody so many: a schedule as long counts batches.
_MANY_EPOCHS, _NO_EPOCHS = 400, 2000
#: A warm-up of fewer epochs may be one.
_WARM = 20


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


def judge(name: str, length: int | None, curve: list[float], steps: int, per_epoch: int) -> Unit:
    """What a schedule counts, by the training that is announced.

    Parameters
    ----------
    name : str
        Of its class.
    length : int or None
        Steps after which it has reached its end, where that is known.
    curve : list of float
        Its first learning rates; [] where they could not be found out.
    steps, per_epoch : int
        That are to be trained, and of an epoch.
    """
    epochs = math.ceil(steps / per_epoch)
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


def end_of(function: Callable[[int], float], steps: int) -> int | None:
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
