"""The parts of one session, and their end."""

from __future__ import annotations

import threading
import time
import warnings
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal, Protocol

from coflect_widget import events
from coflect_widget.attribution.scheduler import ExplanationScheduler
from coflect_widget.attribution.snapshots import Snapshots
from coflect_widget.config import Config
from coflect_widget.forecast.forecaster import Forecaster
from coflect_widget.forecast.gates import ReviewWindow
from coflect_widget.forecast.scoreboard import Scoreboard
from coflect_widget.modalities.base import Modality
from coflect_widget.process.settings import ProcessSettings
from coflect_widget.records.logs import RunLog
from coflect_widget.records.pictures import Gallery
from coflect_widget.records.stream import EventStream
from coflect_widget.session.alarms import Alarms
from coflect_widget.session.coach import Coach
from coflect_widget.session.dataset import DataChanges
from coflect_widget.session.desk import Desk
from coflect_widget.session.holding import Holding
from coflect_widget.session.keeping import Keeping
from coflect_widget.session.knobs import KnobBoard
from coflect_widget.session.labels import Labels
from coflect_widget.session.newest import Newest
from coflect_widget.session.overlays import Overlays
from coflect_widget.session.refitting import Refitting
from coflect_widget.session.samples import Samples
from coflect_widget.session.scoring import Scoring
from coflect_widget.session.steering import Steering
from coflect_widget.session.telling import Telling
from coflect_widget.studies.findings import Finder
from coflect_widget.tasks.base import Task
from coflect_widget.training.checkpoints import CheckpointKeeper
from coflect_widget.training.controls import Controls
from coflect_widget.training.loop import TrainingLoop
from coflect_widget.training.own_loop import OwnLoop

#: Seconds in which a proof should end that was told to; it may be making its own session.
PATIENCE = 60.0


class Others(Protocol):
    """The processes that train with this one; see `session.ranks.Ranks`."""

    @property
    def rank(self) -> int:
        """Of this process."""

    @property
    def size(self) -> int:
        """Processes that train together, as far as known."""

    def join(self, *, ours: bool) -> None:
        """Meet them, as a training begins."""

    def end(self) -> None:
        """A training ends: wait a moment for what was seen in it."""

    def recorded(self, error: BaseException) -> bool:
        """Whether the failure of another process, which this one tells of, is on record."""

    def close(self) -> None:
        """Hear them no more."""


class Outlet(Protocol):
    """What is told of the record, and ends before it; `session.outlets.Outlets` is one."""

    log: RunLog

    def open(self) -> None:
        """Begin."""

    def close(self) -> None:
        """End."""


@dataclass(eq=False)
class Parts:
    """Everything behind one session; `build` makes it, and says who knows whom.

    Attributes
    ----------
    spare : bool
        Whether a later session of the kernel is the one that is worked with.
    closed : bool
    busy : str
        Why no training can begin now; "" where one can.
    beginning : Lock
        Held while a training, a replay or a proof begins: of two the second hears of the first.
    """

    backend: Any
    structure: bytes | Exception
    config: Config
    path: Path
    task: Task
    modality: Modality
    process: ProcessSettings
    tell: Telling
    stream: EventStream
    samples: Samples
    gallery: Gallery
    controls: Controls
    snapshots: Snapshots
    loop: TrainingLoop
    own_loop: OwnLoop
    checkpoints: CheckpointKeeper
    forecaster: Forecaster
    window: ReviewWindow
    scoreboard: Scoreboard
    scoring: Scoring
    scheduler: ExplanationScheduler
    overlays: Overlays
    steering: Steering
    findings: Finder
    labels: Labels
    knobs: KnobBoard
    data: DataChanges
    refits: Refitting
    alarms: Alarms
    coach: Coach
    holding: Holding
    newest: Newest
    desk: Desk
    keeping: Keeping = field(init=False)
    ranks: Others = field(init=False)
    outlets: Outlet = field(init=False)
    spare: bool = False
    closed: bool = False
    busy: str = ""
    beginning: threading.Lock = field(default_factory=threading.Lock)
    _hung: bool = False  # training did not stop when it was told to

    def announce(
        self,
        steps: int,
        steps_per_epoch: int,
        batch_size: int,
        begun: int = 0,
        *,
        own_loop: bool = False,
    ) -> None:
        """A training of `steps` more steps is about to begin; starts the workers.

        `begun`: so many steps its first epoch has already. `own_loop`: the user's code trains.
        """
        self.spare, self.holding.broken = False, None
        if own_loop:
            self.ranks.join(ours=False)
        self.tell.emit(
            events.TrainStarted(
                total_steps=self.loop.step + steps,
                steps_per_epoch=steps_per_epoch,
                batch_size=batch_size,
                begun=begun,
                own_loop=own_loop,
            )
        )
        self.checkpoints.began()
        self.scheduler.start()

    def command(self, kind: Literal["pause", "resume", "stop"]) -> bool:
        """Ask the loop to hold, go on or end; False if nothing trains."""
        return self.desk.order(kind)

    def end_training(self) -> None:
        """End a training, or a proof, that is under way."""
        if (proof := self.desk.proving) is not None:
            proof.cancel()
            until = time.monotonic() + PATIENCE
            while self.busy and time.monotonic() < until:
                time.sleep(0.02)
        if self.loop.running and not self.own_loop.close():
            self.controls.stop()
            self.await_end()

    def await_end(self) -> None:
        """Wait for a training that was told to stop; warns where it does not come to its end."""
        began = time.monotonic()
        if self.loop.wait_for_stop():
            return
        self._hung = True
        text = (
            f"Training did not stop within {time.monotonic() - began:.0f} s: a batch is still "
            "being read, or a step computed. It ends as soon as that returns; if it never does, "
            "look for what the data set waits for (a network disk, a lock, a queue)."
        )
        self.tell.warn(text)
        warnings.warn(text, RuntimeWarning, stacklevel=4)

    def close(self) -> None:
        """End every thread and process; the newest events are on disk afterwards."""
        self.closed = self.own_loop.session_closed = True
        # What hangs once hangs every thread that reads the same data.
        patience = self.scheduler.patience = 1.0 if self._hung else 5.0
        with ExitStack() as closing:  # the last one first; each, whatever interrupts another
            for close in (
                self.snapshots.close, self.stream.close, self.outlets.close,
                partial(self.forecaster.close, patience), self.scheduler.close,
                self.steering.close, self.findings.close, self.checkpoints.close, self.ranks.close,
            ):  # fmt: skip
                closing.callback(close)
