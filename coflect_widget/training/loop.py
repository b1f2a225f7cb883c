"""The training thread: batches, steps, epochs, and nothing that has to wait for others.

Each step does three things beside training: it looks at one flag for commands, at one for a
wanted snapshot, and puts a reference to what it computed on a list. The rest is done for some
steps at once: a step fills the processor's caches, and a line of Python after it takes long.
"""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable, Mapping
from typing import Any

from coflect_widget.backends.base import Backend, NonFiniteLossError, StepOutput
from coflect_widget.distributed.group import Group
from coflect_widget.distributed.orders import Act
from coflect_widget.events import RunState
from coflect_widget.process.settings import ProcessSettings
from coflect_widget.training.controls import Controls
from coflect_widget.training.listeners import Observer, SnapshotSlots
from coflect_widget.training.stopping import wait_for_stop
from coflect_widget.training.thread_time import ThreadTime
from coflect_widget.training.together import Together

#: Steps that are told of at once, at most, and for how many seconds of them the others wait.
TOGETHER, LATE = 32, 0.5

_NO_SNAPSHOT = (
    "The weights cannot be copied for maps and effects any more ({error}); training goes on "
    "without. If the model's structure was changed, as by pruning or with a new last layer, make a "
    "new Session of it."
)


class TrainingLoop:
    """Trains `backend` in a thread of its own, or is driven step by step from outside.

    A loop that somebody else wrote calls `enter`, after each step `advance`, after each epoch
    `epoch_done`, and at the end `leave`, all on one thread.

    Attributes
    ----------
    step : int
        Optimizer steps done since the session began.
    epoch : int
        Epochs completed.
    state : RunState
    error : BaseException or None
        What ended the last training, if it failed.
    time : ThreadTime
        What the thread's time went to.
    ours : bool
        Whether the newest training ran in a thread of this loop, and not in the user's code.
    together : Together or None
        What is said at step boundaries to the processes that train with this one, if any do.
    """

    def __init__(
        self,
        backend: Backend,
        controls: Controls,
        snapshots: SnapshotSlots,
        observer: Observer,
        process: ProcessSettings | None = None,
    ) -> None:
        self.backend = backend
        self.controls = controls
        self.snapshots = snapshots
        self.observer = observer
        self.step = 0
        self.epoch = 0
        self.state: RunState = "idle"
        self.changes = 0  # of the state
        self.error: BaseException | None = None
        self.target_step = 0
        self.time = ThreadTime()
        self._recent: list[StepOutput] = []  # steps that nobody was told of yet
        self._stepped: float | None = None  # when the newest of them ended, if not just now
        self._together = 1  # how many are told of next
        self._batch_in_epoch = 0
        self._begun = False
        self.whole_epochs = False
        self._taken_up = False  # a place that was not gone on from yet
        self.ours = True  # whether the newest training was in a thread of this loop
        self._done = threading.Event()
        self._done.set()
        self._thread: threading.Thread | None = None
        self._one_writer = threading.Lock()
        self._for_next_epoch: list[Callable[[], None]] = []
        self._validating = False
        self._snapshot_failed = False  # and a person was told so
        self.together: Together | None = None
        self._process = process or ProcessSettings()

    @property
    def running(self) -> bool:
        """Whether a training is under way, held or not."""
        return not self._done.is_set()

    @property
    def left(self) -> tuple[int, bool]:
        """Steps that a stopped, failed or resumed training has left, and whether in whole epochs.

        0 while one is running, and of a loop of the user's own, which only that loop can go on.
        """
        ended = self.state in ("stopped", "failed") or self._taken_up
        if self.running or not self.ours or not ended:
            return 0, False
        return max(0, self.target_step - self.step), self.whole_epochs

    @property
    def begun(self) -> int:
        """Batches that the present epoch has had already; all, where its validation is to come."""
        return self._batch_in_epoch

    def place(self) -> dict[str, Any]:
        """Where the training is, at a step boundary, for a checkpoint."""
        return {
            "step": self.step,
            "epoch": self.epoch,
            "batch": self._batch_in_epoch,
            "begun": self._begun,
            "per_epoch": self.backend.steps_per_epoch,
            "target": self.target_step,
            "whole_epochs": self.whole_epochs,
        }

    def take(self, place: Mapping[str, Any]) -> None:
        """Go on from the place of a checkpoint; while nothing trains."""
        self.step, self.epoch = int(place["step"]), int(place["epoch"])
        self._batch_in_epoch = int(place["batch"])
        self.target_step = int(place["target"])
        self.whole_epochs = bool(place["whole_epochs"])
        self._taken_up = True

    @property
    def ends_epoch(self) -> bool:
        """Whether all batches of the present epoch are done, and its validation is to come."""
        return 0 < self._batch_in_epoch == self.backend.steps_per_epoch

    def join(self, group: Group, do: Callable[[Act], None]) -> None:
        """Train with the processes of `group` from now on, and do what rank 0 did with `do`."""
        self.together = Together(group, self, self.controls, do)

    def at_next_epoch(self, change: Callable[[], None]) -> None:
        """Have `change()` done before the next epoch's first batch; at once between two epochs.

        It may change how many steps an epoch has. At a step boundary, or while nothing trains.
        """
        self._for_next_epoch.append(change)
        if not self._batch_in_epoch and not self._validating:
            self._change()

    @property
    def at_epoch(self) -> list[Callable[[], None]]:
        """What is to be done before the next epoch's first batch."""
        return list(self._for_next_epoch)

    def _change(self) -> None:
        if not self._for_next_epoch:
            return
        epochs = (self.target_step - self.step) / self.backend.steps_per_epoch
        changes, self._for_next_epoch = self._for_next_epoch, []
        for change in changes:
            change()
        if self.whole_epochs and self.running:
            self.target_step = self.step + round(epochs * self.backend.steps_per_epoch)
        self.observer.resized()

    def wait_for_stop(self) -> bool:
        """Wait for a training that was told to stop; False where it does not come to its end."""
        return wait_for_stop(self.wait, lambda: self.controls.owner, lambda: self.time.speed)

    def steps_for_epochs(self, epochs: int) -> int:
        """Steps from here to the end of `epochs` epochs; a begun one counts as the first."""
        return epochs * self.backend.steps_per_epoch - self._batch_in_epoch

    def start(self, steps: int, *, whole_epochs: bool = False) -> None:
        """Train `steps` more steps in a new thread; returns when that thread has taken over.

        With `whole_epochs` a batch that is left out counts as trained on.
        """
        if self.running:
            raise RuntimeError("training is already running; stop() it first, or wait() for it")
        self.target_step = self.step + steps
        self.whole_epochs, self.ours = whole_epochs, True
        self._taken_up = self._validating = False
        self.error = None
        self._done.clear()
        if self.together is not None:
            self.together.begin()
        ready = threading.Event()
        self._thread = threading.Thread(
            target=self._run, args=(ready,), name="coflect-training", daemon=True
        )
        self._thread.start()
        ready.wait()

    def wait(self, timeout: float | None) -> bool:
        """Block until the training has ended; False if `timeout` seconds passed first.

        Raises
        ------
        RuntimeError
            If the calling thread is the one that trains: it would wait for itself.
        """
        if self.on_this_thread:
            raise RuntimeError("this thread trains; it cannot wait for its own end")
        return self._done.wait(timeout)

    @property
    def on_this_thread(self) -> bool:
        """Whether the calling thread trains, as inside the body of a user's own loop."""
        return self.running and self.controls.owner is threading.current_thread()

    def snapshot_now(self) -> bool:
        """Take the wanted snapshot on the calling thread, if nothing trains or it is the one.

        While another trains, that one does it at its next boundary.
        """
        if self.running and not self.on_this_thread:
            self.controls.nudge()
            return False
        self._take_snapshot()
        return True

    def serve(self, done: Callable[[], bool], seconds: float) -> None:
        """Do what others ask for while the calling thread, which trains, waits for them."""
        self.controls.serve(done, seconds, self._take_snapshot_if_wanted)

    # --- on the thread that trains -----------------------------------------------------------

    def enter(self, steps: int) -> None:
        """The calling thread trains from now on, `steps` more steps as far as it knows."""
        if self.running:
            raise RuntimeError("training is already running; stop() it first, or wait() for it")
        self.target_step, self.ours = self.step + steps, False
        self.error = None
        self._batch_in_epoch = 0  # an epoch that our own order began cannot be gone on with
        self._done.clear()
        if self.together is not None:
            self.together.begin()
        self._process.begin()
        self.controls.attach()
        self._set_state("training", by="train")
        self.time.turn("training")

    def advance(self, output: StepOutput | None) -> bool:
        """One step was done (None: no step, only a place to hold). False: training must end."""
        if output is not None:
            self.record(output)
        return self._boundary()

    def record(self, output: StepOutput) -> None:
        """One step was done, and no other comes after it in its loop."""
        self.step += 1
        self._recent.append(output)
        self._stepped = self.time.now()  # a validation may come before they are told of
        if len(self._recent) >= self._together:
            self._tell()

    def validate(self) -> dict[str, float] | None:
        """What the validation data give, the same in all processes; None: training must end."""
        if self.together is None:
            return self.backend.evaluate(self._boundary)
        return self.together.validated(self.backend.evaluate)

    def epoch_done(self, validation: dict[str, float]) -> None:
        """An epoch was trained and validated."""
        self._tell()
        self.time.epoch_done()
        self._batch_in_epoch = 0
        self.observer.epoch_ended(self.step, self.epoch + 1, validation)
        self.epoch += 1  # last: who sees the number finds the epoch's figures
        self.observer.epoch_counted(validation)
        self.time.turn("training")

    def leave(self, end: RunState, error: BaseException | None = None) -> None:
        """The calling thread trains no longer."""
        trace = "" if error is None else "".join(traceback.format_exception(error))
        if error is not None and self.together is not None:
            error = self.together.failed(error, trace)
        self.error = error or self.error
        try:
            self._tell()
            self.time.turn("elsewhere")
            if error is not None:
                self.observer.failed(error, trace)
            self.observer.ended(end)
        finally:  # whoever waits for the end must not wait for ever
            try:
                self._process.end()
                self.controls.detach()
                self._set_state(end, by="train")
            finally:
                self._done.set()

    def _run(self, ready: threading.Event) -> None:
        end: RunState = "failed"
        failure: BaseException | None = None
        self._process.begin()
        self.controls.attach()
        try:
            self._set_state("training", by="train")
            ready.set()
            if not self._begun:
                self.backend.begin()
                self._begun = True
            self.time.turn("training")
            end = self._train()
            self.backend.finish()
        except Exception as error:  # noqa: BLE001 - shown, recorded and re-raised by wait()
            failure = error
        except BaseException as error:  # noqa: BLE001 - a data set's sys.exit() ends no script
            failure = RuntimeError(f"training ended because {error!r} was raised in it")
            failure.__cause__ = error
        finally:
            ready.set()
            self.leave(end, failure)

    def _train(self) -> RunState:
        backend, controls, snapshots = self.backend, self.controls, self.snapshots
        several = self.together is not None
        if not self._boundary():
            return "stopped"
        if self.ends_epoch and not self._end_epoch():
            return "stopped"
        while self.step < self.target_step:
            if not self._batch_in_epoch:
                self._change()
            per_epoch = backend.steps_per_epoch
            for batch in backend.train_batches(self.epoch, skip=self._batch_in_epoch):
                try:
                    output = backend.train_step(batch)
                except NonFiniteLossError as error:
                    self._batch_in_epoch += 1  # the batch is left out; no weight has changed
                    if self.whole_epochs:
                        self.target_step -= 1
                    controls.pause()
                    if self.together is not None:
                        self.together.begin()
                    error.batch = error.batch or batch
                    self.observer.non_finite(self.step, error)
                else:
                    self._batch_in_epoch += 1
                    self.step += 1  # as in `advance`, without a call: each step pays for it
                    self._recent.append(output)
                    if len(self._recent) >= self._together:
                        self._tell()
                if self._batch_in_epoch == per_epoch:
                    break  # the epoch's end comes before the boundary: a stop keeps it whole
                # And the first half of `_boundary`.
                looks = controls.attention or snapshots.wanted or several
                if looks and not self._boundary():
                    return "stopped"
                if self.step >= self.target_step:
                    return "finished"
            if not self._end_epoch():
                return "stopped"
        return "finished"

    def _end_epoch(self) -> bool:
        """Validate and count the epoch; one that is stopped meanwhile is to be validated again."""
        self._tell()
        self._validating = True
        validation = self.validate()
        if validation is None:
            return False
        self.backend.end_epoch(validation)
        self.epoch_done(validation)
        self._validating = False
        return self._boundary()

    def _tell(self) -> None:
        """Tell of the steps done since the last time."""
        lapses = self.backend.lapses
        if lapses:
            self.observer.lapsed([lapses.pop(0) for _ in range(len(lapses))])
        if not self._recent:
            return
        recent, self._recent = self._recent, []
        done = len(recent)
        guided = any(output.guidance_loss is not None for output in recent)
        seconds = self.time.steps_done(done, guided=guided, at=self._stepped)
        self._stepped = None
        self.observer.observe(self.step, self.epoch, *recent)
        warnings = self.backend.warnings
        while warnings:
            self.observer.notice("warning", warnings.pop(0))
        in_time = 1 + int(done * LATE / max(seconds, 1e-9))
        self._gather(min(TOGETHER, 2 * self._together, in_time))
        self.time.turn("training")

    def _gather(self, most: int) -> None:
        """Tell of the next `most` steps at once, or of fewer, up to one that is due."""
        self._together = int(min(most, max(1, self.observer.due - self.step)))

    def _boundary(self) -> bool:
        if self.together is not None:
            return self.together.boundary()
        return not self.wanted or self.stay()

    @property
    def wanted(self) -> bool:
        """Whether there is something to do at this boundary."""
        return self.controls.attention or self.snapshots.wanted

    def stay(self, meanwhile: Callable[[], None] | None = None, *, orders: bool = True) -> bool:
        """Do what is asked for at this boundary; see `training.together.Place`."""

        def still() -> None:
            self._take_snapshot_if_wanted()
            if meanwhile is not None:
                meanwhile()

        self._tell()
        self.time.turn("tool")
        self._take_snapshot_if_wanted()
        going_on = self.controls.boundary(self.hold, still, orders=orders)
        self._gather(self._together)  # a command may have made a step due
        self.time.turn("training")
        return going_on

    def hold(self, holding: bool) -> None:  # noqa: FBT001 - a callback's one argument
        """The training is held, or goes on."""
        if self.together is not None:
            self.together.holding(holding)
        self.time.turn("held" if holding else "training")
        self._set_state("paused" if holding else "training", by="person")

    def _take_snapshot_if_wanted(self) -> None:
        if self.snapshots.wanted:
            self._take_snapshot()

    def _take_snapshot(self) -> None:
        # Contended only where a training begins while another thread takes a snapshot.
        with self._one_writer:
            try:
                self.snapshots.write(self.step, self.backend.copy_weights)
            except Exception as error:  # noqa: BLE001 - said aloud; maps are not worth a training
                self.snapshots.wanted = False  # or each step would try again
                if not self._snapshot_failed:
                    self._snapshot_failed = True
                    self.observer.notice("warning", _NO_SNAPSHOT.format(error=error))

    def _set_state(self, state: RunState, by: str) -> None:
        self.state = state
        self.changes += 1
        self.observer.state_changed(state, by)
