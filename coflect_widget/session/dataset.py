"""The training data changed while a model trains: samples added, left out, labelled anew.

An index means the same sample for ever. What is left out keeps its place, and what is added gets
the next ones. Verdicts on labels are `Labels`'s; here they are interventions with an undo.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coflect_widget import events
from coflect_widget.events import DataChange, Judged
from coflect_widget.forecast.forecaster import Forecaster
from coflect_widget.guidance.ledger import Intervention
from coflect_widget.records.durable import replacing
from coflect_widget.records.inside import open_inside
from coflect_widget.session.labels import Labels
from coflect_widget.session.samples import Samples
from coflect_widget.session.steering import Steering
from coflect_widget.session.telling import Telling, when_applied
from coflect_widget.tasks.base import Task
from coflect_widget.training.controls import Controls
from coflect_widget.training.loop import TrainingLoop
from coflect_widget.training.own_loop import OwnLoop
from coflect_widget.training.together import several

#: Samples that a sentence names.
NAMED = 8


class DataChanges:
    """Adds, drops and relabels samples, and takes that back; any thread.

    Parameters
    ----------
    folder : Path
        The run's; samples that are added are kept in it.
    backend, task, controls, loop, own_loop, samples, forecaster, labels, steering, tell
        What it acts on.
    """

    def __init__(
        self,
        folder: Path,
        backend: Any,
        task: Task,
        controls: Controls,
        loop: TrainingLoop,
        own_loop: OwnLoop,
        samples: Samples,
        forecaster: Forecaster,
        labels: Labels,
        steering: Steering,
        tell: Telling,
    ) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._issued = 0  # numbers of files
        self._backend = backend
        self._task = task
        self._controls = controls
        self._loop = loop
        self._own_loop = own_loop
        self._samples = samples
        self._forecaster = forecaster
        self._labels = labels
        self._steering = steering
        self._tell = tell
        self._gone: set[int] = set()  # samples that were added, and taken back
        #: of each intervention, the verdicts that it gave and those that it replaced
        self._given: dict[str, dict[int, tuple[Judged, Judged | None]]] = {}

    # --- any thread ----------------------------------------------------------------------------

    def drop(self, indices: Sequence[int]) -> Future[Intervention]:
        """Leave samples out from the next step on.

        Raises
        ------
        ValueError, IndexError
            If it cannot be used; nothing has changed then.
        """
        wanted = self._checked(indices)
        return self._at_boundary(self._judge, "drop", wanted, [])

    def relabel(self, indices: Sequence[int], labels: Sequence[int]) -> Future[Intervention]:
        """Train samples under other labels from the next step on; one label for each, or for all.

        Raises
        ------
        ValueError, IndexError
            If it cannot be used; nothing has changed then.
        """
        wanted = self._checked(indices)
        given = list(labels) * len(wanted) if len(labels) == 1 else list(labels)
        if len(given) != len(wanted):
            raise ValueError(
                f"relabel() got {len(given)} labels for {len(wanted)} samples; give one for each, "
                "or one for all"
            )
        for label in given:
            self._labels.check_label(label)
        return self._at_boundary(self._judge, "relabel", wanted, given)

    def add(self, x: Any, y: Any) -> Future[Intervention]:
        """Put samples after the last one; they are trained on from the next epoch on.

        Raises
        ------
        ValueError
            If the data cannot grow, the samples do not fit, or several processes train; nothing
            has changed then.
        """
        self._check_loop("add")
        if several(self._loop):
            raise ValueError(
                "samples cannot be added while several processes train: the others have data sets "
                "of their own, which stay as they are; add them to the data in the script, before "
                "the Session is made in each process"
            )
        inputs, targets = self._backend.rows_to_add(x, y)
        if self._task.labelled:
            for label in targets.tolist():
                self._labels.check_label(label)
        # On disk first, and on the caller's thread: training does not wait for it.
        return self._at_boundary(self._add, inputs, targets, self._keep(inputs, targets))

    def _keep(self, inputs: NDArray[np.float32], targets: NDArray[Any]) -> str:
        """Name of the file that holds them, relative to the run folder."""
        with self._lock:
            self._issued += 1
            while (self._folder / (name := f"added/{self._issued:04d}.npz")).exists():
                self._issued += 1
            (self._folder / "added").mkdir(exist_ok=True)
            with replacing(self._folder / name) as part, part.open("wb") as out:
                np.savez(out, inputs=inputs, targets=targets)
        return name

    def undo(self, intervention: str) -> Future[Intervention]:
        """Take one such change back at the next step boundary."""
        return self._at_boundary(self._undo, intervention)

    def _at_boundary(self, apply: Callable[..., None], *given: Any) -> Future[Intervention]:
        recorded: Future[Intervention] = Future()
        when_applied(self._controls.submit(partial(apply, *given, recorded)), recorded)
        return recorded

    def _checked(self, indices: Sequence[int]) -> list[int]:
        wanted = list(dict.fromkeys(indices))
        if not wanted:
            raise ValueError("no sample was named; give an index, or a list of them")
        for index in wanted:
            self._samples.check(index)
        self._labels.check_able()
        self._check_loop("leave out or relabel")
        return wanted

    def _check_loop(self, what: str) -> None:
        if self._own_loop.open and not self._own_loop.judges:
            raise ValueError(
                f"nothing can {what} samples here: the batches of your own loop come as its loader "
                "gives them; change the loader's data set and begin the loop again, or train with "
                "session.train()"
            )

    # --- a run that goes on ----------------------------------------------------------------------

    def kept(self) -> dict[str, Any]:
        """What a checkpoint keeps beside the ledger and the verdicts; plain values and arrays."""
        members = self._backend.members
        given = {
            id_: [
                [mine.model_dump(), before and before.model_dump()] for mine, before in of.values()
            ]
            for id_, of in self._given.items()
        }
        return {"members": members, "gone": sorted(self._gone), "given": given}

    def take(self, kept: Mapping[str, Any]) -> None:
        """Go on from what `kept` gave; the ledger and the loop's place are back, no verdict yet."""
        for entry in self._steering.ledger.taken:
            if entry.record.data is not None and entry.record.data.kind == "add":
                self._backend.add_samples(*self._read(entry.record.data))
        self._forecaster.mark(partial(self._grow, self._backend.num_train))
        self._forecaster.drain(60)  # who compares its memory finds it as large as it was
        self._gone = set(kept["gone"])
        self._given = {
            id_: {
                (one := Judged.model_validate(mine)).index: (
                    one,
                    before and Judged.model_validate(before),
                )
                for mine, before in of
            }
            for id_, of in kept["given"].items()
        }
        if kept["members"] is not None:
            self._backend.members = np.asarray(kept["members"], np.int64)
            self._members_follow()

    def replay(self, entry: Intervention) -> None:
        """Once more and without a record, what the ledger has of it; at a step boundary."""
        change = entry.record.data
        if change is not None and entry.undone:
            self._take_back(entry)
        elif change is not None and change.kind == "add":
            self._put_rows(*self._read(change))
        elif change is not None:
            self._put_verdicts(entry.id, change)

    def _read(self, change: DataChange) -> tuple[NDArray[np.float32], NDArray[Any]]:
        with (
            open_inside(self._folder, change.file) as file,
            np.load(file, allow_pickle=False) as rows,
        ):
            return rows["inputs"], rows["targets"]

    # --- at a step boundary ----------------------------------------------------------------------

    def _judge(
        self, kind: Any, indices: list[int], labels: list[int], recorded: Future[Intervention]
    ) -> None:
        change = DataChange(kind=kind, index=indices, label=labels)
        self._steering.before()
        name = self._steering.ledger.new_id()
        self._put_verdicts(name, change)
        named = _named(indices)
        text = f"leave out {named}" if kind == "drop" else _relabelled(named, labels)
        self._enter(name, change, text, recorded)

    def _put_verdicts(self, intervention: str, change: DataChange) -> None:
        verdict: events.Verdict = "leave out" if change.kind == "drop" else "wrong"
        labels = change.label
        wanted: list[int | None] = [*labels] if labels else [None] * len(change.index)
        judged = [
            self._labels.verdict_on(index, verdict, label)
            for index, label in zip(change.index, wanted, strict=True)
        ]
        before = {one.index: self._labels.verdicts.get(one.index) for one in judged}
        self._labels.put(judged)
        self._given[intervention] = {one.index: (one, before[one.index]) for one in judged}

    def _add(
        self,
        inputs: NDArray[np.float32],
        targets: NDArray[Any],
        file: str,
        recorded: Future[Intervention],
    ) -> None:
        first, count = self._backend.num_train, len(inputs)
        self._steering.before()
        self._put_rows(inputs, targets)
        indices = list(range(first, first + count))
        text = f"add {count} sample{'s' * (count > 1)}, {_named(indices)}"
        if first not in self._backend.members:
            text += ", trained on from the next epoch on"
        change = DataChange(kind="add", index=indices, file=file)
        self._enter(self._steering.ledger.new_id(), change, text, recorded)

    def _put_rows(self, inputs: NDArray[np.float32], targets: NDArray[Any]) -> None:
        self._backend.add_samples(inputs, targets)
        self._forecaster.mark(partial(self._grow, self._backend.num_train))
        self._members_follow()

    def _grow(self, count: int) -> None:
        """On the forecaster's thread, before it hears of the new samples."""
        self._forecaster.store.grow(count)

    def _members_follow(self) -> None:
        """Have the epochs to come go over all samples but those that were taken back."""
        self._loop.at_next_epoch(self._set_members)

    def _set_members(self) -> None:
        every = np.arange(self._backend.num_train)
        self._backend.members = np.setdiff1d(every, np.array(sorted(self._gone), np.int64))

    def _undo(self, intervention: str, recorded: Future[Intervention]) -> None:
        if not self._steering.ledger[intervention].undone:
            self._take_back(self._steering.ledger[intervention])
        entry = self._steering.ledger.undo(intervention)
        self._steering.effects.undone(intervention, self._loop.step)
        data = events.Undone(id=entry.id, author=self._tell.author, understood=entry.understood)
        self._tell.durably(data, recorded, entry)

    def _take_back(self, entry: Intervention) -> None:
        change = entry.record.data
        assert change is not None  # noqa: S101 - narrows the type; the desk knows whose it is
        if change.kind == "add":
            self._labels.put(
                [self._labels.verdict_on(index, "leave out", None) for index in change.index]
            )
            self._gone.update(change.index)
            self._members_follow()
            return
        self._labels.put(self._replaced(entry))
        self._given.pop(entry.id, None)

    def _replaced(self, entry: Intervention) -> list[Judged]:
        """The verdicts that come back where this intervention's own are in force."""
        given = self._given.get(entry.id)
        change = entry.record.data
        if given is None and change is not None:  # of a ledger that was read from disk
            return [self._labels.verdict_on(index, "undo", None) for index in change.index]
        back = []
        for index, (mine, before) in (given or {}).items():
            if self._labels.verdicts.get(index) == mine:
                back.append(before or self._labels.verdict_on(index, "undo", None))
            for others in self._given.values():  # a later one would bring this one back
                later = others.get(index)
                if later is not None and later[1] == mine:
                    others[index] = (later[0], before)
        return back

    def _enter(
        self, name: str, change: DataChange, text: str, recorded: Future[Intervention]
    ) -> None:
        step = self._loop.step
        record = events.InterventionRecord(
            id=name,
            author=self._tell.author,
            sample=change.index[0] if len(change.index) == 1 else None,
            understood=text,
            data=change,
        )
        when = datetime.now(UTC).isoformat(timespec="seconds")
        entry = self._steering.ledger.append(record, step, when)
        self._steering.effects.applied(record, step)
        self._tell.durably(record, recorded, entry)


def _named(indices: Sequence[int]) -> str:
    """As "sample 17" or "samples 3, 17 and 40 more"."""
    if len(indices) == 1:
        return f"sample {indices[0]}"
    if len(indices) > NAMED and list(indices) == list(range(indices[0], indices[-1] + 1)):
        return f"samples {indices[0]} to {indices[-1]}"
    names = ", ".join(map(str, indices[:NAMED]))
    more = f" and {len(indices) - NAMED} more" if len(indices) > NAMED else ""
    return f"samples {names}{more}"


def _relabelled(named: str, labels: Sequence[int]) -> str:
    different = sorted(set(labels))
    if len(different) == 1:
        return f"train {named} as class {different[0]}"
    return f"train {named} as classes {', '.join(map(str, labels[:NAMED]))}" + (
        " and so on" if len(labels) > NAMED else ""
    )
