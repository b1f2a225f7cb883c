"""Replays: a run of its own that is another one with something a person said left out or added.

A run folder is made that holds what the other one was at a checkpoint, with its record up to there
and what was said after it, changed as asked. A session that resumes it makes the rest again, and
each word that was kept comes into force at its step.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from coflect_widget import events
from coflect_widget.config import nearest
from coflect_widget.events import Event
from coflect_widget.guidance.ledger import Intervention, Ledger
from coflect_widget.records.checkpoint_files import (
    ARRAYS,
    FOLDER,
    LEDGER,
    MANIFEST,
    STATE,
    WEIGHTS,
    Checkpoint,
    find_checkpoints,
)
from coflect_widget.records.folder import make_run_folder, write_whole
from coflect_widget.records.inside import find, is_there, read_text
from coflect_widget.records.run import Run

_ACTS = (events.InterventionRecord, events.Undone, events.Judged)
#: Of what came before the checkpoint these belong to both runs; pictures stay with the first.
_SHARED = (
    *_ACTS,
    events.RunStarted,
    events.TrainStarted,
    events.StateChanged,
    events.KnobsInForce,
    events.Lapsed,
    events.Effect,
    events.Finding,
    events.Answered,
)


@dataclass(frozen=True, slots=True)
class Change:
    """What of a run is to be otherwise.

    Attributes
    ----------
    without : tuple of str
        Interventions that are never given.
    added : tuple of Intervention
        Given at their steps.
    until : str
        The first intervention that is left out with all that came after it; "" for none.
    """

    without: tuple[str, ...] = ()
    added: tuple[Intervention, ...] = ()
    until: str = ""

    def __str__(self) -> str:
        said = [f"without {', '.join(self.without)}"] if self.without else []
        said += [f"with {', '.join(one.id for one in self.added)}"] if self.added else []
        return " and ".join(said) or "as it was"


def changed(
    run: Run,
    without: Iterable[Intervention | str] | Intervention | str = (),
    added: Sequence[Intervention] = (),
) -> Change:
    """Check what is to be otherwise.

    Raises
    ------
    ValueError
        If the run has no such intervention.
    """
    if isinstance(without, str | Intervention):
        without = [without]
    names = tuple(dict.fromkeys(one if isinstance(one, str) else one.id for one in without))
    known = list(_given(run))
    for name in names:
        if name not in known:
            hint = nearest(name, known) if known else "nothing was said to it"
            raise ValueError(f"without={name!r} is no intervention of {run.id}; {hint}")
    taken = set(known)
    renamed = []
    for one in added:
        if not one.record.guides:
            raise ValueError(
                f"with_={one.id!r} turns a knob, changes the data or fits a layer, and belongs "
                "to the training it was made in; give strokes or an instruction"
            )
        number = 1
        while f"i{number}" in taken:
            number += 1
        taken.add(f"i{number}")
        record = one.record.model_copy(update={"id": f"i{number}"})
        renamed.append(Intervention(record, one.step))
    return Change(names, tuple(renamed))


def starting_point(run: Run, change: Change) -> Checkpoint:
    """The newest checkpoint from before anything that is to be otherwise.

    Raises
    ------
    ValueError
        If there is none.
    """
    left_out = {*change.without, change.until} - {""}
    first = min((one.step for one in change.added), default=None)
    found = [one for one in run.checkpoints.of_course() if first is None or one.step <= first]
    found = [one for one in found if not left_out & _in_ledger(one)]
    if found:
        return found[0] if not (left_out or change.added) else found[-1]
    steps = [one.step for one in find_checkpoints(run.path)]
    known = (
        f"those that it has are of steps {', '.join(map(str, steps))}" if steps else "it has none"
    )
    raise ValueError(
        f"{run.id} cannot be replayed {change}: no checkpoint is from before that, and {known}. "
        "session.checkpoint('start') before a training, or before you say something, keeps one"
    )


def fork(run: Run, change: Change, folder: Path | None = None) -> tuple[Path, Checkpoint]:
    """Make the run folder from which a session goes on; on disk when this returns.

    Parameters
    ----------
    run : Run
        All of it on disk.
    change : Change
    folder : Path, optional
        Where the new run folder is made; beside the run if left out.

    Returns
    -------
    Path, Checkpoint
        The new folder, and its one checkpoint.

    Raises
    ------
    ValueError
        If there is no checkpoint from before the change.
    """
    start = starting_point(run, change)
    new = make_run_folder(run.path.parent if folder is None else folder)
    if is_there(run.path, "config.yaml"):
        write_whole(new / "config.yaml", read_text(run.path, "config.yaml"))
    _write_meta(run, new, start, change)
    kept = _record(run, start, change)
    place = f"{FOLDER}/{start.path.name}"
    files = [f"{place}/{name}" for name in (MANIFEST, WEIGHTS, ARRAYS, STATE, LEDGER)]
    given = [event.data for event in kept if isinstance(event.data, events.InterventionRecord)]
    files += [one.data.file for one in given if one.data is not None and one.data.file]
    files += [one.refit.file for one in given if one.refit is not None]
    for name in files:
        (new / name).parent.mkdir(exist_ok=True)
        _link(find(run.path, name), new / name)
    last = max((event.seq for event in kept), default=start.seq)
    for number, one in enumerate(change.added, last + 1):
        kept.append(
            Event.model_construct(
                seq=number,
                ts=datetime.now(UTC),
                run_id=new.name,
                type="intervention",
                step=one.step,
                epoch=0,
                split=None,
                data=one.record,
            )
        )
    lines = [event.model_copy(update={"run_id": new.name}).model_dump_json() for event in kept]
    write_whole(new / "events.jsonl", "".join(f"{line}\n" for line in lines))
    [copied] = find_checkpoints(new)
    return new, copied


def _write_meta(run: Run, new: Path, start: Checkpoint, change: Change) -> None:
    facts: Mapping[str, Any] = {
        **run.meta,
        "run_id": new.name,
        "started": datetime.now(UTC).isoformat(),
        "replay": {
            "of": run.id,
            "step": start.step,
            "without": list(change.without),
            "with": [f"{one.id} at step {one.step}" for one in change.added],
        },
    }
    write_whole(new / "meta.json", json.dumps(facts, indent=1))


def _record(run: Run, start: Checkpoint, change: Change) -> list[Event]:
    """The events that the new run begins with."""
    past: set[str] = set(change.without)
    kept: dict[int, Event] = {}
    last = _given(run).get(change.until)
    for event in run.iter_events():
        data = event.data
        after = last is not None and _order(event) >= _order(last)
        if isinstance(data, events.InterventionRecord | events.Undone | events.Lapsed):
            left_out = data.id in past
        else:
            left_out = isinstance(data, events.Effect) and data.intervention in past
        act = isinstance(data, _ACTS)
        before = isinstance(data, _SHARED) and event.seq < start.seq
        if not left_out and not (act and after) and (act or before):
            kept[event.seq] = event
    for event, _ in run.iter_metrics():
        if event.step <= start.step:
            kept[event.seq] = event
    return [kept[seq] for seq in sorted(kept)]


def _in_ledger(checkpoint: Checkpoint) -> set[str]:
    """Interventions that were in force by then, or had been."""
    run, name = checkpoint.path.parent.parent, checkpoint.path.name
    text = read_text(run, f"{FOLDER}/{name}/{LEDGER}", 2**28)
    return {entry.id for entry in Ledger.from_text(text, LEDGER).taken}


def _given(run: Run) -> dict[str, Event]:
    return {event.data["id"]: event for event in run.iter_events("intervention")}


def _order(event: Event) -> tuple[int, int, int]:
    return event.step, event.epoch, event.seq


def _link(source: Path, target: Path) -> None:
    """The same file under another name; a copy where that cannot be."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
