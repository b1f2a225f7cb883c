"""Keras 3 on TensorFlow: a compiled ``keras.Model`` with its data, trained one step at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from safetensors.numpy import save_file

from coflect_widget.backends.base import (
    Batch,
    NonFiniteLossError,
    Sample,
    StepOutput,
    WeightSpec,
    batch_cuts,
    class_weights,
    epoch_order,
    processors,
    unknown_order,
)
from coflect_widget.backends.items import label_error
from coflect_widget.backends.judged import JudgedLabels
from coflect_widget.backends.keras.checks import (
    check_engine,
    check_scheduler,
    compile_model,
    find_device,
)
from coflect_widget.backends.keras.data import Source
from coflect_widget.backends.keras.knobs import KerasKnobs
from coflect_widget.backends.keras.loss import (
    check_loss,
    find_head,
    last_activation,
    said_of_outputs,
    target_form,
)
from coflect_widget.backends.keras.model import Classifier
from coflect_widget.backends.keras.pictures import ModelInput, check_strip, find_layout, find_turn
from coflect_widget.backends.keras.rehearsal import (
    check_outputs,
    check_scalar,
    draws_on,
    rehearse,
    short,
)
from coflect_widget.backends.keras.targets import (
    check_classes,
    labels_of_step,
    read_labels,
    said_of_labels,
)
from coflect_widget.config import Config
from coflect_widget.records.durable import replacing


class KerasBackend:
    """Implements `backends.base.Backend` for Keras on TensorFlow.

    Parameters
    ----------
    model : keras.Model
        Compiled, with outputs (B, classes), or (B, 1) for two classes; logits or probabilities.
    loss : keras.losses.Loss, str or None
        For a model that is not compiled, together with `optimizer`.
    optimizer : keras.optimizers.Optimizer, str or None
    scheduler : callable (epoch, learning rate) -> learning rate, optional
        Called at each epoch's end, as ``keras.callbacks.LearningRateScheduler`` does.
    class_weight : mapping of int to float, optional
        Weight of each class in the loss, as in ``model.fit``.
    """

    name = "keras"
    explainer = "coflect_widget.backends.keras.methods:load"

    def __init__(
        self,
        model: Any,
        train_data: Any,
        val_data: Any | None,
        *,
        num_classes: int | None,
        loss: Any,
        optimizer: Any,
        scheduler: Callable[[int, float], float] | None,
        batch_size: int,
        config: Config,
        class_weight: Mapping[int, float] | None = None,
    ) -> None:
        check_engine()
        if not isinstance(model, keras.Model):
            raise TypeError(f"model is a {type(model).__name__}; pass a keras.Model")
        if config.mixed_precision:
            raise ValueError(
                "config['mixed_precision'] = True is for torch models; call "
                'keras.mixed_precision.set_global_policy("mixed_float16") before you make the '
                "Keras model, and leave the setting out"
            )
        if class_weight is not None and not isinstance(class_weight, Mapping):
            raise TypeError(
                f"class_weight is a {type(class_weight).__name__}; pass a mapping of class number "
                "to weight, as dict(enumerate(weights)) makes it"
            )
        self.keras_model = model
        self.seed = config.seed
        self.batch_size = batch_size
        self.device = find_device(config.device)
        takes = ModelInput.of(model)
        self.train_source = Source(train_data, "train_data", takes=takes)
        self.val_source = None
        if val_data is not None:
            self.val_source = Source(val_data, "val_data", takes=takes, anew=False)
        self.num_train = self.train_source.length
        self.members: NDArray[np.int64] | None = None
        self.num_val = 0 if self.val_source is None else self.val_source.length
        self.assumptions: list[str] = []
        self.warnings = self.train_source.warnings  # it goes on to tell of changes
        self._fit_channels(takes)
        shape = self.train_source.input(0).shape
        layout, said_of_layout = find_layout(shape, model)
        check_strip(shape, layout, "train_data")
        outputs = self._outputs()
        compile_model(model, loss, optimizer)
        last = last_activation(model)
        head = find_head(outputs, model.loss, last)
        self.model = Classifier(model, layout, head)
        self.num_classes = max(2, int(outputs.shape[1]))
        if num_classes is not None and num_classes != self.num_classes:
            raise ValueError(
                f"model has outputs for {self.num_classes} classes but classes= names "
                f"{num_classes}; give the last layer {num_classes} outputs or name "
                f"{self.num_classes} classes"
            )
        check_scheduler(scheduler, model.optimizer)
        self.scheduler = scheduler
        self.knobs = KerasKnobs(model, scheduler, self.recompile)
        #: whether a loop of the user's own steps the same optimizer: it is the model's
        self.shares_optimizer = True
        self._class_weight = (
            None if class_weight is None else class_weights(class_weight, self.num_classes)
        )
        self._steps: dict[tuple[Any, ...], Any] = {}
        self._evaluation: Any = None
        self._test_step: Any = None
        self._compiled: list[Any] = []
        self.reads_at_boundary = self.train_source.draws_random_numbers
        self._epoch = 0
        self._guidance: Any = None
        self._judged = JudgedLabels()
        check_loss(model.loss, head, outputs, last)
        for source in self._sources():
            check_classes(source, self.num_classes, source.place)
        self.take_compiled(outputs)
        rehearse(self)
        if any(draws_on(step) for step in self._steps.values()):
            self._steps.clear()
        self._assume(said_of_layout, outputs)

    # --- shape of the task -----------------------------------------------------------------

    @property
    def steps_per_epoch(self) -> int:
        count = self.num_train if self.members is None else len(self.members)
        return len(batch_cuts(count, self.batch_size))

    @property
    def fills_processors(self) -> bool:
        threads = tf.config.threading.get_intra_op_parallelism_threads()  # 0: as many as there are
        return self.device == "cpu" and (threads == 0 or threads >= processors())

    @property
    def image_size(self) -> tuple[int, int]:
        shape = self.model.chw(self.train_source.input(0)).shape
        return (int(shape[-2]), int(shape[-1]))

    def _sources(self) -> list[Source]:
        return [self.train_source] + ([] if self.val_source is None else [self.val_source])

    def _fit_channels(self, takes: ModelInput) -> None:
        """Put the channels where the model takes them, where that is certain."""
        train = self.train_source
        found = train.input(0).shape
        turn = find_turn(found, takes, promised_first=train.channels_first)
        for source in self._sources():
            source.turn = turn
        if turn:
            where = "(H, W, C)" if turn == "last" else "(C, H, W)"
            if not train.channels_first:
                self.assumptions.append(
                    f"Inputs of shape {found} were turned to {where}, because the model takes them "
                    "so."
                )
        if self.val_source is not None:
            shape, val = train.input(0).shape, self.val_source.input(0).shape
            if shape != val:
                raise ValueError(
                    f"val_data has inputs of shape {val}, but train_data of {shape}; one model "
                    "reads both: give them the same shape"
                )

    def _assume(self, of_layout: str, outputs: Any) -> None:
        """Fill `assumptions` with what was guessed."""
        said = self.assumptions + ([of_layout] if of_layout else [])
        for source in self._sources():
            said += source.assumptions
            said += said_of_labels(
                source.argument, source.labels(), source.form, fractions=source.fractional,
                classes=self.num_classes,
            )  # fmt: skip
        said += said_of_outputs(
            self.model.head, self.keras_model.loss, outputs, self.train_source.form,
            self._target_form,
        )  # fmt: skip
        self.assumptions = list(dict.fromkeys(said))

    def _outputs(self) -> Any:
        sample = np.stack([self.train_source.input(i) for i in self._first()])
        try:
            outputs = self.keras_model(sample, training=False)
        except Exception as error:  # Keras has many kinds
            raise ValueError(
                f"model fails on a batch of shape {sample.shape} made from train_data: {error}"
            ) from error
        check_outputs(outputs, len(sample), self.keras_model)
        return outputs

    def take_compiled(self, outputs: Any = None) -> None:
        """Use what the model is compiled with now; for the beginning of an epoch.

        `outputs` are those of the first samples, where they are known.
        """
        model = self.keras_model
        # The loss tracker is a new one after each compile().
        compiled = [model.optimizer, model._loss_tracker, *model.trainable_variables]
        if [id(part) for part in compiled] == [id(part) for part in self._compiled]:
            return
        self._compiled = compiled
        self._steps.clear()
        self._evaluation = self._test_step = None
        self._target_form = target_form(model.loss, self.model.head, self.train_source.form)
        self._try_loss(self._outputs() if outputs is None else outputs)

    def recompile(self) -> None:
        """Have each way of making a step compiled anew: what it has taken in has changed."""
        self._steps.clear()
        self._compiled = []  # and looked at when the next epoch begins

    def _try_loss(self, outputs: Any) -> None:
        """Compute loss and metrics once, outside any graph: they make variables, or do not fit."""
        model = self.keras_model
        labels = np.array([self.train_source.target(i) for i in self._first()])
        x = np.stack([self.train_source.input(i) for i in self._first()])
        targets = self.targets(labels)
        try:
            loss = model.compute_loss(x, targets, outputs, None, training=False)
            model.compute_metrics(x, targets, outputs, None)
        except Exception as error:
            raise ValueError(
                f"the model's compiled loss {model.loss!r} or metrics cannot be used with outputs "
                f"of shape {tuple(outputs.shape)} and targets of shape {targets.shape}: "
                f"{short(error)}; compile it with a loss, loss_weights and metrics for such"
            ) from error
        check_scalar(loss, model.loss)
        model.reset_metrics()

    def _first(self) -> list[int]:
        source = self.train_source
        return (source.read_so_far() or source.probes())[:8]

    # --- training --------------------------------------------------------------------------

    def begin(self) -> None:
        """Called once, on the training thread, before the first step."""
        self.forget_read()
        keys = [v for v in self.keras_model.non_trainable_variables if "seed_generator" in v.path]
        for number, key in enumerate(keys):
            key.assign(np.array([self.seed, number], dtype=np.uint32))

    def train_batches(self, epoch: int, skip: int = 0) -> Iterator[Batch]:
        self._epoch = epoch
        self.take_compiled()
        order = epoch_order(
            self.seed, epoch, self.num_train if self.members is None else self.members
        )
        return self.train_source.batches(order, self.batch_size, skip)

    def train_step(self, batch: Batch) -> StepOutput:
        labels = np.asarray(batch.targets)
        self._refuse_odd_labels(batch, labels)
        labels, weights = self.as_judged(batch.indices, labels)
        return self.step(batch.indices, batch.inputs, labels, self.targets(labels), weights)

    def as_judged(
        self, indices: NDArray[np.int64], labels: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.float32] | None]:
        """Labels (B,) to train with, `labels` itself where all are right, and weights (B,).

        Weights are None where all weigh the same; a sample that is left out weighs nothing.
        """
        judged = self._judged.of(indices) if self._judged.any else None
        if judged is not None and len(judged.changed):
            labels = labels.copy()
            labels[judged.changed] = judged.labels
        weights = None if self._class_weight is None else self._class_weight[labels]
        if judged is not None:
            kept = np.zeros(len(labels), np.float32)
            kept[judged.keep] = 1
            weights = kept if weights is None else kept * weights
        return labels, weights

    def class_numbers(self, targets: NDArray[Any]) -> NDArray[np.int64]:
        """Class numbers (B,) of targets in any form that the data may have."""
        return read_labels(targets, "targets")[0]

    def step(
        self,
        indices: NDArray[np.int64],
        inputs: Any,
        labels: NDArray[np.int64],
        targets: Any,
        weights: Any = None,
        *,
        metrics: bool = False,
    ) -> StepOutput:
        """One optimizer step with the compiled loss; raises before a weight changes.

        Parameters
        ----------
        inputs : array or tensor (B, ...)
        labels : ndarray (B,)
            Class numbers.
        targets : array or tensor
            The same in the form that the loss takes.
        weights : array or tensor (B,), optional
            Weight of each sample in the loss.
        metrics : bool
            Update the compiled metrics as well, as ``fit`` does.
        """
        if weights is None:
            weights = np.ones(len(indices), np.float32)
        guidance = self._guidance if self._guidance is not None and self._guidance.active else None
        extra = None
        if guidance is None:
            logits, loss, _, finite, _ = self._run(None, inputs, targets, weights, metrics=metrics)
        else:
            prepared = guidance.prepare(np.asarray(inputs), labels, indices)
            found = self._guided(prepared, inputs, targets, weights, metrics=metrics)
            logits, loss, extra, finite = found
        if not bool(finite):
            batch = Batch(indices, np.asarray(inputs), labels)
            raise NonFiniteLossError(f"the loss is {float(loss)}", batch, logits)
        return StepOutput(
            indices=indices, targets=labels, logits=logits, loss=loss, guidance_loss=extra
        )

    def _run(
        self, prepared: Any, inputs: Any, targets: Any, weights: Any, *, metrics: bool
    ) -> tuple[Any, Any, Any, Any, Any]:
        """Logits, task loss, guidance term, whether the task loss is finite, and the term sound.

        No weight has changed where the task loss is not finite.
        """
        way: tuple[Any, ...] = (metrics,)  # each way of making a step is compiled once
        seen, rows = inputs, ()
        if prepared is not None:
            way = (metrics, prepared.term, prepared.gain, prepared.exchanged)
            seen, rows = prepared.inputs, prepared.rows or ()
        if self._judged.any:
            seen = _finite_where_left_out(seen, weights)
        if way not in self._steps:
            self._steps[way] = self._make_step(prepared, metrics=metrics)
        found: tuple[Any, Any, Any, Any, Any] = self._steps[way](seen, targets, weights, rows)
        return found

    def _guided(
        self, prepared: Any, inputs: Any, targets: Any, weights: Any, *, metrics: bool
    ) -> tuple[Any, Any, Any, Any]:
        """As `_run`, with what fails of the guidance taken out of force."""
        guidance = self._guidance
        why: str | Exception
        try:
            logits, loss, extra, finite, sound = self._run(
                prepared, inputs, targets, weights, metrics=metrics
            )
            wrong = prepared.exchanged and not bool(finite)
            why = f"makes the task loss {float(loss)}" if wrong else ""
        except Exception as error:  # noqa: BLE001 - the batch as it came tells whose fault it is
            why = error
        if why:
            self._forget_guided_steps()
            logits, loss, _, finite, _ = self._run(None, inputs, targets, weights, metrics=metrics)
            if bool(finite):
                guidance.fail("exchange" if isinstance(why, str) else prepared.term, why)
            return logits, loss, None, finite
        if prepared.exchanged:
            guidance.exchanged_step_done(inputs)
        if not prepared.term:
            return logits, loss, None, finite
        if guidance.step_done(prepared, extra, sound, loss, scaled=self._scales_loss):
            return logits, loss, extra, finite
        self._forget_guided_steps()  # they may have been compiled without the term that raised
        return logits, loss, None, finite

    def _forget_guided_steps(self) -> None:
        self._steps = {way: step for way, step in self._steps.items() if len(way) == 1}

    @property
    def _scales_loss(self) -> bool:
        """Whether the optimizer finds a factor by leaving out steps that are not finite."""
        return hasattr(self.keras_model.optimizer, "inner_optimizer")

    def _make_step(self, prepared: Any, *, metrics: bool) -> Any:
        model, classifier, guidance = self.keras_model, self.model, self._guidance
        variables = model.trainable_variables
        if not model.optimizer.built:
            model.optimizer.build(variables)
        kept = model.non_trainable_variables  # a NaN would stay in running means for ever
        scale_loss, clear = model.optimizer.scale_loss, not self._scales_loss

        def step(x: Any, y: Any, weights: Any, rows: Any) -> Any:
            exchanged = prepared is not None and prepared.exchanged
            before = [tf.identity(variable.value) for variable in kept]
            with tf.GradientTape() as tape:
                with guidance.hold() if exchanged else nullcontext():
                    outputs = model(x, training=True)
                loss = model.compute_loss(x, y, outputs, weights, training=True)
                scaled = scale_loss(loss)
            gradients = tape.gradient(scaled, variables)
            finite = tf.math.is_finite(loss)
            extra, sound = tf.zeros(()), finite
            if prepared is not None:
                extra, more, sound = guidance.added(
                    prepared.term, prepared.gain, rows, loss, variables, scale_loss, clear=clear
                )
                gradients = [
                    one if other is None else other if one is None else one + other
                    for one, other in zip(gradients, more, strict=True)
                ]

                # No weight may change before the guidance is known to have raised nothing.
                with tf.control_dependencies([sound]):
                    finite = tf.identity(finite)

            def apply() -> Any:
                model.optimizer.apply(gradients, variables)
                return tf.constant(0)

            def restore() -> Any:
                for variable, value in zip(kept, before, strict=True):
                    variable.assign(value)
                return tf.constant(0)

            tf.cond(finite, apply, restore)
            if metrics:
                model._loss_tracker.update_state(loss, sample_weight=tf.shape(x)[0])
                model.compute_metrics(x, y, outputs, weights)
            return classifier.logits(outputs), loss, extra, finite, sound

        return step if model.run_eagerly else tf.function(step, reduce_retracing=True)

    def targets(self, labels: NDArray[np.int64]) -> NDArray[Any]:
        """Class numbers (B,) in the form that the compiled loss takes."""
        if self._target_form == "one-hot":
            return np.eye(self.num_classes, dtype=np.float32)[labels]
        if self._target_form == "column":
            return labels[:, None].astype(np.float32)
        return labels

    def _refuse_odd_labels(self, batch: Batch, labels: NDArray[np.int64]) -> None:
        wrong = np.flatnonzero((labels < 0) | (labels >= self.num_classes))
        if len(wrong):  # of a data set that was only probed
            at = int(wrong[0])
            raise ValueError(
                label_error("train_data", int(batch.indices[at]), int(labels[at]), self.num_classes)
            )

    def evaluate(self, boundary: Callable[[], bool]) -> dict[str, float] | None:
        source = self.val_source
        if source is None:
            return {}
        self.take_compiled()
        if self._evaluation is None:
            self._evaluation = self._make_evaluation()
        model = self.keras_model
        model.reset_metrics()
        total = hits = 0.0
        order = np.arange(source.length)
        for batch in source.batches(order, max(self.batch_size, 128)):
            if not boundary():
                return None
            loss, right = self._evaluation(batch.inputs, self.targets(batch.targets), batch.targets)
            total += float(loss) * len(batch.indices)
            hits += float(right)
        named = {
            name: float(value)
            for name, value in model.get_metrics_result().items()
            if np.ndim(value) == 0 and name not in ("loss", "accuracy", "acc")
        }
        model.reset_metrics()
        return {"loss": total / source.length, "accuracy": hits / source.length, **named}

    def _make_evaluation(self) -> Any:
        model, classifier = self.keras_model, self.model

        def evaluate(x: Any, y: Any, labels: Any) -> Any:
            outputs = model(x, training=False)
            loss = model.compute_loss(x, y, outputs, None, training=False)
            model.compute_metrics(x, y, outputs, None)
            found = tf.argmax(classifier.logits(outputs), 1)
            return loss, tf.reduce_sum(tf.cast(found == tf.cast(labels, found.dtype), tf.int32))

        return evaluate if model.run_eagerly else tf.function(evaluate, reduce_retracing=True)

    def test_function(self, iterator: Any) -> Any:
        """One step of ``fit``'s validation as Keras makes it, but indices weigh nothing.

        With ``validation_split`` the indices that ``fit`` was given come here as well. Whole
        numbers of which each is there once are taken for such.
        """
        model = self.keras_model
        if self._test_step is None:
            step = model.test_step
            eager = model.run_eagerly
            self._test_step = step if eager else tf.function(step, reduce_retracing=True)
        data = next(iterator)
        third = np.asarray(data[2]) if isinstance(data, tuple) and len(data) == 3 else None
        if third is not None and third.dtype.kind in "iu" and len(np.unique(third)) == third.size:
            data = data[:2]
        return self._test_step(data)

    def learning_rate(self) -> float:
        return float(self.keras_model.optimizer.learning_rate)

    def end_epoch(self, validation: dict[str, float]) -> None:
        if self.scheduler is not None:
            optimizer = self.keras_model.optimizer
            with self.knobs.values.beneath():
                optimizer.learning_rate = self.scheduler(self._epoch + 1, self.learning_rate())

    def finish(self) -> None:
        """Called once a training has ended without an error, as at the end of ``fit``."""
        model = self.keras_model
        model.optimizer.finalize_variable_values(model.trainable_variables)

    def telemetry_arrays(
        self, outputs: Sequence[StepOutput]
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        logits = np.concatenate([np.asarray(o.logits) for o in outputs])
        return logits, np.concatenate([np.asarray(o.targets) for o in outputs])

    def scalars(self, values: Sequence[Any]) -> list[float]:
        return [float(value) for value in values]

    # --- loops of the user's own ---------------------------------------------------------------

    def step_output(
        self, indices: NDArray[np.int64], logits: Any, targets: Any, loss: Any, guidance_loss: Any
    ) -> StepOutput:
        logits = self.model.logits(tf.convert_to_tensor(logits))
        labels = labels_of_step(targets)
        if loss is None:
            loss = tf.reduce_mean(
                tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
            )
        return StepOutput(indices, labels, logits, loss, guidance_loss)

    def guidance_term(
        self, inputs: Any, targets: Any, loss: Any, indices: NDArray[np.int64] | None
    ) -> Any | None:
        if not tf.executing_eagerly():
            raise RuntimeError(
                "guidance_loss() was called inside a tf.function, which keeps what its first call "
                "saw: strokes would change nothing. Call it outside (forward = tf.function(model) "
                "may be compiled, the function around it not), or train with session.train() or "
                "fit, which compile the whole step"
            )
        if self._guidance is None or not self._guidance.active:
            return None
        prepared = self._guidance.prepare(
            np.asarray(inputs), labels_of_step(targets), indices, exchange=False
        )
        loss = tf.stop_gradient(tf.convert_to_tensor(loss))
        term = self._guidance.summand(prepared, loss)
        return None if term is None else tf.cast(term, loss.dtype)

    @property
    def lapses(self) -> list[Any]:
        """What went out of force by itself; see guidance.lapses."""
        found: list[Any] = [] if self._guidance is None else self._guidance.lapses
        return found

    def follow(self, loader: Any) -> AbstractContextManager[Callable[[], NDArray[np.int64] | None]]:
        return unknown_order(loader)

    def attach_guidance(self, guidance: Any) -> None:
        """Let `guidance` (backends.keras.guidance.KerasGuidance) add its loss to each step."""
        self._guidance = guidance

    def set_guidance(self, guidance: Any) -> str:
        return "" if self._guidance is None else str(self._guidance.set_state(guidance))

    def read_val_sample(self, index: int) -> Sample:
        """One validation sample as the model sees it."""
        if self.val_source is None:
            raise IndexError("there are no validation data")
        x, label = self.val_source.sample(index)
        return Sample(input=self.model.chw(x), target=label)

    def set_labels(self, labels: Mapping[int, int | None]) -> None:
        """Train with these labels from the next step on; None leaves a sample out."""
        self._judged = JudgedLabels(labels)

    def label_of(self, index: int) -> int:
        """The data set's own label of a sample."""
        return int(self.train_source.target(index))

    def add_samples(self, x: Any, y: Any) -> int:
        added = self.train_source.add(x, y)
        if self.members is None:  # the epoch that is under way goes over those of before
            self.members = np.arange(self.num_train)
        self.num_train = self.train_source.length
        return added

    def losses_alone(self, batch: Batch) -> NDArray[np.float32]:
        """Loss of each row (B,) by itself, not trained; nothing of the model changes.

        At a step boundary. One row that is NaN spoils all of a batch that is normalised together.
        """
        model, inputs = self.keras_model, np.asarray(batch.inputs)
        targets = self.targets(np.asarray(batch.targets))
        found = []
        for row in range(len(batch.indices)):
            x, y = inputs[row : row + 1], targets[row : row + 1]
            outputs = model(x, training=False)
            found.append(float(model.compute_loss(x, y, outputs, None, training=False)))
        return np.array(found, np.float32)

    def read_rows(self, indices: Sequence[int]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Inputs (n, ...) as the model takes them, and labels (n,), -1 of those left out."""
        samples = [self.train_source.sample(int(i)) for i in indices]
        labels = [self._judged.label(int(i), y) for i, (_, y) in zip(indices, samples, strict=True)]
        return np.stack([x for x, _ in samples]), np.array(labels)

    # --- weights ---------------------------------------------------------------------------

    def weight_specs(self) -> list[WeightSpec]:
        return [
            WeightSpec(name, tuple(weight.shape), _numpy_type(weight))
            for name, weight in zip(
                weight_names(self.keras_model), self.keras_model.weights, strict=True
            )
        ]

    def copy_weights(self, destination: Sequence[NDArray[Any]]) -> None:
        for view, weight in zip(destination, self.keras_model.weights, strict=True):
            np.copyto(view, weight.numpy(), casting="unsafe")

    def read_sample(self, index: int) -> Sample:
        x, label = self.train_source.sample(index)
        return Sample(input=self.model.chw(x), target=label)

    def labels(self) -> NDArray[np.int64]:
        """Labels of the training data, as far as they are known without reading it all."""
        return self.train_source.labels()

    def probes(self) -> list[NDArray[np.float32]]:
        """A spread of inputs, for the fingerprint of the data."""
        return [self.read_sample(i).input for i in self.train_source.probes()]

    def readings(
        self, index: int, enough: Callable[[list[NDArray[Any]]], bool]
    ) -> list[NDArray[np.float32]]:
        """One training sample's picture (C, H, W), read until there are `enough`; [] of arrays."""
        return [self.model.chw(x) for x in self.train_source.readings(index, enough)]

    def forget_read(self) -> None:
        """The session stands: let go of what was read of the data to check them."""
        for source in self._sources():
            source.forget_read()

    def save_checkpoint(self, path: Path) -> Path:
        file = path.with_suffix(".safetensors")
        weights = self.keras_model.weights
        names = weight_names(self.keras_model)
        arrays = {n: np.ascontiguousarray(w.numpy()) for n, w in zip(names, weights, strict=True)}
        with replacing(file) as temporary:
            save_file(arrays, temporary)
        return file


def _finite_where_left_out(inputs: Any, weights: Any) -> Any:
    """The inputs with 0 for NaN and infinity in samples of weight 0: 0 times NaN is NaN."""
    left_out = np.flatnonzero(np.asarray(weights) == 0)
    given = np.asarray(inputs)
    if given.dtype.kind != "f" or np.isfinite(given[left_out]).all():
        return inputs
    given = given.copy()
    given[left_out] = np.where(np.isfinite(given[left_out]), given[left_out], 0)
    return given


def weight_names(model: Any) -> list[str]:
    """A name of its own for each of ``model.weights``: its path, numbered where that is shared."""
    names: list[str] = []
    for weight in model.weights:
        name = str(weight.path)
        number = 1
        while name in names:
            number += 1
            name = f"{weight.path}#{number}"
        names.append(name)
    return names


def _numpy_type(weight: Any) -> str:
    # numpy has no bfloat16; float32 holds each of its values
    return "float32" if weight.dtype == "bfloat16" else str(weight.dtype)
