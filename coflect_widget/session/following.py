"""A process that another one leads: it trains, does what is done there, and tells what it saw.

Its session has the same parts as any other. What needs a person, a screen or a run folder is with
the process of rank 0; the record of this one is in a folder of its own, until the session is
closed.
"""

from __future__ import annotations

import math
import shutil
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, NamedTuple

from coflect_widget import events
from coflect_widget.backends.base import NonFiniteLossError, StepOutput
from coflect_widget.distributed.orders import Act, Drawn, Verdict
from coflect_widget.events import RunState
from coflect_widget.guidance.lapses import Lapse
from coflect_widget.records.folder import runs_root
from coflect_widget.session.holding import Holding
from coflect_widget.session.observer import Observer
from coflect_widget.session.parts import Parts
from coflect_widget.session.telling import Telling
from coflect_widget.telemetry.seen import seen_of
from coflect_widget.training.checkpoints import CheckpointKeeper
from coflect_widget.training.controls import Controls
from coflect_widget.training.non_finite import Culprits

#: Steps that may wait to be told of; beyond it the oldest is dropped.
BACKLOG = 1024
_PREFIX = "coflect-follower-"
MAPS_ELSEWHERE = "the process of rank 0 makes the maps; ask it there"


def home(backend: Any, run_dir: str | Path | None) -> Path:
    """Where a session makes its run folder; one that follows has a place of its own for a while."""
    return Path(tempfile.mkdtemp(prefix=_PREFIX)) if backend.follows else runs_root(run_dir)


def leave_home(backend: Any, run: Path) -> None:
    """Remove what `home` made for a session that follows."""
    if backend.follows and run.parent.name.startswith(_PREFIX):
        shutil.rmtree(run.parent, ignore_errors=True)


class Follower(Observer):
    """Told by the loop of a process that follows; what it hears waits to be sent."""

    def __init__(self, tell: Telling, newest: Any) -> None:
        super().__init__(tell, newest)
        self._seen: deque[tuple[int, int, StepOutput]] = deque(maxlen=BACKLOG)
        self.flush: Callable[[], None] = _nothing  # by `ranks.Ranks`: send what waits
        self.send: Callable[[Mapping[str, Any]], None] = _nothing

    # --- on the training thread ----------------------------------------------------------------

    @property
    def due(self) -> float:
        """Nothing is measured here."""
        return math.inf

    def observe(self, step: int, epoch: int, *outputs: StepOutput) -> None:
        """Steps of one epoch were done, the last of them `step`."""
        first = step - len(outputs) + 1
        self._seen.extend((first + k, epoch, output) for k, output in enumerate(outputs))

    def state_changed(self, state: RunState, by: str) -> None:
        """The loop went into another state."""
        self._tell.emit(events.StateChanged(state=state, by=by))

    def epoch_ended(self, step: int, epoch: int, validation: dict[str, float]) -> None:
        """The process of rank 0 has it too."""

    def epoch_counted(self, validation: dict[str, float]) -> None:
        """The process of rank 0 keeps the checkpoint."""

    def non_finite(self, step: int, error: NonFiniteLossError) -> None:
        """A loss was NaN or infinite; of which samples is told where training is steered."""
        if not error.elsewhere:
            self._parts.holding.loss(step, error)

    def lapsed(self, lapses: Sequence[Lapse]) -> None:
        """Guidance went out of force here, by itself; the other processes may still have it."""
        self._parts.steering.lapsed(lapses)
        for lapse in lapses:
            why = f"{lapse.term} {lapse.why}".strip()
            self.send({"kind": "notice", "text": f"{lapse.part.id} is out of force there: {why}"})

    def ended(self, state: RunState) -> None:
        """The thread is about to end: what was seen is told first."""
        if state != "failed":
            self.flush()

    # --- on the thread that sends --------------------------------------------------------------

    def waiting(self, most: int) -> list[tuple[int, int, StepOutput]]:
        """Step, epoch and output of steps of one epoch that wait; taken off."""
        found: list[tuple[int, int, StepOutput]] = []
        while self._seen and len(found) < most:
            if found and self._seen[0][1] != found[0][1]:
                break
            found.append(self._seen.popleft())
        return found

    def message(self, steps: Sequence[tuple[int, int, StepOutput]]) -> bytes:
        """What these steps came to; says of outputs that are not finite whose they are."""
        backend, task = self._parts.backend, self._parts.task
        outputs = [output for _, _, output in steps]
        seen = seen_of(
            outputs, steps[-1][0], steps[0][1], task, backend.telemetry_arrays, backend.scalars
        )
        odd = ~(seen.losses < math.inf)
        if seen.found.usable is not None:
            labelled = True if seen.found.labelled is None else seen.found.labelled
            bad = ~seen.found.usable & labelled
            starts = [0, *seen.lengths.cumsum()[:-1].tolist()]
            odd |= [bool(bad[a : a + n].any()) for a, n in zip(starts, seen.lengths, strict=True)]
        if odd.any():
            at = int(odd.argmax())
            self._parts.holding.outputs(steps[at][0], outputs[at])
        return seen.to_bytes()


