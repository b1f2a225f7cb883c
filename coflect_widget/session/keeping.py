"""What a checkpoint of a session is made of, and putting it back.

The training thread copies the framework's state and notes where things are; what is known of the
samples is copied by the forecaster's thread once it has taken in all steps up to there, and none
after.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from typing import Any

import numpy as np

from coflect_widget import events
from coflect_widget.backends.state import Memory, TrainingState
from coflect_widget.events import RunState
from coflect_widget.forecast import memory
from coflect_widget.guidance.ledger import Intervention, as_text
from coflect_widget.records.checkpoint_files import Checkpoint, Contents, Score
from coflect_widget.tasks.base import Task
from coflect_widget.training.checkpoint_jobs import Reason

#: Seconds that a checkpoint waits for what is known of the samples.
TELEMETRY_SECONDS = 60.0
ENDS: dict[RunState, Reason] = {
    "finished": "finished", "stopped": "stopped", "failed": "failed",
}  # fmt: skip


def score_of(validation: Mapping[str, float], task: Task) -> Score | None:
    """What the best checkpoint is chosen by: the task's quality, or where it has none the loss."""
    for metric, direction in ((task.metrics()[1], "higher"), ("loss", "lower")):
        value = validation.get(metric)
        if value is not None:
            return Score(metric, direction, float(value)) if np.isfinite(value) else None
    return None


@dataclass(slots=True)
class Taken:
    """The state of a session at one step boundary; see `training.checkpoints.Copied`."""

    step: int
    epoch: int
    seq: int
    place: dict[str, Any]
    state: TrainingState
    telemetry: Future[Any]
    verdicts: list[dict[str, Any]]
    entries: tuple[Intervention, ...]
    focus: float
    inputs: str
    coming: list[int]
    facts: Mapping[str, Any]
    inexact: list[str]
    open_effects: list[str]
    knobs: dict[str, Any]
    data: dict[str, Any]

    def contents(self) -> tuple[Contents, Mapping[str, str], Mapping[str, Any]]:
        """Wait for what others copy; on the thread that writes."""
        state = self.state
        if state.finish is not None:
            state.finish()
            state.finish = None
        lacks = [*state.lacks, *self.open_effects]
        try:
            telemetry = self.telemetry.result(TELEMETRY_SECONDS)
        except FutureTimeoutError:
            telemetry = None
            lacks.append("what is known of the samples: the forecast did not come to it in time")
        except Exception as error:  # noqa: BLE001 - the weights are worth a checkpoint all the same
            telemetry = None
            lacks.append(f"what is known of the samples: {error!r}")
        tree = {
            "place": self.place,
            "state": state.rest,
            "telemetry": telemetry,
            "verdicts": self.verdicts,
            "coming": self.coming,
            "knobs": self.knobs,
            "data": self.data,
        }
        more = {
            "seq": self.seq,
            "facts": self.facts,
            "lacks": lacks,
            "inexact": [*state.inexact, *self.inexact],
        }
        ledger = as_text(self.entries, self.focus, self.inputs)
        return Contents(state.weights, tree, ledger), state.aliases, more


