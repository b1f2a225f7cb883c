"""Connects the organs of one session: what happens when a step, an epoch or a person speaks.

Each method says on which thread it runs. The training thread only ever appends or copies.
"""

from __future__ import annotations

import time
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from coflect_widget import events
from coflect_widget.attribution.consensus import consensus
from coflect_widget.attribution.explanation import Explanation
from coflect_widget.attribution.scheduler import ExplanationScheduler, Purpose
from coflect_widget.attribution.snapshots import Snapshots
from coflect_widget.backends.base import Sample, StepOutput
from coflect_widget.config import Config
from coflect_widget.events import RunState
from coflect_widget.forecast.forecaster import Forecaster
from coflect_widget.forecast.gates import ReviewWindow
from coflect_widget.forecast.scoreboard import Scoreboard
from coflect_widget.forecast.store import SampleStore
from coflect_widget.guidance.interpret import Interpretation, interpret
from coflect_widget.guidance.ledger import Intervention, Ledger, fold
from coflect_widget.record.folder import user_name
from coflect_widget.record.pictures import Gallery
from coflect_widget.record.stream import EventStream
from coflect_widget.training.controls import Controls
from coflect_widget.training.loop import TrainingLoop


class Wiring:
    """The organs of a session, and the loop's `Observer`.

    Parameters
    ----------
    backend : backends.base.Backend
    structure : bytes
        The model for the workers.
    config : Config
    path : Path
        The run folder, made already.
    """

    def __init__(
        self, backend: Any, structure: bytes | Exception, config: Config, path: Path
    ) -> None:
        self.backend = backend
        self.config = config
        self.path = path
        self.closed = False
        self.snapshots = Snapshots(backend.weight_specs())  # may refuse; no thread runs yet
        self.author = config.author or user_name() or ""
        self.stream = EventStream(path)
        self.gallery = Gallery(path, config.display, lambda i: self.read_sample(i).input)
        self.controls = Controls()
        self.ledger = Ledger(config.guidance.strength)
        self.window = ReviewWindow(config.forecast.gates, backend.num_classes)
        self.scoreboard = Scoreboard(config.forecast.horizon_epochs)
        self.scores: list[events.ForecastScored] = []
        self.forecast: events.Forecast | None = None
        self.last: dict[str, float | int | None] = {}  # newest value of each metric
        self._gates_shown: events.Window | None = None
        self._explained_at: dict[int, int] = {}  # model step of each sample's newest overlay
        self._focus_index: int | None = None  # the sample that a person looks at
        self._xai_period = 0
        self._speed: tuple[float, int] | None = None  # when, at which step
        self.forecaster = Forecaster(
            SampleStore(backend.num_train, backend.num_classes),
            backend,
            top=config.forecast.top,
            log_every=config.log_every,
            forecast_every=config.forecast_every,
            on_metrics=self._on_metrics,
            on_ranking=self._on_ranking,
            on_non_finite=lambda step: self.non_finite(step, "the logits are not finite"),
            on_error=lambda error: self.notice("error", f"The forecast met an error: {error!r}"),
        )
        self.loop = TrainingLoop(backend, self.controls, self.snapshots, self)
        self.scheduler = ExplanationScheduler(
            structure,
            self.snapshots,
            config.attribution,
            explainer=backend.explainer,
            read_sample=self.read_sample,
            request_snapshot=self.loop.snapshot_now,
            on_explained=self._on_explained,
            on_failed=self._on_failed,
            current_step=lambda: self.loop.step,
            seed=config.seed,
        )

    def close(self) -> None:
        """End every thread and process; the newest events are on disk afterwards."""
        self.closed = True
        self.scheduler.close()
        self.forecaster.close()
        self.stream.close()
        self.snapshots.close()

    def read_sample(self, index: int) -> Sample:
        """One training sample; any thread.

        A data set that draws random numbers is read between two steps, because its numbers
        and training's come from the same generators, and equal seeds shall give equal runs.
        """
        if not self.backend.reads_at_boundary:
            return cast("Sample", self.backend.read_sample(index))
        read = self.controls.submit(partial(self.backend.read_sample, index))
        return cast("Sample", read.result(60))

    def emit(self, data: events.Payload, split: events.Split | None = None, **more: Any) -> None:
        """Record something that happens now; any thread."""
        self.stream.emit(data, self.loop.step, self.loop.epoch, split, **more)

    def notice(self, level: Any, text: str) -> None:
        """Tell the person something; any thread."""
        self.emit(events.Notice(level=level, text=text))

    # --- the loop's observer: on the training thread ---------------------------------------

    def observe(self, step: int, epoch: int, output: StepOutput) -> None:
        """One step was done."""
        self.forecaster.observe(step, epoch, output)

    def state_changed(self, state: RunState, by: str) -> None:
        """The loop went into another state."""
        self._speed = None  # a pause is no slow step
        self.forecaster.watch_again()
        self.emit(events.StateChanged(state=state, by=by))

    def epoch_ended(self, step: int, epoch: int, validation: dict[str, float]) -> None:
        """All batches of an epoch were trained on and the validation data was evaluated."""
        if validation:
            values: dict[str, float | None] = {**validation}
            self.last.update({f"val_{name}": value for name, value in validation.items()})
            self.stream.emit(events.Metrics(values=values), step, epoch, "val")
        self._speed = None
        self.forecaster.mark(partial(self._after_epoch, step, epoch, validation.get("accuracy")))

    def non_finite(self, step: int, error: str) -> None:
        """The loss of a step was NaN or infinite: hold, and say so."""
        self.controls.pause()
        self.notice(
            "error",
            f"Paused after step {step}: {error}. Lower the learning rate or look at the data, "
            "then resume.",
        )

    def ended(self, state: RunState) -> None:
        """The loop is about to end: keep the weights."""
        self.forecaster.flush()
        if state == "failed":
            return
        try:
            self.checkpoint(state)
        except Exception as error:  # noqa: BLE001 - said aloud; the run's end must not hang on it
            self.notice("error", f"The checkpoint could not be written: {error}")

    def failed(self, error: BaseException, text: str) -> None:
        """Training ended with an exception."""
        line = f"{type(error).__name__}: {error}"
        self.emit(events.Failure(error=line, traceback=text))

    def checkpoint(self, reason: str) -> Path:
        """Write the weights; on the training thread, or while nothing trains."""
        stem = self.path / "checkpoints" / f"step_{self.loop.step:08d}"
        file: Path = self.backend.save_checkpoint(stem)
        self.emit(events.CheckpointSaved(path=f"checkpoints/{file.name}", reason=reason))
        return file

    # --- on the forecaster's thread ---------------------------------------------------------

    def _on_metrics(self, values: dict[str, float], step: int, epoch: int) -> None:
        now = time.monotonic()
        shown: dict[str, float | None] = {**values, "learning_rate": self.backend.learning_rate()}
        if self._speed is not None and now > self._speed[0]:
            shown["steps_per_second"] = (step - self._speed[1]) / (now - self._speed[0])
        self._speed = (now, step)
        self.last.update(shown)
        self.stream.emit(events.Metrics(values=shown), step, epoch, "train")
        self._explain_periodically(step)

    def _explain_periodically(self, step: int) -> None:
        if step // self.config.xai_every > self._xai_period:
            self._xai_period = step // self.config.xai_every
            self.scheduler.request(self._index_to_explain(), "periodic")

    def _index_to_explain(self) -> int:
        """The sample on the screen: chosen by a person, else the riskiest, else the first."""
        if self._focus_index is not None:
            return self._focus_index
        return self.forecast.index[0] if self.forecast is not None and self.forecast.index else 0

    def _on_ranking(
        self,
        indices: NDArray[np.int64],
        risk: NDArray[np.float32],
        target: NDArray[np.int32],
        predicted: NDArray[np.int32],
        reasons: list[str],
        step: int,
        epoch: int,
    ) -> None:
        self.window.ranked(indices)
        forecast = events.Forecast(
            index=[int(i) for i in indices],  # ten of them
            risk=[round(float(r), 4) for r in risk],
            target=[int(t) for t in target],
            predicted=[int(p) for p in predicted],
            reason=reasons,
            horizon=self.config.forecast.horizon_epochs,
        )
        self.forecast = forecast
        for index in forecast.index:
            self.gallery.thumbnail(index)
        self.stream.emit(forecast, step, epoch)
        self._show_gates(step, epoch, always=False)
        self._explain_periodically(step)
        for index in forecast.index:
            seen = self._explained_at.get(index)
            if seen is None or seen < step - self.backend.steps_per_epoch:
                self._explained_at[index] = step
                self.scheduler.request(index, "candidate")

    def _after_epoch(self, step: int, epoch: int, accuracy: float | None) -> None:
        store = self.forecaster.store
        if accuracy is None:
            accuracy = float(store.correct[store.seen].mean()) if store.seen.any() else None
        self.window.epoch_ended(epoch, accuracy)
        for score in self.scoreboard.epoch_ended(epoch, store):
            self.scores.append(score)
            self.stream.emit(score, step, epoch)
        if self.forecast is not None and self.forecast.index:
            self.scoreboard.name(epoch, self.forecast.index, self.window.open)
            self.stream.emit(self.forecast.model_copy(update={"named": True}), step, epoch)
        self._show_gates(step, epoch, always=True)
        self.stream.emit(self.cost(), step, epoch)

    def _show_gates(self, step: int, epoch: int, *, always: bool) -> None:
        status = self.window.status()
        before = self._gates_shown
        passed = [gate.passed for gate in status.gates]
        if always or before is None or passed != [gate.passed for gate in before.gates]:
            self._gates_shown = status
            self.stream.emit(status, step, epoch)

    def cost(self) -> events.Cost:
        """What the parts around the training used so far."""
        counts = self.scheduler.counts
        return events.Cost(
            overlays_made=counts.made,
            overlays_skipped=counts.skipped,
            overlays_failed=counts.failed,
            overlay_seconds=round(counts.seconds, 3),
            telemetry_dropped=self.forecaster.dropped,
        )

    # --- on the scheduler's thread ----------------------------------------------------------

    def _on_explained(self, explanation: Explanation, purpose: Purpose) -> None:
        blend = consensus(explanation.livecam, explanation.smoothgrad)
        maps, picture = self.gallery.save(explanation, blend)
        self._explained_at[explanation.index] = explanation.model_step
        self.emit(
            events.Overlay(
                index=explanation.index,
                target=explanation.target,
                predicted=explanation.predicted,
                top_classes=[int(c) for c in explanation.top_classes],
                top_probs=[round(float(p), 5) for p in explanation.top_probs],
                agreement=explanation.agreement,
                focus_bbox=explanation.focus_bbox,
                model_step=explanation.model_step,
                method=explanation.method,
                quality=explanation.quality,
                purpose=purpose,
                seconds=round(explanation.seconds, 4),
                maps=maps,
                picture=picture,
            )
        )

    def _on_failed(self, index: int, purpose: Purpose, reason: str) -> None:
        self.emit(events.OverlayFailed(index=index, reason=reason, purpose=purpose))

    # --- what a person asks: on any thread ---------------------------------------------------

    def command(self, kind: Literal["pause", "resume", "stop"]) -> bool:
        """Ask the loop to hold, go on or end; False if nothing trains."""
        if not self.loop.running:
            return False
        self.emit(events.CommandReceived(command=kind, author=self.author))
        getattr(self.controls, kind)()
        return True

    def explain(self, index: int) -> Future[Explanation]:
        """Maps of one sample, before anything else."""
        if not 0 <= index < self.backend.num_train:
            raise IndexError(
                f"index={index} is not in the training data; indices go from 0 to "
                f"{self.backend.num_train - 1}"
            )
        self._focus_index = index
        return self.scheduler.request(index, "person")

    def feedback(self, feedback: events.Feedback) -> Future[Intervention]:
        """Check now, apply at the next step boundary; the future is done once it is on disk.

        Raises
        ------
        ValueError
            If it cannot be used; nothing has changed then.
        """
        self._interpret(feedback)
        recorded: Future[Intervention] = Future()
        applied = self.controls.submit(partial(self._apply, feedback, recorded))
        applied.add_done_callback(partial(_pass_on_failure, recorded))
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
        applied = self.controls.submit(partial(self._apply_undo, intervention, recorded))
        applied.add_done_callback(partial(_pass_on_failure, recorded))
        return recorded

    def _interpret(self, feedback: events.Feedback) -> Interpretation:
        return interpret(
            feedback,
            self.ledger.state(),
            self.config.guidance,
            self.backend.num_train,
            self.backend.image_size,
        )

    def _apply(self, feedback: events.Feedback, recorded: Future[Intervention]) -> None:
        """At a step boundary: the guidance that is in force may have changed since the check."""
        step, epoch = self.loop.step, self.loop.epoch
        record = self._interpret(feedback).record(self.ledger.new_id(), self.author)
        entries = (*self.ledger.interventions, Intervention(record, step))
        # First what can fail: the ledger takes only what the loss took.
        loss = self.backend.set_guidance(fold(entries, self.config.guidance.strength))
        record = record.model_copy(update={"loss": loss})
        entry = self.ledger.append(record, step)
        self.window.intervened(epoch)
        self.stream.emit(record, step, epoch, on_recorded=partial(_when_recorded, recorded, entry))

    def _apply_undo(self, intervention: str, recorded: Future[Intervention]) -> None:
        step, epoch = self.loop.step, self.loop.epoch
        undone = replace(self.ledger[intervention], undone=True)
        entries = [undone if e.id == undone.id else e for e in self.ledger.interventions]
        state = fold(entries, self.config.guidance.strength)
        if not self.ledger[intervention].undone:
            self.backend.set_guidance(state)  # first what can fail, as in `_apply`
        entry = self.ledger.undo(intervention)
        data = events.Undone(
            id=entry.id, author=self.author, understood=entry.understood, focus=state.focus
        )
        self.stream.emit(data, step, epoch, on_recorded=partial(_when_recorded, recorded, entry))


def _when_recorded(
    future: Future[Intervention], entry: Intervention, event: events.Event, error: OSError | None
) -> None:
    if error is not None:
        future.set_exception(
            OSError(
                error.errno,
                f"applied at step {event.step}, but it is not on disk yet: {error.strerror}; "
                "free some space, it is tried again every second",
            )
        )
    else:
        future.set_result(entry)


def _pass_on_failure(recorded: Future[Intervention], applied: Future[Any]) -> None:
    error = applied.exception()
    if error is not None:
        recorded.set_exception(error)
