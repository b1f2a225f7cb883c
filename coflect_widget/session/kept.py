"""Branches of a proof that a training can go on from: written at their end, taken up when asked.

Each is a checkpoint in a folder of its own, ``branches/{intervention}-{branch}`` of the run folder,
and stays there until the next proof.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from coflect_widget import events
from coflect_widget.backends.state import TrainingState
from coflect_widget.guidance.ledger import Intervention, Ledger
from coflect_widget.records.checkpoint_files import (
    FOLDER,
    MANIFEST,
    Checkpoint,
    Contents,
    find_checkpoints,
    read_checkpoint,
    write_checkpoint,
)
from coflect_widget.records.inside import is_there
from coflect_widget.records.run import Run
from coflect_widget.session.keeping import Taken
from coflect_widget.session.parts import Parts
from coflect_widget.session.resuming import difference
from coflect_widget.studies.branches import Trained

BRANCHES = "branches"
#: Seconds that a checkpoint may take to be on disk.
DISK = 600.0
_SAMPLES = "what was seen of the samples since the branch began"


def forget_branches(run: Path) -> None:
    """Remove the branches of an earlier proof."""
    folder = run / BRANCHES
    if not folder.is_symlink() and folder.is_dir():
        shutil.rmtree(folder, ignore_errors=True)


def write_branch(
    run: Path,
    at_fork: Taken,
    branch: str,
    proved: str,
    added: Sequence[Intervention],
    steps: int,
    trained: Trained,
) -> None:
    """Write what a branch came to; on disk when this returns.

    Parameters
    ----------
    run : Path
        The run folder.
    at_fork : Taken
        Of the step boundary at which the branch began.
    branch, proved : str
        Its name, and the intervention that is proved.
    added : sequence of Intervention
        In force beside those of the fork.
    steps : int
        Of the branch.
    trained : Trained
        With its state.

    Raises
    ------
    OSError
        If the disk refuses.
    """
    state = trained.state
    assert state is not None  # noqa: S101 - asked for; narrows the type
    place = {**at_fork.place, "epoch": trained.epoch, "batch": trained.batch}
    place["step"] = at_fork.step + steps
    copied = replace(
        at_fork,
        step=at_fork.step + steps,
        epoch=trained.epoch,
        place=place,
        state=TrainingState(
            state.weights, state.rest, state.aliases, lacks=state.lacks, inexact=state.inexact
        ),
        entries=(*at_fork.entries, *added),
        coming=[],
        open_effects=[],
        knobs={**at_fork.knobs, "size": trained.batch_size, "knobs": trained.knobs},
    )
    contents, aliases, more = copied.contents()
    tree = {
        **contents.tree,
        "branch": {
            "fork": [at_fork.step, at_fork.epoch],
            "validated": [
                [at_fork.step + done, epoch, dict(values)]
                for done, epoch, values in trained.validated
            ],
            "quality": dict(trained.validation),
        },
    }
    manifest = {
        "step": copied.step,
        "epoch": copied.epoch,
        "reason": "branch",
        "name": "",
        "score": None,
        "when": datetime.now(UTC).isoformat("T", "seconds"),
        **more,
        "lacks": [*more["lacks"], _SAMPLES],
    }
    root = run / BRANCHES / f"{proved}-{branch}"
    root.mkdir(parents=True, exist_ok=True)
    write_checkpoint(root / FOLDER, manifest, replace(contents, tree=tree), aliases)


@dataclass(slots=True)
class Branch:
    """A branch on disk that fits a session, and what it holds."""

    name: events.Branch
    proved: str
    checkpoint: Checkpoint
    contents: Contents

    @classmethod
    def of(cls, run: Run, parts: Parts, proved: str, name: events.Branch) -> Branch:
        """Read it.

        Raises
        ------
        ValueError
            If it is not there, damaged, or the data have changed since it began.
        """
        root = run.path / BRANCHES / f"{proved}-{name}"
        found = find_checkpoints(root)
        place = f"{BRANCHES}/{proved}-{name}/{FOLDER}"
        if not found or not is_there(run.path, f"{place}/{found[-1].path.name}/{MANIFEST}"):
            raise ValueError(
                f"there is no {name} branch of {proved!r} to go on from: branches are kept until "
                f"the next proof; session.prove({proved!r}) makes them"
            )
        checkpoint = found[-1]
        if differs := difference(checkpoint.facts, parts.keeping.facts):
            raise ValueError(f"the branch is of another training: {differs}")
        contents = read_checkpoint(checkpoint)
        tree = contents.tree
        if _data(tree["data"], tree["verdicts"]) != _data(parts.data.kept(), parts.labels.kept()):
            raise ValueError(
                f"samples were added, left out or judged since the branches of {proved!r} began, "
                f"and a branch has none of it; session.undo() takes that back, and "
                f"session.prove({proved!r}, steps=...) of a later intervention has it"
            )
        return cls(name, proved, checkpoint, contents)

    @property
    def fork(self) -> tuple[int, int]:
        """Step and epoch at which it began."""
        step, epoch = self.contents.tree["branch"]["fork"]
        return int(step), int(epoch)

    @property
    def validated(self) -> list[tuple[int, int, Mapping[str, float]]]:
        """Step, epoch and figures of each validation of an epoch's end."""
        kept = self.contents.tree["branch"]["validated"]
        return [(int(step), int(epoch), values) for step, epoch, values in kept]

    def take_up(self, parts: Parts, seq: int, back: str) -> tuple[list[events.Payload], str]:
        """Go on from it; while nothing trains.

        Parameters
        ----------
        seq : int
            Number of the event behind which the run goes back.
        back : str
            Name of the checkpoint of what the training was before.

        Returns
        -------
        list of payloads, str
            What the record is to say of interventions, and a sentence for a person.
        """
        steering, tree = parts.steering, self.contents.tree
        before = parts.loop.step
        mine = Ledger.from_text(self.contents.ledger, "ledger.json", parts.modality)
        ledger, told = _follow(steering.ledger, mine, parts.tell.author, self, seq)
        target = max(parts.loop.target_step, self.checkpoint.step)
        for one in told:
            if isinstance(one, events.Undone):
                steering.effects.undone(one.id, parts.loop.step)
                if steering.ledger[one.id].record.knobs:
                    parts.knobs.watch.undone(one.id, parts.loop.step)
        steering.restore(ledger)
        parts.keeping.put_back(self.contents, same_data=True)
        parts.loop.target_step = target
        parts.loop.state = "stopped" if target > parts.loop.step else "finished"
        parts.newest.metrics.update(
            {f"val_{name}": value for name, value in tree["branch"]["quality"].items()}
        )
        parts.loop.snapshot_now()
        parts.findings.go_back(self.fork[0])
        where = (
            f"back from step {before} to" if before > self.checkpoint.step else f"from {before} at"
        )
        return told, (
            f"Kept the {self.name} branch of {self.proved}: {where} step {self.checkpoint.step}. "
            f"What the training was is in checkpoint {back!r}; undo does not bring it back: "
            f"close() this session, and Session(..., resume=run.checkpoints[{back!r}]) does."
        )


