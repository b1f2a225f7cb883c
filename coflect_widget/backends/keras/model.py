"""A Keras classifier, with what differs between classifiers said once: layout and last layer."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from coflect_widget.backends.base import WeightSpec

#: Where the channels of an input are; "none": it has no axis of them.
Layout = Literal["last", "first", "none"]
#: What the model's outputs are; "logit" and "sigmoid" have one for two classes, and "sigmoids" are
#: probabilities that do not sum to 1. "labels" are the probabilities of several labels, and
#: "values" are to be taken as they are.
Head = Literal["logits", "softmax", "sigmoids", "logit", "sigmoid", "labels", "values"]

_TINY = 1e-12
_COUNTED = re.compile(r"_\d+(?=_|$)")


@dataclass(frozen=True, slots=True)
class Classifier:
    """A model, where its channels are, and what its outputs are."""

    model: Any  # keras.Model
    layout: Layout
    head: Head
    axes: int  # of one input with its channels

    def logits(self, outputs: Any) -> Any:
        """Logits (B, classes) float32 from what the model gave.

        Of a last layer with softmax or sigmoid they are what went into it, where Keras still
        knows that, as its own losses use it; otherwise the logarithms of the probabilities,
        whose softmax is those probabilities again. One output x is [-x / 2, x / 2]: its softmax
        is the model's, and both classes have a gradient, which makes a map of each.

        Of outputs for each place of a picture they are (B, classes, H, W).
        """
        if self.head in ("softmax", "sigmoids", "sigmoid", "labels"):
            inside = getattr(outputs, "_keras_logits", None)
            if inside is not None:
                outputs = inside
            elif self.head not in ("sigmoid", "labels"):
                outputs = tf.math.log(tf.maximum(tf.cast(outputs, tf.float32), _TINY))
            else:
                p = tf.clip_by_value(tf.cast(outputs, tf.float32), _TINY, 1 - 1e-7)
                outputs = tf.math.log(p / (1 - p))
        outputs = tf.cast(outputs, tf.float32)
        if len(outputs.shape) == 4 and self.layout != "first":
            outputs = tf.transpose(outputs, (0, 3, 1, 2))
        if self.head in ("logit", "sigmoid"):
            return tf.concat([-outputs / 2, outputs / 2], 1)
        return outputs

    def chw(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Inputs (..., H, W, C), (..., C, H, W) or (..., H, W) as (..., C, H, W).

        So with series, (..., L, C), (..., C, L) or (..., L) as (..., C, L).
        """
        if self.layout == "last":
            return np.ascontiguousarray(np.moveaxis(x, -1, -self.axes))
        return x if self.layout == "first" else np.expand_dims(x, -self.axes)

    def own(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """The way back from `chw`: (..., C, H, W) as the model takes it."""
        if self.layout == "last":
            return np.ascontiguousarray(np.moveaxis(x, -self.axes, -1))
        return x if self.layout == "first" else np.squeeze(x, -self.axes)


def weight_names(variables: Sequence[Any]) -> list[str]:
    """A name of its own for each variable: its path, numbered where that is shared."""
    return _numbered([str(variable.path) for variable in variables])


def lasting_names(variables: Sequence[Any]) -> list[str]:
    """The same without the numbers that Keras gives to each further layer of a process."""
    paths = (str(variable.path).split("/") for variable in variables)
    return _numbered(["/".join(_COUNTED.sub("", part) for part in path) for path in paths])


def _numbered(paths: Sequence[str]) -> list[str]:
    names: list[str] = []
    for path in paths:
        name, number = path, 1
        while name in names:
            number += 1
            name = f"{path}#{number}"
        names.append(name)
    return names


def weight_specs(model: Any) -> list[WeightSpec]:
    """Name, shape and numpy type of each of ``model.weights``."""
    return [
        # numpy has no bfloat16; float32 holds each of its values
        WeightSpec(name, tuple(w.shape), "float32" if w.dtype == "bfloat16" else str(w.dtype))
        for name, w in zip(weight_names(model.weights), model.weights, strict=True)
    ]
