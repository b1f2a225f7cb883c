"""LiveCAM and SmoothGrad for Keras models on TensorFlow; the definitions are those for Torch."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coflect_widget.attribution.consensus import NOISE_BATCH, TOLERANCE, relative_error
from coflect_widget.backends.keras.start import start_tensorflow

if "tensorflow" not in sys.modules:
    # A worker: in the kernel the person's model has brought TensorFlow along.
    start_tensorflow()

import keras
import tensorflow as tf

from coflect_widget.backends.keras.layers import Layer, find_layer, tapped
from coflect_widget.backends.keras.model import Classifier, weight_names
from coflect_widget.backends.keras.structure import rebuild, structure

__all__ = ["KerasExplainer", "check_layer", "layercam", "load", "smoothgrad", "structure"]


def load(data: bytes) -> KerasExplainer:
    """Rebuild the model that `structure` made bytes of; its weights have no values yet."""
    return KerasExplainer(rebuild(data))


def check_layer(data: bytes, input_shape: Sequence[int], layer: str | None = None) -> str:
    """Name of the layer that LiveCAM will read; a check before anything is started.

    Parameters
    ----------
    data : bytes
        From `structure`; the user's own model is not touched.
    input_shape : (C, H, W)
    layer : str, optional
        The layer that the user named.

    Raises
    ------
    NoSuitableLayerError
        With the list of candidates.
    """
    classifier = rebuild(data)
    _fill(classifier)
    return find_layer(classifier, input_shape, layer).name


def _fill(classifier: Classifier) -> None:
    """Give weights some values with which a model can run."""
    generator = np.random.default_rng(0)
    for weight in classifier.model.weights:
        if "float" in str(weight.dtype):
            # Positive, so that variances are valid and ReLUs let gradients through.
            weight.assign(generator.random(tuple(weight.shape)) * 0.1)


class KerasExplainer:
    """A worker's own copy of the model."""

    def __init__(self, classifier: Classifier) -> None:
        self.classifier = classifier
        self._weights = dict(
            zip(weight_names(classifier.model.weights), classifier.model.weights, strict=True)
        )
        self._known: list[str] | None = None
        self._layers: dict[tuple[str | None, tuple[int, ...]], Layer] = {}

    def load_weights(self, views: Mapping[str, NDArray[Any]]) -> None:
        """Copy weights into the model, in the order of ``model.weights``.

        Raises
        ------
        KeyError
            If their number or shapes are others: the model was changed since it was sent.
        """
        # By place: a rebuilt layer may have been given another name.
        own = list(self._weights.values())
        shapes = [tuple(view.shape) for view in views.values()]
        if shapes != [tuple(weight.shape) for weight in own]:
            raise KeyError("the model's weights changed since it was sent to the worker")
        for weight, view in zip(own, views.values(), strict=True):
            weight.assign(np.array(view))
        for layer in self.classifier.model._flatten_layers(include_self=False):
            if isinstance(layer, keras.layers.Normalization):
                layer.finalize_state()  # it computes with constants made from its weights

    def rehearse(self, run: Callable[[], object]) -> None:
        """Call `run` with some weights in place, and forget what was found by them."""
        _fill(self.classifier)
        try:
            run()
        finally:
            self._layers.clear()

    def explain(
        self,
        x: NDArray[np.float32],
        target: int | None,
        methods: Sequence[str],
        samples: int,
        sigma: float,
        layer: str | None,
        seed: int,
    ) -> dict[str, Any]:
        """Maps of one input (1, C, H, W); see `TorchExplainer.explain`, whose results it has.

        Raises
        ------
        FloatingPointError
            If the model's output is NaN or infinite.
        NoSuitableLayerError
            If LiveCAM has nothing to read.
        """
        classifier = self.classifier
        inputs = classifier.own(np.array(x, dtype=np.float32))
        logits = self.logits(x)
        if not np.isfinite(logits).all():
            raise FloatingPointError("the model's output has NaN or infinite values on this sample")
        classes = logits.shape[1]
        explained = int(logits.argmax()) if target is None else target
        if not 0 <= explained < classes:
            raise IndexError(f"target={target} is not one of the model's {classes} classes")
        exponentials = np.exp(logits - logits.max())
        result: dict[str, Any] = {
            "probabilities": (exponentials / exponentials.sum())[0].astype(np.float32),
            "explained": explained,
        }
        for method, compute in (("livecam", layercam), ("gradcam", gradcam)):
            if method in methods:
                found = self._layer(tuple(x.shape[1:]), layer)
                cam = compute(classifier, inputs, explained, found)[None, ..., None]
                result[method] = tf.image.resize(cam, x.shape[2:4])[0, :, :, 0].numpy()
                result["layer"] = found.name
        if "smoothgrad" in methods:
            spread = sigma * float(inputs.max() - inputs.min())
            noise = np.random.default_rng(seed).standard_normal(
                (samples, *inputs.shape[1:]), dtype=np.float32
            )
            found_map, used = _until_converged(classifier, inputs, explained, spread * noise)
            result["smoothgrad"], result["samples_used"] = found_map, used
        return result

    def randomise(self, seed: int) -> None:
        """Give the model random weights, as before any training; see `TorchExplainer`."""
        rng = np.random.default_rng(seed)
        model = self.classifier.model
        trained = {id(weight) for weight in model.trainable_weights}
        for weight in model.weights:
            shape, last = tuple(weight.shape), weight.path.rpartition("/")[2]
            if id(weight) in trained and len(shape) >= 2:
                fan_in = max(1, math.prod(shape[:-1]))
                weight.assign(rng.standard_normal(shape, np.float32) * math.sqrt(2 / fan_in))
            elif last in ("bias", "beta", "moving_mean"):
                weight.assign(np.zeros(shape))
            elif last in ("gamma", "moving_variance"):
                weight.assign(np.ones(shape))

    def logits(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Logits (B, classes) for inputs (B, C, H, W), in inference mode."""
        classifier = self.classifier
        inputs = tf.constant(classifier.own(np.asarray(x)))
        found: NDArray[np.float32] = classifier.logits(
            classifier.model(inputs, training=False)
        ).numpy()
        return found

    def _layer(self, input_shape: tuple[int, ...], name: str | None) -> Layer:
        key = (name, input_shape)
        if key not in self._layers:
            self._layers[key] = find_layer(self.classifier, input_shape, name)
        return self._layers[key]


def layercam(
    classifier: Classifier, x: NDArray[np.float32], target: int, layer: Layer
) -> NDArray[np.float32]:
    """Class-activation map (h, w) of `layer`, non-negative, at the layer's own size.

    The sum over channels of ReLU(gradient) * ReLU(activation); P.-T. Jiang et al., "LayerCAM",
    IEEE TIP 2021.

    Parameters
    ----------
    classifier : Classifier
    x : ndarray (1, ...)
        As the model takes it.
    target : int
    layer : Layer
        From `find_layer`.
    """
    activation, gradient = _at_layer(classifier, x, target, layer)
    weighted = tf.nn.relu(gradient) * tf.nn.relu(activation)
    found: NDArray[np.float32] = tf.reduce_sum(layer.maps(weighted), -1)[0].numpy()
    return found


def gradcam(
    classifier: Classifier, x: NDArray[np.float32], target: int, layer: Layer
) -> NDArray[np.float32]:
    """Grad-CAM in its classic form, (h, w), non-negative; parameters as of `layercam`.

    ReLU of the sum over channels of activation times mean gradient. R. R. Selvaraju et al.,
    "Grad-CAM", ICCV 2017.
    """
    activation, gradient = (layer.maps(v) for v in _at_layer(classifier, x, target, layer))
    weights = tf.reduce_mean(gradient, (1, 2), keepdims=True)
    found: NDArray[np.float32] = tf.nn.relu(tf.reduce_sum(weights * activation, -1))[0].numpy()
    return found


def _at_layer(
    classifier: Classifier, x: NDArray[np.float32], target: int, layer: Layer
) -> tuple[Any, Any]:
    """The layer's output and the gradient of the class's logit by it."""
    from coflect_widget.backends.keras.layers import named_layers

    captured: list[Any] = []
    inputs = tf.constant(x)
    module = {layer.name: named_layers(classifier.model)[layer.name]}
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        with tapped(module, lambda _, value: captured.append(value)):
            outputs = classifier.model(inputs, training=False)
        score = classifier.logits(outputs)[0, target]
    return captured[-1], tape.gradient(score, captured[-1])


def _until_converged(
    classifier: Classifier, x: NDArray[np.float32], target: int, noise: NDArray[np.float32]
) -> tuple[NDArray[np.float32], int]:
    """SmoothGrad over as much of the noise as its map needs, and how many copies that was."""
    maps: list[NDArray[np.float32]] = []  # each the mean over one batch of equal size
    used = 0
    while used < len(noise):
        part = noise[used : used + NOISE_BATCH]
        if len(part) < NOISE_BATCH and maps:
            break  # a smaller batch would count too much
        maps.append(smoothgrad(classifier, x, target, part))
        used += len(part)
        if len(maps) > 1 and relative_error(np.stack(maps)) < TOLERANCE:
            break
    mean: NDArray[np.float32] = np.mean(maps, axis=0, dtype=np.float32)
    return mean, used


def smoothgrad(
    classifier: Classifier, x: NDArray[np.float32], target: int, noise: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Mean magnitude of the gradient over noisy copies of the input and over channels, (H, W).

    D. Smilkov et al., "SmoothGrad", 2017.

    Parameters
    ----------
    classifier : Classifier
    x : ndarray (1, ...)
        As the model takes it.
    target : int
    noise : ndarray (samples, ...)
        What is added to the input for each copy.
    """
    total = np.zeros(x.shape[1:], np.float32)
    for first in range(0, len(noise), NOISE_BATCH):
        inputs = tf.constant(x + noise[first : first + NOISE_BATCH])
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = classifier.model(inputs, training=False)
            score = tf.reduce_sum(classifier.logits(outputs)[:, target])
        total += tf.reduce_sum(tf.abs(tape.gradient(score, inputs)), 0).numpy()
    mean: NDArray[np.float32] = classifier.chw(total / np.float32(len(noise))).mean(0)
    return mean