def go_on_from(run: Run, parts: Parts, proved: str, branch: events.Branch) -> events.Kept:
    """Go on from the end of a branch; all is on disk when this returns.

    Parameters
    ----------
    run : Run
        All of it on disk.
    parts : Parts
        Of a session in which nothing trains.

    Raises
    ------
    ValueError
        If there is no such intervention or branch, or the data have changed since it began.
    OSError
        If the disk refuses; the training is as it was before then, unless the error says that it
        was applied: then its record is tried again.
    """
    _ = parts.steering.ledger[proved]
    found = Branch.of(run, parts, proved, branch)
    fork, tell = found.fork, parts.tell
    seq = next(one.seq for one in run.iter_events("intervention") if one.data["id"] == proved)
    names = {one.name for one in run.checkpoints}
    number = 1
    while names & {f"before-keep-{number}", f"kept-{number}"}:
        number += 1
    back = f"before-keep-{number}"
    parts.findings.wait(DISK)  # they look at weights of this course
    before = parts.checkpoints.take(back).result(DISK)
    ledger, state = parts.steering.ledger, parts.loop.state
    try:
        told, text = found.take_up(parts, seq, back)
        checkpoint = parts.checkpoints.take(f"kept-{number}").result(DISK)
        _asked(parts, f"keep {branch} of {proved}").result(DISK)
    except BaseException:
        parts.steering.restore(ledger)
        parts.keeping.put_back(read_checkpoint(before), same_data=True)
        parts.loop.state = state
        raise
    for one in told:
        tell.at(*fork, one)
    tell.at(
        *fork,
        events.Resumed(
            checkpoint=f"{FOLDER}/{checkpoint.path.name}",
            seq=seq + 1,
            validated=fork[0],
            lacks=list(checkpoint.lacks),
            inexact=list(checkpoint.inexact),
        ),
    )
    for step, epoch, values in found.validated:
        tell.at(step, epoch, events.Metrics(values=dict(values)), "val")
    kept = events.Kept(
        intervention=proved,
        branch=branch,
        from_step=fork[0],
        back=back,
        author=tell.author,
        text=text,
    )
    recorded: Future[events.Kept] = Future()
    tell.durably(kept, recorded, kept)
    tell.emit(events.StateChanged(state=parts.loop.state, by="person"))
    tell.emit(parts.knobs.shown())
    parts.stream.flush()
    parts.checkpoints.went_back()
    return recorded.result(DISK)


