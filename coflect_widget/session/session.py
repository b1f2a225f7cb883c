"""The one object a user holds: it checks what it is given and wires the parts."""

from __future__ import annotations

import atexit
import os
import weakref
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from coflect_widget import events
from coflect_widget.attribution.timeline import read_timeline
from coflect_widget.backends.registry import BackendParts, find_backend, resolve, takes
from coflect_widget.config import Config, nearest
from coflect_widget.forecast.candidate import Candidate
from coflect_widget.guidance.ledger import Intervention, Ledger
from coflect_widget.guidance.roi import parse_rois
from coflect_widget.guidance.state import Kind, Scope
from coflect_widget.native import kernels
from coflect_widget.process import openmp
from coflect_widget.records.assumed import note_assumed
from coflect_widget.records.folder import fingerprint, make_run_folder, write_facts
from coflect_widget.records.run import Run
from coflect_widget.records.value_range import Window, find_window
from coflect_widget.session.arguments import class_names, count, fraction, one_of, whole_number
from coflect_widget.session.build import build
from coflect_widget.session.changes import Changes
from coflect_widget.session.own_loops import OwnLoops
from coflect_widget.session.parts import Parts
from coflect_widget.session.reviews import Reviews
from coflect_widget.session.waiting import Waits
from coflect_widget.tasks import task_of
from coflect_widget.workers.pool import check_executor, prepare

if TYPE_CHECKING:
    from coflect_widget.attribution.explanation import Explanation
    from coflect_widget.events import Effect
    from coflect_widget.guidance.similar import Hit

#: Sessions of this kernel that are not closed. A cell that is run twice makes two of them.
_sessions: set[Session] = set()

_ARGUMENTS = [
    "model", "train_data", "val_data", "classes", "loss", "optimizer", "scheduler", "batch_size",
    "backend", "run_dir", "config", "executor", "class_weight", "guidance",
]  # fmt: skip


