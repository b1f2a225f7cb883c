"""What steps left behind, from the training thread to the forecaster's, and marks between them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from itertools import count, repeat
from typing import NamedTuple

from coflect_widget.backends.base import StepOutput

#: Outputs taken off the backlog at once.
CHUNK = 512
#: (sequence number, step, epoch, output)
Item = tuple[int, int, int, StepOutput]


class Mark(NamedTuple):
    """A place in the stream of outputs."""

    after: int  # sequence number of the output before it
    callback: Callable[[], None]
    rests: bool  # whether training may rest for it


class Backlog:
    """Outputs and marks in their order: put by any thread, taken by one.

    Parameters
    ----------
    most : int
        Outputs that may wait; beyond it the oldest is dropped and counted.

    Attributes
    ----------
    dropped : int
        Outputs lost to a full backlog.
    sent, taken : int
        Outputs put, and taken off or dropped.
    """

    def __init__(self, most: int) -> None:
        self.dropped = self.sent = self.taken = 0
        # A full deque drops its oldest entry by itself; gaps in the numbers tell how many.
        self._waiting: deque[Item] = deque(maxlen=most)
        self._marks: deque[Mark] = deque()
        self._held: Item | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, step: int, epoch: int, outputs: tuple[StepOutput, ...]) -> None:
        """Add what steps of one epoch left behind, the last of them `step`; never blocks."""
        sent, done = self.sent, len(outputs)
        self.sent = sent + done
        numbers, steps = count(sent + 1), count(step - done + 1)
        self._waiting.extend(zip(numbers, steps, repeat(epoch), outputs, strict=False))

    def mark(self, callback: Callable[[], None], *, rests: bool) -> None:
        """Set a mark after all outputs until now; marks are never dropped."""
        self._marks.append(Mark(self.sent, callback, rests))

    @property
    def marks(self) -> tuple[Mark, ...]:
        """Marks that wait."""
        return tuple(self._marks)

    def take(self) -> list[Item]:
        """Next outputs, up to `CHUNK` and not beyond the next mark."""
        chunk: list[Item] = []
        while len(chunk) < CHUNK:
            item, self._held = self._held, None
            if item is None:
                try:
                    item = self._waiting.popleft()
                except IndexError:
                    break
            # Looked at only now: a mark is set before the outputs that come after it.
            if self._marks and self._marks[0].after < item[0]:
                self._held = item
                break
            self.dropped += item[0] - self.taken - 1
            self.taken = item[0]
            chunk.append(item)
        return chunk

    def due(self) -> Mark | None:
        """The next mark, if its turn has come; taken off."""
        before_held = self._held[0] - 1 if self._held is not None else self.taken
        if self._marks and self._marks[0].after <= before_held:
            return self._marks.popleft()
        return None
