"""Keras 3 on TensorFlow: a compiled ``keras.Model`` with its data, trained one step at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from coflect_widget.backends.base import (
    Batch,
    NonFiniteLossError,
    Sample,
    StepOutput,
    WeightSpec,
    class_weights,
    processors,
)
from coflect_widget.backends.differentiable import Checked
from coflect_widget.backends.keras.checks import (
    check_arguments,
    check_engine,
    check_names,
    check_scheduler,
    compile_model,
    find_device,
)
from coflect_widget.backends.keras.columns import one_table
from coflect_widget.backends.keras.data import Source
from coflect_widget.backends.keras.guidance import KerasGuided
from coflect_widget.backends.keras.kinds import find_inputs
from coflect_widget.backends.keras.knobs import KerasKnobs
from coflect_widget.backends.keras.loss import said_of_outputs, target_form
from coflect_widget.backends.keras.meanings import Meanings
from coflect_widget.backends.keras.methods import load, structure
from coflect_widget.backends.keras.model import Classifier, weight_specs
from coflect_widget.backends.keras.pictures import ModelInput, fit_channels
from coflect_widget.backends.keras.portable import Exports
from coflect_widget.backends.keras.rehearsal import draws_on, outputs_of, rehearse, try_loss
from coflect_widget.backends.keras.several import one_row
from coflect_widget.backends.keras.state import KeepsState, seed_generators
from coflect_widget.backends.keras.step import (
    finite_where_left_out,
    losses_alone,
    make_evaluation,
    make_step,
    make_test,
    other_metrics,
    refuse_compiled,
    scales_loss,
)
from coflect_widget.backends.label_forms import refuse_odd_labels, said_of_labels
from coflect_widget.config import Config
from coflect_widget.modalities import Modality


class KerasBackend(Exports, KeepsState, Meanings):
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
    load = staticmethod(load)
    shares_optimizer = True  # a loop of the user's own steps the model's, too

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
        modality: Modality | None = None,
    ) -> None:
        super().__init__()
        check_engine()
        check_arguments(model, config, class_weight)
        model, train_data, val_data, modality = one_table(model, train_data, val_data, modality)
        model, packing = one_row(model, train_data, modality)
        modality = modality if packing is None else packing.modality
        self.keras_model = model
        self.seed = config.seed
        self.batch_size = batch_size
        self.device = find_device(config.device)
        takes = ModelInput.of(model, modality, packing)
        self.train_source: Source = self.reads(train_data, "train_data", takes=takes)
        self.val_source = None
        if val_data is not None:
            takes = self.train_source.takes
            self.val_source = self.reads(val_data, "val_data", takes=takes, anew=False)
        self.warnings = self.train_source.warnings  # it goes on to tell of changes
        self.assumptions += fit_channels(self.sources(), takes)
        found = find_inputs(model, self.sources())
        self.modality, self._entry, self.layout = found.modality, found.entry, found.layout
        outputs = self._outputs()
        compile_model(model, loss, optimizer)
        head, self.num_classes = self.find_meaning(outputs)
        self.model = Classifier(model, found.layout, head, found.axes)
        if num_classes is not None:
            check_names(num_classes, self.named_outputs)
        check_scheduler(scheduler, model.optimizer)
        self.scheduler = scheduler
        self.knobs = KerasKnobs(model, scheduler, self.recompile)
        self._class_weight = (
            None if class_weight is None else class_weights(class_weight, self.num_classes)
        )
        self._steps: dict[tuple[Any, ...], Any] = {}
        self._evaluation: Any = None
        self._test_step: Any = None
        self._compiled: list[Any] = []
        self._epoch = 0
        self.check_meaning(head, outputs)
        self.take_compiled(outputs)
        rehearse(model, self.train_source, batch_size, self.train_step, self.targets)
        if any(draws_on(step) for step in self._steps.values()):
            self._steps.clear()
        self._assume(found.said, outputs)

    @property
    def fills_processors(self) -> bool:
        threads = tf.config.threading.get_intra_op_parallelism_threads()  # 0: as many as there are
        return self.device == "cpu" and (threads == 0 or threads >= processors())

    def _assume(self, of_layout: str, outputs: Any) -> None:
        """Fill `assumptions` with what was guessed."""
        said = self.assumptions + ([of_layout] if of_layout else [])
        for source in self.sources():
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
        return outputs_of(self.keras_model, self._inputs())

    def _inputs(self) -> NDArray[np.float32]:
        return np.stack([self.train_source.input(i) for i in self._first()])

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
        labels = np.array([self.train_source.target(i) for i in self._first()])
        try_loss(
            model,
            self._inputs(),
            self.targets(labels),
            self._outputs() if outputs is None else outputs,
        )

    def recompile(self) -> None:
        """Have each way of making a step compiled anew: what it has taken in has changed."""
        self._steps.clear()
        self._compiled = []  # and looked at when the next epoch begins

    def _first(self) -> list[int]:
        source = self.train_source
        return (source.read_so_far() or source.probes())[:8]

    def begin(self) -> None:
        """Called once, on the training thread, before the first step."""
        self.forget_read()
        if self.random_goes_on():
            return
        for number, key in enumerate(seed_generators(self.keras_model)):
            key.assign(np.array([self.seed, number], dtype=np.uint32))

    def train_batches(self, epoch: int, skip: int = 0) -> Iterator[Batch]:
        self._epoch = epoch
        self.take_compiled()
        return self.train_source.batches(self.order(epoch), self.batch_size, skip)

    def train_step(self, batch: Batch) -> StepOutput:
        labels = np.asarray(batch.targets)
        refuse_odd_labels(batch.indices, labels, self.num_classes)
        labels, weights = self.as_judged(batch.indices, labels)
        return self.step(batch.indices, batch.inputs, labels, self.targets(labels), weights)

    def step(
        self,
        indices: NDArray[np.int64],
        inputs: Any,
        labels: NDArray[Any],
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
            weights = self.even_weights(len(indices))
        if self.knobs.values.any:  # a callback of ``fit`` may have set a value
            self.knobs.values.settle()
        guidance, extra = self.guiding, None
        if guidance is None:
            logits, loss, finite, _ = self._run(None, inputs, targets, weights, metrics=metrics)
        else:
            prepared = guidance.prepare(np.asarray(inputs), labels, indices)
            # what is exchanged may take its targets along
            moved = targets if prepared.targets is labels else self.targets(prepared.targets)
            found = self._guided(prepared, inputs, (targets, moved), weights, metrics=metrics)
            logits, loss, extra, finite, as_prepared = found
            labels = prepared.targets if as_prepared else labels
        if not bool(finite):
            batch = Batch(indices, np.asarray(inputs), labels)
            raise NonFiniteLossError(f"the loss is {float(loss)}", batch, logits)
        if self._judged.any and not np.any(np.asarray(weights)):  # all of it is left out
            indices, labels, logits = indices[:0], labels[:0], logits[:0]
        return StepOutput(
            indices=indices, targets=labels, logits=logits, loss=loss, guidance_loss=extra
        )

    def _run(
        self, prepared: Any, inputs: Any, targets: Any, weights: Any, *, metrics: bool
    ) -> tuple[Any, Any, Any, Any]:
        """Logits, task loss, whether that is finite, and what the guidance computed.

        No weight has changed where the task loss is not finite.
        """
        way: tuple[Any, ...] = (metrics,)  # each way of making a step is compiled once
        seen, rows = inputs, ()
        if prepared is not None:
            way = (metrics, prepared.now and prepared.now[:2], prepared.exchanged)
            seen, rows = prepared.inputs, prepared.rows or ()
        if self._judged.any:
            seen = finite_where_left_out(seen, weights)
        if way not in self._steps:
            self._steps[way] = make_step(
                self.keras_model, self.model, self._guidance, prepared, metrics=metrics
            )
        found: tuple[Any, Any, Any, Any] = self._steps[way](seen, targets, weights, rows)
        return found

    def _guided(
        self, prepared: Any, inputs: Any, both: tuple[Any, Any], weights: Any, *, metrics: bool
    ) -> tuple[Any, Any, Any, Any, bool]:
        """Logits, task loss, guidance term, whether the task loss is finite, and whose they are.

        `both` are the targets of the batch as it came, and of what guidance made of it, which the
        last value is true for. What fails of the guidance is taken out of force.
        """
        guidance, (targets, moved) = self._guidance, both
        why: str | Exception
        try:
            logits, loss, finite, found = self._run(
                prepared, inputs, moved, weights, metrics=metrics
            )
            wrong = prepared.exchanged and not bool(finite)
            why = f"makes the task loss {float(loss)}" if wrong else ""
        except Exception as error:  # noqa: BLE001 - the batch as it came tells whose fault it is
            why = error
        if why:
            self._forget_guided_steps()
            logits, loss, finite, _ = self._run(None, inputs, targets, weights, metrics=metrics)
            if bool(finite):
                named = prepared.now.term if prepared.now else ""
                guidance.fail("exchange" if isinstance(why, str) else named, why)
            return logits, loss, None, finite, False
        if prepared.exchanged:
            guidance.exchanged_step_done(inputs)
        if prepared.now is None:
            return logits, loss, None, finite, True
        checked = guidance.settle(
            prepared, Checked(*found), loss, scaled=scales_loss(self.keras_model)
        )
        if checked is not None:
            return logits, loss, checked.value, finite, True
        self._forget_guided_steps()  # they may have been compiled without the term that raised
        return logits, loss, None, finite, True

    def _forget_guided_steps(self) -> None:
        self._steps = {way: step for way, step in self._steps.items() if len(way) == 1}

    def validate(self, boundary: Callable[[], bool]) -> dict[str, float] | None:
        source = self.val_source
        if source is None:
            return {}
        self.take_compiled()
        if self._evaluation is None:
            self._evaluation = make_evaluation(self.keras_model, self.model)
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
        mean = {"loss": total / source.length, "accuracy": hits / source.length}
        return mean | other_metrics(model)

    def test_function(self, iterator: Any) -> Any:
        """One step of ``fit``'s validation as Keras makes it, but indices weigh nothing.

        With ``validation_split`` its indices come here as well: whole numbers, each there once.
        """
        if self._test_step is None:
            self._test_step = make_test(self.keras_model)
        return self._test_step(next(iterator))

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

    def step_output(
        self, indices: NDArray[np.int64], logits: Any, targets: Any, loss: Any, guidance_loss: Any
    ) -> StepOutput:
        logits = self.model.logits(tf.convert_to_tensor(logits))
        labels = self.of_step(targets)
        if loss is None:
            loss = tf.reduce_mean(
                tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
            )
        return StepOutput(indices, labels, logits, loss, guidance_loss)

    def guidance_term(
        self, inputs: Any, targets: Any, loss: Any, indices: NDArray[np.int64] | None
    ) -> Any | None:
        refuse_compiled()
        if self.guiding is None:
            return None
        loss = tf.stop_gradient(tf.convert_to_tensor(loss))
        term = self.guiding.loss(np.asarray(inputs), self.of_step(targets), loss, indices)
        return None if term is None else tf.cast(term, loss.dtype)

    def guided(self) -> KerasGuided:
        return KerasGuided(self.model, self.read_rows, self._entry)

    def losses_alone(self, batch: Batch) -> NDArray[np.float32]:
        targets = self.targets(np.asarray(batch.targets))
        return losses_alone(self.keras_model, np.asarray(batch.inputs), targets)

    def read_rows(self, indices: Sequence[int]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Inputs (n, ...) as the model takes them, and labels (n,), -1 of those left out."""
        samples = [self.train_source.sample(int(i)) for i in indices]
        labels = [self._judged.label(int(i), y) for i, (_, y) in zip(indices, samples, strict=True)]
        return np.stack([x for x, _ in samples]), np.array(labels)

    def weight_specs(self) -> list[WeightSpec]:
        return weight_specs(self.keras_model)

    def copy_weights(self, destination: Sequence[NDArray[Any]]) -> None:
        for view, weight in zip(destination, self.keras_model.weights, strict=True):
            np.copyto(view, weight.numpy(), casting="unsafe")

    def as_sample(self, found: Any) -> Sample:
        x, label = found
        return Sample(input=self.model.chw(x), target=label)

    def as_picture(self, found: Any) -> NDArray[np.float32]:
        return self.model.chw(found)

    def structure(self) -> bytes:
        return structure(self.model)
