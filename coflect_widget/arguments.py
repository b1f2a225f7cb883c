"""Checks of what a user passes, with the remedy in the message."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def class_names(classes: Sequence[str] | None) -> list[str] | None:
    """Names as a list; None stays None."""
    if classes is None:
        return None
    if isinstance(classes, str) or not all(isinstance(name, str) for name in classes):
        raise TypeError(
            f"classes={classes!r} must be a list of names, for example classes=['cat', 'dog']"
        )
    names = list(classes)
    if len(names) < 2 or len(set(names)) != len(names):
        raise ValueError(f"classes={names!r} must be at least two names, all different")
    return names


def whole_number(value: Any, argument: str) -> int:
    """`value` as int, numpy's integers included."""
    try:
        return int(value.__index__())
    except AttributeError:
        raise TypeError(
            f"{argument}={value!r} must be a whole number, the sample's place in train_data"
        ) from None
