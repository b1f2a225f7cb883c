"""Who is wired to whom: each part gets the few functions that it needs, none gets the whole."""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from coflect_widget import events
from coflect_widget.attribution.scheduler import ExplanationScheduler
from coflect_widget.attribution.snapshots import Snapshots
from coflect_widget.attribution.timeline import Shelf
from coflect_widget.backends.base import Sample
from coflect_widget.config import Config, DisplayConfig
from coflect_widget.forecast.forecaster import Forecaster
from coflect_widget.forecast.foresight import Foresight
from coflect_widget.forecast.gates import ReviewWindow
from coflect_widget.forecast.scoreboard import Scoreboard
from coflect_widget.modalities.base import Modality, Rendering
from coflect_widget.native import kernels
from coflect_widget.process.settings import ProcessSettings
from coflect_widget.records.folder import user_name
from coflect_widget.records.pictures import Gallery, NoDataError
from coflect_widget.records.stream import EventStream
from coflect_widget.session.alarms import Alarms
from coflect_widget.session.answering import Answering
from coflect_widget.session.coach import Coach
from coflect_widget.session.dataset import DataChanges
from coflect_widget.session.desk import Desk
from coflect_widget.session.following import FOLLOWER, LEADER, Unkept
from coflect_widget.session.keeping import Keeping, saved
from coflect_widget.session.knobs import KnobBoard
from coflect_widget.session.labels import Labels
from coflect_widget.session.newest import Newest
from coflect_widget.session.overlays import Overlays
from coflect_widget.session.parts import Parts
from coflect_widget.session.ranks import Ranks
from coflect_widget.session.refitting import Refitting
from coflect_widget.session.samples import Samples
from coflect_widget.session.scoring import Scoring
from coflect_widget.session.spikes import Spikes
from coflect_widget.session.steering import Steering
from coflect_widget.session.telling import Telling
from coflect_widget.studies.findings import Finder
from coflect_widget.studies.knob_effect import KnobWatch
from coflect_widget.studies.looking import snapshot_of, unlooked
from coflect_widget.tasks.base import Task
from coflect_widget.telemetry.store import SampleStore
from coflect_widget.training.checkpoints import ALARM
from coflect_widget.training.loop import TrainingLoop
from coflect_widget.training.own_loop import OwnLoop


