"""What happens when: a step, an epoch's end, a ranking, the end of a training.

Each method says on which thread it runs. The training thread only ever appends or copies.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coflect_widget import events
from coflect_widget.attribution.checks import guessing
from coflect_widget.backends.base import NonFiniteLossError, StepOutput
from coflect_widget.backends.items import error_line
from coflect_widget.events import RunState
from coflect_widget.forecast.label_noise import HeldOut
from coflect_widget.forecast.ranking import forgotten, is_suspected
from coflect_widget.guidance.lapses import Lapse
from coflect_widget.session.cost import cost
from coflect_widget.session.keeping import ENDS, score_of
from coflect_widget.session.newest import Newest
from coflect_widget.session.parts import Parts
from coflect_widget.session.remedies import remedy_of
from coflect_widget.session.telling import Telling
from coflect_widget.training.checkpoints import PATIENCE

COST_PERIOD = 10.0  # seconds between two records of the tool's own cost, at most
FIRST_LOOK = 50  # steps of training before shortcuts are looked for: less has learned little
SPEED_PERIOD = 0.5  # seconds between two records of the speed, at least
LAST_TELEMETRY = 5.0  # seconds that the end of a training waits for what it told of, at most
THUMBNAILS_PERIOD = 20.0  # seconds between two looks at which thumbnails the run folder lacks


class Observer:
    """Told by the loop, the forecaster and the scheduler; tells the other parts.

    Parameters
    ----------
    tell : Telling
    newest : Newest
        Kept up to date.
    """

    def __init__(self, tell: Telling, newest: Newest) -> None:
        self._newest = newest
        self._tell = tell
        self._gates_shown: events.Window | None = None
        self._speed_at = self._cost_at = self._thumbnails_at = 0.0  # when each was last

    def follow(self, parts: Parts) -> None:
        """From now on these are the parts of the session; called once, before anything happens."""
        self._parts = parts

    def kept(self) -> dict[str, Any]:
        """For a checkpoint: the newest figures; on the forecaster's thread."""
        shown, forecast = self._gates_shown, self._newest.forecast
        return {
            "last": dict(self._newest.metrics),
            "forecast": None if forecast is None else forecast.model_dump(),
            "gates_shown": None if shown is None else shown.model_dump(),
        }

    def take(self, kept: Mapping[str, Any]) -> None:
        """Go on from what `kept` gave."""
        newest, forecast, shown = self._newest, kept["forecast"], kept["gates_shown"]
        newest.metrics = dict(kept["last"])
        newest.forecast = None if forecast is None else events.Forecast.model_validate(forecast)
        self._gates_shown = None if shown is None else events.Window.model_validate(shown)

    # --- on the training thread ---------------------------------------------------------------

    @property
    def due(self) -> float:
        """The next step at which the effect of an intervention is due to be measured."""
        return self._parts.steering.effects.due

    def observe(self, step: int, epoch: int, *outputs: StepOutput) -> None:
        """Steps of one epoch were done, the last of them `step`; none before it was due."""
        self._parts.forecaster.observe(step, epoch, *outputs)
        effects = self._parts.steering.effects
        if step >= effects.due:
            effects.step_done(step)

    def state_changed(self, state: RunState, by: str) -> None:
        """The loop went into another state."""
        forecaster = self._parts.forecaster
        forecaster.watch_again()
        if state == "paused":
            forecaster.catch_up()
        self._parts.steering.state_changed(state)
        self._tell.emit(events.StateChanged(state=state, by=by))

    def epoch_ended(self, step: int, epoch: int, validation: dict[str, float]) -> None:
        """All batches of an epoch were trained on and the validation data was evaluated."""
        forecaster = self._parts.forecaster
        if validation:
            values: dict[str, float | None] = {**validation}
            self._newest.metrics.update(
                {f"val_{name}": value for name, value in validation.items()}
            )
            self._tell.at(step, epoch, events.Metrics(values=values), "val")
            self._parts.knobs.watch.validated(validation, step)
            if self._parts.task.in_training in validation:
                quality = validation[self._parts.task.in_training]
                self._parts.steering.effects.validated(quality)
            forecaster.mark(partial(self._compare, step, epoch, validation), rest=True)
        self._parts.scoring.keep_weights(step, epoch)
        self._parts.findings.ended(step, epoch, looks=step >= FIRST_LOOK)
        score = validation.get(self._parts.task.metrics()[1])
        forecaster.mark(partial(self._after_epoch, step, epoch, score), rest=True)

    def resized(self) -> None:
        """The epochs to come have another number of steps, or batches of another size."""
        parts = self._parts
        backend, loop = parts.backend, parts.loop
        parts.alarms.resized(backend.batch_size, backend.steps_per_epoch)
        if loop.running:
            self._tell.emit(
                events.TrainStarted(
                    total_steps=loop.target_step,
                    steps_per_epoch=backend.steps_per_epoch,
                    batch_size=backend.batch_size,
                )
            )
        self._tell.emit(parts.knobs.shown())

    def non_finite(self, step: int, error: NonFiniteLossError) -> None:
        """The loss of a step was NaN or infinite: hold, and say of which samples."""
        self._parts.holding.loss(step, error)

    def notice(self, level: Any, text: str) -> None:
        """A person should know this; any thread."""
        self._tell.notice(level, text)

    def lapsed(self, lapses: Sequence[Lapse]) -> None:
        """Guidance went out of force by itself."""
        self._parts.steering.lapsed(lapses)

    def ended(self, state: RunState) -> None:
        """The loop is about to end: keep the weights; all telemetry is taken in when it has."""
        forecaster = self._parts.forecaster
        if state != "failed":
            self._parts.ranks.end()
        forecaster.flush()
        if state != "failed":
            self._measure_effects()
        # What it keeps is copied by the next mark: after it come thumbnails, whose samples may
        # have to be read by this very thread.
        written = self._keep_state(state)
        forecaster.mark(self._keep_thumbnails)
        if written is not None:  # the best one too, whose turn comes after it
            kept = self._parts.checkpoints
            ended = lambda: written.done() and kept.settled  # noqa: E731 - said twice it is longer
            self._parts.controls.serve(ended, PATIENCE, _nothing)
        taken_in = threading.Event()
        forecaster.mark(taken_in.set)
        # Served meanwhile: a thumbnail's sample may be read by this thread alone.
        self._parts.controls.serve(taken_in.is_set, LAST_TELEMETRY, _nothing)

    def _keep_state(self, state: RunState) -> Future[Any] | None:
        try:
            return self._parts.checkpoints.ended(ENDS[state])
        except Exception as error:  # noqa: BLE001 - said aloud; the run's end must not hang on it
            self._tell.notice("error", f"The checkpoint could not be taken: {error!r}")
            return None

    def _measure_effects(self) -> None:
        try:
            self._parts.knobs.watch.ended()
            self._parts.steering.effects.ended(self._parts.loop.step)
            if self._parts.loop.step >= FIRST_LOOK:
                self._parts.findings.ended(self._parts.loop.step, self._parts.loop.epoch, last=True)
        except Exception as error:  # noqa: BLE001 - said aloud; the run's end must not hang on it
            self._tell.notice("error", f"Effects could not be measured: {error}")

    def epoch_counted(self, validation: dict[str, float]) -> None:
        """An epoch is completed: time for a checkpoint, where it is the best so far."""
        self._parts.checkpoints.epoch_done(score_of(validation, self._parts.task))

    def failed(self, error: BaseException, text: str) -> None:
        """Training ended with an exception."""
        if self._parts.ranks.recorded(error):
            return
        self._tell.emit(
            events.Failure(
                error=error_line(error),
                traceback=text,
                remedy=remedy_of(error, own_loop=not self._parts.loop.ours),
            )
        )

    # --- on the forecaster's thread -----------------------------------------------------------

    def on_metrics(self, values: dict[str, float], step: int, epoch: int) -> None:
        """Means over a window of steps."""
        parts = self._parts
        now = time.monotonic()
        shown: dict[str, float | None] = {**values, "learning_rate": parts.backend.learning_rate()}
        quality = shown.pop("accuracy")
        if parts.task.in_training:  # else a share of usual errors: it would be what was asked for
            shown[parts.task.in_training] = quality
        spent = parts.loop.time
        if now - self._speed_at >= SPEED_PERIOD and (speed := spent.speed) is not None:
            shown |= {"steps_per_second": speed, "validation_seconds": spent.validation}
            self._speed_at = now
        self._newest.metrics.update(shown)
        self._tell.at(step, epoch, events.Metrics(values=shown), "train")
        alarms = parts.alarms.trained(shown.get("accuracy"), shown.get("loss"), step)
        self._alarm(alarms, step, epoch)
        if now - self._cost_at >= COST_PERIOD:
            self._tell_cost(step, epoch)
        parts.overlays.periodically(step, self._newest.forecast)

    def on_ranking(
        self,
        indices: NDArray[np.int64],
        risk: NDArray[np.float32],
        target: NDArray[np.int32],
        predicted: NDArray[np.int32],
        reasons: list[str],
        step: int,
        epoch: int,
    ) -> None:
        """The samples most likely to fail, riskiest first; see `forecaster.OnRanking`."""
        parts = self._parts
        parts.window.ranked(indices)
        if not parts.task.of_labels:
            target = np.full_like(predicted, -1)
        store = parts.forecaster.store
        wanted, given, error = ([], [], []) if store.values is None else store.values.of(indices)
        forecast = events.Forecast(
            index=[int(i) for i in indices],  # ten of them
            risk=[round(float(r), 4) for r in risk],
            target=[int(t) for t in target],
            predicted=[int(p) for p in predicted],
            reason=reasons,
            target_value=wanted,
            predicted_value=given,
            error=error,
            horizon=parts.config.forecast.horizon_epochs,
            onset=parts.forecaster.onset,
            parted=True,
            doubtful=indices[is_suspected(store, indices)].tolist(),
            wrong=int(np.count_nonzero(store.seen & ~store.correct)),
        )
        self._newest.forecast = forecast
        self._tell.at(step, epoch, forecast)
        self._show_gates(step, epoch, always=False)
        parts.overlays.periodically(step, forecast)
        parts.overlays.candidates(forecast, step, parts.backend.steps_per_epoch)

    def _after_epoch(self, step: int, epoch: int, accuracy: float | None) -> None:
        parts, store = self._parts, self._parts.forecaster.store
        held_out = None if accuracy is None else HeldOut(accuracy, parts.backend.num_val)
        if accuracy is None and "accuracy" in parts.task.metrics():
            accuracy = float(store.correct[store.seen].mean()) if store.seen.any() else None
        parts.window.epoch_ended(epoch, accuracy, store.commonest)
        parts.scoring.epoch_ended(step, epoch, held_out)
        self._tell.at(step, epoch, parts.labels.listed())
        self._tell.at(step, epoch, self._forgotten())
        parts.scoring.ask(step, parts.scheduler.probe)
        parts.forecaster.rank_now()  # what is named, and what is left when training ends
        if self._newest.forecast is not None and self._newest.forecast.index:
            right = store.correct if self._newest.forecast.onset else None
            parts.scoreboard.name(epoch, self._newest.forecast.index, parts.window.open, right)
            self._tell.at(step, epoch, self._newest.forecast.model_copy(update={"named": True}))
            if time.monotonic() - self._thumbnails_at >= THUMBNAILS_PERIOD:
                self._keep_thumbnails()
        self._show_gates(step, epoch, always=True)
        self._tell_cost(step, epoch)

    def _forgotten(self) -> events.Forgotten:
        parts, store = self._parts, self._parts.forecaster.store
        rows, count = forgotten(store, parts.config.forecast.top)
        target = store.target[rows] if parts.task.of_labels else np.full(len(rows), -1)
        return events.Forgotten(
            count=count,
            index=rows.tolist(),
            target=target.tolist(),
            predicted=store.predicted[rows].tolist(),
            times=store.forgotten[rows].tolist(),
        )

    def _compare(self, step: int, epoch: int, validation: dict[str, float]) -> None:
        """Hold what an epoch's validation gave beside training."""
        self._alarm(self._parts.alarms.validated(validation, step), step, epoch)

    def _alarm(self, notices: Sequence[events.Notice], step: int, epoch: int) -> None:
        for notice in notices:
            self._tell.at(step, epoch, notice)

    def _keep_thumbnails(self) -> None:
        """Have the run folder show queue and ledger without data; a screen makes its own."""
        queued = self._newest.forecast.index if self._newest.forecast is not None else []
        told = [entry.record.sample for entry in self._parts.steering.ledger.interventions]
        for index in dict.fromkeys([*queued, *(one for one in told if one is not None)]):
            self._parts.gallery.thumbnail(index)
        self._thumbnails_at = time.monotonic()

    def _tell_cost(self, step: int, epoch: int) -> None:
        self._cost_at = time.monotonic()
        parts = self._parts
        spent, counts = parts.loop.time, parts.scheduler.counts
        told = cost(spent, counts, parts.controls, parts.forecaster.dropped)
        self._tell.at(step, epoch, told)

    def _show_gates(self, step: int, epoch: int, *, always: bool) -> None:
        status = self._parts.window.status()
        before = self._gates_shown
        passed = [gate.passed for gate in status.gates]
        if always or before is None or passed != [gate.passed for gate in before.gates]:
            self._gates_shown = status
            self._tell.at(step, epoch, status)

    # --- on any thread --------------------------------------------------------------------------

    def open_window(self) -> None:
        """A person opens the review window by hand."""
        self._parts.window.open_by_hand()
        loop = self._parts.loop
        self._show_gates(loop.step, loop.epoch, always=True)

    def distrust(self) -> str | None:
        """Why no map of this model can be trusted now, if so; on the scheduler's thread."""
        chance = self._parts.window.chance
        return guessing(
            self._newest.metrics.get("val_accuracy"),  # None where a task has none
            self._parts.backend.num_val,
            chance,
            self._parts.task.guess(chance),
            trained=self._newest.metrics.get("accuracy"),
        )


def _nothing() -> None:
    """While the disk is waited for there is nothing to do but what others ask for."""
