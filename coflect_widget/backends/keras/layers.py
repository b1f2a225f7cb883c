"""Which layer's output LiveCAM reads in a Keras model; the same rules as for Torch."""

from __future__ import annotations

import contextlib
import difflib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf

from coflect_widget.attribution.errors import NoSuitableLayerError
from coflect_widget.attribution.map_shapes import choose, fits, token_grid
from coflect_widget.backends.keras.model import Classifier


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer whose output is spatial.

    Attributes
    ----------
    name : str
        Names of the layers from the model's own down to it, joined by "/".
    layout : {"channels first", "channels last", "tokens"}
    grid : (h, w)
    extra : int
        Tokens before the patches.
    """

    name: str
    layout: Literal["channels first", "channels last", "tokens"]
    grid: tuple[int, int]
    extra: int = 0

    def maps(self, output: Any) -> Any:
        """The layer's output as (B, h, w, C)."""
        if self.layout == "channels last":
            return output
        if self.layout == "channels first":
            return tf.transpose(output, (0, 2, 3, 1))
        patches = output[:, self.extra :]
        return tf.reshape(patches, (tf.shape(patches)[0], *self.grid, patches.shape[-1]))

    def __str__(self) -> str:
        return f"{self.name!r} ({self.grid[0]} x {self.grid[1]})"


def named_layers(model: Any) -> dict[str, Any]:
    """Each layer of a model and of the models inside it, by its path of names."""
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

    The layers are as before afterwards. Works for every kind of model, in and out of a
    ``tf.function``, because each goes through a layer's ``call``.
    """
    changed: list[Any] = []
    try:
        for name, layer in layers.items():
            if "call" in vars(layer):
                continue  # one that is in two places; the first name counts
            original = layer.call

            def call(*args: Any, _call: Any = original, _name: str = name, **more: Any) -> Any:
                output = _call(*args, **more)
                value = first_tensor(output)
                if value is not None:
                    keep(_name, value)
                return output

            # Keras looks at the signature to see which arguments (training, mask) to pass.
            call.__signature__ = layer._call_signature  # type: ignore[attr-defined]
            object.__setattr__(layer, "call", call)  # Keras' own would track it
            changed.append(layer)
        yield
    finally:
        for layer in changed:
            object.__delattr__(layer, "call")


def find_layer(
    classifier: Classifier, input_shape: Sequence[int], name: str | None = None
) -> Layer:
    """The last layer before pooling whose map is at least 7 x 7 and matters for the output.

    Parameters
    ----------
    input_shape : (C, H, W)
    name : str, optional
        Take this layer instead: its path of names, or its name where that is unique.

    Raises
    ------
    NoSuitableLayerError
        If no output is spatial, or if the named one is not there or not spatial.
    """
    layers = _spatial_layers(classifier, tuple(input_shape))
    if name is not None:
        return _named(classifier, layers, name)
    return choose(layers, "layer")


def _named(classifier: Classifier, layers: list[tuple[Layer, bool]], name: str) -> Layer:
    same = [layer for layer, _ in layers if name in (layer.name, layer.name.rpartition("/")[2])]
    if len(same) == 1 or (same and same[0].name == name):
        return same[0]
    candidates = ", ".join(str(layer) for layer, _ in layers) or "none"
    known = named_layers(classifier.model)
    if len(same) > 1:
        problem = f"{len(same)} layers have this name; give the whole path"
    elif name in known or any(path.endswith("/" + name) for path in known):
        problem = "its output is not a map of the input"
    else:
        close = difflib.get_close_matches(name, [layer.name for layer, _ in layers], n=1)
        problem = "the model has no such layer" + (f"; did you mean {close[0]!r}?" if close else "")
    raise NoSuitableLayerError(f"layer={name!r}: {problem}. Candidates are: {candidates}")


def _spatial_layers(
    classifier: Classifier, input_shape: tuple[int, ...]
) -> list[tuple[Layer, bool]]:
    """Spatial outputs in the order of computing, and whether the output depends on them."""
    generator = np.random.default_rng(0)
    # A batch of two tells the batch's dimension from others of size 1.
    blank = generator.standard_normal((2, *input_shape)).astype(np.float32)
    x = tf.constant(classifier.own(blank))
    layers = named_layers(classifier.model)
    outputs: dict[str, Any] = {}

    def keep(name: str, value: Any) -> None:
        outputs.pop(name, None)  # of a layer called twice the last call counts
        outputs[name] = value

    with tf.GradientTape() as tape:
        tape.watch(x)
        with tapped(layers, keep):
            logits = classifier.logits(classifier.model(x, training=False))
        mixture = tf.constant(generator.standard_normal(logits.shape), tf.float32)
        score = tf.reduce_sum(logits * mixture)
    found = _layers(outputs, layers, input_shape)
    values = [outputs[layer.name] for layer in found]
    gradients = tape.gradient(score, values)
    result = []
    for layer, gradient in zip(found, gradients, strict=True):
        # patches that lead nowhere have a gradient of zeros, or none
        matters = gradient is not None and bool(
            tf.reduce_any(layer.maps(tf.convert_to_tensor(gradient)) != 0)
        )
        result.append((layer, matters))
    return result


def _layers(
    outputs: dict[str, Any], layers: dict[str, Any], input_shape: tuple[int, ...]
) -> list[Layer]:
    token_counts = {value.shape[1] for value in outputs.values() if len(value.shape) == 3}
    grids: list[tuple[int, int]] = []
    found: list[Layer] = []
    for name, value in outputs.items():
        layer = _as_layer(name, layers[name], tuple(value.shape), input_shape, token_counts, grids)
        if layer is None:
            continue
        if layer.layout != "tokens":
            grids.append(layer.grid)
        # A model passes its last layer's output on: name the model, once.
        found = [f for f in found if outputs[f.name] is not value]
        found.append(layer)
    # Projections inside a block (queries and keys, say) are maps only for want of better.
    blocks = [f for f in found if not isinstance(layers[f.name], keras.layers.Dense)]
    return blocks or found


def _as_layer(
    name: str,
    module: Any,
    shape: tuple[int, ...],
    input_shape: tuple[int, ...],
    token_counts: set[int],
    grids: list[tuple[int, int]],
) -> Layer | None:
    channels, height, width = input_shape
    if shape[0] != 2:
        return None
    if len(shape) == 3:
        grid = token_grid(shape[1], (height, width), grids)
        return grid and Layer(name, "tokens", grid, shape[1] - math.prod(grid))
    if len(shape) != 4 or shape[1:] in ((channels, height, width), (height, width, channels)):
        return None  # what has the input's own shape is the input, scaled
    if shape[2] == shape[3] and shape[2] in token_counts:
        return None  # attention weights (B, heads, N, N)
    first, last = fits(shape[2:4], (height, width)), fits(shape[1:3], (height, width))
    said = getattr(module, "data_format", None)
    if last and (not first or said != "channels_first"):
        return Layer(name, "channels last", (shape[1], shape[2]))
    return Layer(name, "channels first", (shape[2], shape[3])) if first else None