def build(
    backend: Any,
    structure: bytes | Exception,
    config: Config,
    path: Path,
    task: Task,
    modality: Modality,
    classes: Sequence[str],
    *,
    first: Sample,
    executor: Executor | None = None,
    facts: Mapping[str, Any] | None = None,
    first_event: int = 0,
) -> Parts:
    """Make the parts of a session and tie them.

    Parameters
    ----------
    backend : backends.base.Backend
    structure : bytes or Exception
        The model for the workers, or why it cannot be sent.
    config : Config
    path : Path
        The run folder, made already.
    task : Task
    modality : Modality
    classes : sequence of str
        Names of the classes.
    first : Sample
        Any one: its shape is that of all, and a worker rehearses with it.
    executor : concurrent.futures.Executor, optional
        Where overlays are computed; this machine's own workers if left out.
    facts : mapping, optional
        As of `keeping.Keeping`.
    first_event : int
        Number of the first event; more than 0 where a run is gone on with.
    """
    parts: Parts  # the end of this function; what is late-bound below sees it then
    snapshots = Snapshots(backend.weight_specs())  # may refuse; no thread runs yet
    stream = EventStream(path, first_event)
    roles = FOLLOWER if backend.follows else LEADER
    controls = roles.controls()
    process = ProcessSettings(touch=config.process.touch)
    samples = Samples(backend, controls, process)
    tell = Telling(stream, config.author or user_name() or "", lambda: (loop.step, loop.epoch))
    newest = Newest()
    observer = roles.observer(tell, newest)
    loop = TrainingLoop(backend, controls, snapshots, observer, process)
    own_loop = OwnLoop(loop, task, lambda *expected: parts.announce(*expected, own_loop=True))
    store = SampleStore(backend.num_train, task)
    spikes = Spikes(backend, task, store, tell, lambda index: gallery.thumbnail(index))
    holding = roles.holding(backend, task, controls, own_loop, samples, tell, spikes.not_finite)
    window = ReviewWindow(config.forecast.gates, task)
    forecaster = Forecaster(
        Foresight(
            store,
            config.forecast.horizon_epochs,
            seed=config.seed,
        ),
        backend,
        top=config.forecast.top,
        log_every=config.log_every,
        forecast_every=config.forecast_every,
        on_metrics=observer.on_metrics,
        on_ranking=observer.on_ranking,
        onset=config.forecast.onset,
        on_non_finite=holding.outputs,
        on_losses=spikes.look,
        on_error=lambda error: tell.notice("error", f"The forecast met an error: {error!r}"),
        # Compiled kernels take so little of the processors that a rest would cost more.
        rest=controls.rest if backend.fills_processors and kernels().module is None else None,
    )
    scoreboard = Scoreboard(config.forecast.horizon_epochs, config.seed)
    # What draws random numbers may only be read between steps, which would hold training up;
    # and without labels outputs tell an error only beside the targets.
    able_to_probe = task.labelled and not backend.reads_at_boundary
    scoring = Scoring(
        forecaster,
        scoreboard,
        snapshots,
        tell,
        probes=config.forecast.probes if able_to_probe else 0,
        num_train=backend.num_train,
    )
    steering = Steering(
        backend,
        task,
        modality,
        config,
        classes,
        controls,
        samples,
        tell,
        extent=modality.extent(first.input),
        structure=structure,
        intervened=lambda: window.intervened(loop.epoch),
        running=lambda: loop.running,
        step=lambda: loop.step,
        before=lambda: own_loop.used or checkpoints.before(),
    )
    snapshot = partial(snapshot_of, backend, structure, modality)
    findings = Finder(
        steering.worker,
        snapshot,
        samples.train,
        samples.val,
        backend.num_train,
        backend.num_val if backend.reads_val else 0,
        modality,
        classes,
        config.seed,
        tell.emit,
        tell.warn,
        nbytes=sum(
            math.prod(spec.shape) * np.dtype(spec.dtype).itemsize for spec in backend.weight_specs()
        ),
        by_itself=config.findings.act != "off",
        asks=config.findings.act == "ask",
        controls=config.findings.controls,
        why_not=unlooked(
            backend.explainer, structure, labelled=task.labelled, several=bool(modality.members)
        ),
    )
    labels = Labels(
        backend,
        task,
        controls,
        own_loop,
        samples,
        forecaster,
        tell,
        labels_changed=steering.labels_changed,
    )
    knobs = KnobBoard(
        backend,
        controls,
        loop,
        own_loop,
        steering,
        tell,
        KnobWatch(
            config.guidance.effect_after,
            task.metrics()[1],
            backend.num_val,
            steering.measured,
        ),
        before_knob=lambda: checkpoints.before("knob"),
    )
    data = DataChanges(
        path, backend, task, controls, loop, own_loop, samples, forecaster, labels, steering, tell
    )
    refits = Refitting(
        path,
        backend,
        task,
        controls,
        loop,
        samples,
        steering,
        findings,
        tell,
        snapshot,
        lambda: checkpoints.now("asked"),
        config.seed,
    )
    unkept = partial(Unkept, backend.without_weights)
    checkpoints: Any = (unkept if backend.without_weights else roles.checkpoints)(
        path,
        controls,
        lambda memory: parts.keeping.copy(memory),
        step=lambda: loop.step,
        minutes=config.checkpoint_minutes,
        announce=lambda one, seconds: tell.at(one.step, one.epoch, saved(one, seconds)),
        alarm=lambda text, over: tell.emit(
            events.Notice(level="info" if over else "warning", text=text, alarm=ALARM, over=over)
        ),
        settle=stream.flush,
    )
    own_loop.save = checkpoints.take
    kept = config.attribution
    gallery = Gallery(path, _weak_renderer(samples, modality, config.display))
    shelf = Shelf(path, kept.maps_per_sample, kept.maps_megabytes)
    overlays = Overlays(gallery, shelf, tell, config.xai_every)
    scheduler = ExplanationScheduler(
        structure,
        snapshots,
        kept,
        explainer=backend.explainer,
        read_sample=samples.train,
        request_snapshot=loop.snapshot_now,
        on_explained=overlays.explained,
        on_failed=overlays.failed,
        executor=executor,
        input_shape=first.input.shape,
        notify=tell.warn,
        spare=lambda: parts.spare and not loop.running,
        on_probed=scoring.probed,
        task=task,
        modality=modality,
        # An accelerator is not held up by a worker that computes on the processor.
        rest=controls.rest if backend.device == "cpu" else None,
        trained=lambda: loop.time.seconds["training"],
        current_step=lambda: loop.step,
        distrust=observer.distrust,
        seed=config.seed,
    )
    overlays.serve(scheduler)
    alarms = Alarms(
        lambda: steering.ledger.interventions,
        lambda: window.chance,
        task=task,
        every=config.log_every,
        batch_size=backend.batch_size,
        steps_per_epoch=backend.steps_per_epoch,
        num_val=backend.num_val,
    )
    coach = Coach(tell.emit, watched=lambda: holding.watched)
    stream.subscribe(coach.event)
    stream.subscribe(findings.event)
    desk = Desk(
        loop,
        controls,
        steering,
        labels,
        knobs,
        data,
        refits,
        forecaster,
        overlays,
        holding,
        samples,
        Answering(findings, steering, tell, refits=backend.refits),
        tell,
        modality=modality,
        classes=classes,
        open_window=observer.open_window,
    )
    parts = Parts(
        backend=backend,
        structure=structure,
        config=config,
        path=path,
        task=task,
        modality=modality,
        process=process,
        tell=tell,
        stream=stream,
        samples=samples,
        gallery=gallery,
        controls=controls,
        snapshots=snapshots,
        loop=loop,
        own_loop=own_loop,
        checkpoints=checkpoints,
        forecaster=forecaster,
        window=window,
        scoreboard=scoreboard,
        scoring=scoring,
        scheduler=scheduler,
        overlays=overlays,
        steering=steering,
        findings=findings,
        labels=labels,
        knobs=knobs,
        data=data,
        refits=refits,
        alarms=alarms,
        coach=coach,
        holding=holding,
        newest=newest,
        desk=desk,
    )
    parts.keeping = Keeping(parts, observer, facts or {})
    parts.ranks = ranks = Ranks(parts, observer)
    tell.acted = ranks.done
    observer.follow(parts)
    return parts


def _weak_renderer(
    samples: Samples, modality: Modality, display: DisplayConfig
) -> Callable[[int], Rendering]:
    """Renders samples; a dashboard that is still shown shall not keep model and data."""
    known = weakref.ref(samples)

    def render(index: int) -> Rendering:
        found = known()
        if found is None:
            raise NoDataError("the session is gone, and its data with it")
        x = found.train(index).input
        return replace(modality.render(x, display), content=modality.content(x, display))

    return render
