"""Checks of what a user passes, with the remedy in the message."""

from __future__ import annotations

import numbers
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

#: Names of a session's arguments.
ARGUMENTS = [
    "model", "train_data", "val_data", "classes", "loss", "optimizer", "scheduler", "batch_size",
    "backend", "run_dir", "config", "executor", "class_weight", "guidance", "inputs",
    "task", "score", "tokenizer", "resume", "sinks",
]  # fmt: skip


def class_names(
    classes: Sequence[str] | Mapping[str, int] | Mapping[int, str] | None,
) -> list[str] | None:
    """Names as a list in the order of the labels; None stays None."""
    if classes is None:
        return None
    if isinstance(classes, set | frozenset):
        raise TypeError(
            f"classes={classes!r} is a set, which has no order; give the names in the order of the "
            "labels, for example classes=sorted(names) where the labels were numbered so"
        )
    if isinstance(classes, Mapping):
        classes = _numbered(classes)
    if (
        isinstance(classes, str)
        or not isinstance(classes, Iterable)
        or not all(isinstance(name, str) for name in classes)
    ):
        raise TypeError(
            f"classes={classes!r} must be a list of names, for example classes=['cat', 'dog']"
        )
    names = [str(name) for name in classes]  # numpy's strings become plain ones
    if len(names) < 2 or len(set(names)) != len(names):
        raise ValueError(f"classes={names!r} must be at least two names, all different")
    return names


def _numbered(classes: Mapping[Any, Any]) -> list[str]:
    """Names by their numbers, of a mapping of names to numbers or of numbers to names."""
    pairs = [(k, v) if isinstance(v, str) else (v, k) for k, v in classes.items()]
    labels = [label for label, _ in pairs]
    whole = all(isinstance(n, numbers.Integral) and not isinstance(n, bool) for n in labels)
    if not whole or sorted(labels) != list(range(len(labels))):
        raise ValueError(
            f"classes={classes!r} must map names to the labels 0 to {max(len(classes) - 1, 0)}, "
            "each once, or be a list of names in the order of the labels"
        )
    return [name for _, name in sorted(pairs)]


def whole_number(value: Any, argument: str) -> int:
    """`value` as int, numpy's integers included."""
    try:
        return int(value.__index__())
    except AttributeError:
        raise TypeError(
            f"{argument}={value!r} must be a whole number, the sample's place in train_data"
        ) from None


def point(value: Any, argument: str) -> tuple[float, ...] | None:
    """`value` as numbers, one an axis; None stays None."""
    if value is None:
        return None
    try:
        return tuple(float(share) for share in value)
    except (TypeError, ValueError):
        raise TypeError(
            f"{argument}={value!r} must be a point (x, y), in fractions from the top left, for "
            f"example {argument}=(0.5, 0.5)"
        ) from None


def count(value: Any, argument: str) -> int:
    """A whole number of at least 1, numpy's integers included."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < 1:
        raise ValueError(f"{argument}={value!r} must be a whole number of at least 1")
    return int(value)


def fraction(value: Any, argument: str) -> float | None:
    """A number from 0 to 1, or None."""
    if value is None:
        return None
    number = float(value) if isinstance(value, numbers.Real) else -1.0
    if isinstance(value, bool) or not 0 <= number <= 1:
        raise ValueError(f"{argument}={value!r} must be a number from 0 to 1")
    return number


def one_of(value: Any, argument: str, allowed: tuple[str, ...]) -> Any:
    """One of `allowed`, or None."""
    if value is not None and value not in allowed:
        raise ValueError(f"{argument}={value!r} must be one of {', '.join(map(repr, allowed))}")
    return value
