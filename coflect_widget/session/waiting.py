"""The part of a `Session` whose calls wait for the training; none waits for ever in vain."""

from __future__ import annotations

import math
import sys
import time
import warnings
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import wait as wait_for_any
from typing import TYPE_CHECKING, Literal, TypeVar

from coflect_widget.backends.base import NonFiniteLossError
from coflect_widget.process.ending import wait_for_the_end
from coflect_widget.session.arguments import count
from coflect_widget.session.held import Held

if TYPE_CHECKING:
    from coflect_widget.session.parts import Parts

T = TypeVar("T")

#: Seconds that a dashboard which was made has for a browser to show it: a page that is loading,
#: or a notebook that is run without one, as nbconvert and papermill do.
BROWSER_SECONDS = 10.0
#: Seconds after which `wait` says that a person's pause is what it waits for.
SAY_SECONDS = 5.0


class Waits(Held):
    """Mixed into `Session`: pause, resume, step, stop, and wait."""

    def pause(self) -> None:
        """Hold training at the next step boundary; returns when it holds.

        It returns as well where somebody resumes meanwhile.
        """
        parts = self._open()
        parts.desk.order("pause")
        self._until(lambda state: state != "training" or not parts.controls.paused)
        self._settle(parts)

    def resume(self) -> None:
        """Go on after a pause; returns when training goes on, or is to hold again."""
        parts = self._open()
        changes = parts.loop.changes
        parts.desk.order("resume")
        # Training may hold again before anybody looks: on a loss that is not finite, or because
        # somebody has paused it again before it took notice of this.
        self._until(
            lambda state: state != "paused" or parts.loop.changes > changes or parts.controls.paused
        )

    def step(self, unit: Literal["step", "epoch"] | int = "step") -> None:
        """Train one step, or to the end of the epoch, or so many steps, then hold.

        Returns when it holds, and as well where somebody resumes meanwhile.

        Parameters
        ----------
        unit : {"step", "epoch"} or int

        Raises
        ------
        RuntimeError
            If nothing is training: `train` decides how long, `step` only divides it.
        """
        if unit not in ("step", "epoch"):
            try:
                unit = count(unit, "unit")
            except ValueError:
                raise ValueError(
                    f'unit={unit!r}; expected "step", "epoch" or a number of steps'
                ) from None
        parts = self._led()
        controls = parts.controls
        steps = unit if isinstance(unit, int) else 1
        if not parts.desk.advance("epoch" if unit == "epoch" else "step", steps):
            raise RuntimeError("nothing is training; train(epochs=...) first, then pause()")
        # A loss that is not finite holds training without a step.
        self._until(
            lambda state: not controls.advancing and (state == "paused" or not controls.paused),
            60 if steps == 1 else math.inf,
        )

    def stop(self) -> None:
        """End training at the next step boundary and write a checkpoint; returns when done.

        Where nothing trains, a checkpoint that could not be written is tried again. Warns if it
        is not on disk afterwards.
        """
        parts = self._open()
        if parts.loop.running:
            parts.desk.order("stop")
            if parts.own_loop.several and parts.loop.on_this_thread:
                return  # the other processes end with this one, at the end of this step
            if not parts.own_loop.close():
                parts.await_end()
        else:
            parts.checkpoints.retry()
        self._settle(parts)
        self._say_unsaved(parts)

    def wait(self, timeout: float | None = None) -> bool:
        """Block until training has ended.

        Warns if the checkpoint could not be written.

        Returns
        -------
        bool
            True when it has ended (or never began), False if `timeout` seconds passed first.

        Raises
        ------
        NonFiniteLossError
            If training holds because a loss was not finite, and no browser shows the dashboard
            in which somebody could resume it. Training stays paused: `resume` goes on.
        Exception
            What ended the training, if it failed.
        KeyboardInterrupt
            If interrupted; training is stopped cleanly first, with a checkpoint.
        """
        parts = self._open()
        parts.process.release_helpers()
        until = math.inf if timeout is None else time.monotonic() + timeout
        look = _Look(parts)
        try:
            # In slices, because a plain wait cannot be interrupted on every system.
            while not parts.loop.wait(min(0.2, max(0.0, until - time.monotonic()))):
                look.again(self.state)
                if time.monotonic() >= until:
                    return False
        except KeyboardInterrupt:
            self.stop()
            raise
        wait_for_the_end()
        parts.forecaster.drain(30)
        self._settle(parts)
        error = parts.loop.error
        if error is not None:
            raise error
        self._say_unsaved(parts)
        return True

    def _settle(self, parts: Parts) -> None:
        """What happened is on disk, and in what the cell shows without a browser."""
        parts.stream.flush()
        if not parts.loop.on_this_thread:  # what is shown may have to be read between two steps
            parts.holding.settle()

    @property
    def state(self) -> str:
        """One of "idle", "training", "paused", "stopped", "finished" and "failed"."""
        return self._made().loop.state

    def _say_unsaved(self, parts: Parts) -> None:
        if (text := parts.checkpoints.unsaved) is not None:
            warnings.warn(text, RuntimeWarning, stacklevel=3)

    def _wait_for(self, future: Future[T], timeout: float, what: str) -> T:
        """The future's result; by the second, so that a computer that sleeps uses up only one."""
        loop, left = self._made().loop, timeout
        while not future.done():
            if left <= 0:
                raise TimeoutError(f"{what} did not finish within {timeout:g} s")
            if loop.on_this_thread:  # in a loop of the user's own, nobody else would do it
                loop.serve(future.done, min(1.0, left))
            else:
                wait_for_any([future], min(1.0, left))
            left -= 1.0
        return future.result()

    def _until(self, reached: Callable[[str], bool], seconds: float = 60) -> None:
        """Wait until the loop has done what it was asked to; a long step may take its time."""
        until = time.monotonic() + seconds
        parts = self._made()
        if parts.loop.on_this_thread:  # in a loop of the user's own: it holds after this step
            return
        while parts.loop.running and not reached(self.state):
            if time.monotonic() >= until:
                warnings.warn(
                    f"training has not come to the end of its step within {seconds:g} s; it does "
                    "what it was told as soon as that is over",
                    RuntimeWarning,
                    stacklevel=3,
                )
                return
            time.sleep(0.005)


class _Look:
    """What `wait` finds while training holds: it says it once a pause, or ends the waiting."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._hold: int | None = None  # number of the state change that the pause is
        self._since = 0.0
        self._said = False

    def again(self, state: str) -> None:
        """Look at the training, a few times a second."""
        parts = self._parts
        if state != "paused":
            self._hold = None
            return
        now = time.monotonic()
        if self._hold != parts.loop.changes:
            self._hold, self._since, self._said = parts.loop.changes, now, False
        held, broken = now - self._since, parts.holding.broken
        if broken is None:
            if held >= SAY_SECONDS:
                self._say(f"wait(): training is paused at step {parts.loop.step}. {_GO_ON}")
            return
        if parts.holding.watched:
            self._say(f"wait(): {broken} Press Resume or Stop in this session's dashboard.")
        elif not parts.holding.screens or held >= BROWSER_SECONDS:
            raise NonFiniteLossError(
                f"{broken} Training stays paused; this call would wait for ever, because no "
                "dashboard is shown in which somebody could press Resume."
            )

    def _say(self, text: str) -> None:
        if not self._said:
            self._said = True
            sys.stderr.write(f"{text}\n")
            sys.stderr.flush()


_GO_ON = (
    "It goes on when somebody presses Resume in the dashboard, or calls session.resume() in "
    "another thread; interrupt this call to stop the training."
)
