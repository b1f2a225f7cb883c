"""Regions of series: intervals of time, on one channel or on all of them.

========  =========================================  ==========================================
form      in Python                                  in JSON
========  =========================================  ==========================================
share     ``(0.2, 0.4)``                             ``{"interval": [0.2, 0.4]}``
steps     ``(20, 36)``, ``slice(20, 36)``            ``{"steps": [20, 36]}``
channel   ``{"channel": 3}``                         ``{"channel": 3}``
box       ``{"box": [t0, c0, t1, c1]}``              the same
========  =========================================  ==========================================

A share is one of the length; steps count from 0, and the last is left out, as in a slice. Both may
name a channel as well: ``{"steps": [20, 36], "channel": 3}``. A box has shares of the length and of
the channels: searches and maps give one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from coflect_widget.modalities.base import BoolArray

#: Steps that a series may have at most.
LONGEST = 1 << 24
_FORMS = (
    "give steps (20, 36), shares of the length (0.2, 0.4), {'channel': 3}, or "
    "{'steps': [20, 36], 'channel': 3}"
)
#: A share of an axis may miss a whole number of units by so much.
_DUST = 1e-6


@dataclass(frozen=True, slots=True)
class Interval:
    """From `start` to before `stop`, as shares of the length; of all channels where it is None."""

    start: float
    stop: float
    channel: int | None = None

    def to_json(self) -> dict[str, Any]:
        """The JSON form."""
        if self.channel is not None and (self.start, self.stop) == (0, 1):
            return {"channel": self.channel}
        return {"interval": [self.start, self.stop], **_of(self.channel)}

    def steps(self, length: int) -> tuple[int, int]:
        """First step and the one after the last; at least one step."""
        return _units(self.start, self.stop, length)


@dataclass(frozen=True, slots=True)
class Steps:
    """From step `start` to before `stop`; of all channels where `channel` is None."""

    start: int
    stop: int
    channel: int | None = None

    def to_json(self) -> dict[str, Any]:
        """The JSON form."""
        return {"steps": [self.start, self.stop], **_of(self.channel)}

    def steps(self, length: int) -> tuple[int, int]:
        """First step and the one after the last."""
        return min(self.start, length - 1), min(self.stop, length)


@dataclass(frozen=True, slots=True)
class Box:
    """Shares of the length and of the channels, as a search or a map gives them."""

    start: float
    low: float
    stop: float
    high: float

    def to_json(self) -> dict[str, Any]:
        """The JSON form."""
        return {"box": [self.start, self.low, self.stop, self.high]}

    def steps(self, length: int) -> tuple[int, int]:
        """First step and the one after the last; at least one step."""
        return _units(self.start, self.stop, length)


Span = Interval | Steps | Box


def parse(value: Any, argument: str, extent: tuple[int, ...] | None) -> Span:
    """One region in any of its forms; `extent` is (C, L) where it is known.

    Raises
    ------
    ValueError
        If it is no region, or is not inside `extent`; the message says what to give.
    """
    if isinstance(value, Interval | Steps | Box):
        value = value.to_json()
    if isinstance(value, slice):
        if value.step not in (None, 1) or value.start is None or value.stop is None:
            raise ValueError(f"{argument}={value!r}: a slice has a first and a last step; {_FORMS}")
        value = {"steps": [value.start, value.stop]}
    if isinstance(value, tuple | np.ndarray):
        value = _of_pair(list(value), argument)
    if not isinstance(value, Mapping):
        raise ValueError(f"{argument}={value!r} is no region of a series; {_FORMS}")
    found = _of_json(value, argument)
    if extent is not None:
        _check(found, argument, extent)
    return found


def mask(region: Span, extent: tuple[int, ...]) -> BoolArray:
    """The units (C, L) of it; at least one."""
    channels, length = extent
    found = np.zeros((channels, length), np.bool_)
    start, stop = region.steps(length)
    if isinstance(region, Box):
        rows = slice(*_units(region.low, region.high, channels))
    elif region.channel is None:
        rows = slice(None)
    else:
        row = min(region.channel, channels - 1)
        rows = slice(row, row + 1)
    found[rows, start:stop] = True
    return found


def overlap(one: Span, other: Span) -> bool:
    """Whether they share a unit; steps and shares may, as far as anyone knows."""
    channels = [region.channel for region in (one, other) if not isinstance(region, Box)]
    if len(channels) == 2 and None not in channels and channels[0] != channels[1]:
        return False
    if isinstance(one, Steps) != isinstance(other, Steps):
        return True
    return one.start < other.stop and other.start < one.stop


def describe(region: Span) -> str:
    """In words, such as "steps 20-35 of channel 3"."""
    if isinstance(region, Steps):
        last = region.stop - 1
        when = f"step {last}" if last == region.start else f"steps {region.start}-{last}"
    elif (region.start, region.stop) == (0, 1):
        when = ""
    else:
        when = f"the interval from {100 * region.start:.0f} % to {100 * region.stop:.0f} %"
    channel = None if isinstance(region, Box) else region.channel
    if channel is None:
        return when or "the whole series"
    return f"{when} of channel {channel}" if when else f"channel {channel}"


def _of(channel: int | None) -> dict[str, int]:
    return {} if channel is None else {"channel": channel}


def _units(low: float, high: float, side: int) -> tuple[int, int]:
    """The units whose middle is inside, at least the one that holds the middle of them all."""
    first = math.ceil(low * side - 0.5 - _DUST)
    stop = math.ceil(high * side - 0.5 - _DUST)
    if first >= stop:
        first = min(side - 1, int((low + high) / 2 * side))
        stop = first + 1
    return max(0, first), min(side, stop)


def _of_pair(value: Sequence[Any], argument: str) -> dict[str, Any]:
    numbers = [_number(one) for one in value]
    if len(numbers) != 2 or None in numbers:
        raise ValueError(f"{argument}={tuple(value)!r} is no first and last step; {_FORMS}")
    whole = all(isinstance(number, int) for number in numbers)
    return {"steps" if whole else "interval": numbers}


def _number(value: Any) -> int | float | None:
    if isinstance(value, bool | np.bool_) or not np.isscalar(value):
        return None
    if isinstance(value, int | np.integer):
        return int(value)
    return float(value) if isinstance(value, float | np.floating) else None


def _of_json(value: Mapping[str, Any], argument: str) -> Span:
    if set(value) == {"box"}:
        corners = _shares(value["box"], 4, argument)
        if not (corners[0] < corners[2] and corners[1] < corners[3]):
            raise ValueError(f"{argument}: a box has its low corner first, not {value['box']!r}")
        return Box(*corners)
    if not set(value) <= {"interval", "steps", "channel"} or not value or len(value) == 3:
        raise ValueError(f"{argument}={dict(value)!r} is no region of a series; {_FORMS}")
    channel = None
    if "channel" in value:
        found = _number(value["channel"])
        if not isinstance(found, int) or found < 0:
            raise ValueError(
                f"{argument}: channel {value['channel']!r} must be a whole number from 0"
            )
        channel = found
    if "steps" in value:
        return Steps(*_steps(value["steps"], argument), channel)
    start, stop = _shares(value.get("interval", (0.0, 1.0)), 2, argument)
    if start >= stop:
        raise ValueError(
            f"{argument}: an interval begins before it ends, not {value['interval']!r}; {_FORMS}"
        )
    return Interval(start, stop, channel)


def _shares(values: Any, count: int, argument: str) -> list[float]:
    listed = list(values) if isinstance(values, Sequence | np.ndarray) else []
    numbers = [_number(one) for one in listed]
    found = [float(number) for number in numbers if number is not None]
    if len(found) != count or len(numbers) != count or not all(0 <= n <= 1 for n in found):
        raise ValueError(
            f"{argument}: {values!r} must be {count} shares from 0 to 1 of the length; steps are "
            "whole numbers, such as (20, 36)"
        )
    return found


def _steps(values: Any, argument: str) -> tuple[int, int]:
    listed = list(values) if isinstance(values, Sequence) else []
    found = [number for number in map(_number, listed) if isinstance(number, int)]
    if len(found) == len(listed) == 2 and 0 <= found[0] < found[1] <= LONGEST:
        return found[0], found[1]
    raise ValueError(
        f"{argument}: steps {values!r} must be two whole numbers from 0, the first below the "
        "second, as in a slice: (20, 36) is steps 20 to 35"
    )


def _check(region: Span, argument: str, extent: tuple[int, ...]) -> None:
    channels, length = extent
    if isinstance(region, Box):
        return
    if region.channel is not None and region.channel >= channels:
        known = "there is channel 0 alone" if channels == 1 else f"they are 0 to {channels - 1}"
        raise ValueError(f"{argument}: there is no channel {region.channel}; {known}")
    if isinstance(region, Steps) and region.stop > length:
        raise ValueError(
            f"{argument}: steps {region.start}-{region.stop - 1} leave the series, whose steps are "
            f"0 to {length - 1}"
        )
