"""Gradients of a Keras model's scores by its inputs and by a layer's output."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from coflect_widget.backends.differentiable import Ops
from coflect_widget.backends.keras.entry import Entry
from coflect_widget.backends.keras.layers import as_maps, find_layer, named_layers, tapped
from coflect_widget.backends.keras.model import Classifier
from coflect_widget.backends.keras.ops import TfOps
from coflect_widget.backends.layers import Layer


class KerasGradients:
    """`backends.differentiable.Differentiable` for Keras on TensorFlow.

    Parameters
    ----------
    classifier : Classifier
    training : bool
        Whether passes are made as in training.
    entry : Entry, optional
        Where whole numbers enter the model, as far as it is known.
    call : callable, optional
        Runs the model on inputs (B, ...), where ``model(x)`` does not.
    region : ndarray (H, W) of bool, optional
        Of a model with outputs for each place, those whose mean logits count; all if left out.
    """

    ops = cast("Ops", TfOps())

    def __init__(
        self,
        classifier: Classifier,
        *,
        training: bool = False,
        entry: Entry | None = None,
        call: Callable[..., Any] | None = None,
        region: NDArray[np.bool_] | None = None,
    ) -> None:
        self.classifier = classifier
        self._region = region
        self._call = call or classifier.model
        self._training = training
        self._entry = entry or Entry(classifier.model)

    def own(self, x: Any) -> Any:
        return self.classifier.own(x)

    def chw(self, x: Any) -> Any:
        return self.classifier.chw(np.asarray(x))

    def in_order(self, x: Any) -> Any:
        layout, axes = self.classifier.layout, len(x.shape)
        if layout == "last":
            return tf.transpose(x, (0, axes - 1, *range(1, axes - 1)))
        return x if layout == "first" else tf.expand_dims(x, 1)

    def outputs(self, x: Any) -> Any:
        """Logits (B, classes), or (B, classes, H, W) of a model with outputs for each place."""
        return self.classifier.logits(self._call(x, training=self._training))

    def logits(self, x: Any) -> Any:
        outputs = self.outputs(x)
        return outputs if len(outputs.shape) == 2 else over_places(outputs, self._region)

    def input_gradient(self, x: Any, score: Callable[[Any], Any]) -> tuple[Any, Any]:
        x = tf.convert_to_tensor(x)
        if x.dtype.is_integer:
            return self._by_what_enters(x, score)
        with tf.GradientTape() as tape:
            tape.watch(x)
            logits = self.logits(x)
            value = score(logits)
        return logits, tape.gradient(value, x)

    def _by_what_enters(self, x: Any, score: Callable[[Any], Any]) -> tuple[Any, Any]:
        """By what looked-up numbers (B, E) became, (B, D, E)."""
        seen: list[Any] = []

        def keep(output: Any) -> Any:
            seen.append(output)
            tape.watch(output)
            return output

        with tf.GradientTape() as tape:
            with self._entry.given(x, keep):
                logits = self.logits(x)
            value = score(logits)
        return logits, tf.transpose(tape.gradient(value, seen[0]), (0, 2, 1))

    def entered(self, x: Any) -> Any:
        """See `backends.differentiable.LooksUp`."""
        return self._entry.find(x)(x)

    def entry_gradient(self, x: Any, entered: Any, score: Callable[[Any], Any]) -> tuple[Any, Any]:
        """See `backends.differentiable.LooksUp`."""
        leaf = tf.convert_to_tensor(entered)
        rows = tf.repeat(x, len(leaf), axis=0)
        with tf.GradientTape() as tape:
            tape.watch(leaf)
            with self._entry.given(x, lambda _: leaf):
                logits = self.logits(rows)
            value = score(logits)
        return logits, tape.gradient(value, leaf)

    def layer_gradient(self, x: Any, score: Callable[[Any], Any], layer: Layer) -> tuple[Any, Any]:
        x = tf.convert_to_tensor(x)
        captured: list[Any] = []
        module = {layer.name: named_layers(self.classifier.model)[layer.name]}
        with tf.GradientTape() as tape:
            tape.watch(x)
            with tapped(module, lambda _, value: captured.append(value)):
                logits = self.logits(x)
            value = score(logits)
        gradient = tape.gradient(value, captured[-1])
        return as_maps(layer, captured[-1]), as_maps(layer, gradient)

    def find_layer(self, input_shape: Sequence[int], name: str | None = None) -> Layer:
        return find_layer(self.classifier, input_shape, name, self._call)


def over_places(logits: Any, region: NDArray[np.bool_] | None = None) -> Any:
    """The mean logits (B, classes) of logits (B, classes, H, W) over a region (H, W), or all."""
    shape = tf.shape(logits)
    logits = tf.reshape(logits, (shape[0], logits.shape[1], -1))
    if region is None:
        return tf.reduce_mean(logits, -1)
    inside = tf.cast(tf.reshape(region, (-1,)), logits.dtype)
    return tf.reduce_sum(logits * inside, -1) / tf.maximum(tf.reduce_sum(inside), 1.0)