class Keeping:
    """Copies the state of a session, and puts one back.

    Parameters
    ----------
    parts : session.parts.Parts
    observer : session.observer.Observer
    facts : mapping
        Of model, data and settings; what is resumed is compared with it.

    Attributes
    ----------
    facts : mapping
    coming : callable () -> list of int
        Numbers of the events that are to come into force again.
    inexact : list of str
        Why a training that goes on may differ, beside what the backend says.
    """

    def __init__(self, parts: Any, observer: Any, facts: Mapping[str, Any]) -> None:
        self._parts = parts
        self._told = {
            "scoring": parts.scoring,
            "window": parts.window,
            "alarms": parts.alarms,
            "observer": observer,
            "overlays": parts.overlays,
        }
        self.facts = facts
        self.inexact: list[str] = []
        self.coming: Callable[[], list[int]] = list

    def copy(self, room: Memory) -> Taken:
        """Copy everything; at a step boundary, or while nothing trains."""
        parts = self._parts
        backend, loop, ledger = parts.backend, parts.loop, parts.steering.ledger
        state = backend.state(room, own_loop=parts.own_loop.used)
        telemetry: Future[Any] = Future()

        def keep() -> None:
            try:
                telemetry.set_result(self._telemetry())
            except BaseException as error:
                telemetry.set_exception(error)
                raise

        parts.forecaster.mark(keep)
        return Taken(
            step=loop.step,
            epoch=loop.epoch,
            seq=parts.stream.next_seq,
            place=loop.place(),
            state=state,
            telemetry=telemetry,
            verdicts=parts.labels.kept(),
            entries=ledger.taken,
            focus=ledger.focus,
            inputs=ledger.modality.name,
            coming=self.coming(),
            facts=self.facts,
            inexact=list(self.inexact),
            open_effects=[
                f"the effect of {name}, which was being measured"
                for name in parts.steering.effects.open
            ],
            knobs=parts.knobs.kept(),
            data=parts.data.kept(),
        )

    def put_back(self, contents: Contents, *, same_data: bool = False) -> None:
        """Put a checkpoint of the same model and data into the parts; while nothing trains.

        With `same_data` what a person changed of the data is the checkpoint's already.
        """
        parts, tree = self._parts, contents.tree
        place, rest = tree["place"], tree["state"]
        parts.loop.take(place)
        if not same_data:
            parts.data.take(tree["data"])
            parts.labels.take(tree["verdicts"])
        if not place["begun"]:
            rest = {**(rest or {}), "random": None}
        parts.backend.restore(contents.weights, rest, parts.steering.ledger.state())
        parts.knobs.take(tree["knobs"])
        if tree["telemetry"] is not None:
            self._put_telemetry(tree["telemetry"])

    def _telemetry(self) -> dict[str, Any]:
        """On the forecaster's thread, between two steps."""
        told = {name: part.kept() for name, part in self._told.items()}
        return {"forecast": memory.keep(self._parts.forecaster), **told}

    def _put_telemetry(self, kept: Mapping[str, Any]) -> None:
        forecaster = self._parts.forecaster
        memory.check(kept["forecast"], forecaster.store)
        done = threading.Event()
        failures: list[BaseException] = []

        def put() -> None:
            try:
                memory.restore(forecaster, kept["forecast"])
                for name, part in self._told.items():
                    part.take(kept[name])
            except BaseException as error:  # noqa: BLE001 - raised by who waits
                failures.append(error)
            finally:
                done.set()

        forecaster.mark(put)
        if not done.wait(TELEMETRY_SECONDS):
            raise TimeoutError("the forecast did not take its memory in time")
        if failures:
            problem = repr(failures[0])
            raise ValueError(f"the checkpoint's memory of the samples cannot be used: {problem}")


def saved(checkpoint: Checkpoint, seconds: float) -> events.CheckpointSaved:
    """What the run records of a checkpoint, which took so many seconds to copy."""
    score = checkpoint.score
    return events.CheckpointSaved(
        path=f"checkpoints/{checkpoint.path.name}",
        reason=checkpoint.reason,
        name=checkpoint.name,
        metric="" if score is None else score.metric,
        direction="" if score is None else score.direction,
        value=None if score is None else score.value,
        megabytes=round(checkpoint.nbytes / 1e6, 3),
        copy_seconds=round(seconds, 6),
        lacks=list(checkpoint.lacks),
    )


def facts_of(backend: Any, task: Task, classes: list[str], seed: int) -> dict[str, Any]:
    """What of model, data and settings must be equal for a training to go on.

    Rows of a data set that draws random numbers differ each time; of such only shapes are known.
    """
    draws = bool(backend.reads_at_boundary)
    probes = [] if draws else list(backend.probes())
    rows = hashlib.sha256()
    for row in probes:
        rows.update(np.ascontiguousarray(row).tobytes())
    labels = np.ascontiguousarray(backend.labels())
    specs = backend.weight_specs()
    names = backend.lasting_names() or [spec.name for spec in specs]
    return {
        "backend": backend.name,
        "task": task.name,
        "classes": list(classes),
        "num_train": backend.num_train,
        "num_val": backend.num_val,
        "batch_size": backend.batch_size,
        "seed": seed,
        "labels": hashlib.sha256(labels.tobytes()).hexdigest(),
        "rows": None if draws else rows.hexdigest(),
        "shape": list(backend.read_sample(0).input.shape),
        "weights": {name: list(spec.shape) for name, spec in zip(names, specs, strict=True)},
    }


def draws_by_itself(backend: Any) -> bool:
    """Whether a sample differs from one reading to the next by numbers that nobody else sees.

    It is read again for it, so only where something hangs on the answer, and nothing trains.
    """
    if backend.reads_at_boundary:
        return False
    try:
        found = backend.readings(0, lambda read: len(read) >= 2)
    except Exception:  # noqa: BLE001 - who cannot be read twice is not judged
        return False
    return len(found) > 1 and not np.array_equal(found[0], found[1])
