"""Guidance: checked now, in force from the next step boundary on, and in the ledger.

What cannot be used is refused before anything changes; the ledger takes only what the loss took.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

from coflect_widget import events
from coflect_widget.config import Config
from coflect_widget.guidance.hits import Hit
from coflect_widget.guidance.instructions import NotUnderstood, Understood
from coflect_widget.guidance.interpret import Checked, check
from coflect_widget.guidance.lapses import Lapse, told
from coflect_widget.guidance.ledger import Intervention, Ledger, fold
from coflect_widget.guidance.place_watch import PlaceWatch
from coflect_widget.guidance.search import ArtefactSearch
from coflect_widget.guidance.state import GuidanceState
from coflect_widget.modalities.base import Corners, Modality
from coflect_widget.session.samples import Samples
from coflect_widget.session.telling import Telling, when_applied
from coflect_widget.studies.watch import EffectWatch
from coflect_widget.tasks.base import Task
from coflect_widget.training.controls import Controls
from coflect_widget.workers.idle_worker import IdleWorker


class Steering:
    """Puts guidance into force, and keeps the ledger of it; any thread.

    Parameters
    ----------
    backend, task, modality, config, classes, controls, samples, tell
        The model and its data, what is right and wrong, what an input is, the session's settings,
        names of the classes, the queue to the training thread, single samples, and the record.
    extent : tuple of int
        Of a sample.
    structure : bytes or Exception
        The model for a worker, or why it cannot be sent.
    intervened : callable ()
        Guidance has changed.
    running, step
        Callables: whether anything trains, and the steps done.
    before : callable ()
        Called at the step boundary before an intervention: keeps the state as it is.

    Attributes
    ----------
    extent : tuple of int
    ledger : Ledger
    search : ArtefactSearch
    effects : EffectWatch
    worker : IdleWorker
        Of what nobody waits for.
    """

    def __init__(
        self,
        backend: Any,
        task: Task,
        modality: Modality,
        config: Config,
        classes: Sequence[str],
        controls: Controls,
        samples: Samples,
        tell: Telling,
        *,
        extent: tuple[int, ...],
        structure: bytes | Exception,
        intervened: Callable[[], None],
        running: Callable[[], bool],
        step: Callable[[], int],
        before: Callable[[], object],
    ) -> None:
        self._backend = backend
        self._task = task
        self._modality = modality
        self.extent = extent
        self._classes = list(classes)
        self._controls = controls
        self._samples = samples
        self._tell = tell
        self._intervened = intervened
        self._running = running
        self._step = step
        self.before = before
        self.ledger = Ledger(config.guidance.strength, modality)
        self.worker = IdleWorker()
        self.search = ArtefactSearch(
            self.worker,
            modality,
            lambda index: samples.train(index).input,
            backend.num_train,
            tell.emit,
        )
        tells = task.labelled or task.placed
        able = tells and bool(backend.explainer) and not isinstance(structure, Exception)
        self._places = PlaceWatch(
            backend.readings,
            controls if backend.reads_at_boundary else None,
            modality,
            tell.warn,
        )
        self.effects = EffectWatch(
            self.worker,
            backend.explainer,
            b"" if isinstance(structure, Exception) else structure,
            backend.weight_specs(),
            backend.copy_weights,
            samples.train,
            samples.val,
            backend.num_train,
            backend.num_val if backend.reads_val else 0,
            modality,
            extent,
            config.guidance.effect_after if able else 0,
            config.seed,
            self.measured,
            tell.warn,
            task,
        )

    def check_place(self, at: Sequence[float]) -> None:
        """Raise ValueError unless `at` is a place whose region can be explained.

        It is in fractions of the extent, the last axis first.
        """
        if not self._task.placed:
            raise ValueError(
                "at= is for a task with a class for each place, task='segmentation'; leave it out"
            )
        if len(at) != len(self.extent) or not all(0 <= share <= 1 for share in at):
            raise ValueError(
                f"at={tuple(at)} must be {len(self.extent)} fractions from 0 to 1, (x, y) from the "
                "top left"
            )

    def state_changed(self, state: str) -> None:
        """Training began, holds, goes on or ended."""
        self.worker.training(state == "training")

    def close(self) -> None:
        """End searches and measurements."""
        self.search.close()
        self.effects.close()
        self.worker.close()

    def measured(self, effect: events.Effect) -> None:
        """What an intervention did is known; any thread."""
        self.ledger.measured(effect)
        self._tell.emit(effect)

    def labels_changed(self, samples: set[int]) -> None:
        """A person has judged these; what was drawn on them follows. Where steps are applied."""
        guidance = self.ledger.state()
        if any(stroke.sample in samples for stroke in guidance.strokes):
            self._backend.set_guidance(guidance)

    # --- guidance --------------------------------------------------------------------------

    def feedback(
        self, feedback: events.Feedback, said: Understood | NotUnderstood | None
    ) -> Future[Intervention]:
        """Check now, apply at the next step boundary; the future is done once it is on disk.

        `said` is what the instruction was understood as.

        Raises
        ------
        ValueError
            If it cannot be used; nothing has changed then.
        """
        checked = check(
            feedback,
            said,
            self._modality,
            self.extent,
            self._backend.num_train,
            self._classes,
            lambda index: int(self._samples.train(index).target),
        )
        if checked.scope == "class" and not self._task.labelled:
            raise ValueError(
                "scope='class' needs one class for each sample, and these have no one class; "
                "leave scope= out, or mark the place on one more sample"
            )
        return self._apply_at_boundary(self._apply_feedback, checked)

    def ignore_places(
        self, finding: str, strokes: list[events.StrokeRecord], places: Mapping[int, Corners]
    ) -> Future[Intervention]:
        """Ignore a finding: the strokes, and what was found at these places of other samples."""
        return self._apply_at_boundary(self._apply_places, finding, strokes, places)

    def _apply_at_boundary(self, apply: Callable[..., None], *given: Any) -> Future[Intervention]:
        recorded: Future[Intervention] = Future()
        when_applied(self._controls.submit(partial(apply, *given, recorded)), recorded)
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
        region = self._modality.region(stroke.roi, "ignore")
        return self.search.start(intervention, entry.record.sample, region)

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
        return self._apply_at_boundary(self._apply_found, intervention, chosen)

    def undo(self, intervention: str) -> Future[Intervention]:
        """Take one intervention out at the next step boundary; done once it is on disk.

        Raises
        ------
        ValueError
            If there is no such intervention.
        """
        _ = self.ledger[intervention]
        return self._apply_at_boundary(self._apply_undo, intervention)

    def adopt(self, ledger: Ledger) -> None:
        """Begin with what another session was told; before training starts.

        Raises
        ------
        ValueError
            If it does not fit these data; nothing has changed then.
        """
        backend, emit, modality = self._backend, self._tell.emit, self._modality
        if ledger.modality.name != modality.name:
            raise ValueError(
                f"guidance= is about inputs of the kind {ledger.modality.name!r}, and these are "
                f"{modality.name!r}; a ledger fits only the training data it was written for"
            )
        guiding = [entry for entry in ledger.interventions if entry.record.guides]
        for entry in guiding:
            record = entry.record
            named = [s.sample for s in record.strokes if s.sample is not None]
            named += record.found.index if record.found is not None else []
            outside = [k for k in named if not 0 <= k < backend.num_train]
            classes = [s.label for s in record.strokes if s.label is not None]
            if outside or not all(map(self._task.has_label, classes)):
                what = f"sample {outside[0]}" if outside else f"class {max(classes)}"
                raise ValueError(
                    f"guidance= has {entry.id!r} about {what}, which these data do not have; a "
                    "ledger fits only the training data it was written for"
                )
            for stroke in record.strokes:
                modality.region(stroke.roi, f"guidance= {entry.id!r}", self.extent)
        adopted = Ledger(ledger.focus, modality)
        for entry in guiding:
            adopted.append(entry.record, 0, entry.when)
            if entry.undone:
                adopted.undo(entry.id)
        loss = backend.set_guidance(adopted.state())
        self.ledger = adopted
        focus = adopted.state().focus
        for entry in adopted.interventions:
            emit(entry.record.model_copy(update={"loss": loss, "focus": focus}))
            self._places.drawn(entry.record, training=False)
            if entry.undone:
                emit(events.Undone(id=entry.id, understood=entry.understood, focus=focus))
        left = [e.id for e in ledger.interventions if not e.record.guides and not e.undone]
        if left:
            self._tell.notice(
                "info",
                f"Of guidance= the knobs and changes of the data, {', '.join(left)}, are not taken "
                "over: they belong to the training in which they were made. session.set() turns "
                "knobs.",
            )

    def restore(self, ledger: Ledger) -> None:
        """Take the ledger of a checkpoint, whose guidance the backend has in force already."""
        self.ledger = ledger

    def replay(self, data: events.InterventionRecord | events.Undone) -> None:
        """What was said at this step before the run was interrupted; at a step boundary.

        It is on record already, and what it does is measured anew.
        """
        step = self._step()
        if isinstance(data, events.Undone):
            self._take_out(data.id)
            return
        coming = self.ledger.arrived(data.id)
        if coming is None:
            return
        guides = coming.record.guides  # of a knob the losses heard nothing: they draw on
        if guides and not coming.undone:
            entry = Intervention(coming.record, step)
            self._backend.set_guidance(fold((entry,), self.ledger.state(), self._modality))
        self.ledger.append(coming.record, step, coming.when)
        if coming.undone:
            self.ledger.undo(data.id)
            return
        self.effects.applied(coming.record, step)
        if guides:
            self._places.drawn(coming.record, training=True)
            self._intervened()

    def _take_out(self, intervention: str) -> Intervention:
        """Out of force, in the loss first and then in the ledger."""
        before = self.ledger[intervention]
        undone = replace(before, undone=True)
        entries = [undone if e.id == undone.id else e for e in self.ledger.taken]
        if before.record.guides and not before.undone and undone in entries:
            state = fold(entries, GuidanceState(focus=self.ledger.focus), self._modality)
            self._backend.set_guidance(state)
        entry = self.ledger.undo(intervention)
        self.effects.undone(intervention, self._step())
        return entry

    # --- at a step boundary ------------------------------------------------------------------

    def _apply_feedback(self, checked: Checked, recorded: Future[Intervention]) -> None:
        # the guidance that is in force may have changed since the check
        meant = checked.beside(self.ledger.state())
        self._apply(meant.record(self.ledger.new_id(), self._tell.author), recorded)

    def _apply_found(
        self, intervention: str, hits: list[Hit], recorded: Future[Intervention]
    ) -> None:
        self._apply(self._found(self.ledger[intervention], hits), recorded)

    def _apply_places(
        self,
        finding: str,
        strokes: list[events.StrokeRecord],
        places: Mapping[int, Corners],
        recorded: Future[Intervention],
    ) -> None:
        name, focus = self.ledger.new_id(), self.ledger.state().focus
        found = None
        if places:
            found = events.Found(of=name, index=list(places), box=list(places.values()))
        where = f" in {len(places)} samples" if places else ""
        record = events.InterventionRecord(
            id=name,
            author=self._tell.author,
            sample=strokes[0].sample,
            strokes=strokes,
            understood=f"ignore finding {finding}{where}, strength {focus:.2f}",
            strength=focus,
            focus=focus,
            found=found,
        )
        self._apply(record, recorded)

    def _apply(self, record: events.InterventionRecord, recorded: Future[Intervention]) -> None:
        step = self._step()
        self.before()
        # First what can fail: the ledger takes only what the loss took.
        loss = self._backend.set_guidance(
            fold((Intervention(record, step),), self.ledger.state(), self._modality)
        )
        record = record.model_copy(update={"loss": loss})
        when = datetime.now(UTC).isoformat(timespec="seconds")
        entry = self.ledger.append(record, step, when)
        self.effects.applied(record, step)
        self._places.drawn(record, training=self._running())
        self._intervened()
        self._tell.durably(record, recorded, entry)

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
            author=self._tell.author,
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
        entry = self._take_out(intervention)
        focus = self.ledger.state().focus
        data = events.Undone(
            id=entry.id, author=self._tell.author, understood=entry.understood, focus=focus
        )
        self._tell.durably(data, recorded, entry)

    def lapsed(self, lapses: Sequence[Lapse]) -> None:
        """The loss has taken these out of force by itself; the ledger follows, and says so."""
        reasons: dict[tuple[str, str], list[Lapse]] = {}
        for lapse in lapses:
            part = lapse.part
            data = events.Lapsed(
                id=part.id, kind=part.kind, sample=part.sample, term=lapse.term, why=lapse.why
            )
            self.ledger.lapse(data)
            self.effects.undone(part.id, self._step())
            self._tell.emit(data)
            reasons.setdefault((lapse.term, lapse.why), []).append(lapse)
        for together in reasons.values():
            self._tell.warn(told(together))
