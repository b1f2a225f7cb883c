"""Connects the organs of one session: what happens when a step, an epoch or a person speaks.

Each method says on which thread it runs. The training thread only ever appends or copies.
"""

from __future__ import annotations

import threading
import time
import warnings
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Any, Literal, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from coflect_widget import events
from coflect_widget.alarms import Alarms
from coflect_widget.attribution.checks import guessing
from coflect_widget.attribution.consensus import consensus
from coflect_widget.attribution.explanation import Explanation
from coflect_widget.attribution.scheduler import ExplanationScheduler, Purpose
from coflect_widget.attribution.snapshots import Snapshots
from coflect_widget.backends.base import NonFiniteLossError, Sample, StepOutput
from coflect_widget.backends.items import error_line
from coflect_widget.config import Config
from coflect_widget.events import RunState
from coflect_widget.forecast.forecaster import Forecaster
from coflect_widget.forecast.foresight import Foresight
from coflect_widget.forecast.gates import ReviewWindow
from coflect_widget.forecast.label_noise import HeldOut
from coflect_widget.forecast.ranking import is_suspected
from coflect_widget.forecast.scoreboard import Scoreboard
from coflect_widget.forecast.store import SampleStore
from coflect_widget.guidance.lapses import Lapse
from coflect_widget.record.folder import user_name
from coflect_widget.record.pictures import Gallery, NoDataError
from coflect_widget.record.stream import EventStream
from coflect_widget.reviewing import Review
from coflect_widget.steering import Steering
from coflect_widget.tasks.base import Task, to_numpy
from coflect_widget.timeline import Shelf, overlay_event
from coflect_widget.training.controls import Controls, submit_between_steps
from coflect_widget.training.loop import TrainingLoop
from coflect_widget.training.non_finite import Culprits, find_culprits, remedy
from coflect_widget.training.openmp import release_helpers
from coflect_widget.training.own_loop import OwnLoop
from coflect_widget.training.saving import Saving

COST_PERIOD = 10.0  # seconds between two records of the tool's own cost, at most
SPEED_PERIOD = 0.5  # seconds between two records of the speed, at least
LAST_TELEMETRY = 5.0  # seconds that the end of a training waits for what it told of, at most
READ_AGAIN = 256  # samples of a batch whose loss is not finite that are read again, at most
THUMBNAILS_PERIOD = 20.0  # seconds between two looks at which thumbnails the run folder lacks


