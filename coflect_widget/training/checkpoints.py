"""Checkpoints: when one is taken, which are kept, and what becomes of them on a full disk.

At a step boundary the state is copied into memory that is used again, and training goes on; a
thread writes it, has file and folder on disk, and only then is it announced. What the disk refuses
stays in that memory and is tried again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from pathlib import Path

from coflect_widget.backends.state import Memory
from coflect_widget.records.checkpoint_files import (
    Checkpoint,
    Score,
    find_checkpoints,
    needless,
    remove,
    sweep,
    write_checkpoint,
)
from coflect_widget.records.journal import remedy
from coflect_widget.training.checkpoint_jobs import (
    ENDS,
    SOON,
    UNASKED,
    Job,
    Reason,
    needless_copies,
    pass_on,
    to_give_up,
)
from coflect_widget.training.controls import Controls
from coflect_widget.training.copied import Copied

#: Seconds between attempts, which double from `SOON` on, at most.
LONGEST = 60.0
#: Seconds that a training's end, and `close`, wait for the disk.
PATIENCE = 60.0
#: Seconds after the last one from which on an epoch's end is worth one.
OFTEN = 10.0
#: Copies that may be in memory: one is written, one waits, one is the best and waits its turn.
COPIES = 3
#: The best one waits until this many times what the last one took to write has passed, so that
#: epochs which are shorter than a write do not keep the disk busy all the time.
PACE = 20.0
#: Notices are an alarm of this kind, which is over once a checkpoint is on disk again.
ALARM = "checkpoint"


class CheckpointKeeper:
    """Takes, writes and keeps the checkpoints of one session.

    Parameters
    ----------
    run : Path
        The run folder.
    controls : Controls
    copy : callable (memory) -> Copied
        Copies the state; at a step boundary of the thread that trains, or while nothing trains.
    step : callable () -> int
        Steps done.
    minutes : float
        Between two checkpoints of a training; 0 for none but at ends, for the best, and before
        what a person says.
    announce : callable (Checkpoint, seconds)
        One is on disk; it took so many seconds to copy.
    alarm : callable (text, over)
        Checkpoints cannot be written, or can be again.
    settle : callable ()
        Has the events so far on disk, before a checkpoint says that it knows them.

    Attributes
    ----------
    copying : float
        Seconds that copies took of training, together.
    """

    def __init__(
        self,
        run: Path,
        controls: Controls,
        copy: Callable[[Memory], Copied],
        *,
        step: Callable[[], int],
        minutes: float,
        announce: Callable[[Checkpoint, float], object],
        alarm: Callable[[str, bool], object],
        settle: Callable[[], object],
    ) -> None:
        self._run = run
        self._controls = controls
        self._copy = copy
        self._step = step
        self._period = 60 * minutes or float("inf")
        self._announce = announce
        self._alarm = alarm
        self._settle = settle
        self.copying = 0.0
        self._changed = threading.Condition()
        self._jobs: list[Job] = []  # oldest first; one that the disk refused is among them
        self._at_work: Job | None = None
        self._spare: list[Memory] = []
        self._copies = 0
        self._due = float("inf")  # when the next one is to be taken
        self._newest: int | None = None  # step of the newest copy
        self._said: int | None = None  # step of the newest one that `before` kept
        self._taken_at = time.monotonic()  # the newest copy
        self._quiet_until = 0.0  # for the best one
        self._best: Score | None = None
        self._known = False
        self._alarmed = False
        self._closing = False
        self._thread: threading.Thread | None = None

    # --- on the thread that trains -----------------------------------------------------------

    def began(self) -> None:
        """A training begins."""
        self._look_at_folder()
        with self._changed:
            self._taken_at = now = time.monotonic()
            self._due = now + self._period
            self._start()

    def epoch_done(self, score: Score | None) -> None:
        """An epoch has ended, with this validation."""
        better = score is not None and score.beats(self._best)
        if better:
            self._best = score
        due = time.monotonic() - self._taken_at >= min(self._period, OFTEN)
        if better or (due and self._period < float("inf")):
            self._taken("best" if better else "epoch", score=score if better else None)

    def ended(self, reason: Reason) -> Future[Checkpoint]:
        """A training has ended: keep its state, and write it before anything else."""
        self._look_at_folder()
        with self._changed:
            self._due = float("inf")
            for job in self._jobs:
                job.due = 0.0
        return self._taken(reason)

    def now(self, reason: Reason) -> None:
        """Keep the state as it is, at this step boundary, or while nothing trains."""
        self._look_at_folder()
        self._taken(reason)

    def before(self, reason: Reason = "said") -> None:
        """What a person says comes into force at this boundary: keep the state, once a step."""
        if self._said != (step := self._step()):
            self._said = step
            self.now(reason)

    def went_back(self) -> None:
        """The run has gone back, and its record says so: the best is that of this course."""
        best = find_checkpoints(self._run).best
        self._best = None if best is None else best.score

    # --- any thread --------------------------------------------------------------------------

    def take(self, name: str = "") -> Future[Checkpoint]:
        """Take one at the next step boundary; done once it is on disk."""
        answer: Future[Checkpoint] = Future()

        def taken() -> None:
            self._look_at_folder()
            self._taken("asked", name=name).add_done_callback(partial(pass_on, to=answer))

        def asked(done: Future[None]) -> None:
            error = done.exception()
            if error is not None:
                answer.set_exception(error)

        self._controls.submit(taken).add_done_callback(asked)
        return answer

    @property
    def unsaved(self) -> str | None:
        """What is not on disk and why, in sentences; None where everything is."""
        with self._changed:
            lost = [job for job in self._jobs if job.error is not None]
        if not lost:
            return None
        job = lost[-1]
        text = f"The checkpoint of step {job.copied.step} could not be written: {job.error}."
        if self._closing:
            return (
                f"{text} The session is closed and tries no more. The model still has its "
                "weights: save them elsewhere yourself."
            )
        return (
            f"{text} It is tried again every minute while the session is open, and at once by "
            f"session.stop(): make room for it in {self._run}."
        )

    def retry(self) -> bool:
        """Try again what is not on disk; True if all is there."""
        with self._changed:
            lost = [job for job in self._jobs if job.error is not None]
            tries = {job: job.tries for job in lost}
            for job in lost:
                job.due, job.delay = 0.0, SOON
            if lost:
                self._start()
            self._changed.notify_all()
            self._changed.wait_for(
                lambda: all(job not in self._jobs or job.tries > tries[job] for job in lost),
                PATIENCE,
            )
            return not any(job.error is not None for job in self._jobs)

    @property
    def settled(self) -> bool:
        """Whether all that was taken is on disk or refused, and what it replaces is removed."""
        with self._changed:
            return self._at_work is None and all(job.error for job in self._jobs)

    def drain(self, seconds: float = PATIENCE) -> bool:
        """Write now what waits, until all is on disk but what it refuses; False after `seconds`."""
        with self._changed:
            for job in self._jobs:
                job.due = job.due if job.error is not None else 0.0
            self._changed.notify_all()
            return self._changed.wait_for(
                lambda: self._at_work is None and all(job.error for job in self._jobs), seconds
            )

    def close(self) -> None:
        """Write what waits, try once more what was refused, then no more."""
        with self._changed:
            self._closing = True
            self._due = float("inf")
            for job in self._jobs:
                job.due = 0.0
            thread = self._thread
            self._changed.notify_all()
        if thread is not None and thread is not threading.current_thread():
            thread.join(PATIENCE)

    # --- taking ------------------------------------------------------------------------------

    def _taken(
        self, reason: Reason, *, name: str = "", score: Score | None = None
    ) -> Future[Checkpoint]:
        job = Job(reason, name, score)
        with self._changed:
            replaced = self._replaced_by(job)
            memory = self._memory()
            if memory is None and (given_up := to_give_up(self._jobs, self._at_work, job)):
                self._jobs.remove(given_up)
                replaced.append(given_up)
                memory = given_up.memory
        if memory is None:  # each is being written: soon one of them is there
            with self._changed:
                self._due = min(self._due, time.monotonic() + 1.0)
                self._alarmed = self._alarmed or reason in ENDS
            if reason in ENDS:  # also where an earlier alarm is not over: this one is lost
                self._alarm(
                    f"No checkpoint of the training's end, step {self._step()}, could be taken: "
                    "earlier ones still wait for the disk. session.checkpoint() takes one once "
                    "they are written.",
                    False,
                )
            job.written.set_exception(OSError("earlier checkpoints are still being written"))
            return job.written
        began = time.perf_counter()
        try:
            job.copied = self._copy(memory)
        except Exception as error:  # noqa: BLE001 - said; training does not depend on it
            with self._changed:
                self._spare.append(memory)
            self._say(f"The training's state cannot be copied: {error!r}. Training goes on.")
            job.written.set_exception(error)
        else:
            job.memory, job.seconds = memory, time.perf_counter() - began
            self.copying += job.seconds
            self._taken_at = time.monotonic()
            with self._changed:
                self._newest = job.copied.step
                if reason == "best":
                    job.due = self._quiet_until
                self._jobs.append(job)
                self._start()
                self._changed.notify_all()
        for old in replaced:
            job.written.add_done_callback(partial(pass_on, to=old.written))
        return job.written

    def _replaced_by(self, new: Job) -> list[Job]:
        """Take off the list what waits and is needless now: the older best, or the older other."""
        needless = needless_copies(self._jobs, self._at_work, new)
        for job in needless:
            self._jobs.remove(job)
            self._spare.append(job.memory)
            if job.error is not None and new.reason in UNASKED:  # the disk is as full as it was
                new.error, new.due, new.delay = job.error, job.due, job.delay
        return needless

    def _memory(self) -> Memory | None:
        if self._spare:
            return self._spare.pop()
        if self._copies >= COPIES:
            return None
        self._copies += 1
        return {}

    # --- the thread that writes -----------------------------------------------------------------

    def _start(self) -> None:
        if self._thread is None and not self._closing:
            self._thread = threading.Thread(
                target=self._serve, name="coflect-checkpoints", daemon=True
            )
            self._thread.start()

    def _serve(self) -> None:
        while True:
            with self._changed:
                job = self._next()
                while job is None:
                    now = time.monotonic()
                    if self._closing or not (self._jobs or self._due < float("inf")):
                        self._thread = None
                        self._changed.notify_all()
                        return
                    if now >= self._due:
                        self._due = now + self._period
                        break
                    until = min([self._due, *(one.due for one in self._jobs)])
                    self._changed.wait(min(until - now, threading.TIMEOUT_MAX))
                    job = self._next()
                self._at_work = job
            if job is None:
                self._take_in_time()
                continue
            self._write(job)
            with self._changed:
                self._at_work = None
                self._changed.notify_all()

    def _next(self) -> Job | None:
        """The job whose turn it is; when closing, each once."""
        now = time.monotonic()
        for job in reversed(self._jobs):  # the newest first: it is what a crash would miss
            if self._closing:
                if job.due == 0.0:
                    return job
            elif job.due <= now:
                return job
        return None

    def _take_in_time(self) -> None:
        if self._controls.owner is not None:
            self._controls.submit(self._in_time)

    def _in_time(self) -> None:
        """At a step boundary, some minutes after the last one; a training that holds has none."""
        if self._step() != self._newest:
            self._taken("time")

    def _write(self, job: Job) -> None:
        began = time.monotonic()
        try:
            checkpoint = self._written(job)
        except Exception as error:  # noqa: BLE001 - kept, said, and tried again
            with self._changed:
                first = job.error is None
                job.error, job.tries = error, job.tries + 1
                job.due = time.monotonic() + job.delay
                job.delay = min(2 * job.delay, LONGEST)
            if first:
                cure = remedy(error) if isinstance(error, OSError) else "see what it says"
                self._say(
                    f"The checkpoint of step {job.copied.step} could not be written: {error}. "
                    f"Training goes on, and it is tried again; {cure}."
                )
            if not job.written.done() and job.reason not in UNASKED:
                job.written.set_exception(error)
            return
        now = time.monotonic()
        with self._changed:
            self._jobs.remove(job)
            self._spare.append(job.memory)
            self._quiet_until = now + PACE * (now - began)
            if self._due < float("inf"):
                self._due = now + self._period
            lost = any(one.error is not None for one in self._jobs)
            over, self._alarmed = self._alarmed and not lost, self._alarmed and lost
        self._announce(checkpoint, job.seconds)
        if over:
            self._alarm("Checkpoints can be written again; what waited is on disk.", True)
        if not job.written.done():
            job.written.set_result(checkpoint)
        remove(needless(find_checkpoints(self._run)))

    def _written(self, job: Job) -> Checkpoint:
        contents, aliases, more = job.copied.contents()
        self._settle()
        score = job.score
        manifest = {
            "step": job.copied.step,
            "epoch": job.copied.epoch,
            "reason": job.reason,
            "name": job.name,
            "score": None
            if score is None
            else {"metric": score.metric, "direction": score.direction, "value": score.value},
            "when": job.when,
            **more,
        }
        return write_checkpoint(self._run / "checkpoints", manifest, contents, aliases)

    def _say(self, text: str) -> None:
        with self._changed:
            said, self._alarmed = self._alarmed, True
        if not said:
            self._alarm(text, False)

    def _look_at_folder(self) -> None:
        """Once: remove what a killed process left, and learn which the best one is."""
        if not self._known:
            self._known = True
            sweep(self._run)
            best = find_checkpoints(self._run).best
            self._best = self._best or (None if best is None else best.score)
