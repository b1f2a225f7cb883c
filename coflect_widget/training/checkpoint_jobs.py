"""Copies of a training's state on their way to the disk, and which of them may give way."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from coflect_widget.backends.state import Memory
from coflect_widget.records.checkpoint_files import SAID, Checkpoint, Score
from coflect_widget.training.copied import Copied

#: Seconds to the first attempt after one that failed.
SOON = 2.0

Reason = Literal["time", "epoch", "best", "said", "asked", "knob", "finished", "stopped", "failed"]

#: Reasons for which nobody waits.
UNASKED = frozenset({"time", "epoch", "best"})
#: Reasons of a training's end.
ENDS = frozenset({"finished", "stopped", "failed"})


@dataclass(slots=True, eq=False)
class Job:
    """A copy on its way to the disk."""

    reason: Reason
    name: str
    score: Score | None
    copied: Copied = field(init=False)
    memory: Memory = field(default_factory=dict)
    seconds: float = 0.0  # that the copy took
    when: str = field(default_factory=lambda: datetime.now(UTC).isoformat("T", "seconds"))
    due: float = 0.0
    delay: float = SOON
    error: Exception | None = None
    tries: int = 0
    written: Future[Checkpoint] = field(default_factory=Future)


def needless_copies(jobs: Sequence[Job], at_work: Job | None, new: Job) -> list[Job]:
    """Those of `jobs` that wait and that `new` replaces: the older best, or the older other."""
    return [
        job
        for job in jobs
        if job is not at_work
        and not job.name
        and job.reason not in SAID
        and (job.score is None) == (new.score is None)
    ]


def to_give_up(jobs: Sequence[Job], at_work: Job | None, new: Job) -> Job | None:
    """Where no memory is left for `new`: the newest that waits of those from before words.

    The first ones stay, from which the run can be replayed. None gives way to another such one.
    """
    if new.reason in SAID:
        return None
    waiting = [job for job in jobs if job is not at_work and not job.name and job.reason in SAID]
    return waiting[-1] if waiting else None


def pass_on(done: Future[Checkpoint], to: Future[Checkpoint]) -> None:
    """Give what one future has become to another that waits."""
    if to.done():
        return
    error = done.exception()
    if error is not None:
        to.set_exception(error)
    else:
        to.set_result(done.result())
