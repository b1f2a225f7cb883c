"""Strokes as loss terms for Keras models; the terms and their weights are those of `torch_losses`.

What a step sees is decided in numpy, outside the graph (`prepare`); the graph gets rows (`term`).
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from coflect_widget.attribution.keras_layers import Layer, find_layer, named_layers, tapped
from coflect_widget.backends.keras_model import Classifier
from coflect_widget.config import GuidanceConfig
from coflect_widget.guidance.plan import Plan, make_plan
from coflect_widget.guidance.rows import Marked, RowChooser, Swapped
from coflect_widget.guidance.state import GuidanceState
from coflect_widget.guidance.terms import (
    ACTIVATION_GAIN,
    BLANK,
    EFFECT_GAIN,
    REFRESH,
    ROWS_GAIN,
    SLOPE_GAIN,
    choose,
    turn,
)

Array = NDArray[np.float32]
Numbers = NDArray[np.int64]

ReadRows = Callable[[Sequence[int]], tuple[Array, Numbers]]


class Prepared(NamedTuple):
    """What one step of a training is to do.

    Attributes
    ----------
    inputs : ndarray (B, ...)
        The batch to train on, as the model takes it.
    exchanged : bool
        Whether it is another than what came; its statistics shall not be kept then.
    term : str
        "fill", "slopes", "slopes inside" or "activation"; "" in the steps between guided ones.
    gain : float
        What the term is multiplied with.
    rows : Swapped, Marked or None
        What the term is computed on; inputs as the model takes them.
    """

    inputs: Any
    exchanged: bool
    term: str
    gain: float
    rows: Swapped | Marked | None


class KerasGuidance:
    """Turns the guidance in force into a loss term.

    Parameters
    ----------
    classifier : Classifier
    read_rows : callable
        Indices -> inputs (n, ...) as the model takes them, and labels (n,).
    image_size : (int, int)
        H and W of the inputs.
    config : GuidanceConfig
    seed : int
        Decides which rows are guided and with whom they are swapped.
    device : str
        Not used; TensorFlow places by itself.

    Attributes
    ----------
    active : bool
        Whether there is anything to add.
    warnings : list of str
        What could not be done as asked, each said once.
    """

    def __init__(
        self,
        classifier: Classifier,
        read_rows: ReadRows,
        image_size: tuple[int, int],
        config: GuidanceConfig,
        seed: int = 0,
        device: str = "cpu",
    ) -> None:
        self.classifier = classifier
        self.active = False
        self.warnings: list[str] = []
        self._read_rows = read_rows
        self._image_size = image_size
        self._config = config
        self._rows = RowChooser(seed)
        self._classes = 2  # known once a state is set
        self._plan: Plan[NDArray[Any]] | None = None
        self._terms: list[str] = []
        self._steps = self._held = 0  # since the state was set
        self._layer: Layer | None = None
        self._layer_known = False
        # Negative: not known yet. The mean of the task loss, and what energies were at first.
        self._task = tf.Variable(-1.0, trainable=False)
        self._firsts = {
            name: tf.Variable(-1.0, trainable=False) for name in ("slopes", "activation")
        }

    # --- taking orders -------------------------------------------------------------------------

    def set_state(self, state: GuidanceState) -> str:
        """Use `state` from the next step on; returns the loss terms it becomes, for a person."""
        plan = make_plan(state, self._read_chw, self._image_size)
        if plan is not None:
            x = tf.constant(self._read_rows([0])[0])
            outputs = self.classifier.model(x, training=False)
            self._classes = int(self.classifier.logits(outputs).shape[1])
        known = len(self.warnings)
        chosen = choose(
            plan, self._config, self._find_layer, self._twice_differentiable, self._warn
        )
        self._rows.restart()  # what follows depends on `state` alone
        self._steps = self._held = 0
        for variable in (self._task, *self._firsts.values()):
            variable.assign(-1.0)
        self._plan, self._terms = chosen.plan, chosen.terms
        self.active = bool(chosen.terms)
        said = self.warnings[known:]
        return ", ".join(chosen.words) + (f" ({'; '.join(said)})" if said else "")

    def _read_chw(self, indices: Sequence[int]) -> tuple[Array, Numbers]:
        inputs, labels = self._read_rows(indices)
        return self.classifier.chw(inputs), labels

    def _warn(self, text: str) -> None:
        if text not in self.warnings:
            self.warnings.append(text)

    def _find_layer(self) -> str | None:
        if not self._layer_known:
            self._layer_known = True
            shape = self._read_chw([0])[0].shape[1:]
            try:
                self._layer = find_layer(self.classifier, shape)
            except Exception as error:  # noqa: BLE001 - whatever the model does, there is another way
                self._warn(f"look: no class activation map ({error})")
        return None if self._layer is None else self._layer.name

    def _twice_differentiable(self) -> bool:
        x = tf.constant(self._read_rows([0, 0])[0])  # two, for models that normalise by the batch
        try:
            with tf.GradientTape() as tape, quiet(self.classifier.model):
                energy = tf.reduce_sum(self._energy_of_pixels(x))
            found = tape.gradient(energy, self.classifier.model.trainable_variables)
        except (LookupError, ValueError, tf.errors.OpError):
            return False
        return any(gradient is not None for gradient in found)

    # --- one step: outside the graph -------------------------------------------------------------

    def prepare(
        self, inputs: Array, labels: Numbers, indices: Numbers | None, *, exchange: bool = True
    ) -> Prepared:
        """What the step on a batch is to do.

        Parameters
        ----------
        inputs : ndarray (B, ...)
            As the model takes them.
        labels : ndarray (B,)
        indices : ndarray (B,) or None
            Places of the rows in the training data.
        exchange : bool
            Whether the step can be made on another batch than the one that came.
        """
        plan, terms = self._plan, self._terms
        if plan is None or not terms:
            return Prepared(inputs, False, "", 0.0, None)
        chw = self.classifier.chw(inputs)
        exchanged = exchange and "fill" in terms and plan.reaches_others and len(inputs) > 1
        seen = inputs
        if exchanged:
            seen = self.classifier.own(self._rows.counterfactual(plan, chw, labels, indices))
        now = turn(
            terms,
            self._steps,
            len(inputs),
            self._config.replay_share,
            exchanged=exchanged,
            found_all=plan.found_all,
        )
        self._steps += 1
        if now is None:
            return Prepared(seen, exchanged, "", 0.0, None)
        rows: Swapped | Marked | None
        if now.term == "fill":
            rows = self._rows.swapped(plan, chw, labels, indices, now.rows)
        else:
            kind = "ignore" if now.term == "slopes" else "look"
            rows = self._rows.marked(plan, kind, chw, labels, now.rows)
        term = now.term if rows else ""
        return Prepared(seen, exchanged, term, now.gain, self._own_rows(rows))

    def _own_rows(self, rows: Swapped | Marked | None) -> Swapped | Marked | None:
        own = self.classifier.own
        if isinstance(rows, Swapped):
            return rows._replace(original=own(rows.original), swapped=own(rows.swapped))
        return None if rows is None else rows._replace(inputs=own(rows.inputs))

    def hold(self) -> contextlib.AbstractContextManager[None]:
        """For the pass on an exchanged batch: its statistics shall not be kept."""
        return held_statistics(self.classifier.model)

    def exchanged_step_done(self, inputs: Array) -> None:
        """Show the running statistics `inputs`, the batch as it came, now and then."""
        self._held += 1
        if self._held % REFRESH == 0:
            refresh_statistics(self.classifier.model, inputs, REFRESH)

    # --- one step: in the graph ------------------------------------------------------------------

    def term(self, name: str, rows: Any, task_loss: Any) -> Any:
        """The term () on `rows`; "" remembers the task loss only, and is 0.

        Neither the statistics of normalisation layers nor the states of dropout change.

        Parameters
        ----------
        name : str
        rows : Swapped or Marked
        task_loss : tensor ()
            Without gradient.
        """
        task_loss = tf.cast(task_loss, tf.float32)  # of any floatx, as what else is computed here
        now = tf.where(tf.math.is_finite(task_loss), task_loss, 0.0)
        self._task.assign(tf.where(self._task < 0, now, 0.99 * self._task + 0.01 * now))
        if name == "fill":
            return self._fill(Swapped(*rows))
        if name == "activation":
            return self._activation(Marked(*rows))
        return self._slopes(Marked(*rows), inside=name == "slopes inside") if name else tf.zeros(())

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
            energy = self._energy_of_pixels(tf.convert_to_tensor(rows.inputs))
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
        layer = self._layer
        assert layer is not None  # noqa: S101 - narrows the type; no such term without it
        captured: list[Any] = []
        module = {layer.name: named_layers(self.classifier.model)[layer.name]}
        with quiet(self.classifier.model), tf.GradientTape() as tape:
            x = tf.convert_to_tensor(rows.inputs)
            tape.watch(x)
            with tapped(module, lambda _, value: captured.append(value)):
                logits = self._logits(x)
            score = tf.reduce_sum(tf.gather(logits, rows.targets, axis=1, batch_dims=1))
        found = (captured[-1], tape.gradient(score, captured[-1]))  # of any floating type
        activation, gradient = (tf.cast(layer.maps(value), tf.float32) for value in found)
        weights = tf.reduce_mean(gradient, (1, 2), keepdims=True)
        energy = tf.nn.relu(tf.reduce_sum(weights * activation, -1))
        region = _pooled(tf.convert_to_tensor(rows.region), layer.grid)
        share = _share(energy, region, BLANK * self._first("activation", energy))
        gain = ACTIVATION_GAIN * self._reference()
        return gain * _weighted_mean(1 - share, rows.strength)

    def _logits(self, x: Any) -> Any:
        return self.classifier.logits(self.classifier.model(x, training=True))

    def _energy_of_pixels(self, x: Any) -> Any:
        """Squared gradient of the summed log probabilities with respect to the pixels (B, H, W)."""
        with tf.GradientTape() as tape:
            tape.watch(x)
            score = tf.reduce_sum(tf.nn.log_softmax(self._logits(x)))
        return self.classifier.channel_sum(tf.square(tape.gradient(score, x)))

    def _first(self, name: str, energy: Any) -> Any:
        """What the maps' energy was at first, to compare with."""
        variable = self._firsts[name]
        now = tf.stop_gradient(tf.reduce_mean(tf.reduce_sum(energy, (1, 2)))) + 1e-12
        variable.assign(tf.where(variable < 0, now, variable))
        return tf.identity(variable)

    def _reference(self) -> Any:
        """The task loss before a shortcut made it small: at least log(classes)."""
        return tf.maximum(tf.identity(self._task), math.log(self._classes))


