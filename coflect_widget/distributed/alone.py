"""A training in one process: there is nobody to agree with."""

from __future__ import annotations

from typing import TypeVar

T = TypeVar("T")


class Alone:
    """A `Group` of one."""

    rank = 0
    size = 1

    def agree(self, wish: bool) -> bool:  # noqa: FBT001 - the one argument
        """What is wished."""
        return wish

    def broadcast(self, value: T) -> T:
        """The value."""
        return value

    def gather(self, value: T) -> list[T]:
        """The value alone."""
        return [value]
