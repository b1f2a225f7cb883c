"""The guided passes of a Keras model: from some rows of a step to one loss term.

The terms and their weights are those of `torch_passes`. Each works in and out of a
``tf.function``, and leaves no trace in the model.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from coflect_widget.backends.keras.layers import Layer, named_layers, tapped
from coflect_widget.backends.keras.model import Classifier
from coflect_widget.backends.keras.quiet import quiet
from coflect_widget.guidance.rows import Marked, Swapped
from coflect_widget.guidance.terms import (
    ACTIVATION_GAIN,
    BLANK,
    EFFECT_GAIN,
    ROWS_GAIN,
    SLOPE_GAIN,
)

Array = NDArray[np.float32]


class GuidedPasses:
    """Computes loss terms, each relative to what the task loss and the maps' energy were.

    Parameters
    ----------
    classifier : Classifier

    Attributes
    ----------
    layer : Layer or None
        Whose map "activation" is about.
    classes : int
    """

    def __init__(self, classifier: Classifier) -> None:
        self.classifier = classifier
        self.layer: Layer | None = None
        self.classes = 2
        # Negative: not known yet. The mean of the task loss, and what energies were at first.
        self._task = tf.Variable(-1.0, trainable=False)
        self._firsts = {
            name: tf.Variable(-1.0, trainable=False) for name in ("slopes", "activation")
        }

    def restart(self) -> None:
        """Forget what the task loss was, and what the energies were at first."""
        for variable in (self._task, *self._firsts.values()):
            variable.assign(-1.0)

    def kept(self) -> dict[str, float]:
        """What the task loss was, and the energies at first; negative where nobody knows."""
        return {name: float(one) for name, one in self._known().items()}

    def take(self, kept: Mapping[str, float]) -> None:
        """Take what `kept` gave."""
        for name, variable in self._known().items():
            variable.assign(kept[name])

    def _known(self) -> dict[str, Any]:
        return {"task": self._task, **self._firsts}

    def anew(self) -> GuidedPasses:
        """Passes of their own on the same model, with the same task loss so far."""
        other = GuidedPasses(self.classifier)
        other.layer, other.classes = self.layer, self.classes
        other._task.assign(self._task)
        return other

    @property
    def task_loss(self) -> Any:
        """Running mean () of the task loss."""
        return tf.identity(self._task)

    def remember(self, task_loss: Any) -> None:
        """Take the task loss () of one more step into its running mean."""
        task_loss = tf.cast(task_loss, tf.float32)  # of any floatx, as what else is computed here
        now = tf.where(tf.math.is_finite(task_loss), task_loss, 0.0)
        self._task.assign(tf.where(self._task < 0, now, 0.99 * self._task + 0.01 * now))

    def term(self, name: str, rows: Any) -> Any:
        """The term () on `rows` (Swapped or Marked).

        Neither the statistics of normalisation layers nor the states of dropout change.
        """
        if name == "fill":
            return self._fill(Swapped(*rows))
        if name == "activation":
            return self._activation(Marked(*rows))
        return self._slopes(Marked(*rows), inside=name == "slopes inside")

    def _fill(self, rows: Swapped) -> Any:
        """Right and the same, whatever stands in the place to be ignored."""
        with quiet(self.classifier.model):
            logits = self._logits(tf.concat([rows.original, rows.swapped], 0))
        before, after = tf.split(logits, 2)
        each = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=rows.targets, logits=after)
        gain = EFFECT_GAIN * self._reference()
        return ROWS_GAIN * _weighted_mean(each, rows.strength) + gain * _weighted_mean(
            _effect(before, after), rows.strength
        )

    def _slopes(self, rows: Marked, *, inside: bool) -> Any:
        """Of the gradient's energy, little where it is to be ignored, or most `inside`."""
        with quiet(self.classifier.model):
            energy = self.energy_of_pixels(tf.convert_to_tensor(rows.inputs))
        first = self._first("slopes", energy)
        reference = self._reference()
        if inside:
            missed = 1 - _share(energy, rows.region, BLANK * first)
            return ACTIVATION_GAIN * reference * _weighted_mean(missed, rows.strength)
        # Against what it was, not against what it is: a share could shrink by a steeper rest.
        found = tf.reduce_sum(energy * rows.region, (1, 2)) / first
        return SLOPE_GAIN * reference * _weighted_mean(found, rows.strength)

    def _activation(self, rows: Marked) -> Any:
        """Most of the class activation map's energy inside."""
        layer = self.layer
        assert layer is not None  # noqa: S101 - narrows the type; no such term without it
        maps = self.maps(tf.convert_to_tensor(rows.inputs), rows.targets)
        region = _pooled(tf.convert_to_tensor(rows.region), layer.grid)
        energy = _positive(maps, region)
        share = _share(energy, region, BLANK * self._first("activation", energy))
        gain = ACTIVATION_GAIN * self._reference()
        return gain * _weighted_mean(1 - share, rows.strength)

    def maps(self, x: Any, labels: Any) -> Any:
        """Class activation maps (B, h, w) of either sign, differentiable."""
        layer = self.layer
        assert layer is not None  # noqa: S101 - narrows the type; there is none without it
        captured: list[Any] = []
        module = {layer.name: named_layers(self.classifier.model)[layer.name]}
        with quiet(self.classifier.model), tf.GradientTape() as tape:
            tape.watch(x)
            with tapped(module, lambda _, value: captured.append(value)):
                logits = self._logits(x)
            score = tf.reduce_sum(tf.gather(logits, labels, axis=1, batch_dims=1))
        found = (captured[-1], tape.gradient(score, captured[-1]))  # of any floating type
        activation, gradient = (tf.cast(layer.maps(value), tf.float32) for value in found)
        weights = tf.reduce_mean(gradient, (1, 2), keepdims=True)
        return tf.reduce_sum(weights * activation, -1)

    def _logits(self, x: Any) -> Any:
        return self.classifier.logits(self.classifier.model(x, training=True))

    def energy_of_pixels(self, x: Any) -> Any:
        """Squared gradient of the summed log probabilities with respect to the pixels (B, H, W)."""
        with tf.GradientTape() as tape:
            tape.watch(x)
            score = tf.reduce_sum(tf.nn.log_softmax(self._logits(x)))
        return self.classifier.channel_sum(tf.square(tape.gradient(score, x)))

    def _first(self, name: str, energy: Any) -> Any:
        """What the maps' energy was at first, to compare with."""
        variable = self._firsts[name]
        now = tf.stop_gradient(tf.reduce_mean(tf.reduce_sum(energy, (1, 2)))) + 1e-12
        now = tf.where(tf.math.is_finite(now), now, -1.0)  # a batch may not be finite
        variable.assign(tf.where(variable < 0, now, variable))
        return tf.identity(variable)

    def _reference(self) -> Any:
        """The task loss before a shortcut made it small: at least log(classes)."""
        return tf.maximum(tf.identity(self._task), math.log(self.classes))