@contextlib.contextmanager
def _kept(variables: Sequence[Any]) -> Iterator[None]:
    held = [variable.value for variable in variables]
    before = [tf.identity(variable) for variable in held]
    try:
        yield
    finally:
        for variable, value in zip(held, before, strict=True):
            variable.assign(value)


def quiet(model: Any) -> contextlib.AbstractContextManager[None]:
    """A pass beside the main one: statistics and dropout are as before, in and out of graphs."""
    return _kept(model.non_trainable_variables)


def held_statistics(model: Any) -> contextlib.AbstractContextManager[None]:
    """Keep a pass out of the running statistics of normalisation layers."""
    return _kept([v for v in model.non_trainable_variables if "seed_generator" not in v.path])


def refresh_statistics(model: Any, inputs: Array, steps: int) -> None:
    """Let the running statistics see `inputs` as often as `steps` ordinary passes would have."""
    layers = [
        layer
        for layer in model._flatten_layers(include_self=False)
        if isinstance(layer, keras.layers.BatchNormalization) and layer.trainable
    ]
    if not layers:
        return
    momenta = [layer.momentum for layer in layers]
    seeds = [v for v in model.non_trainable_variables if "seed_generator" in v.path]
    try:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum**steps
        with _kept(seeds):
            model(inputs, training=True)
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum


def _effect(before: Any, after: Any) -> Any:
    """Share of the predictions' variance that a change of the input makes, (B,)."""
    before -= tf.reduce_mean(before, 1, keepdims=True)
    after -= tf.reduce_mean(after, 1, keepdims=True)
    both = tf.concat([before, after], 0)
    spread = tf.square(both - tf.reduce_mean(both, 0))
    variance = tf.reduce_mean(tf.reduce_sum(spread, 1))
    return tf.reduce_sum(tf.square(after - before), 1) / (2 * variance + 1e-6)


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
