"""The last layer fitted again, as an entry of the ledger: done, taken back, replayed, and proved.

Nothing trains meanwhile. The weights of before and after are in a file of the run, and with them
what the layer was given of the held-out samples: a proof needs no other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coflect_widget import events
from coflect_widget.backends.last_layer import LastLayer, Linear
from coflect_widget.guidance.ledger import Intervention
from coflect_widget.records.durable import replacing
from coflect_widget.records.inside import open_inside
from coflect_widget.session.samples import Samples
from coflect_widget.session.steering import Steering
from coflect_widget.session.telling import Telling, when_applied
from coflect_widget.studies.findings import Finder
from coflect_widget.studies.proof import NAMES, judge
from coflect_widget.studies.pulls import Snapshot
from coflect_widget.studies.refit import Rows, figures, fitted, halves, importance, shuffled
from coflect_widget.tasks.base import Task
from coflect_widget.training.controls import Controls
from coflect_widget.training.loop import TrainingLoop

FOLDER = "refits"
#: Held-out samples that are taken at most, and at least.
MOST, FEWEST = 4000, 40
#: Seconds until a change is on disk.
DISK = 60.0


@dataclass(frozen=True)
class _Fit:
    """What a refit's file holds."""

    before: Linear
    after: Linear
    rows: Rows


