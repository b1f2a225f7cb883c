"""What waits to be explained: two lanes, newest first, nothing twice, within a budget."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import Literal

from coflect_widget.attribution.errors import (
    ExplanationError,
    ExplanationSkippedError,
    SessionClosedError,
)
from coflect_widget.attribution.explanation import Explanation
from coflect_widget.events import Purpose
from coflect_widget.workers.pool import SlotName

#: Background requests that may wait; the oldest is skipped for a newer one.
MOST_WAITING = 32
#: Seconds of the rolling window that the budget counts in.
BUDGET_WINDOW = 60.0
#: Probes run while less than this share of the budget is spent; the rest is kept for overlays.
PROBE_SHARE = 0.5
#: Samples of one probe job: short enough that an overlay need not wait for it.
PROBE_SIZE = 64


@dataclass(slots=True)
class Counts:
    """Requests so far: answered, skipped for the budget or for newer ones, failed."""

    made: int = 0
    skipped: int = 0
    failed: int = 0
    non_finite: int = 0  #: of the failed: the map or the model's output was not finite
    seconds: float = 0.0  #: processor time of all workers, also of failed jobs
    person_seconds: float = 0.0  #: that part of it for which a person waited
    probed: int = 0  #: samples that were looked at for the forecast
    probe_seconds: float = 0.0  #: that part of `seconds` that it took


@dataclass(slots=True, eq=False)
class Request:
    """One sample that somebody or something wants explained."""

    index: int
    purpose: Purpose
    target: int | None
    at: tuple[float, ...] | None = None  #: place that a person pointed at, in fractions
    future: Future[Explanation] = field(default_factory=Future)

    @property
    def lane(self) -> SlotName:
        """Who serves it."""
        return "interactive" if self.purpose == "person" else "background"

    def same(self, other: Request) -> bool:
        """Whether one answer serves both."""
        return (self.index, self.target, self.at) == (other.index, other.target, other.at)

    def fail(self, error: ExplanationError) -> None:
        """End it with `error`, if nobody has cancelled it."""
        if self.future.done():
            return
        if self.future.running() or self.future.set_running_or_notify_cancel():
            self.future.set_exception(error)


@dataclass(frozen=True, slots=True, eq=False)
class ProbeRequest:
    """A few samples whose present outputs the forecast wants to know; lost where time is short."""

    indices: list[int]
    step: int | None = None  #: of the weights, where it must be these; else the newest
    purpose: Literal["probe"] = "probe"
    lane: SlotName = "background"


class RequestQueue:
    """The waiting requests of both lanes and the counters; safe from any thread.

    Parameters
    ----------
    budget : float
        Processor seconds a minute that background requests may use.
    """

    def __init__(self, budget: float) -> None:
        self.budget = budget
        self.closed = False
        self._counts = Counts()
        self._spent: deque[tuple[float, float]] = deque()  # when, processor seconds
        self._waiting: dict[SlotName, deque[Request]] = {
            "background": deque(),
            "interactive": deque(),
        }
        self._in_flight: dict[SlotName, Request] = {}
        self._to_probe: list[int] = []
        self._exact: tuple[int, int] | None = None  # step for so many of them
        self._changed = threading.Condition()

    @property
    def counts(self) -> Counts:
        """A copy of the counters."""
        with self._changed:
            return replace(self._counts)

    def put(self, request: Request) -> Request:
        """Queue `request`; returns it, or the one that waits for the same already."""
        dropped: Request | None = None
        with self._changed:
            if not self.closed:
                known = self._known(request)
                if known is not None:
                    return known
                waiting = self._waiting[request.lane]
                if request.lane == "background" and len(waiting) >= MOST_WAITING:
                    dropped = waiting.popleft()
                    self._counts.skipped += 1
                waiting.append(request)
                self._changed.notify_all()
        # Outside the lock: whoever waits for a future may call back at once.
        if self.closed:
            request.fail(SessionClosedError("the session is closed"))
        if dropped is not None:
            dropped.fail(ExplanationSkippedError("newer requests came before it"))
        return request

    def _known(self, request: Request) -> Request | None:
        for lane, waiting in self._waiting.items():
            for other in waiting:
                if other.same(request) and not other.future.cancelled():
                    waiting.remove(other)
                    if lane == "background" and request.purpose == "person":
                        other.purpose = "person"  # now somebody waits for it
                    self._waiting[other.lane].append(other)  # and it is the newest
                    self._changed.notify_all()
                    return other
        running = self._in_flight.get(request.lane)
        return running if running is not None and running.same(request) else None

    def probe(self, indices: Sequence[int], exact: tuple[int, int] | None = None) -> None:
        """Have these samples looked at when nothing else is to be done, instead of earlier ones.

        `exact` is (step, count): the first `count` are for the weights of that step.
        """
        with self._changed:
            if not self.closed:
                self._to_probe, self._exact = list(indices), exact
                self._changed.notify_all()

    def wait(self, lane: SlotName, timeout: float | None = None) -> bool:
        """Wait until `lane` has something to do, `timeout` seconds at most.

        False once the queue is closed.
        """
        with self._changed:
            self._changed.wait_for(lambda: self.closed or self._wanted(lane), timeout)
            return not self.closed

    def wanted(self, lane: SlotName) -> bool:
        """Whether `lane` has something to do."""
        with self._changed:
            return self._wanted(lane)

    def take(self, lane: SlotName) -> Request | ProbeRequest | None:
        """The newest request of `lane`, if there is one that is still wanted."""
        while True:
            with self._changed:
                if self.closed or not self._wanted(lane):
                    return None
                if not self._waiting[lane]:
                    chunk, self._to_probe = (
                        self._to_probe[:PROBE_SIZE],
                        self._to_probe[PROBE_SIZE:],
                    )
                    if not self._over_budget(PROBE_SHARE):
                        return ProbeRequest(chunk, self._take_step(len(chunk)))
                    self._to_probe = []
                    continue
                request = self._waiting[lane].pop()
                skip = lane == "background" and self._over_budget()
                if skip:
                    self._counts.skipped += 1
                else:
                    self._in_flight[lane] = request
            if skip:
                request.fail(ExplanationSkippedError("this minute's budget is spent"))
            elif request.future.set_running_or_notify_cancel():
                return request

    def _take_step(self, count: int) -> int | None:
        if self._exact is None:
            return None
        step, left = self._exact
        self._exact = (step, left - count) if left > count else None
        return step

    def _wanted(self, lane: SlotName) -> bool:
        return bool(self._waiting[lane]) or (lane == "background" and bool(self._to_probe))

    def _over_budget(self, share: float = 1.0) -> bool:
        now = time.monotonic()
        while self._spent and self._spent[0][0] < now - BUDGET_WINDOW:
            self._spent.popleft()
        return sum(seconds for _, seconds in self._spent) >= share * self.budget

    def spend(self, request: Request | ProbeRequest, seconds: float) -> None:
        """Count processor time that `request` used."""
        with self._changed:
            self._counts.seconds += seconds
            if isinstance(request, ProbeRequest):
                self._counts.probed += len(request.indices)
                self._counts.probe_seconds += seconds
            if request.lane == "interactive":
                self._counts.person_seconds += seconds
            else:
                self._spent.append((time.monotonic(), seconds))

    def answered(self, *, made: bool, non_finite: bool = False) -> None:
        """Count one request that was answered or has failed."""
        with self._changed:
            if made:
                self._counts.made += 1
            else:
                self._counts.failed += 1
                self._counts.non_finite += non_finite

    def skip(self, request: Request, error: ExplanationSkippedError) -> None:
        """End a request that is not to be served, and count it."""
        with self._changed:
            self._counts.skipped += 1
        request.fail(error)

    def done(self, lane: SlotName) -> None:
        """Nothing of `lane` is in flight any more."""
        with self._changed:
            self._in_flight.pop(lane, None)

    def close(self) -> None:
        """Fail what waits and let `take` return None."""
        with self._changed:
            self.closed = True
            self._to_probe = []
            waiting = [request for lane in self._waiting.values() for request in lane]
            for lane in self._waiting.values():
                lane.clear()
            self._changed.notify_all()
        for request in waiting:
            request.fail(SessionClosedError("the session was closed"))