class Session(Waits, OwnLoops, Reviews, Changes):
    """A training with a person in its loop.

    Parameters
    ----------
    model : torch.nn.Module or keras.Model
        Gives logits (B, classes) for inputs (B, C, H, W). A Keras model may have its channels last
        and give probabilities. It is compiled, or `loss` and `optimizer` are what ``compile``
        takes; its `scheduler` is a function (epoch, learning rate) -> learning rate.
    train_data, val_data
        Map-style data set of (x, y) or (x, y, index), or a pair of arrays (inputs, labels); for
        a torch model also of mappings such as ``{"pixel_values": x, "labels": y}``; for a Keras
        model also a ``tf.data.Dataset`` of known length, which is read into memory.
        Labels are class numbers, integers. Floating point targets (N,) or (N, D), with a torch
        model of D outputs and `loss`, mean regression: an error above a quantile of the newest
        ones takes the place of "wrong" (``forecast.error_quantile``), maps show what moves the
        first output, and strokes are refused.
    classes : sequence of str, optional
        Names of the classes, in the order of the labels; or a mapping of names to labels such
        as torchvision's ``class_to_idx``, or of labels to names.
    loss : callable, optional
        ``loss(logits, targets) -> scalar``, for a Keras model ``loss(y_true, y_pred)``;
        cross-entropy if left out. In regression both are (B, D), and it must be given.
    optimizer : torch.optim.Optimizer or callable, optional
        An optimizer, or what makes one from parameters; AdamW at 1e-3 if left out.
    scheduler : torch.optim.lr_scheduler.LRScheduler or callable, optional
        A schedule of the learning rate, or what makes one from the optimizer. OneCycleLR and
        CyclicLR step after each batch, others at each epoch's end: ReduceLROnPlateau with
        the validation loss, or in mode "max" with the accuracy, in regression R squared. One
        that is made for batches, as a warm-up from 0 or a cosine over all steps, steps after
        each batch too, with a notice; ``config={"schedule_unit": "batch"}`` or ``"epoch"``
        decides it.
    batch_size : int
    backend : str, optional
        Name of the framework; found from the model if left out.
    run_dir : path
        Each session makes one run folder in it.
    config : Config or mapping, optional
    executor : concurrent.futures.Executor, optional
        Computes the maps, on other machines too; two worker processes if left out.
    class_weight : mapping of int to float, optional
        Weight of each class in the loss; 1 where none is given.
    guidance : Ledger or path, optional
        What another session was told (its `ledger`, or the file it was saved to): in force from
        the first step on.

    Raises
    ------
    TypeError, ValueError
        If an argument cannot be used, before any thread starts; the message says what to do.
    """

    def __init__(
        self,
        model: Any,
        train_data: Any,
        val_data: Any = None,
        *,
        classes: Sequence[str] | Mapping[str, int] | Mapping[int, str] | None = None,
        loss: Callable[..., Any] | None = None,
        optimizer: Any = None,
        scheduler: Any = None,
        batch_size: int = 64,
        backend: str | None = None,
        run_dir: str | Path = "runs",
        config: Config | Mapping[str, Any] | None = None,
        executor: Executor | None = None,
        class_weight: Mapping[int, float] | None = None,
        guidance: Ledger | str | Path | None = None,
        **unknown: Any,
    ) -> None:
        self._parts: Parts | None = None  # close() must work on a half-made session
        self._process = os.getpid()
        if unknown:
            name = next(iter(unknown))
            raise TypeError(f"Session() has no argument {name!r}; {nearest(name, _ARGUMENTS)}")
        checked = Config.from_mapping(config)
        names = class_names(classes)
        batch_size = count(batch_size, "batch_size")
        parts = find_backend(model, backend)
        check_executor(executor)
        factory = resolve(parts.backend)
        if executor is None:
            # the workers' imports run beside our own; a plain function as a factory names none
            prepare(getattr(factory, "explainer", ""))
        if class_weight is not None and not takes(factory, "class_weight"):
            raise TypeError(
                f"class_weight= is not for this model: its backend "
                f"{getattr(factory, '__name__', factory)!r} takes no weights of classes; leave it "
                "out, or let the backend take class_weight"
            )
        engine = factory(
            model,
            train_data,
            val_data,
            num_classes=None if names is None else len(names),
            loss=loss,
            optimizer=optimizer,
            scheduler=scheduler,
            batch_size=batch_size,
            config=checked,
            **({} if class_weight is None else {"class_weight": class_weight}),
        )
        first = engine.read_sample(0)
        _check_display(checked, first.input.shape[0])
        task = task_of(engine, error_quantile=checked.forecast.error_quantile)
        self.classes = task.outcomes(names)
        probes = engine.probes()
        window = _window(checked, probes)
        if window is not None:
            black_and_white = {"window": (window.black, window.white)}
            display = checked.display.model_copy(update=black_and_white)
            checked = checked.model_copy(update={"display": display})
        self.config = checked
        structure = _structure(parts, engine, checked)
        if parts.guidance is not None and task.labelled:
            losses = resolve(parts.guidance)(
                engine.model,
                engine.read_rows,
                engine.image_size,
                checked.guidance,
                seed=checked.seed,
                device=engine.device,
            )
            engine.attach_guidance(losses)
        path = make_run_folder(Path(run_dir))
        write_facts(
            path,
            checked,
            {
                "fingerprint": fingerprint(engine.labels(), probes),
                "num_train": engine.num_train,
                "num_val": engine.num_val,
                "classes": self.classes,
            },
        )
        self._told = 0  # of the backend's assumptions
        self._backend = engine
        measure = resolve(parts.measure) if parts.measure and task.labelled else None
        self._parts = build(
            engine,
            structure,
            checked,
            path,
            task,
            self.classes,
            measure=measure,
            executor=executor,
            input_shape=first.input.shape,
        )
        self._run = Run(path)
        self._dashboard: Any = None
        self._replayed: Any = None  # where it is first shown after it was closed
        self._parts.tell.emit(
            events.RunStarted(
                classes=self.classes,
                num_train=engine.num_train,
                num_val=engine.num_val,
                backend=engine.name,
                device=engine.device,
                focus=checked.guidance.strength,
                guidance=parts.guidance is not None and task.labelled and not first.others,
                kernels=kernels().used,
            )
        )
        self._parts.tell.emit(self._parts.knobs.shown())
        if guidance is not None:
            try:
                told = guidance if isinstance(guidance, Ledger) else Ledger.load(guidance)
                self._parts.steering.adopt(told)
            except BaseException:
                self.close()
                raise
        self._meet_others()
        openmp.find_runtimes()
        openmp.release_after_each_cell()
        # Both workers come up before a training wants the processors.
        self._parts.scheduler.start()
        self._parts.scheduler.warm()
        if self._parts.snapshots.fallback is not None:
            self._parts.tell.notice(
                "warning",
                "There is no room in memory for the weights that workers read; they go through "
                f"the file {self._parts.snapshots.fallback}, which may slow steps down a little.",
            )
        if window is not None:
            self._parts.tell.notice("info", str(window))
        if hasattr(engine, "forget_read"):  # one that a user wrote may keep nothing
            engine.forget_read()
        if isinstance(structure, Exception):
            self._parts.tell.notice("warning", f"Training works, overlays do not: {structure}")
        self._tell_assumptions()

    def _meet_others(self) -> None:
        """Take a place among the sessions of this kernel; a cell run again has made another."""
        me = weakref.ref(self)

        def close_others() -> list[str]:
            session = me()
            return [] if session is None else close_all(keep=session)

        parts = self._open()
        parts.desk.close_others = close_others
        earlier = sorted(_sessions, key=lambda session: session.run.id)
        _sessions.add(self)
        for session in earlier:
            session._made().spare = True
        if earlier:
            names = ", ".join(session.run.id for session in earlier)
            parts.tell.notice(
                "info",
                f"Still open in this kernel, with model, data and worker processes: {names}. "
                "coflect.close_all(keep=session) ends all but this one.",
                "close_others",
            )

    # --- training --------------------------------------------------------------------------

    def train(self, epochs: int | None = None, *, steps: int | None = None) -> None:
        """Train in a thread of its own and return at once.

        A second call goes on from where the first ended.

        Parameters
        ----------
        epochs, steps : int
            How long; give one of them.

        Raises
        ------
        RuntimeError
            If training is running already, or the session is closed.
        """
        parts = self._open()
        if (epochs is None) == (steps is None):
            raise ValueError("train() needs either epochs= or steps=, for example train(epochs=10)")
        epochs = None if epochs is None else count(epochs, "epochs")
        steps = None if steps is None else count(steps, "steps")
        if parts.loop.running:
            raise RuntimeError("training is already running; stop() it first, or wait() for it")
        per_epoch = self._backend.steps_per_epoch
        if epochs is not None:
            steps = parts.loop.steps_for_epochs(epochs)
        assert steps is not None  # noqa: S101 - narrows the type
        expect = getattr(self._backend, "expect", None)  # one that a user wrote may have none
        if expect is not None:
            expect(steps)
            self._tell_assumptions()
        parts.announce(steps, per_epoch, self._backend.batch_size, parts.loop.begun)
        openmp.release_helpers()
        parts.loop.start(steps, whole_epochs=epochs is not None)
        others = sorted(s.run.id for s in _sessions if s is not self and s.state == "training")
        if others:
            parts.tell.notice(
                "warning",
                f"{', '.join(others)} trains in this kernel too and takes its share of the "
                "processor; coflect.close_all(keep=session) ends all but this one.",
                "close_others",
            )

    @property
    def metrics(self) -> dict[str, float | int | None]:
        """Last value of each metric ("loss", "accuracy", "val_loss", ...), "step" and "epoch"."""
        parts = self._made()
        return {**parts.observer.last, "step": parts.loop.step, "epoch": parts.loop.epoch}

    # --- looking ---------------------------------------------------------------------------

    @property
    def candidates(self) -> list[Candidate]:
        """Samples that will be wrong some epochs from now, riskiest first.

        The first ``forecast.top`` of those at risk and those wrong now together; each says which
        it is. Empty before the first ranking, and where nothing is likely to be wrong.
        """
        return self._candidates()[: self._made().config.forecast.top]

    @property
    def at_risk(self) -> list[Candidate]:
        """Samples that are right now and will be wrong, riskiest first; as many at most."""
        return [candidate for candidate in self._candidates() if not candidate.wrong_now]

    @property
    def wrong_now(self) -> list[Candidate]:
        """Samples that are wrong now and will be then, surest first; as many at most.

        None while `onset` is set.
        """
        return [candidate for candidate in self._candidates() if candidate.wrong_now]

    def _candidates(self) -> list[Candidate]:
        parts = self._made()
        forecast = parts.observer.forecast
        if forecast is None:
            return []
        unknown = [None] * len(forecast.index)  # of classes
        doubtful = set(forecast.doubtful)
        return [
            Candidate(
                index, risk, target, predicted, reason, parts.gallery.thumbnail(index),
                wanted, given, error, index in doubtful,
            )
            for index, risk, target, predicted, reason, wanted, given, error in zip(
                forecast.index,
                forecast.risk,
                forecast.target,
                forecast.predicted,
                forecast.reason,
                forecast.target_value or unknown,
                forecast.predicted_value or unknown,
                forecast.error or unknown,
                strict=True,
            )
        ]  # fmt: skip

    def explain(self, index: int, timeout: float = 120.0) -> Explanation:
        """Where the model looks on one training sample, now.

        Raises
        ------
        IndexError
            If there is no such sample.
        RuntimeError
            If no explanation can be given; the message says why.
        TimeoutError
            If it takes longer than `timeout` seconds.
        """
        parts = self._open()
        parts.scheduler.start()
        asked = parts.desk.explain(whole_number(index, "index"))
        explanation = self._wait_for(asked, timeout, "explain()")
        parts.stream.flush()
        return explanation

    def timeline(self, index: int) -> list[Explanation]:
        """Where the model looked on one training sample over the run, oldest first.

        One explanation for each training step at which the sample was explained, as far as
        ``config["attribution"]["maps_per_sample"]`` keeps them; [] where it never was.

        Raises
        ------
        IndexError
            If there is no such sample.
        """
        number = whole_number(index, "index")
        self._made().samples.check(number)
        if not (self._made().closed or self._elsewhere):
            self._made().stream.flush()
        return read_timeline(self._run, number)

    def events(self, type: str | None = None) -> list[events.Event]:  # noqa: A002 - the contract's name
        """Recorded events, oldest first; only those of `type`, if given."""
        if self._parts is not None and not self._elsewhere:
            self._parts.forecaster.drain(5)
            self._parts.stream.flush()
        return self._run.events(type)

    @property
    def run(self) -> Run:
        """The run folder: ``.id``, ``.path``, ``.events()``, ``.scalars()``, ``.config``."""
        return self._run

    # --- steering --------------------------------------------------------------------------

    def feedback(
        self,
        sample: int | None = None,
        look: Any = None,
        ignore: Any = None,
        instruction: str | None = None,
        strength: float | None = None,
        scope: Scope | None = None,
    ) -> Intervention:
        """Tell the training where to look, or what to ignore; returns once it is in force.

        Parameters
        ----------
        sample : int, optional
            The training sample that the regions are drawn on; everywhere if left out.
        look, ignore : ROI or list of ROI, optional
            A box ``(x0, y0, x1, y1)``, a polygon ``[(x, y), ...]`` or a boolean mask (H, W);
            coordinates are fractions of width and height from the top left.
            What is ignored in one sample is also swapped at the same and the mirrored places of
            other samples, because an artefact seldom keeps to one picture.
        instruction : str, optional
            Such as "increase focus by 10%", "focus top right", "ignore borders".
        strength : float, optional
            From 0 to 1, relative to the task loss.
        scope : {"sample", "class", "everywhere"}, optional
            For this sample alone, all of its class, or all samples.

        Raises
        ------
        ValueError
            If anything in it cannot be used; nothing has changed then.
        """
        given_by_kind: dict[Kind, Any] = {"look": look, "ignore": ignore}
        strokes = [
            events.StrokeInput(kind=kind, roi=roi.to_json())
            for kind, given in given_by_kind.items()
            if given is not None
            for roi in parse_rois(given, kind)
        ]
        if instruction is not None and not isinstance(instruction, str):
            raise TypeError(
                f'instruction={instruction!r} must be text, such as "increase focus by 10%"'
            )
        command = events.Feedback(
            sample=None if sample is None else whole_number(sample, "sample"),
            strokes=strokes,
            instruction=instruction,
            strength=fraction(strength, "strength"),
            scope=one_of(scope, "scope", get_args(Scope)),
        )
        return self._wait_for(self._open().desk.feedback(command), 60, "feedback()")

    def similar(self, intervention: Intervention | str, timeout: float = 600) -> list[Hit]:
        """Other samples that show what an intervention ignores, best first.

        Returns
        -------
        list of Hit
            ``.index``, ``.box`` as fractions, ``.score`` (1 for the same pixels).
        """
        name = intervention if isinstance(intervention, str) else intervention.id
        return self._wait_for(self._open().desk.similar(name), timeout, "similar()")

    def confirm(
        self, intervention: Intervention | str, indices: Sequence[int] | None = None
    ) -> Intervention:
        """Ignore it in those hits of `similar` too, each at its place; in all if left out."""
        name = intervention if isinstance(intervention, str) else intervention.id
        chosen = None if indices is None else [whole_number(k, "indices") for k in indices]
        return self._wait_for(self._open().desk.confirm(name, chosen), 60, "confirm()")

    def undo(self, intervention: Intervention | str) -> Intervention:
        """Take one intervention out again; later ones stay."""
        identifier = intervention if isinstance(intervention, str) else intervention.id
        return self._wait_for(self._open().desk.undo(identifier), 60, "undo()")

    @property
    def interventions(self) -> list[Intervention]:
        """The ledger: everything that was told to this training, oldest first."""
        return list(self.ledger.interventions)

    @property
    def ledger(self) -> Ledger:
        """The interventions as one object: ``session.ledger.save(path)``."""
        return self._made().steering.ledger

    @property
    def effects(self) -> list[Effect]:
        """What interventions did, as far as it is measured; ``.text`` says it in a sentence."""
        return [entry.effect for entry in self.interventions if entry.effect is not None]

    # --- showing ---------------------------------------------------------------------------

    def dashboard(self) -> Any:
        """The dashboard widget; one per session, however often it is shown."""
        # above this layer; only when shown
        from coflect_widget.ui.live import LiveDashboard, replay_dashboard

        if self._dashboard is not None:
            return self._dashboard.widget
        if self._made().closed:
            self._replayed = self._replayed or replay_dashboard(self._run)
            return self._replayed
        self._dashboard = LiveDashboard(self._open(), self._run)
        return self._dashboard.widget

    def sidebar(self) -> Any:
        """Show the dashboard in JupyterLab's right side panel; below the cell elsewhere.

        Notebook 7 is recognised once the dashboard has been shown there in a cell.
        """
        from coflect_widget.ui.sidebar import show_in_sidebar

        widget = self.dashboard()
        page = "" if self._dashboard is None else self._dashboard.controls.page
        return show_in_sidebar(widget, f"Coflect {self._run.id}", page)

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        return self.dashboard()._repr_mimebundle_(**kwargs)

    def _display_(self) -> Any:
        return self.dashboard()  # marimo shows what this returns

    def __repr__(self) -> str:
        return f"Session({self._run.id}, {self.state}, step {self._made().loop.step})"

    # --- life ------------------------------------------------------------------------------

    def save_html(self, path: str | Path) -> Path:
        """Write what the dashboard shows to one file that needs no kernel and no network.

        Raises
        ------
        OSError
            If the file cannot be written.
        """
        from coflect_widget.ui.export import save_html  # above this layer; only when asked

        self.events("state")  # everything so far is on disk afterwards
        return save_html(self._run, path)

    def close(self) -> None:
        """Stop training, end every worker and thread, and leave the run folder complete.

        In a process forked from the session's own there is nothing to end.
        """
        parts = self._parts
        if parts is None or parts.closed or self._elsewhere:
            return
        if parts.loop.running and not parts.own_loop.close():
            parts.controls.stop()
            parts.await_end()
        try:
            parts.close()
        finally:
            _sessions.discard(self)
            if self._dashboard is not None:
                self._dashboard.close()
        self._say_unsaved(parts)

    def __enter__(self) -> Session:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        parts = None if self._elsewhere else self._parts
        if error is not None and parts is not None and parts.loop.on_this_thread:
            parts.own_loop.end("failed", error)
        self.close()

    def _tell_assumptions(self) -> None:
        """Say and record what the backend has guessed since the last time."""
        known = list(getattr(self._backend, "assumptions", []))
        new, self._told = known[self._told :], len(known)
        for sentence in new:
            self._made().tell.notice("warning", sentence)
        try:
            note_assumed(self._run.path, new)
        except (OSError, ValueError) as error:  # said all the same, and no training hangs on it
            self._made().tell.notice("warning", f"config.yaml could not be added to: {error}")

    @property
    def _wiring(self) -> Parts:
        """What the parts were called once; scripts that reach in still say it."""
        return self._made()

    def _made(self) -> Parts:
        if self._parts is None:
            raise RuntimeError("this session was not made; its constructor raised an error")
        return self._parts

    def _open(self) -> Parts:
        parts = self._made()
        if self._elsewhere:
            raise RuntimeError(
                "this process was forked from the one that made the session, which alone can "
                "train and steer it; make a new session here"
            )
        if parts.closed:
            raise RuntimeError("the session is closed; make a new one to go on")
        return parts

    @property
    def _elsewhere(self) -> bool:
        """Whether this process is a fork of the session's: it has none of its threads."""
        return os.getpid() != self._process


