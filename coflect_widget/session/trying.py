"""The part of a `Session` that asks what would have been: replays of the run, and proofs."""

from __future__ import annotations

import copy
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, get_args

from pydantic import PrivateAttr

from coflect_widget import events
from coflect_widget.backends.base import NonFiniteLossError
from coflect_widget.config import nearest
from coflect_widget.guidance.ledger import Intervention
from coflect_widget.records.checkpoint_files import Checkpoint
from coflect_widget.records.run import Run
from coflect_widget.session import kernel
from coflect_widget.session.arguments import count, one_of
from coflect_widget.session.held import Held
from coflect_widget.session.kept import go_on_from
from coflect_widget.session.parts import Parts
from coflect_widget.session.proving import Proving, plan, to_stderr
from coflect_widget.session.replay import changed, fork, starting_point
from coflect_widget.session.saying import said_at
from coflect_widget.session.unseen import wait_unseen

#: What of a session is no use to one that works beside it.
_QUIET: dict[str, Any] = {"findings": {"act": "off"}, "attribution": {"budget": 0.0}}
_LAB: dict[str, Any] = {
    "checkpoint_minutes": 0.0,
    "forecast": {"probes": 0},
    "guidance": {"effect_after": 0},
}


class Replay(Run):
    """A run that trains beside the session it was made from, and ends by itself.

    Attributes
    ----------
    session : Session
        Trains it; closed at its end, when all of the run is on disk.
    """

    def __init__(self, session: Any, steps: int, after: Callable[[], None]) -> None:
        super().__init__(session.run.path)
        self.session = session
        self._after = after
        self._ended = threading.Event()
        self._error: BaseException | None = None
        try:
            session.train(steps=steps)
        except BaseException:
            session.close()
            after()
            raise
        threading.Thread(target=self._end, name="coflect-replay", daemon=True).start()

    def wait(self, timeout: float | None = None) -> bool:
        """Block until it has ended; False if `timeout` seconds passed first.

        Raises
        ------
        Exception
            What ended its training, if that failed.
        KeyboardInterrupt
            If interrupted; the replay is stopped first.
        """
        until = None if timeout is None else time.monotonic() + timeout
        try:
            # In slices, because a plain wait cannot be interrupted on every system.
            while not self._ended.wait(0.2):
                if until is not None and time.monotonic() >= until:
                    return False
        except KeyboardInterrupt:
            self.stop()
            raise
        if self._error is not None:
            raise self._error
        return True

    def stop(self) -> None:
        """End it at its next step; returns when it has ended."""
        if not self._ended.is_set():
            self.session._parts.controls.stop()
        self._ended.wait()

    def _end(self) -> None:
        parts = self.session._parts
        try:
            wait_unseen(parts)
            self._error = parts.loop.error
        except NonFiniteLossError as error:
            self._error = error
        finally:
            try:
                self.session.close()  # first: its threads put random numbers back that they found
            finally:
                try:
                    self._after()
                finally:
                    self._ended.set()


class Proof(events.Proof):
    """What a proof came to, and the way to go on from one of its branches."""

    _keep: Callable[[str, str], events.Kept] = PrivateAttr()

    def keep(self, branch: str = "treated") -> events.Kept:
        """Go on from the end of "treated", "untreated" or "placebo"; see `Session.keep`."""
        return self._keep(self.intervention, branch)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, events.Proof) and self.model_dump() == other.model_dump()

    __hash__ = None  # type: ignore[assignment]  # as of any model that holds lists


