"""Proofs: branches of a training with an intervention, without it, and with a random one instead.

All branches begin where the intervention came into force, from a checkpoint of before it. They are
trained by a session of its own, in a folder that is removed: the run itself stays as it is.
"""

from __future__ import annotations

import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from coflect_widget import events
from coflect_widget.guidance.ledger import Intervention, fold
from coflect_widget.records.checkpoint_files import Checkpoint
from coflect_widget.records.journal import remedy
from coflect_widget.records.run import Run
from coflect_widget.session.kept import forget_branches, write_branch
from coflect_widget.session.parts import Parts
from coflect_widget.session.replay import Change, fork, starting_point
from coflect_widget.session.unseen import wait_unseen
from coflect_widget.studies.branches import Ended, Trained, fork_of
from coflect_widget.studies.findings import DONORS, EACH, PLACES, RECEIVERS
from coflect_widget.studies.looking import snapshot_of
from coflect_widget.studies.placebo import placebo_of
from coflect_widget.studies.proof import NAMES, judge
from coflect_widget.studies.pulls import pulls

#: Seconds between two records of how far a proof is.
OFTEN = 1.0
#: Steps of a branch where the settings measure no effects.
STEPS = 200

Say = Callable[[str], object]


@dataclass(slots=True)
class Plan:
    """What a proof is going to cost, known before it begins."""

    entry: Intervention
    start: Checkpoint
    steps: int
    seeds: int
    seconds: float | None  # about so many

    @property
    def before(self) -> int:
        """Steps from the checkpoint to the intervention."""
        return self.entry.step - self.start.step

    @property
    def cost(self) -> int:
        """Steps in all."""
        return self.before + len(NAMES) * self.seeds * self.steps

    def __str__(self) -> str:
        about = "" if self.seconds is None else f", about {_time(self.seconds)}"
        return (
            f"Proof of {self.entry.id}: {len(NAMES)} branches x {self.seeds} seeds x {self.steps} "
            f"steps from step {self.entry.step}"
            + (f", and {self.before} steps up to there" if self.before else "")
            + f"; {self.cost:,} steps{about}."
        )


def plan(run: Run, parts: Parts, entry: Intervention, steps: int | None, seeds: int) -> Plan:
    """Check that it can be proved, and what that takes.

    Raises
    ------
    ValueError
        If it cannot.
    """
    record = entry.record
    if not (record.strokes or record.found is not None):
        raise ValueError(
            f"{entry.id} marks nothing, so there is no random region to hold it beside; a proof is "
            f"of strokes, and replay(without=[{entry.id!r}]) makes the run without it"
        )
    if seeds < 2:
        raise ValueError(f"seeds={seeds}: with fewer than two nothing says what is chance")
    length = steps or parts.config.guidance.effect_after or STEPS
    start = starting_point(run, Change(until=entry.id))
    speed = parts.loop.time.speed
    found = Plan(entry, start, length, seeds, None)
    if speed:
        epochs = 1 + length // max(1, parts.backend.steps_per_epoch)
        validations = len(NAMES) * seeds * epochs * max(0.0, parts.loop.time.validation)
        found.seconds = found.cost / speed + validations
    return found


