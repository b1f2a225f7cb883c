"""What `Session.loop` gives: the batches of a loop that ends when it is left."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from typing import Any


class Batches(Iterator[Any]):
    """What `Session.loop` gives: a ``for`` holds the loop alone, and ends it when it is left.

    Parameters
    ----------
    start : callable (in_body=bool) -> generator
        Begins the loop; `in_body` says that a ``for`` goes through it.
    """

    def __init__(self, start: Callable[..., Generator[Any]]) -> None:
        self._start = start
        self._held: Generator[Any] | None = None  # by who calls next()

    def __iter__(self) -> Iterator[Any]:
        return self._held or self._start(in_body=True)

    def __next__(self) -> Any:
        if self._held is None:
            self._held = self._start(in_body=False)
        return next(self._held)

    def close(self) -> None:
        """End the loop, if next() began it."""
        if self._held is not None:
            self._held.close()
