"""Which layer's output LiveCAM reads in a Keras model, and what a layer gives as (B, h, w, C)."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from coflect_widget.backends.keras.model import Classifier
from coflect_widget.backends.layers import Layer, Output, choose, deepest_last, maps_among

#: Layers each of whose outputs' places depends on all places of their input.
_MIXING = (
    keras.layers.RNN, keras.layers.Bidirectional, keras.layers.MultiHeadAttention,
    keras.layers.GroupQueryAttention, keras.layers.Attention, keras.layers.AdditiveAttention,
)  # fmt: skip


def as_maps(layer: Layer, output: Any) -> Any:
    """A layer's output as (B, h, w, C); of a layer along a series h is 1."""
    if layer.along:
        return (output if layer.layout == "channels last" else tf.transpose(output, (0, 2, 1)))[
            :, None
        ]
    if layer.layout == "channels last":
        return output
    if layer.layout == "channels first":
        return tf.transpose(output, (0, 2, 3, 1))
    patches = output[:, layer.extra :]
    return tf.reshape(patches, (tf.shape(patches)[0], *layer.grid, patches.shape[-1]))


def named_layers(model: Any) -> dict[str, Any]:
    """Each layer of a model and of the models inside it, by its path of names, joined by "/"."""
    found: dict[str, Any] = {}

    def walk(parent: Any, path: str) -> None:
        for layer in parent._flatten_layers(include_self=False, recursive=False):
            name = f"{path}{layer.name}"
            if name not in found:
                found[name] = layer
                walk(layer, name + "/")

    walk(model, "")
    return found


def first_tensor(output: Any) -> Any | None:
    """The first tensor of a layer's output, which may be a list or a mapping."""
    if tf.is_tensor(output):
        return output
    values = list(output.values()) if isinstance(output, dict) else output
    if isinstance(values, list | tuple):
        return next((value for value in values if tf.is_tensor(value)), None)
    return None


@contextlib.contextmanager
def tapped(layers: dict[str, Any], keep: Callable[[str, Any], None]) -> Iterator[None]:
    """Within the block `keep(name, tensor)` is called with what each of `layers` gives.

    Works for every kind of model, in and out of a ``tf.function``, because each goes through a
    layer's ``call``.
    """
    with contextlib.ExitStack() as stack:
        for name, layer in layers.items():
            if "call" in vars(layer):
                continue  # one that is in two places; the first name counts

            def look(_: Any, output: Any, _name: str = name) -> Any:
                value = first_tensor(output)
                if value is not None:
                    keep(_name, value)
                return output

            stack.enter_context(changed(layer, look))
        yield


@contextlib.contextmanager
def changed(layer: Any, change: Callable[[Any, Any], Any]) -> Iterator[None]:
    """Within the block a layer gives ``change(its first input, its output)``.

    It is as before afterwards.
    """
    original = layer.call

    def call(*args: Any, **more: Any) -> Any:
        given = args[0] if args else next(iter(more.values()), None)
        return change(given, original(*args, **more))

    # Keras looks at the signature to see which arguments (training, mask) to pass.
    call.__signature__ = layer._call_signature  # type: ignore[attr-defined]
    object.__setattr__(layer, "call", call)  # Keras' own would track it
    try:
        yield
    finally:
        object.__delattr__(layer, "call")


def find_layer(
    classifier: Classifier,
    input_shape: Sequence[int],
    name: str | None = None,
    call: Callable[..., Any] | None = None,
) -> Layer:
    """See `backends.layers.choose`; `input_shape` is (C, H, W) or (C, L).

    `call` runs the model on such inputs, where ``model(x)`` does not.
    """
    layers = _spatial_layers(classifier, tuple(input_shape), call or classifier.model)
    return choose(layers, name, "layer", lambda: named_layers(classifier.model))


def _spatial_layers(
    classifier: Classifier, input_shape: tuple[int, ...], call: Callable[..., Any]
) -> list[tuple[Layer, bool]]:
    """Spatial outputs in the order of computing, and whether the output depends on them."""
    generator = np.random.default_rng(0)
    # A batch of two tells the batch's dimension from others of size 1.
    blank = generator.standard_normal((2, *input_shape)).astype(np.float32)
    x = tf.constant(classifier.own(blank))
    layers = named_layers(classifier.model)
    outputs: dict[str, Output] = {}

    def keep(name: str, value: Any) -> None:
        outputs.pop(name, None)  # of a layer called twice the last call counts
        first = getattr(layers[name], "data_format", None) == "channels_first"
        dense = isinstance(layers[name], keras.layers.Dense)
        outputs[name] = Output(
            name,
            value,
            last=not first,
            projection=dense,
            row=hasattr(layers[name], "data_format") and len(value.shape) == 3,
            mixes=isinstance(layers[name], _MIXING),
        )

    with tf.GradientTape() as tape:
        tape.watch(x)
        with tapped(layers, keep):
            logits = classifier.logits(call(x, training=False))
        mixture = tf.constant(generator.standard_normal(logits.shape), tf.float32)
        score = tf.reduce_sum(logits * mixture)
    own = {input_shape, (*input_shape[1:], input_shape[0])}
    found = maps_among(list(outputs.values()), input_shape, own)
    if len(logits.shape) == 4:
        found = deepest_last(found)
    gradients = tape.gradient(score, [output.value for _, output in found])
    result = []
    for (layer, _), gradient in zip(found, gradients, strict=True):
        # patches that lead nowhere have a gradient of zeros, or none
        matters = gradient is not None and bool(
            tf.reduce_any(as_maps(layer, tf.convert_to_tensor(gradient)) != 0)
        )
        result.append((layer, matters))
    return result