def _check_display(config: Config, channels: int) -> None:
    for name in ("mean", "std"):
        values = getattr(config.display, name)
        if values is not None and len(values) not in (1, channels):
            raise ValueError(
                f"config['display'][{name!r}] = {values!r} has {len(values)} values for images of "
                f"{channels} channels; give one for each channel, or one for all"
            )


def _window(config: Config, inputs: Sequence[Any]) -> Window | None:
    """Black and white for data whose pictures could not be made out otherwise."""
    display = config.display
    if any(given is not None for given in (display.mean, display.std, display.window)):
        return None
    return find_window(inputs)


def close_all(*, keep: Session | None = None) -> list[str]:
    """Close every session of this kernel but `keep`, also those that no variable holds any more.

    Returns
    -------
    list of str
        Names of the runs that were ended.
    """
    closed = sorted(_sessions - {keep}, key=lambda session: session.run.id)
    for session in closed:
        session.close()
    return [session.run.id for session in closed]


# A script that ends without close() leaves complete records all the same.
atexit.register(close_all)
if hasattr(os, "register_at_fork"):
    # A child has none of the threads that closing would wait for, and its parent goes on.
    def _leave_to_the_parent() -> None:
        for session in _sessions:
            session._made().own_loop.disown()
        _sessions.clear()

    os.register_at_fork(after_in_child=_leave_to_the_parent)


def _structure(parts: BackendParts, engine: Any, config: Config) -> bytes | Exception:
    """The model for the workers, or why it cannot be sent: training goes on without overlays.

    Raises
    ------
    NoSuitableLayerError
        If the layer that the user named is not in the model, or the model has none to read.
    """
    try:
        if parts.structure is None:
            own: bytes = engine.structure()
            return own
        structure: bytes = resolve(parts.structure)(engine.model)
    except (TypeError, ValueError, AttributeError, OSError, RuntimeError) as error:
        return error
    wanted = config.attribution
    if wanted.layer is not None or wanted.method != "smoothgrad":
        assert parts.check_layer is not None  # noqa: S101 - both are there or neither
        sample = engine.read_sample(0)
        more = {"others": sample.others, "place": sample.place} if sample.others else {}
        resolve(parts.check_layer)(structure, sample.input.shape, wanted.layer, **more)
    return structure
