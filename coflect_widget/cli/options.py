"""Settings on the command line: ``--training.epochs 20`` says what a file's setting is now."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def settings(others: Sequence[str]) -> dict[str, Any]:
    """Values by their dotted names, from ``--training.epochs 20`` or ``--training.epochs=20``.

    Raises
    ------
    ValueError
        If a word is no option, or an option has no value.
    """
    from coflect_widget.experiments.experiment import read_value

    found: dict[str, Any] = {}
    words = list(others)
    while words:
        word = words.pop(0)
        name, equals, value = word.removeprefix("--").partition("=")
        if not word.startswith("--") or not name:
            raise ValueError(f"{word!r}: settings are given as --training.epochs 20")
        if not equals:
            if not words:
                raise ValueError(f"{word} has no value; for example {word} 20")
            value = words.pop(0)
        found[name] = read_value(value, word)
    return found
