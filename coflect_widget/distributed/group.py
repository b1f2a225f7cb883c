"""Several processes that train one model together: who am I, what do we do, what has each.

The process of rank 0 leads: a person steers there, and there is the run folder. The others follow.
At each step boundary all `agree` whether there is something to hear; the answer comes one step
later, so that none waits for another. Only where there is, the leader tells and the others hear.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol


class RankFailedError(RuntimeError):
    """Another process of the training has failed, and the training ends with it."""


class Fault(NamedTuple):
    """What ended one process of a group."""

    rank: int
    text: str  #: one line
    trace: str = ""  #: where it was raised, many lines; may be empty


class Group(Protocol):
    """Processes that take each step together.

    `agree`, `tell` and `hear` are called by all processes in the same order, on the thread that
    trains. The others may be called on any thread.

    Attributes
    ----------
    rank : int
        Of this process, in [0, size).
    size : int
    """

    @property
    def rank(self) -> int: ...  # noqa: D102 - see above

    @property
    def size(self) -> int: ...  # noqa: D102 - see above

    def agree(self, wish: bool) -> bool:  # noqa: FBT001 - the one argument
        """Whether any process wished it when all called this the last time; at first False."""

    def tell(self, message: bytes) -> None:
        """Give all other processes a message; of rank 0, while the others `hear`."""

    def hear(self) -> bytes:
        """The message that rank 0 tells; of any other rank."""

    def send(self, message: bytes, *, may_drop: bool = False) -> bool:
        """Leave a message for rank 0, which is not waited for.

        False where many wait already and this one was dropped.
        """

    def received(self) -> list[tuple[int, bytes]]:
        """Rank of the sender and message, of all that were sent since the call before; of rank 0.

        Those of one sender come in the order in which it sent them.
        """

    def fail(self, fault: Fault, patience: float) -> None:
        """Have the others know that this process fails; waits until they do, or `patience` s."""

    def fault(self) -> Fault | None:
        """What another process said to `fail` of, if any did."""

    def know(self) -> None:
        """The fault of another process is on record here: it need not wait for this one."""
