"""Several processes that train one model: who am I, what do we do, what has each."""

from __future__ import annotations

from typing import Protocol, TypeVar

T = TypeVar("T")


class Group(Protocol):
    """Processes that take each step together.

    Every method is called by all of them, in the same order, on the thread that trains.

    Attributes
    ----------
    rank : int
        Of this process, in [0, size). The process of rank 0 has the run folder and the screen.
    size : int
    """

    @property
    def rank(self) -> int: ...  # noqa: D102 - see above

    @property
    def size(self) -> int: ...  # noqa: D102 - see above

    def agree(self, wish: bool) -> bool:  # noqa: FBT001 - the one argument
        """True for all as soon as one wishes it; False for all where none does."""

    def broadcast(self, value: T) -> T:
        """What the process of rank 0 has given."""

    def gather(self, value: T) -> list[T]:
        """What each has given, in the order of ranks; [] but for the process of rank 0."""
