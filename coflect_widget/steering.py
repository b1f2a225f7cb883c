"""What a person tells a running training: checked now, done at the next step boundary.

Every way in (a method of the session, a button, a typed sentence) ends here. Nothing is half
done: what cannot be used is refused before anything changes, and the ledger takes only what the
loss took.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from coflect_widget import events
from coflect_widget.guidance.idle_worker import IdleWorker
from coflect_widget.guidance.instructions import ORDERS, Understood, parse
from coflect_widget.guidance.interpret import Interpretation, interpret
from coflect_widget.guidance.lapses import Lapse, told
from coflect_widget.guidance.ledger import Intervention, Ledger, fold
from coflect_widget.guidance.place_watch import PlaceWatch
from coflect_widget.guidance.roi import parse_roi
from coflect_widget.guidance.search import ArtefactSearch
from coflect_widget.guidance.similar import Hit
from coflect_widget.guidance.state import GuidanceState
from coflect_widget.guidance.watch import EffectWatch
from coflect_widget.record.journal import remedy

if TYPE_CHECKING:
    from coflect_widget.wiring import Wiring

#: Factor by which "slower overlays" changes the steps between two of them.
PACE = 2


class Steering:
    """The desk where guidance and orders arrive; any thread.

    Parameters
    ----------
    wiring : Wiring
        The organs of the session.
    structure : bytes or Exception
        The model for a worker, or why it cannot be sent.
    classes : sequence of str
        Names of the classes.
    measure : callable or None
        What measures a snapshot in a worker; None where the framework has none.

    Attributes
    ----------
    ledger : Ledger
    search : ArtefactSearch
    effects : EffectWatch
    """

    def __init__(
        self,
        wiring: Wiring,
        structure: bytes | Exception,
        classes: Sequence[str],
        measure: Callable[..., Any] | None,
    ) -> None:
        backend, config = wiring.backend, wiring.config
        self._wiring = wiring
        self._classes = list(classes)
        self.ledger = Ledger(config.guidance.strength)
        self._worker = IdleWorker()
        self.search = ArtefactSearch(
            self._worker,
            lambda index: wiring.read_sample(index).input,
            backend.num_train,
            wiring.emit,
        )
        able = measure is not None and not isinstance(structure, Exception)
        self._places = PlaceWatch(
            getattr(backend, "readings", None),
            wiring.controls if backend.reads_at_boundary else None,
            partial(wiring.notice, "warning"),
        )
        self.effects = EffectWatch(
            self._worker,
            measure or _cannot_measure,
            b"" if isinstance(structure, Exception) else structure,
            backend.weight_specs(),
            backend.copy_weights,
            wiring.read_sample,
            wiring.read_val_sample,
            backend.num_train,
            backend.num_val if hasattr(backend, "read_val_sample") else 0,
            lambda: backend.image_size,
            config.guidance.effect_after if able else 0,
            config.seed,
            self._measured,
            partial(wiring.notice, "warning"),
        )

    def state_changed(self, state: str) -> None:
        """Training began, holds, goes on or ended."""
        self._worker.training(state == "training")

    def close(self) -> None:
        """End searches and measurements."""
        self.search.close()
        self.effects.close()
        self._worker.close()

    def _measured(self, effect: events.Effect) -> None:
        self.ledger.measured(effect)
        self._wiring.emit(effect)

    def labels_changed(self, samples: set[int]) -> None:
        """A person has judged these; what was drawn on them follows. Where steps are applied."""
        guidance = self.ledger.state()
        if any(stroke.sample in samples for stroke in guidance.strokes):
            self._wiring.backend.set_guidance(guidance)

    # --- guidance --------------------------------------------------------------------------

    def feedback(self, feedback: events.Feedback) -> Future[Intervention]:
        """Check now, apply at the next step boundary; the future is done once it is on disk.

        A typed order ("pause", "undo") is obeyed instead; the answer is then no entry of the
        ledger, except for "undo", which answers with what it took out.

        Raises
        ------
        ValueError
            If it cannot be used; nothing has changed then.
        """
        order = self._order(feedback)
        if order is not None:
            return self._obey(order)
        feedback = self._for_this_one(feedback)
        self._interpret(feedback)
        recorded: Future[Intervention] = Future()
        applied = self._wiring.controls.submit(partial(self._apply_feedback, feedback, recorded))
        applied.add_done_callback(partial(_pass_on_failure, recorded))
        return recorded

    def similar(self, intervention: str) -> Future[list[Hit]]:
        """Look for what an intervention ignores in other samples.

        Raises
        ------
        ValueError
            If there is no such intervention, or it marks nothing on a sample that is to be
            ignored.
        """
        entry = self.ledger[intervention]
        stroke = next((s for s in entry.record.strokes if s.kind == "ignore"), None)
        if stroke is None or entry.record.sample is None:
            raise ValueError(
                f"intervention {intervention!r} ignores nothing on a sample; draw an artefact on "
                "one, for example feedback(sample=12, ignore=(0.7, 0.7, 0.95, 0.95))"
            )
        return self.search.start(intervention, entry.record.sample, parse_roi(stroke.roi, "ignore"))

    def confirm(
        self, intervention: str, indices: Sequence[int] | None = None
    ) -> Future[Intervention]:
        """Ignore it in those samples too, where it was found; in all of them if None.

        Raises
        ------
        ValueError
            If nothing was searched, nothing was found, or a sample is not among the hits.
        """
        entry = self.ledger[intervention]
        hits = self.search.found(intervention)
        if hits is None:
            raise ValueError(
                f"nothing was looked for yet; call similar({intervention!r}) and look at the hits"
            )
        known = {hit.index: hit for hit in hits}
        wanted = list(known) if indices is None else list(dict.fromkeys(indices))
        strange = [k for k in wanted if k not in known]
        if strange:
            raise ValueError(
                f"sample {strange[0]} is not among the {len(known)} hits of {intervention!r}; "
                "draw on it to have it ignored there"
            )
        chosen = [known[k] for k in wanted]
        _ = self._found(entry, chosen)
        recorded: Future[Intervention] = Future()
        apply = partial(self._apply_found, intervention, chosen, recorded)
        self._wiring.controls.submit(apply).add_done_callback(partial(_pass_on_failure, recorded))
        return recorded

    def undo(self, intervention: str) -> Future[Intervention]:
        """Take one intervention out at the next step boundary; done once it is on disk.

        Raises
        ------
        ValueError
            If there is no such intervention.
        """
        _ = self.ledger[intervention]
        recorded: Future[Intervention] = Future()
        applied = self._wiring.controls.submit(partial(self._apply_undo, intervention, recorded))
        applied.add_done_callback(partial(_pass_on_failure, recorded))
        return recorded

    def adopt(self, ledger: Ledger) -> None:
        """Begin with what another session was told; before training starts.

        Raises
        ------
        ValueError
            If it does not fit these data; nothing has changed then.
        """
        wiring, backend = self._wiring, self._wiring.backend
        for entry in ledger.interventions:
            record = entry.record
            named = [s.sample for s in record.strokes if s.sample is not None]
            named += record.found.index if record.found is not None else []
            outside = [k for k in named if not 0 <= k < backend.num_train]
            classes = [s.label for s in record.strokes if s.label is not None]
            if outside or not all(map(wiring.task.has_label, classes)):
                what = f"sample {outside[0]}" if outside else f"class {max(classes)}"
                raise ValueError(
                    f"guidance= has {entry.id!r} about {what}, which these data do not have; a "
                    "ledger fits only the training data it was written for"
                )
            for stroke in record.strokes:
                parse_roi(stroke.roi, f"guidance= {entry.id!r}", backend.image_size)
        adopted = Ledger(ledger.focus)
        for entry in ledger.interventions:
            adopted.append(entry.record, 0, entry.when)
            if entry.undone:
                adopted.undo(entry.id)
        loss = backend.set_guidance(adopted.state())
        self.ledger = adopted
        focus = adopted.state().focus
        for entry in adopted.interventions:
            wiring.emit(entry.record.model_copy(update={"loss": loss, "focus": focus}))
            self._places.drawn(entry.record, training=False)
            if entry.undone:
                wiring.emit(events.Undone(id=entry.id, understood=entry.understood, focus=focus))

    def _interpret(self, feedback: events.Feedback) -> Interpretation:
        backend = self._wiring.backend
        return interpret(
            feedback,
            self.ledger.state(),
            self._wiring.config.guidance,
            backend.num_train,
            backend.image_size,
            self._classes,
            lambda index: int(self._wiring.read_sample(index).target),
        )

    def _for_this_one(self, feedback: events.Feedback) -> events.Feedback:
        """Without a sample, "only this one" means the one that a person looks at."""
        if feedback.sample is not None or feedback.instruction is None:
            return feedback
        said = parse(feedback.instruction, self._classes)
        if not isinstance(said, Understood) or said.scope != "sample":
            return feedback
        return feedback.model_copy(update={"sample": self._wiring.looked_at})

    # --- at a step boundary ------------------------------------------------------------------

    def _apply_feedback(self, feedback: events.Feedback, recorded: Future[Intervention]) -> None:
        # again: the guidance that is in force may have changed since the check
        record = self._interpret(feedback).record(self.ledger.new_id(), self._wiring.author)
        self._apply(record, recorded)

    def _apply_found(
        self, intervention: str, hits: list[Hit], recorded: Future[Intervention]
    ) -> None:
        self._apply(self._found(self.ledger[intervention], hits), recorded)

    def _apply(self, record: events.InterventionRecord, recorded: Future[Intervention]) -> None:
        wiring = self._wiring
        step, epoch = wiring.loop.step, wiring.loop.epoch
        # First what can fail: the ledger takes only what the loss took.
        loss = wiring.backend.set_guidance(fold((Intervention(record, step),), self.ledger.state()))
        record = record.model_copy(update={"loss": loss})
        when = datetime.now(UTC).isoformat(timespec="seconds")
        entry = self.ledger.append(record, step, when)
        self.effects.applied(record, step)
        self._places.drawn(record, training=wiring.loop.running)
        wiring.window.intervened(epoch)
        wiring.stream.emit(
            record, step, epoch, on_recorded=partial(_when_recorded, recorded, entry)
        )

    def _found(self, entry: Intervention, hits: Sequence[Hit]) -> events.InterventionRecord:
        if not hits:
            raise ValueError("there are no samples to confirm; nothing has changed")
        if entry.undone:
            raise ValueError(f"intervention {entry.id!r} is undone; draw it again first")
        focus = self.ledger.state().focus
        given = entry.record.stroke_strength
        strength = focus if given is None else given
        return events.InterventionRecord(
            id=self.ledger.new_id(),
            author=self._wiring.author,
            sample=entry.record.sample,
            understood=f"ignore what {entry.id} marks in {len(hits)} more samples, strength "
            f"{strength:.2f}",
            strength=strength,
            stroke_strength=given,
            focus=focus,
            found=events.Found(
                of=entry.id, index=[hit.index for hit in hits], box=[hit.box for hit in hits]
            ),
        )

    def _apply_undo(self, intervention: str, recorded: Future[Intervention]) -> None:
        wiring = self._wiring
        undone = replace(self.ledger[intervention], undone=True)
        entries = [undone if e.id == undone.id else e for e in self.ledger.interventions]
        state = fold(entries, GuidanceState(focus=self.ledger.focus))
        if not self.ledger[intervention].undone:
            wiring.backend.set_guidance(state)  # first what can fail, as in `_apply`
        entry = self.ledger.undo(intervention)
        self.effects.undone(intervention, wiring.loop.step)
        data = events.Undone(
            id=entry.id, author=wiring.author, understood=entry.understood, focus=state.focus
        )
        wiring.stream.emit(
            data,
            wiring.loop.step,
            wiring.loop.epoch,
            on_recorded=partial(_when_recorded, recorded, entry),
        )

    def lapsed(self, lapses: Sequence[Lapse]) -> None:
        """The loss has taken these out of force by itself; the ledger follows, and says so."""
        wiring = self._wiring
        reasons: dict[tuple[str, str], list[Lapse]] = {}
        for lapse in lapses:
            part = lapse.part
            data = events.Lapsed(
                id=part.id, kind=part.kind, sample=part.sample, term=lapse.term, why=lapse.why
            )
            self.ledger.lapse(data)
            self.effects.undone(part.id, wiring.loop.step)
            wiring.emit(data)
            reasons.setdefault((lapse.term, lapse.why), []).append(lapse)
        for together in reasons.values():
            wiring.notice("warning", told(together))

    # --- orders ------------------------------------------------------------------------------

    def _order(self, feedback: events.Feedback) -> Understood | None:
        """The order that a sentence is, if it is one and stands alone."""
        if feedback.instruction is None or feedback.strokes or feedback.strength is not None:
            return None
        said = parse(feedback.instruction, self._classes)
        return said if isinstance(said, Understood) and said.action in ORDERS else None

    def _obey(self, order: Understood) -> Future[Intervention]:
        wiring = self._wiring
        words = order.echo()
        match order.action:
            case "pause" | "resume" | "stop":
                if not wiring.command(order.action):
                    raise ValueError(
                        f"{words!r}: nothing is training; run session.train(epochs=...) first"
                    )
            case "undo":
                return self.undo(order.intervention or self._last().id)
            case "explain":
                wiring.explain(order.index)
            case _:
                words = wiring.pace_overlays(1 / PACE if order.faster else PACE, words)
        answered: Future[Intervention] = Future()
        record = events.InterventionRecord(
            id="", author=wiring.author, instruction=order.echo(), understood=words
        )
        answered.set_result(Intervention(record, wiring.loop.step))
        return answered

    def _last(self) -> Intervention:
        entries: Iterable[Intervention] = reversed(self.ledger.interventions)
        entry = next((e for e in entries if not e.undone), None)
        if entry is None:
            raise ValueError("'undo': there is no intervention in force")
        return entry


def _cannot_measure(*_: object) -> Any:
    raise RuntimeError("this framework has nothing to measure effects with")


def _when_recorded(
    future: Future[Intervention], entry: Intervention, event: events.Event, error: OSError | None
) -> None:
    if error is not None:
        future.set_exception(
            OSError(
                error.errno,
                f"applied at step {event.step}, but it is not on disk yet: {error.strerror}; "
                f"{remedy(error)}, it is tried again every second",
            )
        )
    else:
        future.set_result(entry)


def _pass_on_failure(recorded: Future[Intervention], applied: Future[Any]) -> None:
    error = applied.exception()
    if error is not None:
        recorded.set_exception(error)
