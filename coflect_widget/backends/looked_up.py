"""Whole numbers that a model looks up: each needs a row of its own."""

from __future__ import annotations

from typing import Any

import array_api_compat as compat


def check_numbers(
    x: Any, count: int, argument: str, first: int = 0, *, masks: bool = False
) -> None:
    """Raise ValueError unless the rows (n, ...) hold numbers from 0 to `count` - 1 alone.

    Rows are of numpy or a framework, and `first` is the index of the first one. With `masks`
    numbers may be left out: such a one is there as its complement, below 0.
    """
    xp = compat.array_namespace(x)
    x = xp.where(x < 0, ~x, x) if masks else x
    if int(xp.min(x)) >= 0 and int(xp.max(x)) < count:
        return
    row, *place = (int(axis[0]) for axis in xp.nonzero((x < 0) | (x >= count)))
    found = int(x[(row, *place)])
    remedy = (
        "ids are counted from 0"
        if found < 0
        else f"give it at least {found + 1} rows, or ids that belong to this model"
    )
    raise ValueError(
        f"{argument} has the id {found} at index {first + row}, place "
        f"{', '.join(map(str, place))}, but the model's embedding has rows for 0 to {count - 1}: "
        f"{remedy}"
    )