def _effect(before: Any, after: Any) -> Any:
    """Share of the predictions' variance that a change of the input makes, (B,)."""
    before -= tf.reduce_mean(before, 1, keepdims=True)
    after -= tf.reduce_mean(after, 1, keepdims=True)
    both = tf.concat([before, after], 0)
    spread = tf.square(both - tf.reduce_mean(both, 0))
    variance = tf.reduce_mean(tf.reduce_sum(spread, 1))
    return tf.reduce_sum(tf.square(after - before), 1) / (2 * variance + 1e-6)


def _positive(evidence: Any, region: Any) -> Any:
    """Maps as energy, from their lowest value where nothing positive is inside the region."""
    known = tf.stop_gradient(evidence)
    dark = tf.reduce_sum(tf.nn.relu(known) * region, (1, 2), keepdims=True) <= 0
    lowest = tf.reduce_min(known, (1, 2), keepdims=True)
    return tf.nn.relu(evidence - tf.where(dark, lowest, tf.zeros_like(lowest)))


def _share(energy: Any, region: Any, floor: Any) -> Any:
    return tf.reduce_sum(energy * region, (1, 2)) / (tf.reduce_sum(energy, (1, 2)) + floor)


def _weighted_mean(values: Any, weights: Any) -> Any:
    rows = tf.reduce_sum(tf.cast(tf.convert_to_tensor(weights) > 0, tf.float32))
    return tf.reduce_sum(values * weights) / tf.maximum(rows, 1.0)


def _pooled(region: Any, size: tuple[int, int]) -> Any:
    """Regions (B, H, W) at the size of a map: each cell gets the share of it that is covered."""
    height, width = int(region.shape[1]), int(region.shape[2])
    down, across = (tf.constant(_cells(n, s)) for n, s in zip((height, width), size, strict=True))
    return tf.einsum("hi,bij,wj->bhw", down, region, across)


def _cells(length: int, cells: int) -> Array:
    """(cells, length): the mean over each cell's pixels, as adaptive average pooling cuts them."""
    found = np.zeros((cells, length), np.float32)
    for cell in range(cells):
        first, last = cell * length // cells, -(-(cell + 1) * length // cells)
        found[cell, first:last] = 1 / (last - first)
    return found
