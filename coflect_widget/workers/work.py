"""What a pool's workers are for: functions, which travel by their import path."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Work:
    """One kind of work; functions that a worker calls are those of importable modules.

    Attributes
    ----------
    prepare : callable ()
        Called in a worker before its first job, and where workers are forked in the process
        that forks them too: the second time it does nothing. It raises `WorkRefusedError` where
        no worker can do this work.
    answer : callable (job) -> answer
        Called in a worker for each job; it does not raise.
    lost : callable (answer) -> str or None
        Why the worker that gave this answer has to be replaced; called in the kernel.
    imports : tuple of str
        Modules that a process which forks workers imports beforehand; one that is missing is
        passed over.
    forkable : bool
        Whether workers may be forked from a process that has made it ready.
    """

    prepare: Callable[[], object]
    answer: Callable[[Any], Any]
    lost: Callable[[Any], str | None]
    imports: tuple[str, ...] = ()
    forkable: bool = False
