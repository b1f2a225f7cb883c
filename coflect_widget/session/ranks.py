"""The processes that train with this one: joined as a training begins, and heard beside it.

What takes effect at one step of all goes through `training.together`. A thread does the rest: in
the process of rank 0 it takes in what the others have seen, in each other it sends that; in all of
them it looks whether one has failed.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Mapping
from typing import Any, Protocol

from coflect_widget import events
from coflect_widget.distributed.frames import pack, unpack
from coflect_widget.distributed.group import Fault, Group, RankFailedError
from coflect_widget.distributed.orders import Act, act_of
from coflect_widget.process.closing import Closing
from coflect_widget.session.following import Doing, Follower
from coflect_widget.telemetry.seen import KIND, Seen
from coflect_widget.training.non_finite import Culprits

#: Seconds between two looks of the thread, and between two at whether another process has failed.
PERIOD, FAULT_PERIOD = 0.1, 0.5
#: Steps in one message, and seconds that the end of a training waits for the last ones.
TOGETHER, LAST = 32, 5.0
_NOT_MET = (
    "this process is one of several (the variable RANK or LOCAL_RANK says so), and they have not "
    "met: call torch.distributed.init_process_group('gloo') before the training begins, or start "
    "the script in one process"
)
_MADE_EARLY = (
    "this session was made before its process knew its rank; call "
    "torch.distributed.init_process_group(...) first, and then make the session"
)


class _Side(Protocol):
    """What a process of a group does beside its training."""

    def look(self) -> None:
        """Take in, or send, what waits."""

    def end(self) -> None:
        """The training ends: nothing that was seen in it is left behind."""


class Ranks(Closing):
    """The group of a session; until a training begins, it is not known.

    Parameters
    ----------
    parts : session.parts.Parts
    observer : session.observer.Observer
    """

    def __init__(self, parts: Any, observer: Any) -> None:
        self._parts = parts
        self._observer = observer
        self._group: Group | None = None
        self._side: _Side | None = None
        self._early: list[Act] = []  # done before the processes have met
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self.fault: Fault | None = None

    @property
    def rank(self) -> int:
        """Of this process; 0 where it trains alone."""
        return 0 if self._group is None else self._group.rank

    @property
    def size(self) -> int:
        """Processes that train together, as far as known."""
        return 1 if self._group is None else self._group.size

    def join(self, *, ours: bool) -> None:
        """Meet the other processes, if there are any; all call it as their training begins.

        Parameters
        ----------
        ours : bool
            Whether the session's own loop trains, which then goes over a share of the data.

        Raises
        ------
        RuntimeError
            If this is one of several processes, which have not met; or one of them has failed.
        ValueError
            If the model is none that they can train together.
        """
        parts = self._parts
        if self.fault is not None:
            raise RuntimeError(
                f"a process of this training has failed ({self.fault.text}); start the script anew"
            )
        if self._group is None:
            group: Group = parts.backend.group()
            if group.size == 1:
                if parts.backend.follows:
                    raise RuntimeError(_NOT_MET)
                return
            if (group.rank > 0) != parts.backend.follows:
                raise RuntimeError(_MADE_EARLY)
            self._group = group
            self._meet(group)
        if ours:
            parts.backend.share(self._group)

    def done(self, record: object) -> None:
        """A person did this here; the others do it at the same step. On the training thread."""
        act = act_of(record)
        if act is None or self._parts.backend.follows:
            return
        if self._parts.loop.together is None:
            self._early.append(act)
        else:
            self._parts.loop.together.done(act)

    def end(self) -> None:
        """A training ends, on its thread: wait a moment for what was seen in it."""
        if self._side is not None and self.fault is None:
            self._side.end()

    def recorded(self, error: BaseException) -> bool:
        """Whether the failure of another process, which this one tells of, is on record."""
        return self.fault is not None and isinstance(error, RankFailedError)

    def close(self) -> None:
        """End the thread."""
        self._closing.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(LAST)

    # --- the thread ----------------------------------------------------------------------------

    def _meet(self, group: Group) -> None:
        parts = self._parts
        parts.loop.join(group, Doing(parts))
        assert parts.loop.together is not None  # noqa: S101 - narrows the type
        for act in self._early:
            parts.loop.together.done(act)
        self._early = []
        leads = group.rank == 0
        self._side = Hearing(parts, group) if leads else Sending(parts, self._observer, group)
        if group.rank == 0:
            parts.tell.notice(
                "info",
                f"{group.size} processes train together. They are steered here; each sees its "
                "share of the data, and the figures are those of all.",
            )
        self._thread = threading.Thread(target=self._run, name="coflect-ranks", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        looked = 0.0
        while self.fault is None and not self._closing.wait(PERIOD):
            try:
                if self._side is not None:
                    self._side.look()
                now = time.monotonic()
                if now - looked >= FAULT_PERIOD:
                    looked = now
                    self._look_for_fault()
            except Exception as error:  # noqa: BLE001 - the training goes on without telemetry
                if self._parts.loop.running and not self._closing.is_set():
                    self._say(f"Other processes of this training cannot be heard: {error}")
                    self._closing.wait(5.0)

    def _look_for_fault(self) -> None:
        group, parts = self._group, self._parts
        fault = None if group is None else group.fault()
        if group is None or fault is None:
            return
        self.fault = fault
        parts.tell.emit(
            events.Failure(
                error=f"The process of rank {fault.rank} has failed: {fault.text}",
                traceback=fault.trace,
                remedy="Mend what it names, and start the script anew: processes that have lost "
                "one of them cannot train on.",
            )
        )
        parts.stream.flush()  # before that process ends, and the launcher ends all
        group.know()

    def _say(self, text: str) -> None:
        self._parts.tell.warn(text)
        sys.stderr.write(f"coflect: {text}\n")


class Hearing:
    """In the process of rank 0: takes in what the others have seen, and what is asked for there."""

    def __init__(self, parts: Any, group: Group) -> None:
        self._parts, self._group = parts, group
        self._lock = threading.Lock()
        self._ended: set[int] = set()

    def look(self) -> None:
        """Take in what waits."""
        with self._lock:
            for rank, message in self._group.received():
                self._take(rank, *unpack(message))

    def end(self) -> None:
        """Until all others have told the last of it, or for some seconds."""

        def told() -> bool:
            self.look()
            return len(self._ended) == self._group.size - 1

        self._parts.controls.serve(told, LAST, _nothing)
        self._ended.clear()

    def _take(self, rank: int, words: dict[str, Any], arrays: dict[str, Any]) -> None:
        parts = self._parts
        match words.get("kind"):
            case kind if kind == KIND:
                seen = Seen.from_message(words, arrays)
                parts.forecaster.mark(lambda: parts.forecaster.take_in(seen))
            case "ended":
                self._ended.add(rank)
            case "notice":
                parts.tell.warn(f"Rank {rank}: {str(words['text'])[:2000]}")
            case "order" if words["order"] in ("pause", "resume", "stop"):
                parts.desk.order(words["order"])
            case "non_finite":
                found = Culprits(
                    tuple(int(k) for k in words["samples"]),
                    str(words["sentence"]),
                    in_data=bool(words["in_data"]),
                )
                what = f"{words['what']} in the process of rank {rank}"
                parts.holding.told(int(words["step"]), what, found)


class Sending:
    """In a process that follows: sends what its steps came to."""

    def __init__(self, parts: Any, observer: Follower, group: Group) -> None:
        self._group = group
        self._lock = threading.Lock()
        self._observer = observer
        self._observer.send, self._observer.flush = self.send, self.end
        parts.holding.send = parts.controls.send = self.send

    def send(self, words: Mapping[str, Any]) -> None:
        """A few words to the process of rank 0; any thread."""
        self._group.send(pack(words))

    def look(self) -> None:
        """Send what waits."""
        with self._lock:
            while steps := self._observer.waiting(TOGETHER):
                self._group.send(self._observer.message(steps), may_drop=True)

    def end(self) -> None:
        """Send what waits, and that it was the last."""
        self.look()
        self.send({"kind": "ended"})


def _nothing() -> None:
    """While others are waited for there is nothing to do but what a person asks for."""