def _asked(parts: Parts, words: str) -> Future[None]:
    """Record what a person asks for: done once the disk has it, and fails where it refuses."""
    answer: Future[None] = Future()

    def recorded(event: events.Event, error: OSError | None) -> None:
        if error is None:
            answer.set_result(None)
        else:
            answer.set_exception(error)

    said = events.CommandReceived(command=words, author=parts.tell.author)
    parts.stream.emit(said, *parts.tell.place(), on_recorded=recorded)
    return answer


def _follow(
    ledger: Ledger, mine: Ledger, author: str, branch: Branch, seq: int
) -> tuple[Ledger, list[events.Payload]]:
    """The ledger with the branch's interventions in force, and what has changed in it."""
    followed = Ledger(ledger.focus, ledger.modality)
    own = {one.id: one for one in mine.taken if not one.undone}
    placebo = branch.name == "placebo"
    taken_out, told = [], []
    for one in ledger.interventions:
        followed.append(one.record, one.step, one.when)
        if one.effect is not None:
            followed.measured(one.effect)
        for kind, why in one.lapsed.items():
            followed.lapse(events.Lapsed(id=one.id, kind=kind, why=why))
        stays = one.id in own and not (placebo and one.id == branch.proved)
        if one.undone or not stays:
            followed.undo(one.id)
        if not one.undone and not stays:
            taken_out.append(one)
    in_force = {one.id for one in followed.taken if not one.undone}
    state = mine.state()
    strengths = {stroke.id: stroke.strength for stroke in state.strokes}
    strengths |= {place.id: place.strength for place in state.located}
    for entry in own.values():
        again = placebo and entry.id == branch.proved
        if entry.id in in_force and not again:
            continue
        words = f"a random region in place of {entry.id}" if again else f"{entry.id} again"
        record = entry.record.model_copy(
            update={
                "id": followed.new_id(),
                "author": author,
                "understood": f"{words}: {entry.understood}",
                "stroke_strength": strengths.get(entry.id, entry.record.stroke_strength),
                "kept": seq,
            }
        )
        when = datetime.now(UTC).isoformat(timespec="seconds")
        followed.append(record, branch.fork[0], when)
        told.append(record.model_copy(update={"focus": state.focus}))
    focus = followed.state().focus
    out = [
        events.Undone(id=one.id, author=author, understood=one.understood, focus=focus, kept=seq)
        for one in taken_out
    ]
    return followed, [*out, *told]


def _data(changed: Mapping[str, Any], verdicts: Sequence[Mapping[str, Any]]) -> Any:
    """What of the training data is otherwise, to compare."""
    members = changed["members"]
    kept = None if members is None else sorted(int(k) for k in members)
    if kept == list(range(len(kept or ()))):
        kept = None
    judged = {one["index"]: (one["verdict"], one.get("label")) for one in verdicts}
    return kept, sorted(changed["gone"]), judged
