"""The one queue by which commands reach the training thread, at step boundaries only.

Any thread may submit. While nothing trains, a command runs at once on the thread that sends it.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextvars import copy_context
from functools import partial
from types import TracebackType
from typing import Self, TypeVar

T = TypeVar("T")

#: Of all sessions of this process those that train now; the lock is held while one begins to, and
#: while a command runs on the thread that sent it. It is taken before a session's own lock, and
#: under that one no command runs: it may ask for either.
_training: list[Controls] = []
_beginning = threading.RLock()


class Rest:
    """A short hold of the training for one thing that needs the processors; a context manager.

    It begins at the next step boundary and ends with the block, or after `most` seconds of it,
    whatever became of what was waited for. `begun` is called on the training thread once it
    rests, perhaps more than once, and must return at once.
    """

    def __init__(
        self, controls: Controls, most: float, begun: Callable[[], None] | None = None
    ) -> None:
        self._controls = controls
        self.left = most  #: seconds that training may still rest for it
        self.begun = begun

    @property
    def training(self) -> bool:
        """Whether anything trains that could rest."""
        return self._controls.owner is not None and not self._controls.paused

    def __enter__(self) -> Self:
        self._controls.begin_rest(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._controls.end_rest(self)


class Controls:
    """Pause, resume, stop, and everything else a person asks of a running training.

    Attributes
    ----------
    rested : float
        Seconds that training rested for maps that would have waited too long, and for the
        telemetry where it would have cost training more to go on beside it.
    rests : int
        How often it did.
    attention : bool
        One flag for the hot path: there is something to look at; set by this object alone.
    """

    def __init__(self) -> None:
        self._condition = threading.Condition(threading.RLock())
        self._queue: deque[tuple[Callable[[], object], Future[object]]] = deque()
        self._owner: threading.Thread | None = None
        self._pausing = False
        self._stopping = False
        self._until: Callable[[], bool] | None = None  # hold again once this is true
        self._look: Callable[[], bool] | None = None  # at each boundary, while this is true
        self.attention = False
        self._rests: list[Rest] = []
        self._no_rest_before = 0.0
        self.rested = 0.0
        self.rests = 0

    def submit(self, action: Callable[[], T]) -> Future[T]:
        """Run `action` at the next step boundary, or at once if nothing trains.

        The future carries what `action` returns or raises. `action` has the context variables of
        whoever asks: who that is goes into the record.
        """
        action = partial(copy_context().run, action)
        future: Future[T] = Future()
        if self._owner is threading.current_thread():
            _run(action, future)
        elif not self._queued(action, future):
            with _beginning:  # none begins to train meanwhile
                if not self._queued(action, future):
                    _run(action, future)
        return future

    def _queued(self, action: Callable[[], T], future: Future[T]) -> bool:
        """Leave it to the thread that trains; False if nothing trains."""
        with self._condition:
            if self._owner is None:
                return False
            self._queue.append((action, future))  # type: ignore[arg-type]
            self.attention = True
            self._condition.notify_all()
            return True

    def pause(self) -> None:
        """Hold the training thread at its next step boundary; nothing to hold, nothing done."""
        with self._condition:
            if self._owner is None:
                return
            self._pausing = True
            self._until = None
            self.attention = True
            self._condition.notify_all()

    def resume(self, until: Callable[[], bool] | None = None) -> None:
        """Let a held training go on; with `until`, to the first boundary where it is true.

        `until` is called on the training thread, between two steps.
        """
        with self._condition:
            self._pausing = False
            self._until = until
            self.attention = self.attention or until is not None
            self._condition.notify_all()

    def stop(self) -> None:
        """End training at its next step boundary, held or not."""
        with self._condition:
            if self._owner is not None:
                self._stopping = True
                self.attention = True
                self._condition.notify_all()

    def look(self, look: Callable[[], bool]) -> None:
        """Have `look()` called at each step boundary from now on, until it says False.

        While nothing trains it waits for the training that comes. It must be quick.
        """
        with self._condition:
            self._look = look
            self.attention = True

    def rest(self, most: float, begun: Callable[[], None] | None = None) -> Rest:
        """Let training rest from its next step boundary on, inside ``with``, at most `most` s.

        Threads that compute in parallel spin while one of them is held up, so that a short job
        beside a training costs it several times the job's own time; resting costs it once.
        After a rest training goes on for at least as long as it rested.

        Parameters
        ----------
        most : float
            Seconds.
        begun : callable (), optional
            Called on the training thread when it rests, perhaps more than once.
        """
        return Rest(self, most, begun)

    def begin_rest(self, rest: Rest) -> None:
        """Ask for a rest; `Rest` does it on entering."""
        with self._condition:
            if self._owner is not None:
                self._rests.append(rest)
                self.attention = True
                self._condition.notify_all()  # it may rest already, for something else

    def end_rest(self, rest: Rest) -> None:
        """Let training go on; `Rest` does it on leaving."""
        with self._condition:
            if rest in self._rests:
                self._rests.remove(rest)
                self._condition.notify_all()

    def nudge(self) -> None:
        """Wake a held training so that it looks at what it does while held."""
        with self._condition:
            self._condition.notify_all()

    @property
    def paused(self) -> bool:
        """Whether training is, or is about to be, held."""
        return self._pausing

    @property
    def advancing(self) -> bool:
        """Whether training goes on to a boundary at which it is to hold again."""
        return self._until is not None

    @property
    def orders(self) -> bool:
        """Whether anything was asked for that may change the training, beyond a rest."""
        return bool(self._queue or self._stopping or self._pausing or self._until is not None)

    @property
    def resting(self) -> bool:
        """Whether training rests, or is to rest at its next step boundary."""
        return bool(self._rests)

    @property
    def owner(self) -> threading.Thread | None:
        """The thread that trains, None while nothing does."""
        return self._owner

    # --- for the training thread -----------------------------------------------------------

    def attach(self) -> None:
        """From now on the calling thread trains, and runs the commands."""
        with _beginning, self._condition:
            self._owner = threading.current_thread()
            self._stopping = False
            self.attention = True
            _training.append(self)

    def detach(self) -> None:
        """The calling thread trains no longer; what still waits runs now."""
        while self._owner is not None:
            with self._condition:
                item = self._queue.popleft() if self._queue else None
                if item is None:
                    self._owner = None
                    self._until = None
                    self._pausing = self._stopping = self.attention = False
                    self._rests.clear()
            if item is not None:
                _run(*item)
        with _beginning:
            if self in _training:
                _training.remove(self)

    def serve(
        self, done: Callable[[], bool], seconds: float, meanwhile: Callable[[], None]
    ) -> None:
        """Run commands, and `meanwhile()` again and again, until `done()` or `seconds` have passed.

        For the thread that trains while it waits for another, which may wait for a command.
        """
        until = time.monotonic() + seconds
        while not done() and time.monotonic() < until:
            meanwhile()
            with self._condition:
                if not self._queue:
                    self._condition.wait(timeout=0.02)
                item = self._queue.popleft() if self._queue else None
            if item is not None:
                _run(*item)

    def boundary(
        self,
        held: Callable[[bool], None],
        while_held: Callable[[], None] | None = None,
        *,
        orders: bool = True,
    ) -> bool:
        """Called between steps: runs commands, holds while paused. False: training must end.

        `held(True)` is called when a hold begins and `held(False)` when it ends by a resume;
        `while_held()` each time something wakes the thread meanwhile, also in a rest. Without
        `orders` training only rests here, and what else was asked for stays asked for.
        """
        if not self.attention:
            return True
        if not orders:
            self._only_rest()
            return True
        if self._look is not None and not self._look():
            self._look = None
        holding = False
        rested = 0.0
        while True:
            resting = False
            with self._condition:
                if self._until is not None and self._until():
                    self._pausing, self._until = True, None
                if not self._queue:
                    if self._stopping:
                        return False
                    if self._pausing:
                        if holding:
                            self._condition.wait(timeout=1.0)
                    elif self._may_rest(rested):
                        resting = True
                        rested += self._rest_a_while()
                    else:
                        self.attention = bool(
                            self._rests or self._until is not None or self._look is not None
                        )
                        break
                item = self._queue.popleft() if self._queue else None
            # Outside the lock: a command may take its time and others may submit meanwhile.
            if item is not None:
                _run(*item)
            elif self._pausing and not holding:
                holding = True
                held(True)
            if while_held is not None and (holding or resting):
                while_held()
        if rested:
            self.rests += 1
            self._no_rest_before = time.monotonic() + rested
        if holding:
            held(False)
        return True

    def _only_rest(self) -> None:
        rested = 0.0
        with self._condition:
            while self._may_rest(rested):
                rested += self._rest_a_while()
            self.attention = bool(self._rests or self.orders or self._look is not None)
        if rested:
            self.rests += 1
            self._no_rest_before = time.monotonic() + rested

    def _may_rest(self, rested: float) -> bool:
        return bool(self._rests) and (rested > 0 or time.monotonic() >= self._no_rest_before)

    def _rest_a_while(self) -> float:
        """Wait until something changes or the rest is used up; the seconds it took."""
        rest = self._rests[0]
        for each in self._rests:
            if each.begun is not None:
                each.begun()
        began = time.monotonic()
        self._condition.wait(rest.left)
        taken = time.monotonic() - began
        self.rested += taken
        rest.left -= taken
        if rest.left <= 0 and rest in self._rests:
            self._rests.remove(rest)
        return taken


def submit_between_steps(controls: Controls, action: Callable[[], T]) -> Future[T]:
    """As `Controls.submit`, and where another session of the process trains, between its steps.

    For what must not run beside a step of any training, because it draws from the process's
    random generators. A training that begins meanwhile waits until `action` has run.
    """
    with _beginning:
        for each in (controls, *_training):
            if each.owner is not None:
                return each.submit(action)
        return controls.submit(action)


def _run(action: Callable[[], object], future: Future[T]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        future.set_result(action())  # type: ignore[arg-type]
    except Exception as error:  # noqa: BLE001 - the sender gets it; training goes on
        future.set_exception(error)
    except BaseException as error:  # as where a data set calls sys.exit(): neither end is meant
        failed = RuntimeError(f"{error!r} was raised in the middle of it")
        failed.__cause__ = error
        future.set_exception(failed)
        if isinstance(error, KeyboardInterrupt) and _on_main_thread():
            raise  # a person's own, which meant the cell and not the command


def _on_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