class FollowerHolding(Holding):
    """Has training hold where it is steered."""

    send: Callable[[Mapping[str, Any]], None]  #: by `ranks.Ranks`

    def _hold(self) -> None:
        """The process of rank 0 holds all, where somebody could let them go on."""

    def _say(self, step: int, what: str, found: Culprits) -> None:
        self.send(
            {
                "kind": "non_finite",
                "step": step,
                "what": what,
                "samples": list(found.samples),
                "sentence": found.sentence,
                "in_data": found.in_data,
            }
        )


class NoCheckpoints:
    """Stands for the `CheckpointKeeper`, which the process of rank 0 has."""

    copying = 0.0
    unsaved: str | None = None

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def began(self) -> None:
        """Nothing is kept here."""

    def epoch_done(self, score: Any) -> None:
        """Nothing is kept here."""

    def ended(self, reason: str) -> None:
        """Nothing is kept here."""

    def now(self, reason: str) -> None:
        """Nothing is kept here."""

    def before(self, reason: str = "said") -> None:
        """Nothing is kept here."""

    def drain(self, seconds: float = 0.0) -> bool:
        """Nothing waits."""
        return True

    def take(self, name: str = "") -> Future[Any]:
        """Nothing is kept here: of a library that saves its own."""
        done: Future[Any] = Future()
        done.set_result(None)
        return done

    def retry(self) -> bool:
        """Nothing is lost."""
        return True

    def close(self) -> None:
        """Nothing waits."""


class Unkept(NoCheckpoints):
    """The same where the weights cannot be kept, and `why` says so to who asks for a checkpoint."""

    def __init__(self, why: str, *_: Any, **__: Any) -> None:
        super().__init__()
        self._why = why

    def take(self, name: str = "") -> Future[Any]:
        """Refused."""
        refused: Future[Any] = Future()
        refused.set_exception(ValueError(self._why))
        return refused


class Doing:
    """Does in this process what a person did in that of rank 0; at the same step boundary."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def __call__(self, act: Act) -> None:
        """One of them."""
        parts, record = self._parts, act.record
        if isinstance(act, Verdict):
            parts.labels.replay(act.record)
        else:
            if isinstance(act, Drawn):
                parts.steering.ledger.expect(act.record, parts.loop.step)
            parts.steering.replay(act.record)
            entry = parts.steering.ledger[act.record.id]
            if entry.record.knobs:
                parts.knobs.replay()
            if entry.record.data is not None:
                parts.data.replay(entry)
        parts.tell.emit(record)


class FollowerControls(Controls):
    """Hands what is asked for here to the process of rank 0, which holds and ends all."""

    send: Callable[[Mapping[str, Any]], None]

    def pause(self) -> None:
        """Ask for a hold of all; of the thread that trains its own, that of rank 0 holds too."""
        if self.owner is not threading.current_thread():
            self._ask("pause")

    def resume(self, until: Callable[[], bool] | None = None) -> None:
        """Ask to let all go on."""
        self._ask("resume")

    def stop(self) -> None:
        """Ask for the end of the training of all."""
        self._ask("stop")

    def _ask(self, kind: str) -> None:
        if self.owner is not None:
            self.send({"kind": "order", "order": kind})


class Roles(NamedTuple):
    """Who takes which part in a process."""

    controls: type[Controls]
    observer: type[Observer]
    holding: type[Holding]
    checkpoints: Any


LEADER = Roles(Controls, Observer, Holding, CheckpointKeeper)
FOLLOWER = Roles(FollowerControls, Follower, FollowerHolding, NoCheckpoints)


def _nothing(*_: Any) -> None:
    """Until the processes have met there is nobody to tell."""
