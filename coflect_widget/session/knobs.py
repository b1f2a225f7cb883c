"""Knobs of a running training: checked now, turned at the next step boundary, on disk, undoable."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from datetime import UTC, datetime
from functools import partial
from typing import Any

from coflect_widget import events
from coflect_widget.backends.knobs import Knobs
from coflect_widget.events import KnobInput, KnobTurn
from coflect_widget.guidance.knobs import (
    LAYERS,
    batch_size_under,
    turn_of,
    understood,
    words,
)
from coflect_widget.guidance.ledger import Intervention
from coflect_widget.session.steering import Steering
from coflect_widget.session.telling import Telling, when_applied
from coflect_widget.studies.knob_effect import KnobWatch
from coflect_widget.training.controls import Controls
from coflect_widget.training.loop import TrainingLoop
from coflect_widget.training.own_loop import OwnLoop
from coflect_widget.training.together import several


class KnobBoard:
    """Turns knobs and takes them out again; any thread.

    Parameters
    ----------
    backend, controls, loop, own_loop, steering, tell
        What is turned, the queue to the training thread, the loops, the ledger, and the record.
    watch : KnobWatch
    before_knob : callable ()
        Called at the step boundary before anything is turned: keeps the weights as they are.
    """

    def __init__(
        self,
        backend: Any,
        controls: Controls,
        loop: TrainingLoop,
        own_loop: OwnLoop,
        steering: Steering,
        tell: Telling,
        watch: KnobWatch,
        before_knob: Callable[[], None],
    ) -> None:
        self._backend = backend
        self._controls = controls
        self._loop = loop
        self._own_loop = own_loop
        self._steering = steering
        self._tell = tell
        self.watch = watch
        self._before_knob = before_knob
        self._first_size = self._next_size = int(backend.batch_size)

    # --- any thread ----------------------------------------------------------------------------

    def set(
        self, knobs: Sequence[KnobInput], instruction: str | None = None
    ) -> Future[Intervention]:
        """Check now, turn at the next step boundary; the future is done once it is on disk.

        Raises
        ------
        ValueError
            If one of them cannot be used; nothing has changed then.
        """
        self._turns(knobs)
        recorded: Future[Intervention] = Future()
        said = words(knobs) if instruction is None else instruction
        apply = partial(self._apply, list(knobs), said, recorded)
        when_applied(self._controls.submit(apply), recorded)
        return recorded

    def undo(self, intervention: str) -> Future[Intervention]:
        """Take one out at the next step boundary: what was before is restored exactly."""
        recorded: Future[Intervention] = Future()
        when_applied(self._controls.submit(partial(self._undo, intervention, recorded)), recorded)
        return recorded

    def shown(self) -> events.KnobsInForce:
        """What may be turned, as it is now."""
        knobs = self._known()
        sizes = {"batch_size": self._backend.batch_size, "next_batch_size": self._next_size}
        if knobs is None:
            why = f"the {self._backend.name} backend has no knobs"
            return events.KnobsInForce(num_train=self._backend.num_train, why_not=why, **sizes)
        return events.KnobsInForce(
            values=[
                events.KnobValue(
                    name=name, values=knobs.now(name), scheduled=bool(knobs.scheduled(name))
                )
                for name in knobs.names()
            ],
            layers=knobs.layers(),
            num_train=self._backend.num_train,
            **sizes,
        )

    def _known(self) -> Knobs | None:
        found: Knobs | None = self._backend.knobs
        return found

    def _turns(self, knobs: Sequence[KnobInput]) -> list[KnobTurn]:
        """What the inputs ask for beside what is in force; changes nothing."""
        known = self._known()
        if known is None:
            raise ValueError(
                f"the {self._backend.name} backend has no knobs: it needs an attribute `knobs`, a "
                "coflect_widget.backends.knobs.Knobs"
            )
        self._check_loop(knobs)
        members = self._backend.members
        samples = self._backend.num_train if members is None else len(members)
        in_force = self.in_force()
        turns: list[KnobTurn] = []
        for knob in knobs:
            size = batch_size_under([*in_force, *turns], self._first_size)
            turns.append(turn_of(knob, known, [*in_force, *turns], size, samples))
        known.check([*in_force, *turns])
        return turns

    def _check_loop(self, knobs: Sequence[KnobInput]) -> None:
        if several(self._loop) and any(knob.name in LAYERS for knob in knobs):
            raise ValueError(
                "layers cannot be frozen or freed while several processes train: what averages "
                "their gradients waits for each weight that was trained as it was made; set "
                "requires_grad before DistributedDataParallel"
            )
        if not self._own_loop.open:
            return
        for knob in knobs:
            if knob.name == "batch_size":
                raise ValueError(
                    "batch_size belongs to the loader of your own loop; make the loader with "
                    "another batch_size"
                )
            if knob.name not in LAYERS and not self._backend.shares_optimizer:
                raise ValueError(
                    f"{knob.name} cannot be turned: your loop steps an optimizer that the session "
                    "does not know; pass it, Session(..., optimizer=optimizer)"
                )

    def in_force(self, without: str = "") -> list[KnobTurn]:
        """The turns that are, oldest first, but those of one intervention."""
        entries = self._steering.ledger.taken
        return [
            turn
            for entry in entries
            if not entry.undone and entry.id != without
            for turn in entry.record.knobs
        ]

    # --- a run that goes on ----------------------------------------------------------------------

    def kept(self) -> dict[str, Any]:
        """What a checkpoint keeps beside the ledger and the optimizer's state; plain values."""
        known = self._known()
        return {
            "first_size": self._first_size,
            "size": self._backend.batch_size,
            "next_size": self._next_size,
            "knobs": None if known is None else known.kept(),
        }

    def take(self, kept: Mapping[str, Any]) -> None:
        """Go on from what `kept` gave; the ledger, the optimizer and the loop's place are back."""
        known = self._known()
        if known is not None and kept["knobs"] is not None:
            known.take(self.in_force(), kept["knobs"])
        self._first_size, self._next_size = int(kept["first_size"]), int(kept["next_size"])
        self._backend.batch_size = int(kept["size"])
        if self._waits:
            self._loop.at_next_epoch(self._resize)

    def replay(self) -> None:
        """Have in force what the ledger has, once more and without a record; at a step boundary."""
        self._put(self.in_force())

    # --- at a step boundary ----------------------------------------------------------------------

    def _apply(
        self, knobs: Sequence[KnobInput], instruction: str, recorded: Future[Intervention]
    ) -> None:
        turns = self._turns(knobs)  # beside what is in force by now
        known = self._known()
        assert known is not None  # noqa: S101 - narrows the type; `_turns` has raised
        schedules = {turn.name: known.scheduled(turn.name) for turn in turns if not turn.layers}
        self._before_knob()
        self._put([*self.in_force(), *turns])
        step = self._loop.step
        text = understood(turns, schedules)
        if any(turn.name == "batch_size" for turn in turns) and self._waits:
            text += "; from the next epoch on"
        if self._own_loop.open and "lr" in schedules and not schedules["lr"]:
            text += "; a schedule that your loop steps goes on from there"
        record = events.InterventionRecord(
            id=self._steering.ledger.new_id(),
            author=self._tell.author,
            instruction=instruction,
            understood=text,
            knobs=turns,
        )
        when = datetime.now(UTC).isoformat(timespec="seconds")
        entry = self._steering.ledger.append(record, step, when)
        self.watch.applied(record.id, step)
        self._steering.effects.applied(record, step)
        self._tell.durably(record, recorded, entry)
        self._tell.emit(self.shown())

    def _undo(self, intervention: str, recorded: Future[Intervention]) -> None:
        if not self._steering.ledger[intervention].undone:
            self._before_knob()
            self._put(self.in_force(without=intervention))  # first what can fail
        entry = self._steering.ledger.undo(intervention)
        self.watch.undone(intervention, self._loop.step)
        self._steering.effects.undone(intervention, self._loop.step)
        data = events.Undone(id=entry.id, author=self._tell.author, understood=entry.understood)
        self._tell.durably(data, recorded, entry)
        self._tell.emit(self.shown())

    def _put(self, turns: Sequence[KnobTurn]) -> None:
        known = self._known()
        assert known is not None  # noqa: S101 - narrows the type
        size = batch_size_under(turns, self._first_size)
        if size != self._next_size:
            known.check_batch_size(size)
        known.put(turns)
        if size != self._next_size:
            self._next_size = size
            self._loop.at_next_epoch(self._resize)

    @property
    def _waits(self) -> bool:
        return bool(self._next_size != self._backend.batch_size)

    def _resize(self) -> None:
        """The size of batches, before an epoch's first one."""
        self._backend.batch_size = self._next_size
