"""Commands of other packages: each entry point of the group ``coflect.modules`` is one.

``coflect NAME WORD ...`` calls what the entry point names, with a list of the words after its name;
what that returns is the exit status, None for 0. One is built in: ``coflect hitl train x.yaml`` is
``coflect train x.yaml``. None is imported before it is called.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Sequence

ENTRY_POINTS = "coflect.modules"
BUILT_IN = "hitl"


def names() -> dict[str, str]:
    """Every name, and where it comes from."""
    entries = importlib.metadata.entry_points(group=ENTRY_POINTS)
    return {**{entry.name: entry.value for entry in entries}, BUILT_IN: "built in"}


def is_there(name: str) -> bool:
    """Whether a package has put a command under this name."""
    return bool(importlib.metadata.entry_points(group=ENTRY_POINTS, name=name))


def call(name: str, words: Sequence[str]) -> int:
    """Import the command of this name and call it; its exit status."""
    entry = next(iter(importlib.metadata.entry_points(group=ENTRY_POINTS, name=name)))
    function: Callable[[Sequence[str]], int | None] = entry.load()
    return function(words) or 0
