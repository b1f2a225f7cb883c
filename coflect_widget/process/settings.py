"""What one session sets for its whole process, and puts back; one setting has it set nothing."""

from __future__ import annotations

from coflect_widget.process import openmp
from coflect_widget.process.freed_memory import KeptMemory
from coflect_widget.process.turns import ShortTurns


class ProcessSettings:
    """Freed memory and turns while a training runs, OpenMP's helpers around it.

    Parameters
    ----------
    touch : bool
        Whether the process may be touched; if not, every method does nothing.
    """

    def __init__(self, *, touch: bool = True) -> None:
        self._touch = touch
        self._memory = KeptMemory()
        self._turns = ShortTurns()

    def find_out(self) -> None:
        """Look which libraries are loaded by now, and what a notebook's cells leave behind."""
        if self._touch:
            openmp.find_runtimes()
            openmp.release_after_each_cell()

    def begin(self) -> None:
        """A training begins."""
        if self._touch:
            self._memory.keep()
            self._turns.shorten()

    def end(self) -> None:
        """The training has ended; harmless where none began."""
        self._memory.give_back()
        self._turns.restore()

    def release_helpers(self) -> None:
        """Give back the OpenMP helpers of the calling thread."""
        if self._touch:
            openmp.release_helpers()