class Refitting:
    """Fits last layers again and takes that back; while nothing trains.

    Parameters
    ----------
    folder : Path
        The run's.
    backend, task, controls, loop, samples, steering, findings, tell
        What it acts on.
    snapshot : callable () -> callable () -> Snapshot
        Copies the present weights.
    keep : callable ()
        Takes a checkpoint, while nothing trains.
    seed : int
    """

    def __init__(
        self,
        folder: Path,
        backend: Any,
        task: Task,
        controls: Controls,
        loop: TrainingLoop,
        samples: Samples,
        steering: Steering,
        findings: Finder,
        tell: Telling,
        snapshot: Callable[[], Callable[[], Snapshot]],
        keep: Callable[[], object],
        seed: int,
    ) -> None:
        self._folder = folder
        self._backend = backend
        self._task = task
        self._controls = controls
        self._loop = loop
        self._samples = samples
        self._steering = steering
        self._findings = findings
        self._tell = tell
        self._snapshot = snapshot
        self._keep = keep
        self._seed = seed

    # --- while nothing trains --------------------------------------------------------------------

    def refit(
        self, finding: str, data: tuple[Any, Any] | None, keep: Callable[[str], object]
    ) -> Intervention:
        """Fit it, and have it in force; on disk when this returns.

        `keep` has a checkpoint of that name on disk before anything changes.

        Raises
        ------
        ValueError
            If it cannot be done; nothing has changed then.
        """
        if not self._task.labelled:
            raise ValueError("refit() is for a model that gives each sample one class")
        if finding:
            _ = self._findings.named(finding)
        inputs, labels = self._held_out(data)
        layer = self._backend.last_layer(inputs[:2])
        rows, before = Rows(layer.features(inputs), labels), layer.weights()
        some, rest = halves(before, rows, self._seed)
        after = fitted(before, some, importance(before, some))
        name = self._steering.ledger.new_id()
        keep(f"before-{name}")
        file = self._write(name, _Fit(before, after, rows))
        (was, _), (now, _) = figures(before, rest), figures(after, rest)
        against = f" against finding {finding}" if finding else ""
        record = events.InterventionRecord(
            id=name,
            author=self._tell.author,
            understood=f"fit the last layer again on {len(some)} held-out samples{against}: "
            f"accuracy on {len(rest)} others {now:.3f}, {was:.3f} before",
            refit=events.Refit(layer=layer.name, rows=len(some), file=file, finding=finding),
        )
        recorded: Future[Intervention] = Future()

        def apply() -> None:
            layer.put(after)
            step, when = self._loop.step, datetime.now(UTC).isoformat(timespec="seconds")
            entry = self._steering.ledger.append(record, step, when)
            self._steering.effects.applied(record, step)
            self._tell.durably(record, recorded, entry)

        when_applied(self._controls.submit(apply), recorded)
        entry = recorded.result(DISK)
        if finding and not self._findings.named(finding).answer:
            self._answered(finding, name)
        return entry

    def _answered(self, finding: str, intervention: str) -> None:
        data = events.Answered(
            finding=finding,
            answer="wrong reason",
            author=self._tell.author,
            intervention=intervention,
        )
        recorded: Future[events.Finding] = Future()
        self._tell.durably(data, recorded, self._findings.answered(data))
        recorded.result(DISK)

    def undo(self, intervention: str) -> Future[Intervention]:
        """Put the weights of before back, where the training has not gone on since."""
        recorded: Future[Intervention] = Future()

        def apply() -> None:
            entry = self._steering.ledger[intervention]
            if not entry.undone:
                self._put(self._current(entry), "before")
            in_force = entry in self._steering.ledger.taken  # or else it is still to come
            entry = self._steering.ledger.undo(intervention)
            self._steering.effects.undone(intervention, self._loop.step)
            author = self._tell.author
            data = events.Undone(id=entry.id, author=author, understood=entry.understood)
            self._tell.durably(data, recorded, entry)
            # A training shows and keeps its weights by itself.
            if in_force and not self._loop.running:
                self._loop.snapshot_now()
                self._keep()

        when_applied(self._controls.submit(apply), recorded)
        return recorded

    def replay(self, entry: Intervention) -> None:
        """Once more and without a record, what the ledger has of it; at a step boundary."""
        if entry.record.refit is not None:
            self._put(entry, "before" if entry.undone else "after")

    def prove(self, entry: Intervention, seeds: int, say: Callable[[str], object]) -> events.Proof:
        """Hold it beside no refit, and beside one whose weights of samples are shuffled.

        Each seed has another half of the held-out samples to fit on, and judges by the other.

        Raises
        ------
        ValueError
            If the training has gone on since.
        """
        if seeds < 2:
            raise ValueError(f"seeds={seeds}: with fewer than two nothing says what is chance")
        fit = self._read(self._current(entry))
        say(f"Proof of {entry.id}: {len(NAMES)} last layers x {seeds} seeds; no step is trained.")
        found: dict[str, dict[str, list[float | None]]] = {
            name: {"quality": [], "loss": [], "pull": []} for name in NAMES
        }
        now = self._snapshot()()
        for seed in range(seeds):
            some, rest = halves(fit.before, fit.rows, self._seed + seed)
            weights = importance(fit.before, some)
            layers = {
                "untreated": fit.before,
                "treated": fitted(fit.before, some, weights),
                "placebo": fitted(fit.before, some, shuffled(weights, some, seed)),
            }
            for name, layer in layers.items():
                quality, loss = figures(layer, rest)
                values = {"quality": quality, "loss": loss, "pull": self._pull(entry, now, layer)}
                for figure, value in values.items():
                    found[name][figure].append(None if value is None else round(value, 6))
        labels = fit.rows.labels
        proof = judge(
            entry.id,
            found,
            from_step=entry.step,
            steps=0,
            seeds=seeds,
            guess=float(np.unique(labels, return_counts=True)[1].max() / len(labels)),
            quality=self._task.metrics()[1],
        )
        self._tell.emit(proof)
        self._tell.stream.flush()
        say(f"{entry.id} {proof.text}.")
        return proof

    def _pull(self, entry: Intervention, now: Snapshot, layer: Linear) -> float | None:
        refit = entry.record.refit
        if refit is None or not refit.finding:
            return None
        weights = dict(now.weights)
        for part, values in layer._asdict().items():
            if values is not None:
                weights[f"{refit.layer}.{part}"] = values
        finding = self._findings.named(refit.finding)
        return self._findings.past.pull(finding, replace(now, weights=weights))

    # --- held-out samples, and files -------------------------------------------------------------

    def _held_out(self, data: tuple[Any, Any] | None) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """Inputs (n, ...) and labels (n,), in random order."""
        rng = np.random.default_rng([self._seed, 47])
        if data is not None:
            inputs, labels = self._backend.rows_to_add(*data)
            chosen = rng.permutation(len(labels))[:MOST]
            inputs, labels = inputs[chosen], labels[chosen].astype(np.int64)
        else:
            if not (self._backend.num_val and self._backend.reads_val):
                raise ValueError(
                    "refit() needs held-out samples, and the session has no validation data that "
                    "can be read; give data=(x, y)"
                )
            chosen = rng.permutation(self._backend.num_val)[:MOST]
            read = [self._samples.val(int(k)) for k in chosen]
            inputs = np.stack([one.input for one in read])
            labels = np.array([int(one.target) for one in read], np.int64)
        known = labels >= 0
        if known.sum() < FEWEST:
            raise ValueError(
                f"refit() got {int(known.sum())} held-out samples with a class; it needs at least "
                f"{FEWEST}, half of them to fit on and half to judge by"
            )
        return inputs[known], labels[known]

    def _write(self, name: str, fit: _Fit) -> str:
        file = f"{FOLDER}/{name}.npz"
        (self._folder / FOLDER).mkdir(exist_ok=True)
        arrays: dict[str, Any] = {"features": fit.rows.features, "labels": fit.rows.labels}
        for when, layer in (("before", fit.before), ("after", fit.after)):
            arrays |= {
                f"{when}_{part}": values
                for part, values in layer._asdict().items()
                if values is not None
            }
        with replacing(self._folder / file) as part, part.open("wb") as out:
            np.savez(out, **arrays)
        return file

    def _read(self, entry: Intervention) -> _Fit:
        refit = entry.record.refit
        assert refit is not None  # noqa: S101 - narrows the type; who calls knows
        with (
            open_inside(self._folder, refit.file) as file,
            np.load(file, allow_pickle=False) as has,
        ):
            arrays: Mapping[str, NDArray[Any]] = {name: has[name] for name in has.files}
        before, after = (
            Linear(arrays[f"{when}_weight"], arrays.get(f"{when}_bias"))
            for when in ("before", "after")
        )
        return _Fit(before, after, Rows(arrays["features"], arrays["labels"]))

    def _put(self, entry: Intervention, when: str) -> None:
        fit = self._read(entry)
        layer: LastLayer = self._backend.last_layer(self._samples.train(0).input[None])
        layer.put(fit.before if when == "before" else fit.after)

    def _current(self, entry: Intervention) -> Intervention:
        """The entry, if its weights are still those of the last layer."""
        name = entry.id
        if entry.step != self._loop.step:
            raise ValueError(
                f"the training has gone on since {name}, and the last layer with it: close() this "
                f"session, and Session(..., resume=run.checkpoints['before-{name}']) goes on from "
                f"before the refit; session.undo('{name}') there, before train(), leaves it out"
            )
        later = [
            one.id
            for one in self._steering.ledger.taken
            if one.record.refit is not None and one.step == entry.step and not one.undone
        ]
        if later and later[-1] != name and not entry.undone:
            raise ValueError(f"the last layer was fitted again by {later[-1]}; undo that first")
        return entry
