"""Going on with a run: which checkpoint, whether it fits, and what a person said after it.

A resumed training goes back to its checkpoint and makes the same steps again. What a person said
after the checkpoint is on record with its step, and comes into force again at that step: nothing
that was acknowledged is lost, and the weights become those of a training that was never
interrupted.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from coflect_widget import events
from coflect_widget.config import Config
from coflect_widget.events import Event
from coflect_widget.guidance.ledger import Ledger
from coflect_widget.modalities.base import Modality
from coflect_widget.records.checkpoint_files import (
    Checkpoint,
    Contents,
    NoCheckpointError,
    find_checkpoints,
    look_at,
    read_checkpoint,
    run_of,
)
from coflect_widget.records.inside import open_inside
from coflect_widget.records.locks import hold_for_writing
from coflect_widget.records.run import Run
from coflect_widget.session.keeping import draws_by_itself
from coflect_widget.studies.controls import tally_of
from coflect_widget.studies.recorded_findings import findings_of
from coflect_widget.tasks import given_names

if TYPE_CHECKING:
    from coflect_widget.session.parts import Parts

#: Said where only the samples' values differ.
OTHER_ROWS = "the samples of train_data are not the run's: the same labels, other values"
#: Names that people give checkpoints.
_A_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}$")
_ACTS = (events.InterventionRecord, events.Undone, events.Judged)


class Boundary(Protocol):
    """Where a training is."""

    @property
    def step(self) -> int:
        """Steps done."""

    @property
    def epoch(self) -> int:
        """Epochs completed."""


class Steered(Protocol):
    """Who puts interventions into force."""

    def replay(self, data: Any) -> None:
        """Once more, without a record."""


@dataclass
class Resume:
    """A run that is to be gone on with.

    Attributes
    ----------
    path : Path
        The run folder.
    checkpoint : Checkpoint or None
        Where it goes on; None where the run has none, and begins anew.
    contents : Contents or None
    acts : list of Event
        What a person did after the checkpoint, by the step at which it came into force.
    measured : list of Effect
        Of interventions, on record.
    inexact : list of str
        Why the rest will differ from a run that was not interrupted, beside what the checkpoint
        says.
    next_seq : int
        Number of the next event.
    """

    path: Path
    checkpoint: Checkpoint | None
    contents: Contents | None = None
    acts: list[Event] = field(default_factory=list)
    measured: list[events.Effect] = field(default_factory=list)
    inexact: list[str] = field(default_factory=list)
    next_seq: int = 0

    @classmethod
    def of(cls, given: Any) -> Resume:
        """Find the checkpoint of a run, a path to one, or a checkpoint.

        Raises
        ------
        FileNotFoundError, ValueError
            If it is no run, is being written, or its checkpoint is damaged.
        TypeError
            If it is none of these.
        """
        path = getattr(given, "path", given)
        if not isinstance(path, str | Path):
            raise TypeError(
                f"resume={given!r} must be a run, as coflect.open_run(path) gives it, the path of "
                "its folder, or one of its checkpoints"
            )
        folder, name = run_of(Path(path).expanduser())
        run = Run(folder)
        _refuse_copy(run)
        _refuse_in_use(run)
        run.repair()
        try:
            checkpoint = look_at(run.path, name) if name else last_of(run)
        except NoCheckpointError as error:
            raise ValueError(f"resume={str(path)!r}: {error}") from None
        return cls(run.path, checkpoint)

    # --- before the session is made ----------------------------------------------------------

    @property
    def run(self) -> Run:
        """The run folder, for reading."""
        return Run(self.path)

    def config(self) -> Config:
        """The settings that the run was made with."""
        return Config.from_mapping(self.run.config.get("config"))

    def classes(self) -> list[str] | None:
        """Names of the classes; None where the task itself names what can be predicted."""
        return given_names(
            [str(name) for name in self.run.config.get("data", {}).get("classes") or ()]
        )

    def batch_size(self) -> int | None:
        """That of the checkpoint; None where there is none."""
        return None if self.checkpoint is None else int(self.checkpoint.facts["batch_size"])

    def check(self, facts: Mapping[str, Any], backend: Any) -> None:
        """Refuse a model, data or settings that are not the run's.

        Raises
        ------
        ValueError
            The message names the difference.
        """
        if self.checkpoint is None:
            return
        differs = difference(self.checkpoint.facts, facts)
        if differs == OTHER_ROWS and draws_by_itself(backend):
            self.inexact.append(
                "train_data gives another sample each time and draws from no global generator: a "
                "generator of its own begins anew"
            )
        elif differs:
            raise ValueError(
                f"resume={str(self.path)!r} does not fit: {differs}. A run is gone on with by the "
                "model, the data and the settings that it was begun with; for others make a new "
                "Session, perhaps with guidance=run.ledger"
            )

    def read(self) -> None:
        """Read the checkpoint and what was recorded after it.

        Raises
        ------
        ValueError
            If the checkpoint is damaged.
        """
        since, coming = 0, set[int]()
        if self.checkpoint is not None:
            self.contents = read_checkpoint(self.checkpoint)
            since, coming = self.checkpoint.seq, set(self.contents.tree["coming"])
        self.next_seq = since
        for event in self.run.iter_events():
            self.next_seq = max(self.next_seq, event.seq + 1)
            if isinstance(event.data, events.Effect):
                self.measured.append(event.data)
            elif isinstance(event.data, _ACTS) and (event.seq >= since or event.seq in coming):
                kept = event.data.get("kept")  # of a course that this checkpoint is not of
                if kept is None or since <= kept:
                    self.acts.append(event)
        self.acts.sort(key=lambda event: (event.step, event.epoch, event.seq))

    def ledger(self, focus: float, modality: Modality) -> Ledger:
        """The ledger at the checkpoint, and what is still to come into force again."""
        ledger = Ledger(focus, modality)
        if self.contents is not None:
            ledger = Ledger.from_text(self.contents.ledger, "ledger.json", modality)
        for event in self.acts:
            if isinstance(event.data, events.InterventionRecord):
                ledger.expect(event.data, event.step, event.ts.isoformat(timespec="seconds"))
        for effect in self.measured:
            ledger.measured(effect)
        return ledger

    def event(self) -> events.Resumed:
        """What the run records of it."""
        one = self.checkpoint
        if one is None or self.contents is None:
            return events.Resumed(validated=-1, lacks=["everything: the run had no checkpoint"])
        place = self.contents.tree["place"]
        to_come = 0 < place["batch"] == place["per_epoch"]  # of this very epoch
        return events.Resumed(
            checkpoint=f"checkpoints/{one.path.name}",
            seq=one.seq,
            validated=one.step - 1 if to_come else one.step,
            lacks=list(one.lacks),
            inexact=self.not_exact(one),
        )

    def not_exact(self, one: Checkpoint) -> list[str]:
        """Why the rest will differ from a run that was not interrupted."""
        failed = ["the step that failed had drawn random numbers"] if one.reason == "failed" else []
        return [*one.inexact, *failed, *self.inexact]

    def sentence(self) -> str:
        """What a person is told of it."""
        one = self.checkpoint
        if one is None:
            text = "The run had no checkpoint: it begins anew, in the same folder."
        else:
            text = f"Resumed at step {one.step} from the checkpoint of {one.when} ({one.reason})."
            if one.lacks:
                text += f" It lacks: {'; '.join(one.lacks)}."
            if not_exact := self.not_exact(one):
                text += f" Not exact: {'; '.join(not_exact)}."
        if self.acts:
            text += f" What was said after it comes into force again at its steps: {self._said()}."
        return text

    def _said(self) -> str:
        names = [
            f"sample {event.data.index}"
            if isinstance(event.data, events.Judged)
            else str(event.data["id"])
            for event in self.acts
        ]
        return ", ".join(dict.fromkeys(names))


class Replaying:
    """Does again, at its step, what a person did after the checkpoint; on the training thread."""

    def __init__(
        self,
        acts: list[Event],
        place: Boundary,
        steering: Steered,
        labels: Steered,
        follow: Callable[[str], None],
        warn: Any,
    ) -> None:
        self._acts = list(acts)
        self._place = place
        self._steering = steering
        self._labels = labels
        self._follow = follow
        self._warn = warn

    def coming(self) -> list[int]:
        """Numbers of the events that are still to come."""
        return [event.seq for event in self._acts]

    def look(self) -> bool:
        """Do what is due at this step boundary; whether anything is left."""
        while self._acts and self._due(self._acts[0]):
            event = self._acts.pop(0)
            labels = isinstance(event.data, events.Judged)
            try:
                (self._labels if labels else self._steering).replay(event.data)
                if isinstance(event.data, events.InterventionRecord | events.Undone):
                    self._follow(event.data.id)
            except Exception as error:  # noqa: BLE001 - no stroke of before ends a training
                self._warn(
                    f"What was said at step {event.step} could not be put into force again: {error}"
                )
        return bool(self._acts)

    def _due(self, event: Event) -> bool:
        return self._place.step >= event.step and self._place.epoch >= event.epoch


def last_of(run: Run) -> Checkpoint | None:
    """The checkpoint with which a run goes on: the newest, but none that was gone back behind."""
    found = find_checkpoints(run.path)
    back = list(run.iter_events("resumed"))
    if not back:
        return found.last
    newer = [one for one in found if one.seq > back[-1].seq]
    if newer:
        return newer[-1]
    name = Path(str(back[-1].data["checkpoint"])).name
    return next((one for one in found if one.path.name == name), found.last)


def difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """In what a model, data or settings differ from those of a checkpoint; "" if in nothing."""
    said = {
        "backend": "the model is one of {now}, the run's was one of {before}",
        "task": "this is {now}, the run's was {before}",
        "classes": "classes are {now}, the run's were {before}",
        "num_train": "train_data has {now} samples, the run's had {before}",
        "num_val": "val_data has {now} samples, the run's had {before}",
        "shape": "samples are of shape {now}, the run's were of {before}",
        "labels": "the labels of train_data are not the run's",
        "rows": OTHER_ROWS,
        "batch_size": "batch_size={now}, the run was trained with {before}; pass "
        "batch_size={before}",
        "seed": "config['seed'] = {now}, the run's was {before}",
    }
    ours, theirs = before.get("weights", {}), now.get("weights", {})
    for name in [*ours, *theirs]:
        if name not in theirs:
            return f"the model has no {name!r}, which the run's had (shape {tuple(ours[name])})"
        if name not in ours:
            return f"the model has {name!r} (shape {tuple(theirs[name])}), which the run's had not"
        if list(ours[name]) != list(theirs[name]):
            return (
                f"{name!r} of the model is of shape {tuple(theirs[name])}, the run's was of "
                f"{tuple(ours[name])}"
            )
    for name, sentence in said.items():
        old, new = before.get(name), now.get(name)
        if name == "rows" and (old is None or new is None):
            continue
        if old != new:
            shown = [tuple(one) if isinstance(one, list) else one for one in (old, new)]
            return sentence.format(before=shown[0], now=shown[1])
    return ""


def _refuse_in_use(run: Run) -> None:
    with open_inside(run.path, "events.jsonl", mode="r+b") as file:
        if not hold_for_writing(file) and _can_lock():
            raise ValueError(
                f"resume={str(run.path)!r} is being written by another session; close that first "
                "(session.close(), or coflect.close_all() in its kernel)"
            )


def _refuse_copy(run: Run) -> None:
    from coflect_widget.records.remote import is_copy  # only who resumes pays for the import

    if is_copy(run.path):
        raise ValueError(
            f"resume={str(run.path)!r} is a copy of a run that lies elsewhere, which is brought up "
            "to date from there; copy the folder and resume that: shutil.copytree(run.path, "
            f"'runs/{run.path.name}')"
        )


def _can_lock() -> bool:
    """Whether this system has locks that tell whether somebody writes."""
    with tempfile.TemporaryFile() as file:
        return hold_for_writing(file)


def go_on(resumed: Resume, parts: Parts) -> None:
    """Put the run's state into the parts of a session that was just made, and record it."""
    steering = parts.steering
    steering.restore(resumed.ledger(parts.config.guidance.strength, parts.modality))
    if resumed.contents is not None:
        parts.keeping.put_back(resumed.contents)

    def follow(intervention: str) -> None:
        entry = steering.ledger[intervention]
        if entry.record.knobs:
            parts.knobs.replay()
        if entry.record.data is not None:
            parts.data.replay(entry)
        parts.refits.replay(entry)

    replaying = Replaying(resumed.acts, parts.loop, steering, parts.labels, follow, parts.tell.warn)
    parts.keeping.coming = replaying.coming
    parts.keeping.inexact = list(resumed.inexact)
    if resumed.acts:
        parts.controls.look(replaying.look)
    parts.tell.emit(resumed.event())
    parts.tell.notice("info", resumed.sentence())
    recorded = Run(resumed.path).events()
    parts.findings.adopt(findings_of(recorded), tally_of(recorded))
    parts.findings.go_back(parts.loop.step)
    parts.own_loop.at_step = partial(_follow, resumed.path, parts)
    resumed.contents = None  # its arrays are copied


def _follow(path: Path, parts: Parts, step: int) -> None:
    """A library's own checkpoint goes on at this step: take the session's of the same one."""
    if step == parts.loop.step:
        return
    one = find_checkpoints(path).of(step)
    if one is None:
        parts.tell.warn(
            f"The trainer goes on at step {step}, and the session at step {parts.loop.step}: it "
            "has no checkpoint of that step. Forecast and charts go on from the session's step."
        )
        return
    parts.stream.flush()  # who reads the record of it finds it whole
    resumed = Resume(path, one)
    resumed.read()
    go_on(resumed, parts)


def checkpoint_name(given: str | None, known: Sequence[Checkpoint]) -> str:
    """A name that a person gave a checkpoint, checked; "" for none."""
    if given is None:
        return ""
    if not isinstance(given, str) or not _A_NAME.match(given):
        raise ValueError(
            f"name={given!r} must be 1 to 64 letters, digits, '-', '_' or '.', for example "
            "session.checkpoint('before-strokes')"
        )
    if any(one.name == given for one in known):
        raise ValueError(f"name={given!r}: this run has a checkpoint of that name; take another")
    return given
