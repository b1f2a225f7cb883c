"""One step of a Keras model, with the guidance in it, and one of its evaluation."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from coflect_widget.backends.keras.model import Classifier


def scales_loss(model: Any) -> bool:
    """Whether the optimizer finds a factor by leaving out steps that are not finite."""
    return hasattr(model.optimizer, "inner_optimizer")


def make_step(
    model: Any, classifier: Classifier, guidance: Any, prepared: Any, *, metrics: bool
) -> Any:
    """A step of training, compiled unless the model runs eagerly.

    Parameters
    ----------
    model : keras.Model
    classifier : Classifier
    guidance : GuidanceLosses or None
    prepared : Prepared or None
        What the guidance has prepared for such a step.
    metrics : bool
        Whether the compiled metrics are updated.

    Returns
    -------
    callable (inputs, targets, weights, rows)
        Logits, task loss, whether that is finite, and (value, (), finite) of what guidance adds.
    """
    variables = model.trainable_variables
    if not model.optimizer.built:
        model.optimizer.build(variables)
    kept = model.non_trainable_variables  # a NaN would stay in running means for ever
    scale_loss, clear = model.optimizer.scale_loss, not scales_loss(model)
    # Not `prepared` itself, whose batch would be kept as long as the compiled step.
    guided = prepared is not None
    exchanged, now = (prepared.exchanged, prepared.now) if guided else (False, None)

    def step(x: Any, y: Any, weights: Any, rows: Any) -> Any:
        before = [tf.identity(variable.value) for variable in kept]
        with tf.GradientTape() as tape:
            with guidance.hold() if exchanged else nullcontext():
                outputs = model(x, training=True)
            loss = model.compute_loss(x, y, outputs, weights, training=True)
            scaled = scale_loss(loss)
        gradients = tape.gradient(scaled, variables)
        finite = tf.math.is_finite(loss)
        added = tf.zeros(()), (), finite
        if guided:
            term = guidance.term(now, rows, loss, scale_loss=scale_loss, clear=clear)
            if term is not None:
                added = term.value, (), term.finite
                gradients = list(map(_added, gradients, term.gradients))

            # No weight may change before the guidance is known to have raised nothing.
            with tf.control_dependencies([added[2]]):
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
        return classifier.logits(outputs), loss, finite, added

    return step if model.run_eagerly else tf.function(step, reduce_retracing=True)


def _added(one: Any, other: Any) -> Any:
    """Two gradients as one; that of an embedding is slices, which cannot be added as they are."""
    if one is None or other is None:
        return other if one is None else one
    return tf.convert_to_tensor(one) + other


def make_evaluation(model: Any, classifier: Classifier) -> Any:
    """Loss and number of right samples of a batch (inputs, targets, class numbers)."""

    def evaluate(x: Any, y: Any, labels: Any) -> Any:
        outputs = model(x, training=False)
        loss = model.compute_loss(x, y, outputs, None, training=False)
        model.compute_metrics(x, y, outputs, None)
        found = tf.argmax(classifier.logits(outputs), 1)
        return loss, tf.reduce_sum(tf.cast(found == tf.cast(labels, found.dtype), tf.int32))

    return evaluate if model.run_eagerly else tf.function(evaluate, reduce_retracing=True)


def make_outputs(model: Any, classifier: Classifier) -> Any:
    """Loss and outputs (B, D), as `Classifier.logits` has them, of a batch (inputs, targets)."""

    def evaluate(x: Any, y: Any) -> Any:
        outputs = model(x, training=False)
        loss = model.compute_loss(x, y, outputs, None, training=False)
        model.compute_metrics(x, y, outputs, None)
        return loss, classifier.logits(outputs)

    return evaluate if model.run_eagerly else tf.function(evaluate, reduce_retracing=True)


def make_test(model: Any) -> Any:
    """One step of ``fit``'s validation as Keras makes it, but indices weigh nothing."""
    step = model.test_step
    compiled = step if model.run_eagerly else tf.function(step, reduce_retracing=True)

    def test(data: Any) -> Any:
        third = np.asarray(data[2]) if isinstance(data, tuple) and len(data) == 3 else None
        if third is not None and third.dtype.kind in "iu" and len(np.unique(third)) == third.size:
            data = data[:2]
        return compiled(data)

    return test


def refuse_compiled() -> None:
    """Raise RuntimeError within a ``tf.function`` of the user's own."""
    if not tf.executing_eagerly():
        raise RuntimeError(
            "guidance_loss() was called inside a tf.function, which keeps what its first call "
            "saw: strokes would change nothing. Call it outside (forward = tf.function(model) "
            "may be compiled, the function around it not), or train with session.train() or "
            "fit, which compile the whole step"
        )


def finite_where_left_out(inputs: Any, weights: Any) -> Any:
    """The inputs with 0 for NaN and infinity in samples of weight 0: 0 times NaN is NaN."""
    left_out = np.flatnonzero(np.asarray(weights) == 0)
    given = np.asarray(inputs)
    if given.dtype.kind != "f" or np.isfinite(given[left_out]).all():
        return inputs
    given = given.copy()
    given[left_out] = np.where(np.isfinite(given[left_out]), given[left_out], 0)
    return given


def losses_alone(model: Any, inputs: Any, targets: Any) -> NDArray[np.float32]:
    """The compiled loss of each row (B,) by itself, in inference mode."""
    parts = [slice(row, row + 1) for row in range(len(inputs))]
    outputs = [model(inputs[part], training=False) for part in parts]
    losses = [
        model.compute_loss(inputs[part], targets[part], output, None, training=False)
        for part, output in zip(parts, outputs, strict=True)
    ]
    return np.array([float(loss) for loss in losses], np.float32)


def other_metrics(model: Any) -> dict[str, float]:
    """The compiled metrics besides loss and accuracy, which begin anew then."""
    named = {
        name: float(value)
        for name, value in model.get_metrics_result().items()
        if np.ndim(value) == 0 and name not in ("loss", "accuracy", "acc")
    }
    model.reset_metrics()
    return named
