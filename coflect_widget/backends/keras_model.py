"""A Keras classifier, with what differs between classifiers said once: layout and last layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

#: Where the channels of an input are; "none": the input is (H, W).
Layout = Literal["last", "first", "none"]
#: What the model's outputs are; "logit" and "sigmoid" have one for two classes.
Head = Literal["logits", "softmax", "logit", "sigmoid"]

_TINY = 1e-12


@dataclass(frozen=True, slots=True)
class Classifier:
    """A model, where its channels are, and what its outputs are."""

    model: Any  # keras.Model
    layout: Layout
    head: Head

    def logits(self, outputs: Any) -> Any:
        """Logits (B, classes) float32 from what the model gave.

        Of a last layer with softmax or sigmoid they are what went into it, where Keras still
        knows that, as its own losses use it; otherwise the logarithms of the probabilities,
        whose softmax is those probabilities again.
        """
        if self.head in ("softmax", "sigmoid"):
            inside = getattr(outputs, "_keras_logits", None)
            if inside is not None:
                outputs = inside
            elif self.head == "softmax":
                outputs = tf.math.log(tf.maximum(tf.cast(outputs, tf.float32), _TINY))
            else:
                p = tf.clip_by_value(tf.cast(outputs, tf.float32), _TINY, 1 - 1e-7)
                outputs = tf.math.log(p / (1 - p))
        outputs = tf.cast(outputs, tf.float32)
        if self.head in ("logit", "sigmoid"):
            return tf.concat([tf.zeros_like(outputs), outputs], 1)
        return outputs

    def chw(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Inputs (..., H, W, C), (..., C, H, W) or (..., H, W) as (..., C, H, W)."""
        if self.layout == "last":
            return np.ascontiguousarray(np.moveaxis(x, -1, -3))
        return x if self.layout == "first" else np.expand_dims(x, -3)

    def own(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """The way back from `chw`: (..., C, H, W) as the model takes it."""
        if self.layout == "last":
            return np.ascontiguousarray(np.moveaxis(x, -3, -1))
        return x if self.layout == "first" else x[..., 0, :, :]

    def channel_sum(self, x: Any) -> Any:
        """Sum over the channels of a tensor of inputs, (B, H, W)."""
        if self.layout == "none":
            return x
        return tf.reduce_sum(x, -1 if self.layout == "last" else 1)

    def per_pixel(self, mask: Any) -> Any:
        """A mask (B, H, W) so that it meets inputs (B, ...) pixel by pixel."""
        if self.layout == "none":
            return mask
        return mask[..., None] if self.layout == "last" else mask[:, None]


def find_layout(shape: tuple[int, ...], model: Any) -> Layout:
    """Where the channels of inputs of this shape are.

    A side of 1, 3 or 4 says it; where both ends have one or none, the model's own layers do.

    Raises
    ------
    ValueError
        If the inputs are no images.
    """
    if len(shape) == 2:
        return "none"
    if len(shape) != 3:
        raise ValueError(f"train_data has inputs of shape {shape}; expected images (H, W, C)")
    first, last = (shape[place] in (1, 3, 4) for place in (0, -1))
    if first != last:
        return "first" if first else "last"
    for layer in model._flatten_layers(include_self=False):
        said = getattr(layer, "data_format", None)
        if said in ("channels_last", "channels_first") and hasattr(layer, "kernel_size"):
            return "last" if said == "channels_last" else "first"
    return "last"


def find_head(outputs: Any, loss: Any) -> Head:
    """What a model's outputs (B, classes) on some samples are.

    A single output between 0 and 1 may be either; then the compiled loss says what it takes.
    """
    values = np.asarray(outputs, dtype=np.float32)
    if values.shape[1] == 1:
        if hasattr(outputs, "_keras_logits"):
            return "sigmoid"
        between = bool(((values > 0) & (values < 1)).all())
        return "sigmoid" if between and not getattr(loss, "from_logits", False) else "logit"
    tolerance = 1e-2 if outputs.dtype in (tf.bfloat16, tf.float16) else 1e-3
    sums = bool((values >= 0).all()) and bool(np.allclose(values.sum(1), 1, atol=tolerance))
    return "softmax" if sums else "logits"