class Tries(Held):
    """Mixed into `Session`: what the run would have been otherwise."""

    def replay(
        self,
        without: Iterable[Intervention | str] | Intervention | str = (),
        with_: Sequence[Intervention | Mapping[str, Any]] = (),
        **again: Any,
    ) -> Replay:
        """Train again from before the first change, with some of what was said left out or added.

        A run of its own beside this one, up to the step at which this one is; it trains in the
        background, and `coflect.compare` shows both. What was said otherwise comes into force at
        its steps. On a processor a torch training is made again bit for bit where nothing is
        changed. The model, the data and the weights of this session stay as they are.

        Parameters
        ----------
        without : Intervention, str, or several
            Interventions, or their ids, that are never given.
        with_ : sequence of Intervention or mapping
            Given besides: of another ledger, at its own step, or arguments of `feedback` with a
            step, as ``{"step": 40, "sample": 3, "ignore": (0.1, 0.1, 0.3, 0.3)}``.
        **again
            `model`, `optimizer`, `scheduler` or other arguments of `Session`, where copies of
            this session's cannot be made.

        Raises
        ------
        ValueError
            If there is no such intervention, or no checkpoint from before the change.
        RuntimeError
            If a training is under way in this kernel: all draw from the same random generators.
            If several processes train this model.
        """
        parts = self._at_rest("replay()")
        random = parts.backend.draw_states()
        try:
            added = [said_at(one, parts, self.classes) for one in with_]
            change = changed(self._run, without, added)
            steps = parts.loop.step - starting_point(self._run, change).step
            if steps <= 0 or any(one.step >= parts.loop.step for one in change.added):
                raise ValueError(
                    f"there is nothing to replay: the run is at step {parts.loop.step}, and the "
                    "change comes at that step or later; train() first"
                )
            path, start = fork(self._run, change)
            parts.busy = (
                f"a replay, {path.name}, trains from the same random generators; wait() for it"
            )
            session = self._twin(start, again)
            session._parts.tell.notice("info", f"This run is {self._run.id} {change}.")
            return Replay(session, steps, lambda: _put_back(parts, random))
        except BaseException:
            _put_back(parts, random)
            raise

    def prove(
        self,
        intervention: Intervention | str,
        steps: int | None = None,
        seeds: int = 3,
        *,
        say: Callable[[str], object] | None = None,
        **again: Any,
    ) -> Proof:
        """Find out what an intervention did, by trainings with it and without; waits for them.

        Three branches begin at its step, with the weights and random numbers that the training had
        there: one with it, one without, and one with a random region of the same size and kind in
        its place. With each seed they see the same batches; the first seed's are the training's
        own. Later interventions are left out. The run and the model of this session stay as they
        are. What it will cost is said first, and each branch as it ends.

        Parameters
        ----------
        intervention : Intervention or str
            One that marks something; or a refit, which is held beside none, and beside one whose
            weights of samples are shuffled, over other halves of its samples: no step is trained.
        steps : int, optional
            Of each branch; as many as effects are measured after (``guidance.effect_after``).
        seeds : int
            At least 2.
        say : callable (text), optional
            Told what it costs and how far it is; a line each to stderr if left out.
        **again
            As of `replay`.

        Returns
        -------
        Proof
            ``.text`` says ``.verdict``, one of "helped", "no difference", "harmed" and "no
            verdict", with the figures. ``.branches`` have ``.quality``, ``.loss`` and ``.pull``,
            one figure a seed; ``.beyond`` the differences with 95 % intervals over the seeds;
            ``.cost`` the steps that were trained for it; ``.keep(branch)`` goes on from a branch.

        Raises
        ------
        ValueError
            If there is no such intervention, it marks nothing, or no checkpoint is from before it.
        RuntimeError
            If a training is under way in this kernel, several processes train this model, or
            somebody ends the proof.
        """
        entry = self._open().steering.ledger[self._name(intervention)]
        refit = entry.record.refit is not None
        parts = self._at_rest("prove()", makes_steps=not refit)
        random = parts.backend.draw_states()
        try:
            if refit:
                proof = parts.refits.prove(entry, count(seeds, "seeds"), say or to_stderr)
                proof = Proof.model_validate(proof.model_dump())
                proof._keep = self.keep
                return proof
            wanted = plan(
                self._run,
                parts,
                entry,
                None if steps is None else count(steps, "steps"),
                count(seeds, "seeds"),
            )
            parts.busy = (
                f"a proof of {entry.id} trains from the same random generators; wait for it"
            )
            twin = partial(self._twin, again=again, more=_LAB)
            proving = Proving(self._run, parts, wanted, twin, say or to_stderr)
            parts.desk.proving = proving
            proof = Proof.model_validate(proving.run().model_dump())
            proof._keep = self.keep
            return proof
        finally:
            parts.desk.proving = None
            _put_back(parts, random)

    def keep(self, proved: events.Proof | Intervention | str, branch: str) -> events.Kept:
        """Go on from the end of one branch of the newest proof: of its first seed.

        Model, optimizer, random numbers and interventions become those of the branch, at the step
        at which it ended; what was told later than the intervention that was proved is undone. A
        checkpoint of what the training was before is taken first. Returns once all is on disk.

        Parameters
        ----------
        proved : Proof, Intervention or str
        branch : {"treated", "untreated", "placebo"}

        Returns
        -------
        Kept
            ``.text`` says what has become of the training, ``.back`` is the name of the checkpoint
            of before: close the session, and ``Session(..., resume=run.checkpoints[kept.back])``
            goes on from there. `undo` does not take it back.

        Raises
        ------
        ValueError
            If the branch is not there, or samples were added, left out or judged since it began.
        OSError
            If the disk refuses; the training is as it was before then, unless the error says that
            it was applied: then its record is tried again.
        RuntimeError
            If a training is under way in this kernel.
        """
        name: Any = one_of(branch, "branch", get_args(events.Branch))
        if name is None:
            raise ValueError(f"branch=None; expected one of {', '.join(get_args(events.Branch))}")
        proved = proved.intervention if isinstance(proved, events.Proof) else self._name(proved)
        if self._open().steering.ledger[proved].record.refit is not None:
            raise ValueError(
                f"{proved!r} is a refit, whose proof trains no branches; it is in force, and "
                f"session.undo({proved!r}) takes it out"
            )
        parts = self._at_rest("keep()")
        try:
            return go_on_from(self._run, parts, proved, name)
        finally:
            parts.busy = ""

    @staticmethod
    def _name(intervention: Intervention | str) -> str:
        return intervention if isinstance(intervention, str) else intervention.id

    def _at_rest(self, what: str, *, makes_steps: bool = True) -> Parts:
        """The parts, with everything on disk, while nothing trains, nor will until `_put_back`."""
        parts = self._open()
        if parts.backend.follows or parts.loop.together is not None:
            raise RuntimeError(
                f"{what} trains in one process alone, and several have trained this model"
            )
        if makes_steps and parts.own_loop.used:
            raise ValueError(
                f"{what} makes steps again by itself, and those of a loop of your own it cannot"
            )
        with parts.beginning:
            if parts.busy:
                raise RuntimeError(parts.busy)
            if training := kernel.training():
                raise RuntimeError(
                    f"{what} needs the random generators of the process, and "
                    f"{', '.join(training)} trains; stop() it or wait() for it first: train() "
                    "without arguments goes on after"
                )
            parts.busy = f"{what} begins to train from the same random generators; wait for it"
        try:
            parts.checkpoints.drain(60.0)
            self._on_disk()
        except BaseException:
            parts.busy = ""
            raise
        return parts

    def _twin(
        self, start: Checkpoint, again: Mapping[str, Any], more: Mapping[str, Any] = {}
    ) -> Any:
        """A session that goes on from a checkpoint, with copies of model and optimizer."""
        known = [*self._given, "config"]
        for name in again:
            if name not in known:
                raise TypeError(f"there is no argument {name!r}; {nearest(name, known)}")
        given = {**self._given, **_copies(self._given, again), **again}
        config = self._made().config.model_dump()
        for section, values in {**_QUIET, **more}.items():
            config[section] = {**config[section], **values} if isinstance(values, dict) else values
        given.setdefault("config", config)
        with kernel.beside():
            return self._like({**given, "resume": start})


def _copies(given: Mapping[str, Any], again: Mapping[str, Any]) -> dict[str, Any]:
    """The model and what is tied to it, copied together."""
    names = [name for name in ("model", "optimizer", "scheduler") if name not in again]
    if "model" in again:  # an optimizer that was given is the other model's
        return {}
    try:
        copies = copy.deepcopy([given[name] for name in names])
    except Exception as error:
        raise ValueError(
            f"the model cannot be copied ({error!r}); give another one like it: "
            "replay(..., model=make_model(), optimizer=...)"
        ) from error
    return dict(zip(names, copies, strict=True))


def _put_back(parts: Parts, random: Any) -> None:
    parts.backend.put_draw_states(random)
    parts.busy = ""


def proved_of(session: weakref.ref[Any], intervention: str) -> str:
    """The verdict of a proof that somebody asked for in the dashboard."""
    return str(_there(session).prove(intervention, say=lambda text: None).text)


def kept_of(session: weakref.ref[Any], intervention: str, branch: str) -> str:
    """What has become of a training that somebody there had go on from a branch."""
    return str(_there(session).keep(intervention, branch).text)


def _there(session: weakref.ref[Any]) -> Any:
    found = session()
    if found is None:
        raise ValueError("the session is gone")
    return found
