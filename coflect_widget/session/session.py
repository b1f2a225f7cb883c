"""The one object a user holds: it checks what it is given and wires the parts."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from functools import partial
from pathlib import Path
from typing import Any

from coflect_widget import events
from coflect_widget.attribution.work import import_ahead
from coflect_widget.backends.defaults import complete
from coflect_widget.backends.registry import find_backend, resolve, takes
from coflect_widget.config import Config, nearest
from coflect_widget.guidance.ledger import Ledger
from coflect_widget.guidance.losses import GuidanceLosses
from coflect_widget.modalities import Modality, find_modality, recognise, with_tokenizer
from coflect_widget.native import kernels
from coflect_widget.records.assumed import note_assumed
from coflect_widget.records.checkpoint_files import Checkpoint
from coflect_widget.records.folder import fingerprint, make_run_folder, write_facts
from coflect_widget.records.origin import class_counts
from coflect_widget.records.run import Run
from coflect_widget.records.sinks.base import EventHandler
from coflect_widget.records.sinks.named import find_sinks
from coflect_widget.records.summary import write_summary
from coflect_widget.records.tracks import write_tracks
from coflect_widget.session import kernel
from coflect_widget.session.arguments import ARGUMENTS, class_names, count
from coflect_widget.session.asking import Asks
from coflect_widget.session.build import build
from coflect_widget.session.changes import Changes
from coflect_widget.session.checks import fit_layer, fit_method, structure_of, taken
from coflect_widget.session.exporting import Exports
from coflect_widget.session.following import MAPS_ELSEWHERE, home, leave_home
from coflect_widget.session.guiding import Guides
from coflect_widget.session.keeping import facts_of
from coflect_widget.session.looking import Looks
from coflect_widget.session.mending import Mends
from coflect_widget.session.outlets import Outlets
from coflect_widget.session.own_loops import OwnLoops
from coflect_widget.session.parts import Parts
from coflect_widget.session.resuming import Resume, checkpoint_name, go_on
from coflect_widget.session.reviews import Reviews
from coflect_widget.session.showing import Shows
from coflect_widget.session.starting import Starter
from coflect_widget.session.trying import Tries, kept_of, proved_of
from coflect_widget.session.waiting import Waits
from coflect_widget.tasks import task_of
from coflect_widget.workers.pool import check_executor


class Session(Waits, Looks, Guides, Asks, Mends, Changes, Tries, Reviews, OwnLoops, Exports, Shows):
    """A training with a person in its loop.

    Parameters
    ----------
    model : torch.nn.Module or keras.Model
        Gives logits (B, classes) for inputs (B, C, H, W). A torch model may be in a
        ``DistributedDataParallel``: then each process makes a session, and that of rank 0 steers
        all. A Keras model may have its channels last and give probabilities. It is compiled, or
        `loss` and `optimizer` are what ``compile`` takes; its `scheduler` is a function (epoch,
        learning rate) -> learning rate.
    train_data, val_data
        Map-style data set of (x, y) or (x, y, index), or a pair of arrays (inputs, labels); for
        a torch model also of mappings such as ``{"pixel_values": x, "labels": y}``; for a Keras
        model also a ``tf.data.Dataset`` of known length, which is read into memory.
        Labels are class numbers, integers. Floating point targets (N,) or (N, D), with a torch
        model of D outputs and `loss`, or a Keras model and ``task="regression"``, mean
        regression: an error above a quantile of the newest ones takes the place of "wrong"
        (``forecast.error_quantile``), and maps show what moves the first output.
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
        Of several processes that of each.
    backend : str, optional
        Name of the framework; found from the model if left out.
    run_dir : path, optional
        Of run folders, one a session; ``COFLECT_ROOT`` of the environment, or "runs", if left out.
    config : Config or mapping, optional
    executor : concurrent.futures.Executor, optional
        Computes the maps, on other machines too; two worker processes if left out.
    class_weight : mapping of int to float, optional
        Weight of each class in the loss; 1 where none is given.
    guidance : Ledger or path, optional
        What another session was told (its `ledger`, or the file it was saved to): in force from
        the first step on.
    inputs : str or Modality, optional
        What an input is: "image", "text", the name of what `register_modality` was given, or a
        `modalities.Modality`. Found from the data if left out.
    task : "multi_label", "regression", "segmentation" or "own_loss", optional
        "multi_label" says of targets (N, L) of 0 and 1 that each column is a label, there or not,
        with a probability of its own. Left out, they are taken for that where `loss` is
        ``BCEWithLogitsLoss`` or ``MultiLabelSoftMarginLoss``. "regression" is said of Keras models.
        "segmentation" is for masks (N, H, W) of class numbers, and a torch model that gives
        (B, classes, H, W), or a Keras model that gives (B, H, W, classes). For torch models
        "own_loss" takes items of any form, and each sample's loss from a loop of your own, by
        `observe`.
    score : callable, optional
        With ``task="own_loss"`` what maps are of and what a stroke keeps: ``score(model, inputs)``
        gives one number a sample, (B,), for pictures (B, C, H, W) or ids (B, T) as they are drawn.
    tokenizer : optional
        Of texts, what their ids stand for: a tokenizer of transformers or tokenizers, a sequence of
        words by id, a mapping of words to ids, or a function that gives the words of a list of ids.
    resume : Run, Checkpoint or path, optional
        A run to go on with, in its own folder, from its last checkpoint, or one of its checkpoints.
        Model, data, batch size and seed must be those that it was begun with; settings and names
        of classes are the run's, where they are not given. `train` without arguments goes on to
        where it was to end.
    sinks : sequence, optional
        What else is told the run's events, while it trains: "tensorboard", "mlflow", "wandb",
        "trackio", "progress", "logging", one of `coflect.sinks` with options of its own, or an
        object with ``on_event(event)``.

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
        run_dir: str | Path | None = None,
        config: Config | Mapping[str, Any] | None = None,
        executor: Executor | None = None,
        class_weight: Mapping[int, float] | None = None,
        guidance: Ledger | str | Path | None = None,
        inputs: str | Modality | None = None,
        task: str | None = None,
        score: Callable[[Any, Any], Any] | None = None,
        tokenizer: Any = None,
        resume: Run | Checkpoint | str | Path | None = None,
        sinks: Sequence[EventHandler | str] | None = None,
        **unknown: Any,
    ) -> None:
        self._parts: Parts | None = None  # close() must work on a half-made session
        self._process = os.getpid()
        if unknown:
            name = next(iter(unknown))
            raise TypeError(f"Session() has no argument {name!r}; {nearest(name, ARGUMENTS)}")
        if resume is not None and guidance is not None:
            raise ValueError(
                "guidance= is for a new run; the one that is resumed has a ledger of its own"
            )
        resumed = None if resume is None else Resume.of(resume)
        if resumed is not None and config is None:
            checked = resumed.config()
        else:
            checked = Config.from_mapping(config)
        self._given = {
            "model": model, "train_data": train_data, "val_data": val_data, "classes": classes,
            "loss": loss, "optimizer": optimizer, "scheduler": scheduler, "batch_size": batch_size,
            "backend": backend, "executor": executor, "class_weight": class_weight,
            "inputs": inputs, "task": task, "score": score, "tokenizer": tokenizer,
        }  # fmt: skip
        names = class_names(classes)
        if names is None and resumed is not None:
            names = resumed.classes()
        batch_size = count(batch_size, "batch_size")
        handlers = find_sinks(sinks)
        parts = find_backend(model, backend)
        check_executor(executor)
        factory = resolve(parts.factory(task))
        if executor is None:
            # the workers' imports run beside our own; a plain function as a factory names none
            import_ahead(parts.explainer)
        more = taken(factory, {"class_weight": class_weight, "task": task, "score": score})
        named = None if inputs is None else find_modality(inputs)
        if tokenizer is not None:
            named = with_tokenizer(named, tokenizer)
        more |= {"modality": named} if takes(factory, "modality") else {}
        engine = complete(
            factory(
                model,
                train_data,
                val_data,
                num_classes=None if names is None else len(names),
                loss=loss,
                optimizer=optimizer,
                scheduler=scheduler,
                batch_size=batch_size,
                config=checked,
                **more,
            )
        )
        first = engine.read_sample(0)
        modality = engine.modality or named or recognise(first.input)
        fitting = fit_method(checked, modality)
        if engine.follows and resume is not None:
            raise ValueError(
                "resume= goes on in one process alone; of several, load a checkpoint's "
                "weights.safetensors into the model in each before DistributedDataParallel"
            )
        structure = structure_of(engine)
        if isinstance(structure, bytes):
            modality = fit_layer(engine, structure, first, fitting, modality)
        checked = fit_method(checked, modality)
        chosen = task_of(engine, error_quantile=checked.forecast.error_quantile)
        self.classes = chosen.outcomes(names)
        probes = engine.probes()
        display, said_of_display = modality.fit_display(checked.display, first.input, probes)
        self.config = checked = checked.model_copy(update={"display": display})
        guided = engine.guided() if getattr(chosen, "guidable", chosen.of_labels) else None
        if guided is not None:
            engine.attach_guidance(GuidanceLosses(guided, modality, checked.guidance, checked.seed))
        facts = facts_of(engine, chosen, self.classes, checked.seed)
        if resumed is None:
            path, labels = make_run_folder(home(engine, run_dir)), engine.labels()
            write_facts(
                path,
                checked,
                {
                    "fingerprint": fingerprint(labels, probes),
                    "num_train": engine.num_train,
                    "num_val": engine.num_val,
                    "classes": self.classes,
                },
                device=engine.device,
                counts=class_counts(labels, self.classes),
            )
        else:
            resumed.check(facts, engine)
            resumed.read()
            path = resumed.path
        self._told = 0  # of the backend's assumptions
        self._resumed = resumed is not None
        self._backend = engine
        self._parts = build(
            engine,
            RuntimeError(MAPS_ELSEWHERE) if engine.follows else structure,
            checked,
            path,
            chosen,
            modality,
            self.classes,
            first=first,
            executor=executor,
            facts=facts,
            first_event=0 if resumed is None else resumed.next_seq,
        )
        self._run = Run(path)
        outlets = Outlets(self._parts, self._run, [] if engine.follows else handlers)
        started = events.RunStarted(
            classes=self.classes,
            num_train=engine.num_train,
            num_val=engine.num_val,
            backend=engine.name,
            device=engine.device,
            focus=checked.guidance.strength,
            guidance=guided is not None,
            kernels=kernels().used,
            inputs=modality.name,
        )
        try:
            if resumed is not None:
                go_on(resumed, self._parts)
            else:
                self._parts.tell.emit(started)
            self._parts.tell.emit(self._parts.knobs.shown())
            outlets.open()
            if guidance is not None:
                told = guidance if isinstance(guidance, Ledger) else Ledger.load(guidance, modality)
                self._parts.steering.adopt(told)
        except BaseException:
            self.close()
            raise
        mine = weakref.ref(self)  # a dashboard that is still shown keeps the parts, and no session
        self._starter = Starter(
            self._parts,
            partial(_of, mine, Session._tell_assumptions),
            partial(_of, mine, kernel.say_who_trains),
        )
        self._parts.desk.begin = self._starter.begin
        self._parts.desk.prove = partial(proved_of, mine)
        self._parts.desk.keep = partial(kept_of, mine)
        kernel.join(self)
        self._parts.process.find_out()
        # Both workers come up before a training wants the processors.
        self._parts.scheduler.start()
        self._parts.scheduler.warm()
        if self._parts.snapshots.fallback is not None:
            self._parts.tell.notice(
                "warning",
                "There is no room in memory for the weights that workers read; they go through "
                f"the file {self._parts.snapshots.fallback}, which may slow steps down a little.",
            )
        if said_of_display:
            self._parts.tell.notice("info", said_of_display)
        engine.forget_read()
        if isinstance(structure, Exception):
            self._parts.tell.notice("warning", f"Training works, overlays do not: {structure}")
        self._tell_assumptions()

    # --- training --------------------------------------------------------------------------

    def train(self, epochs: int | None = None, *, steps: int | None = None) -> None:
        """Train in a thread of its own and return at once.

        A second call goes on from where the first ended.

        Parameters
        ----------
        epochs, steps : int, optional
            How long; give one of them. With neither, a training that was stopped, that failed or
            that was resumed goes on for the steps that it has left.

        Raises
        ------
        ValueError
            If neither is given and no stopped training has steps left.
        RuntimeError
            If training is running already, or the session is closed.
        """
        self._open()
        if epochs is not None and steps is not None:
            raise ValueError("train() takes either epochs= or steps=, for example train(epochs=10)")
        self._starter.begin(
            None if epochs is None else count(epochs, "epochs"),
            None if steps is None else count(steps, "steps"),
        )

    def checkpoint(self, name: str | None = None, timeout: float = 600.0) -> Path:
        """Write a checkpoint at the next step boundary; training goes on meanwhile.

        Parameters
        ----------
        name : str, optional
            Of letters, digits, "-", "_" and "."; a checkpoint with a name is never removed.

        Returns
        -------
        Path
            Its folder: ``weights.safetensors`` and what else the training needs to go on.

        Raises
        ------
        ValueError
            If the name cannot be used, or another checkpoint of this run has it; or where the
            model's weights cannot be kept.
        OSError
            If the disk refuses; it is tried again.
        """
        parts = self._led(steers=False)
        taken = parts.checkpoints.take(checkpoint_name(name, self._run.checkpoints))
        written: Checkpoint = self._wait_for(taken, timeout, "checkpoint()")
        parts.stream.flush()
        return written.path

    @property
    def rank(self) -> int:
        """Of this process among those that train together, once they do; 0 where it is alone.

        Training is steered and shown in that of rank 0, which alone has a run folder.
        """
        parts = self._made()
        return max(parts.ranks.rank, int(parts.backend.follows))

    def __repr__(self) -> str:
        return f"Session({self._run.id}, {self.state}, step {self._made().loop.step})"

    # --- life ------------------------------------------------------------------------------

    def close(self) -> None:
        """Stop training or a proof, end every worker and thread, and leave the run folder complete.

        In a process forked from the session's own there is nothing to end.
        """
        parts = self._parts
        if parts is None or parts.closed or self._elsewhere:
            return
        parts.end_training()
        try:
            parts.close()
            write_summary(parts.path)
            write_tracks(parts.path)
        finally:
            if self._served is not None:
                self._served.close()
            leave_home(self._backend, parts.path)
            kernel.leave(self)
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

    def _like(self, given: Mapping[str, Any]) -> Session:
        return Session(**given)

    def _tell_assumptions(self) -> None:
        """Say and record what the backend has guessed since the last time."""
        known = list(self._backend.assumptions)
        new, self._told = known[self._told :], len(known)
        for sentence in new:
            self._made().tell.notice("warning", sentence)
        try:
            note_assumed(self._run.path, new)
        except (OSError, ValueError) as error:  # said all the same, and no training hangs on it
            self._made().tell.notice("warning", f"config.yaml could not be added to: {error}")


def _of(session: weakref.ref[Session], do: Callable[[Session], None]) -> None:
    """Do it, while there is a session."""
    found = session()
    if found is not None:
        do(found)
