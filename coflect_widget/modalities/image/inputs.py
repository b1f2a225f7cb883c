"""What a data set's inputs look like: pictures, or what is none, and in which form that goes.

Frameworks share it: it knows shapes and types alone, and sees a sample as (C, H, W).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: A gray picture's longer side is at most so many times the shorter.
_LONGEST = 4
#: Numbers of channels that pictures have: gray, colour, with transparency.
_CHANNELS = (1, 3, 4)


def is_picture(shape: Sequence[int]) -> bool:
    """Whether a sample of this shape is a picture (C, H, W)."""
    return len(shape) == 3 and min(shape[1:]) > 1


def no_picture(
    shape: Sequence[int], argument: str, *, whole: bool = False, name: str = "images"
) -> str | None:
    """Why samples of this shape are no pictures (C, H, W), and what to do; None where they are.

    Parameters
    ----------
    shape : of one sample
    argument : str
        What the data set is called in the message.
    whole : bool
        Whether the values are whole numbers, as token ids are.
    name : str
        What the code in a remedy calls the inputs.
    """
    shape = tuple(shape)
    if is_picture(shape):
        return None
    found = f"{argument} has inputs of shape {shape}"
    if len(shape) == 2 and min(shape) > 1 and max(shape) <= _LONGEST * min(shape):
        return (
            f"{found}; a picture has three dimensions (C, H, W): of gray pictures add the "
            f"channel, for example {name}[:, None]. Series of {shape[0]} channels train with "
            'inputs="series"'
        )
    if len(shape) == 2 and min(shape) > 1:
        looks, way = f"series of {shape[0]} channels", 'series train with inputs="series"'
    elif len(shape) == 4:
        looks = "volumes or videos"
        way = "those of two slices or more train as the only input of a torch model"
    elif len(shape) not in (1, 2, 3):
        looks, way = "something else", "such inputs are not supported so far"
    elif whole and len(shape) == 1:
        return (
            f"{found}, which look like token ids or categories; pass token ids as whole numbers, "
            "ids.astype('int64'), or of a tensor ids.long(); rows of a table of whole "
            'numbers train with inputs="table"'
        )
    else:
        looks, way = _flat(shape, whole=whole)
    if len(shape) == 3:
        return f"{found}, strips that look like {looks}; a picture is higher and wider; {way}"
    return f"{found}, which look like {looks}; a picture has three dimensions (C, H, W); {way}"


def _flat(shape: tuple[int, ...], *, whole: bool) -> tuple[str, str]:
    """What inputs without height or width look like, and the form in which those are taken."""
    sides = [side for side in shape if side > 1]
    if len(sides) == 2:
        rows, steps = sides
        way = f"series have two dimensions, inputs.reshape(len(inputs), {rows}, {steps})"
        return "series of several channels", way
    if whole:
        return "token ids or categories", (
            "token ids are whole numbers in one dimension, which the model looks up: "
            "ids.reshape(len(ids), -1).astype('int64'), or of a tensor .long()"
        )
    return "rows of a table or series of one channel", (
        "rows of a table have one dimension, inputs.reshape(len(inputs), -1), and series two, "
        "inputs.reshape(len(inputs), 1, -1)"
    )


def channels_last(shape: Sequence[int]) -> bool:
    """Whether a sample (a, b, c) looks like a picture (H, W, C) rather than (C, H, W)."""
    return len(shape) == 3 and shape[2] in _CHANNELS and shape[0] > 4 and shape[1] > 4


def float_remedy(
    largest: float, *, tensor: bool, name: str = "images", scaled: bool = False
) -> str:
    """Code that makes pictures of whole numbers floating point, in the range that models expect.

    Parameters
    ----------
    largest : float
        Of the values that are known.
    tensor : bool
        Whether they are torch's, which convert in another way.
    scaled : bool
        Whether the model scales its inputs itself.
    """
    convert = f"{name}.float()" if tensor else f"{name}.astype('float32')"
    if scaled or largest <= 1:
        return convert
    return f"{convert} / {_steps(largest)}"


def unscaled(values: NDArray[Any]) -> int:
    """What to divide floating point pictures by that look like whole numbers of a camera's; else 0.

    255 for bytes, 4095 or 65535 for more bits.
    """
    if not values.size or values.dtype.kind != "f" or not np.isfinite(values).all():
        return 0
    largest = float(values.max())
    if not 64 < largest < 2**16 or float(values.min()) < 0 or (values != values // 1).any():
        return 0
    return _steps(largest)


def _steps(largest: float) -> int:
    """The largest whole number of as many bits, eight at least."""
    return 255 if largest <= 255 else int(2 ** math.ceil(math.log2(largest + 1))) - 1
