"""The desk: every command of a person ends here, whoever hands it in.

A method of the session, a button, a typed sentence: each is one of `events.Command`. What cannot
be used is refused before anything changes; what can is done at the next step boundary.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextvars import copy_context
from typing import Any, Literal, NamedTuple, TypeVar

from coflect_widget import events
from coflect_widget.attribution.explanation import Explanation
from coflect_widget.events import Command
from coflect_widget.forecast.forecaster import Forecaster
from coflect_widget.guidance.hits import Hit
from coflect_widget.guidance.instructions import ORDERS, Understood, parse
from coflect_widget.guidance.ledger import Intervention
from coflect_widget.modalities.base import Modality
from coflect_widget.session.answering import Answering, Asked
from coflect_widget.session.coach import DISMISS
from coflect_widget.session.dataset import DataChanges
from coflect_widget.session.holding import Holding
from coflect_widget.session.knobs import KnobBoard
from coflect_widget.session.labels import Labels
from coflect_widget.session.overlays import Overlays
from coflect_widget.session.refitting import Refitting
from coflect_widget.session.samples import Samples
from coflect_widget.session.steering import Steering
from coflect_widget.session.telling import Telling
from coflect_widget.training.controls import Controls
from coflect_widget.training.loop import TrainingLoop

T = TypeVar("T")

#: Factor by which "slower overlays" changes the steps between two of them.
PACE = 2
NOTHING_LEFT = (
    "no stopped training has steps left; session.train(epochs=...) says how long to train on"
)
_ONSET = "only samples that are right now and will probably be wrong"
_ALL = "all samples that will probably be wrong"
_LOOK = "Now counts as a good time to look, until you next tell the training something"
_NOTHING_TRAINS = "nothing is training; run session.train(epochs=...) in a cell"


class Answer(NamedTuple):
    """What a person reads once a command is done and on disk."""

    text: str
    step: int | None = None
    entry: Intervention | None = None  #: of the ledger, where the command made or changed one


class Desk:
    """Takes commands on any thread; nothing here waits for the training.

    Parameters
    ----------
    loop, controls, steering, labels, knobs, data, refits, forecaster, overlays, holding, samples,
    findings, tell
        Who carries them out.
    modality : Modality
        Which words name regions.
    classes : sequence of str
        Names of the classes, which sentences may use.
    open_window : callable ()
        Opens the review window.

    Attributes
    ----------
    close_others : callable () -> list of str
        Ends the other sessions of the kernel and gives their runs' names.
    begin : callable (epochs or None) -> int
        Trains so many epochs, or what a stopped training has left; gives the steps to come.
    """

    def __init__(
        self,
        loop: TrainingLoop,
        controls: Controls,
        steering: Steering,
        labels: Labels,
        knobs: KnobBoard,
        data: DataChanges,
        refits: Refitting,
        forecaster: Forecaster,
        overlays: Overlays,
        holding: Holding,
        samples: Samples,
        findings: Answering,
        tell: Telling,
        *,
        modality: Modality,
        classes: Sequence[str],
        open_window: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._controls = controls
        self._steering = steering
        self._labels = labels
        self._knobs = knobs
        self._data = data
        self._refits = refits
        self._forecaster = forecaster
        self._overlays = overlays
        self._holding = holding
        self._samples = samples
        self._findings = findings
        self._tell = tell
        self._modality = modality
        self._classes = list(classes)
        self._open_window = open_window
        self.close_others: Callable[[], list[str]] = list
        self.prove: Callable[[str], str]  # by the session; gives the verdict
        self.keep: Callable[[str, str], str]  # by the session: intervention, branch
        self.label_request: Callable[[str, int | None], Answer] = _no_requests
        self.proving: Any = None  # session.proving.Proving, while one is under way
        self.begin: Callable[[int | None], int]  # by the session, before anything is handed in

    # --- what the browser sends ----------------------------------------------------------------

    def handle(self, command: Command) -> Future[Answer]:
        """Hand one command on; the future is done once the command is, and on disk.

        Raises
        ------
        ValueError, IndexError
            What the person should read; nothing has changed then.
        """
        match command:
            case events.Pause() | events.Resume() | events.Stop():
                if not self.order(command.kind):
                    raise ValueError(_NOTHING_TRAINS)
                return _at_once(command.kind, self._loop.step)
            case events.Advance():
                if not self.advance(command.unit, command.steps):
                    raise ValueError(_NOTHING_TRAINS)
                several = command.unit == "step" and command.steps > 1
                said = f"{command.steps} steps" if several else f"one {command.unit}"
                return _at_once(said, self._loop.step)
            case events.Continue():
                return self._continue(command.epochs)
            case events.Feedback():
                return _later(self.feedback(command), _said_of)
            case events.Similar():
                self.similar(command.intervention)  # the hits come as events
                return _at_once(f"Looking for more like {command.intervention}")
            case events.Confirm():
                return _later(self.confirm(command.intervention, command.index), _said_of)
            case events.Undo():
                return _later(self.undo(command.intervention), _said_of)
            case events.Explain():
                at = None if command.at is None else tuple(command.at)
                self.explain(command.index, command.target, at)
                return _at_once(f"Explaining sample {command.index}")
            case events.SetQueue():
                self.set_queue(onset=command.onset)
                return _at_once(f"Listed: {_ONSET if command.onset else _ALL}")
            case events.OpenWindow():
                self.open_window()
                return _at_once(_LOOK, self._loop.step)
            case events.Judge():
                return _later(self.judge(command), _said_of_verdict)
            case events.SetKnobs():
                return _later(self._knobs.set(command.knobs), _said_of)
            case events.LeaveOut():
                return _later(self._data.drop(command.index), _said_of)
            case events.LabelRequest():
                return _aside(lambda: self.label_request(command.request, command.label))
            case events.AnswerFinding():
                return _later(self.answer(command.finding, command.answer), _said_of_finding)
            case events.Prove():
                return self._prove(command.intervention)
            case events.Keep():
                return self._keep(command)
            case events.EndProof():
                if self.proving is None:
                    raise ValueError("no proof is under way")
                self.proving.cancel()
                return _at_once("The proof ends at its next step")
            case events.Dismiss():
                # The coach hears of it as of everything else: from the record.
                self._tell.command(f"{DISMISS}{command.key}")
                return _at_once("Put away")
            case events.CloseOthers():
                return _aside(self._close_others)
        raise ValueError(f"{type(command).__name__} is no command of a training")

    def _keep(self, command: events.Keep) -> Future[Answer]:
        if self._loop.running:
            raise ValueError("to go on from a branch, Stop this training first")
        _ = self._steering.ledger[command.intervention]
        return _aside(lambda: self._kept(command))

    def _kept(self, command: events.Keep) -> Answer:
        return Answer(self.keep(command.intervention, command.branch), self._loop.step)

    def _prove(self, intervention: str) -> Future[Answer]:
        if self._loop.running:
            raise ValueError(
                "a proof needs the random generators that this training draws from: Stop it first; "
                "Continue goes on where it was"
            )
        if self._loop.together is not None:
            raise ValueError(
                "a proof trains in one process alone, and several have trained this model"
            )
        _ = self._steering.ledger[intervention]
        if self.proving is not None:
            raise ValueError("a proof is under way already")
        self._tell.command(f"prove {intervention}")
        return _aside(lambda: Answer(self.prove(intervention)))

    def _close_others(self) -> Answer:
        ended = self.close_others()
        return Answer(f"Ended {', '.join(ended)}" if ended else "No other session is open")

    def _continue(self, epochs: int | None) -> Future[Answer]:
        if self._loop.running:
            raise ValueError("training is under way; Resume goes on after a pause")
        if self._loop.together is not None:
            raise ValueError(
                "several processes train together, and all must begin at once: call "
                "session.train() in their script"
            )
        if epochs is None and not (self._loop.left[0] or self._loop.ends_epoch):
            raise ValueError(NOTHING_LEFT)
        self._tell.command("continue" if epochs is None else f"continue: {epochs} epochs")

        def go_on() -> Answer:
            steps = self.begin(epochs)
            return Answer(f"Training goes on: {steps} steps to come", self._loop.step)

        return _aside(go_on)

    # --- the course of the training ------------------------------------------------------------

    def order(self, kind: Literal["pause", "resume", "stop"]) -> bool:
        """Ask the loop to hold, go on or end; False if nothing trains."""
        if not self._loop.running:
            return False
        self._tell.command(kind)
        if kind != "pause":
            self._holding.broken = None
        getattr(self._controls, kind)()
        return True

    def advance(self, unit: Literal["step", "epoch"], steps: int = 1) -> bool:
        """Train some steps, or to the end of the epoch, then hold; False if nothing trains."""
        loop = self._loop
        if not loop.running:
            return False
        self._tell.command(unit if unit == "epoch" or steps == 1 else f"{steps} steps")
        step, epoch = loop.step, loop.epoch
        self._holding.broken = None
        self._controls.resume(
            (lambda: loop.step >= step + steps) if unit == "step" else lambda: loop.epoch > epoch
        )
        return True

    # --- looking -------------------------------------------------------------------------------

    def explain(
        self, index: int, target: int | None = None, at: tuple[float, ...] | None = None
    ) -> Future[Explanation]:
        """Maps of one sample, of class or label `target` or the region `at`, before all else.

        Raises
        ------
        ValueError
            If there is no such class or place.
        """
        self._samples.check(index)
        if target is not None and not 0 <= target < len(self._classes):
            raise ValueError(
                f"target={target} is no class; expected 0 to {len(self._classes) - 1}, or one of "
                f"{', '.join(map(repr, self._classes[:20]))}"
            )
        if at is not None:
            self._steering.check_place(at)
        return self._overlays.explain(index, target, at)

    def set_queue(self, *, onset: bool) -> None:
        """Show only samples that are right now, or all that are likely to fail."""
        if onset != self._forecaster.onset:
            self._forecaster.onset = onset
            self._tell.command(f"queue: {_ONSET if onset else _ALL}")
            self._forecaster.rank_again()

    def open_window(self) -> None:
        """Open the review window by hand."""
        self._tell.command("open window")
        self._open_window()

    def judge(self, command: events.Judge) -> Future[events.Judged]:
        """A verdict on a sample's label; see `Labels.judge`."""
        return self._labels.judge(command)

    def answer(
        self, finding: str, said: events.Answer
    ) -> Future[tuple[Asked, Intervention | None]]:
        """An answer to a finding; see `Answering.answer`."""
        return self._findings.answer(finding, said)

    # --- guidance ------------------------------------------------------------------------------

    def feedback(self, feedback: events.Feedback) -> Future[Intervention]:
        """Strokes and sentences; the future is done once they are in force and on disk.

        A typed order ("pause", "undo") is obeyed instead; the answer is then no entry of the
        ledger, except for "undo", which answers with what it took out.

        Raises
        ------
        ValueError
            If it cannot be used; nothing has changed then.
        """
        words = feedback.instruction
        said = None if words is None else parse(words, self._modality, self._classes)
        if isinstance(said, Understood):
            alone = not feedback.strokes and feedback.strength is None
            if said.action in ORDERS and alone:
                return self._obey(said)
            if said.action == "knobs" and alone:
                return self._knobs.set(said.knobs, said.echo())
            if said.scope == "sample" and feedback.sample is None:  # the one that is looked at
                feedback = feedback.model_copy(update={"sample": self._overlays.looked_at})
        return self._steering.feedback(feedback, said)

    def similar(self, intervention: str) -> Future[list[Hit]]:
        """Look for what an intervention ignores in other samples."""
        return self._steering.similar(intervention)

    def confirm(
        self, intervention: str, indices: Sequence[int] | None = None
    ) -> Future[Intervention]:
        """Ignore it in those samples too, where it was found; in all of them if None."""
        return self._steering.confirm(intervention, indices)

    def undo(self, intervention: str) -> Future[Intervention]:
        """Take one intervention out at the next step boundary."""
        record = self._steering.ledger[intervention].record
        if record.refit is not None:
            return self._refits.undo(intervention)
        owner = self._data if record.data is not None else self._steering
        return self._knobs.undo(intervention) if record.knobs else owner.undo(intervention)

    def _obey(self, order: Understood) -> Future[Intervention]:
        words = order.echo()
        match order.action:
            case "pause" | "resume" | "stop":
                if not self.order(order.action):
                    raise ValueError(
                        f"{words!r}: nothing is training; run session.train(epochs=...) first"
                    )
            case "undo":
                return self.undo(order.intervention or self._last().id)
            case "explain":
                self.explain(order.index)
            case _:
                factor = 1 / PACE if order.faster else PACE
                every = self._overlays.pace(factor, self._loop.step)
                self._tell.command(words)
                words = f"{words}: one in {every} steps"
        answered: Future[Intervention] = Future()
        record = events.InterventionRecord(
            id="", author=self._tell.author, instruction=order.echo(), understood=words
        )
        answered.set_result(Intervention(record, self._loop.step))
        return answered

    def _last(self) -> Intervention:
        entries = reversed(self._steering.ledger.interventions)
        entry = next((e for e in entries if not e.undone), None)
        if entry is None:
            raise ValueError("'undo': there is no intervention in force")
        return entry


