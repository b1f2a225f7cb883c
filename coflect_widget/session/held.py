"""What each part of `Session` reaches the parts behind it through."""

from __future__ import annotations

import os
from collections.abc import Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

from coflect_widget.records.run import Run
from coflect_widget.session.parts import Parts

T = TypeVar("T")

STEER_ELSEWHERE = (
    "several processes train together, and this one follows that of rank 0, in which the training "
    "is steered and shown: call it there alone, as in `if session.rank == 0:`"
)
STEER_BESIDE = (
    "several processes train together, and what is asked for in the body of a loop would be done "
    "in this one alone; ask from another thread, from the dashboard, or before the loop"
)


class Held:
    """Base of `Session` and of what is mixed into it."""

    classes: list[str]  #: their names
    _parts: Parts | None
    _run: Run
    _process: int  # that made the session
    _given: dict[str, Any]  #: arguments of the session, by name

    def close(self) -> None:
        """Stop training, end every worker and thread, and leave the run folder complete."""
        raise NotImplementedError

    def serve(self) -> Path:
        """Let other processes of this user show and steer the training."""
        raise NotImplementedError

    def _like(self, given: Mapping[str, Any]) -> Any:
        """Another `Session` of these arguments, whatever class this one is of."""
        raise NotImplementedError

    def _wait_for(self, future: Future[T], timeout: float, what: str) -> T:
        raise NotImplementedError

    def _made(self) -> Parts:
        if self._parts is None:
            raise RuntimeError("this session was not made; its constructor raised an error")
        return self._parts

    def _open(self) -> Parts:
        parts = self._made()
        if self._elsewhere:
            raise RuntimeError(
                "this process was forked from the one that made the session, which alone can "
                "train and steer it; make a new session here"
            )
        if parts.closed:
            raise RuntimeError("the session is closed; make a new one to go on")
        return parts

    def _led(self, *, steers: bool = True) -> Parts:
        """The same, of the process in which the training is steered.

        `steers`: what is asked for takes effect in all processes, and so at a boundary of all.
        """
        parts = self._open()
        if parts.backend.follows:
            raise RuntimeError(STEER_ELSEWHERE)
        if steers and parts.own_loop.several and parts.loop.on_this_thread:
            raise RuntimeError(STEER_BESIDE)
        return parts

    @property
    def _elsewhere(self) -> bool:
        """Whether this process is a fork of the session's: it has none of its threads."""
        return os.getpid() != self._process

    def _on_disk(self) -> None:
        """Have everything so far in the run folder."""
        if self._parts is not None and not self._elsewhere:
            self._parts.forecaster.drain(5)
            self._parts.stream.flush()