class Shown(Protocol):
    """A dashboard that was made."""

    greeted: bool  #: whether a browser has ever shown it


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
    task : Task
    classes : sequence of str
        Names of the classes.
    measure : callable, optional
        What a worker measures effects with; see `guidance.watch`.
    executor : concurrent.futures.Executor, optional
        Where overlays are computed; this machine's own workers if left out.
    input_shape : (C, H, W), optional
        Of a sample, so that a worker can rehearse before its first request.
    """

    def __init__(
        self,
        backend: Any,
        structure: bytes | Exception,
        config: Config,
        path: Path,
        task: Task,
        classes: Sequence[str] = (),
        measure: Callable[..., Any] | None = None,
        executor: Executor | None = None,
        input_shape: tuple[int, ...] | None = None,
    ) -> None:
        self.backend = backend
        self.task = task
        self.config = config
        self.path = path
        self.closed = False
        #: the dashboard, once one was made
        self.screen: Shown | None = None
        #: why training holds, where a loss was not finite
        self.broken: NonFiniteLossError | None = None
        self._said: set[str] = set()
        #: ends the other sessions of the kernel and gives their runs' names
        self.close_others: Callable[[], list[str]] = list
        #: whether a later session of the kernel is the one that is worked with
        self.spare = False
        self.hung = False  # training did not stop when it was told to
        self.snapshots = Snapshots(backend.weight_specs())  # may refuse; no thread runs yet
        self.author = config.author or user_name() or ""
        self.stream = EventStream(path)
        me = weakref.ref(self)  # a dashboard that is still shown shall not keep model and data

        def read_input(index: int) -> NDArray[np.float32]:
            wiring = me()
            if wiring is None:
                raise NoDataError("the session is gone, and its data with it")
            return wiring.read_sample(index).input

        self.gallery = Gallery(path, config.display, read_input)
        self.shelf = Shelf(
            path, config.attribution.maps_per_sample, config.attribution.maps_megabytes
        )
        self.controls = Controls()
        self.window = ReviewWindow(config.forecast.gates, task)
        self.scoreboard = Scoreboard(config.forecast.horizon_epochs, config.seed)
        self.scores: list[events.ForecastScored] = []
        self.forecast: events.Forecast | None = None
        self.last: dict[str, float | int | None] = {}  # newest value of each metric
        self._gates_shown: events.Window | None = None
        self._explained_at: dict[int, int] = {}  # model step of each sample's newest overlay
        self._focus_index: int | None = None  # the sample that a person looks at
        self.xai_every = config.xai_every  # steps between two periodic overlays
        self._xai_due = config.xai_every
        self._speed_at = 0.0  # when it was written last
        self._cost_at = 0.0  # when it was written last
        self._thumbnails_at = 0.0
        self.review = Review(self)
        self.forecaster = Forecaster(
            Foresight(
                SampleStore(backend.num_train, task),
                config.forecast.horizon_epochs,
                seed=config.seed,
            ),
            backend,
            top=config.forecast.top,
            log_every=config.log_every,
            forecast_every=config.forecast_every,
            on_metrics=self._on_metrics,
            on_ranking=self._on_ranking,
            onset=config.forecast.onset,
            on_non_finite=self._logits_not_finite,
            on_error=lambda error: self.notice("error", f"The forecast met an error: {error!r}"),
            rest=self.controls.rest if getattr(backend, "fills_processors", False) else None,
        )
        self.loop = TrainingLoop(backend, self.controls, self.snapshots, self)
        self.own_loop = OwnLoop(self.loop, task, self.announce)
        self.saving = Saving(
            backend,
            path / "checkpoints",
            self.controls,
            step=lambda: self.loop.step,
            announce=self._announce_checkpoint,
            save_memory=self.review.save,
            notice=self.notice,
        )
        self.scheduler = ExplanationScheduler(
            structure,
            self.snapshots,
            config.attribution,
            explainer=getattr(backend, "explainer", ""),
            read_sample=self.read_sample,
            request_snapshot=self.loop.snapshot_now,
            on_explained=self._on_explained,
            on_failed=self._on_failed,
            executor=executor,
            input_shape=input_shape,
            notify=lambda text: self.notice("warning", text),
            spare=lambda: self.spare and not self.loop.running,
            on_probed=self.review.probed,
            task=task,
            # An accelerator is not held up by a worker that computes on the processor.
            rest=self.controls.rest if backend.device == "cpu" else None,
            trained=lambda: self.loop.time.seconds["training"],
            current_step=lambda: self.loop.step,
            distrust=self._distrust,
            seed=config.seed,
        )

        self.steering = Steering(self, structure, classes, measure)
        self.alarms = Alarms(
            lambda: self.steering.ledger.interventions,
            lambda: self.window.chance,
            task=task,
            every=config.log_every,
            batch_size=backend.batch_size,
            steps_per_epoch=backend.steps_per_epoch,
            num_val=backend.num_val,
        )

    def close(self) -> None:
        """End every thread and process; the newest events are on disk afterwards."""
        self.closed = True
        # What hangs once hangs every thread that reads the same data.
        patience = self.scheduler.patience = 1.0 if self.hung else 5.0
        with ExitStack() as closing:  # the last one first; each, whatever interrupts another
            for close in (
                self.snapshots.close, self.stream.close, partial(self.forecaster.close, patience),
                self.scheduler.close, self.steering.close, self.saving.close,
            ):  # fmt: skip
                closing.callback(close)

    def read_sample(self, index: int) -> Sample:
        """One training sample; any thread.

        A data set that draws random numbers is read between two steps, because its numbers
        and training's come from the same generators, and equal seeds shall give equal runs.
        Where nothing trains it is read at once and the generators are put back, which disturbs
        whoever draws from them at that moment: close a session before seeding the next model.
        """
        read = partial(_read, self.backend.read_sample, index)
        if not self.backend.reads_at_boundary:
            sample = read()
            release_helpers()  # large pictures are prepared in parallel
            return sample
        return submit_between_steps(self.controls, read).result(60)

    def read_val_sample(self, index: int) -> Sample:
        """One validation sample; any thread."""
        return _read(self.backend.read_val_sample, index)

    def await_end(self) -> None:
        """Wait for a training that was told to stop; warns where it does not come to its end."""
        began = time.monotonic()
        if self.loop.wait_for_stop():
            return
        self.hung = True
        text = (
            f"Training did not stop within {time.monotonic() - began:.0f} s: a batch is still "
            "being read, or a step computed. It ends as soon as that returns; if it never does, "
            "look for what the data set waits for (a network disk, a lock, a queue)."
        )
        self.notice("warning", text)
        warnings.warn(text, RuntimeWarning, stacklevel=4)

    def emit(self, data: events.Payload, split: events.Split | None = None, **more: Any) -> None:
        """Record something that happens now; any thread."""
        self.stream.emit(data, self.loop.step, self.loop.epoch, split, **more)

    def notice(self, level: Any, text: str, offer: Literal["", "close_others"] = "") -> None:
        """Tell the person something, with a button beside it; any thread."""
        self.emit(events.Notice(level=level, text=text, offer=offer))

    def announce(self, steps: int, steps_per_epoch: int, batch_size: int, begun: int = 0) -> None:
        """A training of `steps` more steps is about to begin; starts the workers.

        `begun`: so many steps its first epoch has already.
        """
        self.spare, self.broken = False, None
        self.emit(
            events.TrainStarted(
                total_steps=self.loop.step + steps,
                steps_per_epoch=steps_per_epoch,
                batch_size=batch_size,
                begun=begun,
            )
        )
        self.scheduler.start()

    # --- the loop's observer: on the training thread ---------------------------------------

    @property
    def due(self) -> float:
        """The next step at which the effect of an intervention is due to be measured."""
        return self.steering.effects.due

    def observe(self, step: int, epoch: int, *outputs: StepOutput) -> None:
        """Steps of one epoch were done, the last of them `step`; none before it was due."""
        self.forecaster.observe(step, epoch, *outputs)
        if step >= self.due:
            self.steering.effects.step_done(step)

    def state_changed(self, state: RunState, by: str) -> None:
        """The loop went into another state."""
        self.forecaster.watch_again()
        if state == "paused":
            self.forecaster.catch_up()
        self.steering.state_changed(state)
        self.emit(events.StateChanged(state=state, by=by))

    def epoch_ended(self, step: int, epoch: int, validation: dict[str, float]) -> None:
        """All batches of an epoch were trained on and the validation data was evaluated."""
        if validation:
            values: dict[str, float | None] = {**validation}
            self.last.update({f"val_{name}": value for name, value in validation.items()})
            self.stream.emit(events.Metrics(values=values), step, epoch, "val")
            if "accuracy" in validation:
                self.steering.effects.validated(validation["accuracy"])
            self.forecaster.mark(partial(self._compare, step, epoch, validation), rest=True)
        self.review.keep_weights(step, epoch)
        score = validation.get(self.task.metrics()[1])
        self.forecaster.mark(partial(self._after_epoch, step, epoch, score), rest=True)

    def non_finite(self, step: int, error: NonFiniteLossError) -> None:
        """The loss of a step was NaN or infinite: hold, and say of which samples."""
        self._hold()
        batch = error.batch
        found = Culprits()
        if batch is not None:
            found = find_culprits(
                batch.indices, batch.inputs, batch.targets, error.logits, task=self.task
            )
        self._not_finite(step, str(error), found)

    @property
    def watched(self) -> bool:
        """Whether a browser has ever shown this session's dashboard: somebody can press Resume."""
        return self.screen is not None and self.screen.greeted

    def _hold(self) -> None:
        """Hold, unless it is a loop of the user's own that nobody could let go on again."""
        if self.watched or not self.own_loop.open:
            self.controls.pause()

    def _not_finite(self, step: int, what: str, found: Culprits) -> None:
        """Tell the person, and whoever waits."""
        may_judge = hasattr(self.backend, "set_labels") and self.task.labelled
        advice = remedy(found, may_judge=may_judge)
        who = f" {found.sentence}." if found.sentence else ""
        if not self.own_loop.open:
            text = f"Paused after step {step}: {what}.{who} {advice}"
            self.broken = NonFiniteLossError(text)
            self.notice("error", text)
            return
        if not self.watched:
            if (said := f"{what}{who}") in self._said:
                return  # each epoch would say the same
            self._said.add(said)
            advice = "The loop goes on, because no dashboard is shown in which to resume it."
        held = "Paused after" if self.watched else "After"
        text = f"{held} step {step}: {what}.{who} {advice}"
        self.notice("error", text)
        warnings.warn(text, RuntimeWarning, stacklevel=2)  # the cell or script is the loop's own

    def lapsed(self, lapses: Sequence[Lapse]) -> None:
        """Guidance went out of force by itself."""
        self.steering.lapsed(lapses)

    def ended(self, state: RunState) -> None:
        """The loop is about to end: keep the weights; all telemetry is taken in when it has."""
        self.forecaster.flush()
        self.forecaster.mark(self._keep_thumbnails)
        if state != "failed":
            self._keep_results(state)
        self.forecaster.drain(LAST_TELEMETRY)

    def _keep_results(self, state: RunState) -> None:
        for what, do in (
            ("Effects could not be measured", partial(self.steering.effects.ended, self.loop.step)),
            ("The checkpoint could not be written", partial(self.saving.write, state)),
        ):
            try:
                do()
            except Exception as error:  # noqa: BLE001 - said aloud; the run's end must not hang on it
                self.notice("error", f"{what}: {error}")

    def failed(self, error: BaseException, text: str) -> None:
        """Training ended with an exception."""
        self.emit(events.Failure(error=error_line(error), traceback=text))

    def _announce_checkpoint(self, file: Path, reason: str) -> None:
        self.emit(events.CheckpointSaved(path=f"checkpoints/{file.name}", reason=reason))

    # --- on the forecaster's thread ---------------------------------------------------------

    def _on_metrics(self, values: dict[str, float], step: int, epoch: int) -> None:
        now = time.monotonic()
        shown: dict[str, float | None] = {**values, "learning_rate": self.backend.learning_rate()}
        if "accuracy" not in self.task.metrics():
            del shown[
                "accuracy"
            ]  # else a share of usual errors: it would be the quantile asked for
        spent = self.loop.time
        if now - self._speed_at >= SPEED_PERIOD and (speed := spent.speed) is not None:
            shown |= {"steps_per_second": speed, "validation_seconds": spent.validation}
            self._speed_at = now
        self.last.update(shown)
        self.stream.emit(events.Metrics(values=shown), step, epoch, "train")
        self._alarm(
            self.alarms.trained(shown.get("accuracy"), shown.get("loss"), step), step, epoch
        )
        if now - self._cost_at >= COST_PERIOD:
            self._emit_cost(step, epoch)
        self._explain_periodically(step)

    def _logits_not_finite(self, step: int, output: StepOutput) -> None:
        """Where a step does not look at its loss: a device, or a loop of the user's own."""
        self._hold()
        logits, targets = (to_numpy(a, None) for a in self.backend.telemetry_arrays([output]))
        odd = ~np.isfinite(logits.reshape(len(logits), -1)).all(axis=1)
        what = "outputs of the model are NaN or infinite" if odd.any() else "the loss is not finite"
        rows = (np.flatnonzero(odd) if odd.any() else np.arange(len(logits)))[:READ_AGAIN]
        found = Culprits()
        with suppress(Exception):  # data that cannot be read are no reason to say nothing
            read = [self.read_sample(int(k)) for k in output.indices[rows]]
            inputs = np.stack([sample.input for sample in read])
            found = find_culprits(output.indices[rows], inputs, task=self.task)
        if not found.samples:
            found = find_culprits(output.indices, None, targets, logits, task=self.task)
        self._not_finite(step, what, found)

    def _compare(self, step: int, epoch: int, validation: dict[str, float]) -> None:
        """Hold what an epoch's validation gave beside training."""
        self._alarm(self.alarms.validated(validation, step), step, epoch)

    def _alarm(self, notices: Sequence[events.Notice], step: int, epoch: int) -> None:
        for notice in notices:
            self.stream.emit(notice, step, epoch)

    def _explain_periodically(self, step: int) -> None:
        if step >= self._xai_due:
            self._xai_due = step + self.xai_every
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
        if not self.task.labelled:
            target = np.full_like(predicted, -1)
        values = self.forecaster.store.values
        wanted, given, error = ([], [], []) if values is None else values.of(indices)
        forecast = events.Forecast(
            index=[int(i) for i in indices],  # ten of them
            risk=[round(float(r), 4) for r in risk],
            target=[int(t) for t in target],
            predicted=[int(p) for p in predicted],
            reason=reasons,
            target_value=wanted,
            predicted_value=given,
            error=error,
            horizon=self.config.forecast.horizon_epochs,
            onset=self.forecaster.onset,
            parted=True,
            doubtful=indices[is_suspected(self.forecaster.store, indices)].tolist(),
        )
        self.forecast = forecast
        self.stream.emit(forecast, step, epoch)
        self._show_gates(step, epoch, always=False)
        self._explain_periodically(step)
        an_epoch_ago = step - self.backend.steps_per_epoch
        wrong = dict(zip(forecast.index, forecast.wrong_now, strict=True))
        for index in sorted(wrong, key=lambda i: wrong[i]):  # those at risk first
            seen = self._explained_at.get(index)
            if seen is None or seen < an_epoch_ago:
                self._explained_at[index] = step
                self.scheduler.request(index, "candidate")

    def _after_epoch(self, step: int, epoch: int, accuracy: float | None) -> None:
        store = self.forecaster.store
        held_out = None if accuracy is None else HeldOut(accuracy, self.backend.num_val)
        if accuracy is None and "accuracy" in self.task.metrics():
            accuracy = float(store.correct[store.seen].mean()) if store.seen.any() else None
        self.window.epoch_ended(epoch, accuracy, store.commonest)
        self.review.epoch_ended(step, epoch, held_out)
        self.forecaster.rank_now()  # what is named, and what is left when training ends
        if self.forecast is not None and self.forecast.index:
            right = store.correct if self.forecast.onset else None
            self.scoreboard.name(epoch, self.forecast.index, self.window.open, right)
            self.stream.emit(self.forecast.model_copy(update={"named": True}), step, epoch)
            if time.monotonic() - self._thumbnails_at >= THUMBNAILS_PERIOD:
                self._keep_thumbnails()
        self._show_gates(step, epoch, always=True)
        self._emit_cost(step, epoch)

    def _keep_thumbnails(self) -> None:
        """Have the run folder show the queue without its data; a screen makes its own in time."""
        for index in self.forecast.index if self.forecast is not None else ():
            self.gallery.thumbnail(index)
        self._thumbnails_at = time.monotonic()

    def _emit_cost(self, step: int, epoch: int) -> None:
        self._cost_at = time.monotonic()
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
        spent = self.loop.time
        percent = spent.percent
        return events.Cost(
            percent=None if percent is None else round(percent, 2),
            tool_seconds=round(spent.seconds["tool"], 4),
            guidance_seconds=round(spent.guidance, 4),
            training_seconds=round(spent.seconds["training"], 3),
            overlays_made=counts.made,
            overlays_skipped=counts.skipped,
            overlays_failed=counts.failed,
            overlays_non_finite=counts.non_finite,
            overlay_seconds=round(counts.seconds, 3),
            probed=counts.probed,
            probe_seconds=round(counts.probe_seconds, 3),
            person_seconds=round(counts.person_seconds, 3),
            rest_seconds=round(self.controls.rested, 3),
            rests=self.controls.rests,
            telemetry_dropped=self.forecaster.dropped,
        )

    # --- on the scheduler's thread ----------------------------------------------------------

    def _distrust(self) -> str | None:
        chance = self.window.chance
        return guessing(
            self.last.get("val_accuracy"),  # None where a task has none
            self.backend.num_val,
            chance,
            self.task.guess(chance),
            trained=self.last.get("accuracy"),
        )

    def _on_explained(self, explanation: Explanation, purpose: Purpose) -> None:
        blend = consensus(explanation.livecam, explanation.smoothgrad)
        try:
            maps, picture = self.gallery.save(explanation, blend)
        except OSError as error:
            reason = f"the map could not be written: {error}"
            self._on_failed(explanation.index, purpose, reason)
            return
        self._explained_at[explanation.index] = explanation.model_step
        for file in self.shelf.add(explanation.index, explanation.model_step, maps):
            self.gallery.remove(file)
        self.emit(overlay_event(explanation, purpose, maps, picture))

    def _on_failed(self, index: int, purpose: Purpose, reason: str) -> None:
        self.emit(events.OverlayFailed(index=index, reason=reason, purpose=purpose))

    # --- what a person asks: on any thread ---------------------------------------------------

    def command(self, kind: Literal["pause", "resume", "stop"]) -> bool:
        """Ask the loop to hold, go on or end; False if nothing trains."""
        if not self.loop.running:
            return False
        self.emit(events.CommandReceived(command=kind, author=self.author))
        if kind != "pause":
            self.broken = None
        getattr(self.controls, kind)()
        return True

    @property
    def looked_at(self) -> int | None:
        """The sample that a person looks at."""
        return self._focus_index

    def pace_overlays(self, factor: float, words: str) -> str:
        """Change the steps between two periodic overlays by `factor`; says what it is now."""
        self.xai_every = max(1, min(1_000_000, round(self.xai_every * factor)))
        self._xai_due = min(self._xai_due, self.loop.step + self.xai_every)
        self.emit(events.CommandReceived(command=words, author=self.author))
        return f"{words}: one in {self.xai_every} steps"

    def set_queue(self, *, onset: bool) -> None:
        """Show only samples that are right now, or all that are likely to fail."""
        if onset != self.forecaster.onset:
            self.forecaster.onset = onset
            self.emit(
                events.CommandReceived(
                    command=f"queue: {'right now, failing soon' if onset else 'all failures'}",
                    author=self.author,
                )
            )
            self.forecaster.rank_again()

    def open_window(self) -> None:
        """Open the review window by hand."""
        self.window.open_by_hand()
        self.emit(events.CommandReceived(command="open window", author=self.author))
        self._show_gates(self.loop.step, self.loop.epoch, always=True)

    def advance(self, unit: Literal["step", "epoch"]) -> bool:
        """Train one step, or to the end of the epoch, then hold; False if nothing trains."""
        loop = self.loop
        if not loop.running:
            return False
        self.emit(events.CommandReceived(command=unit, author=self.author))
        step, epoch = loop.step, loop.epoch
        self.broken = None
        self.controls.resume(
            (lambda: loop.step > step) if unit == "step" else lambda: loop.epoch > epoch
        )
        return True

    def check_index(self, index: int) -> None:
        """Raise IndexError where the training data have no such sample."""
        if not 0 <= index < self.backend.num_train:
            raise IndexError(
                f"index={index} is not in the training data; indices go from 0 to "
                f"{self.backend.num_train - 1}"
            )

    def explain(self, index: int) -> Future[Explanation]:
        """Maps of one sample, before anything else."""
        self.check_index(index)
        self._focus_index = index
        return self.scheduler.request(index, "person")


def _read(read: Callable[[int], Any], index: int) -> Sample:
    """One sample; what a data set raises to end its process is an error like any other."""
    try:
        return cast("Sample", read(index))
    except KeyboardInterrupt:
        if threading.current_thread() is threading.main_thread():
            raise  # a person's own
        raise RuntimeError(f"reading sample {index} raised KeyboardInterrupt") from None
    except Exception:
        raise
    except BaseException as error:
        raise RuntimeError(f"reading sample {index} raised {error!r}") from error