def _at_once(text: str, step: int | None = None) -> Future[Answer]:
    answer: Future[Answer] = Future()
    answer.set_result(Answer(text, step))
    return answer


def _no_requests(request: str, label: int | None) -> Answer:
    del request, label
    raise ValueError("this session has no requests to label; session.to_label(run) takes them in")


def _aside(do: Callable[[], Answer]) -> Future[Answer]:
    """Do what may take its time in a thread of its own; whoever handles messages must not wait."""
    answer: Future[Answer] = Future()
    context = copy_context()  # who asks for it is on record

    def work() -> None:
        try:
            answer.set_result(context.run(do))
        except Exception as error:  # noqa: BLE001 - the person gets the reason
            answer.set_exception(error)

    threading.Thread(target=work, name="coflect-command", daemon=True).start()
    return answer


def _later(future: Future[T], words: Callable[[T], Answer]) -> Future[Answer]:
    answer: Future[Answer] = Future()

    def done(finished: Future[T]) -> None:
        error = finished.exception()
        if error is not None:
            answer.set_exception(error)
        else:
            answer.set_result(words(finished.result()))

    future.add_done_callback(done)
    return answer


def _said_of(entry: Intervention) -> Answer:
    if not entry.id:  # an order, obeyed
        return Answer(entry.understood, entry.step, entry)
    words = "Undone; given at step" if entry.undone else "Applied at step"
    loss = f" ({entry.record.loss})" if entry.record.loss and not entry.undone else ""
    return Answer(f"{words} {entry.step}: {entry.understood}{loss}", entry.step, entry)


def _said_of_verdict(data: events.Judged) -> Answer:
    label = f", trained as class {data.label}" if data.verdict == "wrong" else ""
    return Answer(f"Sample {data.index}: {data.verdict}{label}")


def _said_of_finding(done: tuple[Asked, Intervention | None]) -> Answer:
    finding, told = done
    if isinstance(finding, str):
        return Answer(f"That was a control, a random place; nothing is ignored. {finding}")
    more = f". It alone turns {finding.pull:.0%} of other samples" if finding.blind else ""
    if told is not None:
        found = told.record.found  # where it has a place of its own in each sample
        count = finding.count if found is None else len(found.index)
        samples = "1 sample" if count == 1 else f"{count:,} samples"
        return Answer(f"Ignored in {samples}{more}", told.step, told)
    good = finding.answer == "right reason"
    return Answer(f"A right reason: it is not asked about again{more}" if good else "Put away")