class Proving:
    """One proof, from its beginning to its end; `cancel` from any thread.

    Parameters
    ----------
    run : Run
        All of it on disk.
    parts : Parts
        Of the session whose intervention it is; nothing trains.
    wanted : Plan
    twin : callable (Checkpoint) -> Session
        Goes on from a checkpoint with copies of model and optimizer.
    say : callable (text)
        Told how far it is.
    """

    def __init__(
        self, run: Run, parts: Parts, wanted: Plan, twin: Callable[[Checkpoint], Any], say: Say
    ) -> None:
        self._run = run
        self._parts = parts
        self._plan = wanted
        self._twin = twin
        self._say = say
        self._cancelled = threading.Event()
        self._replaces = False  # the branches of the proof before
        self._done = 0
        self._told = 0.0
        self._text = ""

    def cancel(self) -> None:
        """End it at the next step."""
        self._cancelled.set()

    def run(self) -> events.Proof:
        """Train the branches and judge; the calling thread does all of it.

        Raises
        ------
        Ended
            If it was cancelled.
        NonFiniteLossError
            If no batch of an epoch has a loss that is finite.
        """
        began = time.perf_counter()
        self._tell(str(self._plan))
        try:
            # In the run's own folder, whose disk has the checkpoint: it need not be copied.
            with tempfile.TemporaryDirectory(prefix=".proof-", dir=self._run.path) as folder:
                found = self._prove(Path(folder))
        except BaseException:
            if self._replaces:
                forget_branches(self._run.path)
            raise
        finally:
            self._record(over=True)
        seconds = round(time.perf_counter() - began, 2)
        proof = found.model_copy(update={"cost": self._done, "seconds": seconds})
        self._parts.tell.emit(proof)
        self._parts.stream.flush()
        self._say(f"{self._plan.entry.id} {proof.text}. {self._done:,} steps, {_time(seconds)}.")
        return proof

    def _prove(self, folder: Path) -> events.Proof:
        wanted = self._plan
        self._look()
        _, start = fork(self._run, Change(until=wanted.entry.id), folder)
        lab = self._twin(start)
        try:
            self._look()
            parts: Parts = lab._parts
            self._reach(parts, wanted.before)
            before = parts.steering.ledger.state()
            forked = fork_of(
                parts.backend, before, parts.knobs.in_force(), parts.loop.place(),
                parts.loop.at_epoch,
            )  # fmt: skip
            self._at_fork = parts.keeping.copy({})
            self._keeps: list[events.Branch] = []
            self._replaces = True
            forget_branches(self._run.path)
            measure = self._measurement(parts)
            found: dict[str, dict[str, list[float | None]]] = {
                name: {"quality": [], "loss": [], "pull": []} for name in NAMES
            }
            lapsed: dict[str, None] = {}
            for seed in range(wanted.seeds):
                added = self._added(parts, seed)
                for name in NAMES:
                    more = added[name]
                    state = fold(more, before, parts.modality) if more else before
                    trained = forked.train(state, wanted.steps, seed, self._stepped, keep=seed == 0)
                    self._look()
                    if trained.state is not None:
                        self._write(name, added[name], trained)
                    figures = _figures(parts, trained.validation, measure())
                    for figure, value in figures.items():
                        found[name][figure].append(value)
                    if parts.backend.lapses:
                        parts.backend.lapses.clear()
                        lapsed[name] = None
                    number = seed * len(NAMES) + NAMES.index(name) + 1
                    self._tell(
                        f"{number} of {len(NAMES) * wanted.seeds}: {name}, seed {seed}"
                        + "".join(
                            f", {figure} {value:.3f}"
                            for figure, value in figures.items()
                            if value is not None
                        )
                    )
            labels = parts.backend.labels()
            guess = None
            if parts.task.labelled and len(labels):
                guess = float(np.unique(labels, return_counts=True)[1].max() / len(labels))
            return judge(
                wanted.entry.id,
                found,
                from_step=wanted.entry.step,
                steps=wanted.steps,
                seeds=wanted.seeds,
                guess=guess,
                quality=parts.task.metrics()[1],
                lapsed=list(lapsed),
            ).model_copy(update={"keeps": self._keeps})
        finally:
            lab.close()

    def _reach(self, parts: Parts, steps: int) -> None:
        """Have all that came before the intervention in force, at its step."""
        loop = parts.loop
        loop.start(steps)
        wait_unseen(parts, lambda: parts.controls.stop() if self._cancelled.is_set() else None)
        if loop.error is not None:
            raise loop.error
        self._done += steps
        self._look()

    def _added(self, parts: Parts, seed: int) -> Mapping[str, tuple[Intervention, ...]]:
        """What is in force in each branch beside what was before."""
        record, step = self._plan.entry.record, self._plan.entry.step
        rng = np.random.default_rng([parts.config.seed, seed, 17])
        other = placebo_of(
            record,
            parts.modality,
            lambda index: parts.samples.train(index).input,
            parts.backend.num_train,
            rng,
        )
        when = self._plan.entry.when
        return {
            "untreated": (),
            "treated": (Intervention(record, step, when=when),),
            "placebo": (Intervention(other, step, when=when),),
        }

    def _write(
        self, name: events.Branch, added: tuple[Intervention, ...], trained: Trained
    ) -> None:
        """Keep the end of a branch, so that the training can go on from it."""
        proved, steps = self._plan.entry.id, self._plan.steps
        try:
            write_branch(self._run.path, self._at_fork, name, proved, added, steps, trained)
        except OSError as error:
            cure = remedy(error)
            self._say(f"The {name} branch is not kept: {error}; {cure}. The proof goes on.")
        else:
            self._keeps.append(name)

    def _measurement(self, parts: Parts) -> Callable[[], float | None]:
        """What measures the pull of what is to be ignored; nothing where that cannot be done."""
        record, steering, modality = self._plan.entry.record, parts.steering, parts.modality
        ignores = record.found is not None or any(s.kind == "ignore" for s in record.strokes)
        structure = parts.structure
        if not (ignores and parts.task.labelled and parts.backend.explainer) or isinstance(
            structure, Exception
        ):
            return lambda: None
        samples, masks = steering.effects.carriers(record, "ignore")
        samples, masks = samples[:DONORS], masks[:DONORS]
        held_out = bool(parts.backend.num_val and parts.backend.reads_val)
        count = parts.backend.num_val if held_out else parts.backend.num_train
        read = parts.samples.val if held_out else parts.samples.train
        rng = np.random.default_rng(parts.config.seed)
        receivers = np.stack([read(int(k)).input for k in rng.permutation(count)[:RECEIVERS]])
        donors = np.stack([sample.input for sample in samples])
        labels = np.array([int(sample.target) for sample in samples])
        moves = modality.moves(modality.extent(samples[0].input), PLACES, rng)
        starts = [number * EACH for number in range(len(samples))]
        given = (donors, labels, np.stack(masks), receivers, EACH, starts, moves)
        copy = partial(snapshot_of, parts.backend, structure, modality)

        def measured() -> float | None:
            found = steering.worker.run(pulls, copy()(), *given, imports=parts.backend.explainer)
            known = found[~np.isnan(found)]
            return round(float(known.mean()), 5) if len(known) else None

        return measured

    # --- how far it is ---------------------------------------------------------------------------

    def _stepped(self) -> None:
        self._done += 1
        self._look()
        if time.monotonic() - self._told >= OFTEN:
            self._record()

    def _look(self) -> None:
        if self._cancelled.is_set():
            raise Ended("the proof was ended; nothing is said of the intervention")

    def _tell(self, text: str) -> None:
        self._text = text
        self._say(text)
        self._record()

    def _record(self, *, over: bool = False) -> None:
        self._told = time.monotonic()
        self._parts.tell.emit(
            events.Proving(
                intervention=self._plan.entry.id,
                done=self._done,
                total=self._plan.cost,
                text="" if over else self._text,
                over=over,
            )
        )


def _figures(
    parts: Parts, validation: Mapping[str, float], pull: float | None
) -> dict[str, float | None]:
    names = {"quality": parts.task.metrics()[1], "loss": "loss"}
    known = {figure: _known(validation.get(name)) for figure, name in names.items()}
    return known | {"pull": pull}


def to_stderr(text: str) -> None:
    """A line for whoever waits in a cell or a terminal."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def _known(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else round(float(value), 6)


def _time(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
