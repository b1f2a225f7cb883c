"""Passes of a Keras model that leave its statistics and the states of dropout as they were."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray


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


def normalises_by_batch(model: Any) -> bool:
    """Whether a layer that is trained normalises a row by the others."""
    return bool(_by_batch(model))


def refresh_statistics(model: Any, inputs: NDArray[np.float32], steps: int) -> None:
    """Let the running statistics see `inputs` as often as `steps` ordinary passes would have."""
    layers = _by_batch(model)
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


def _by_batch(model: Any) -> list[Any]:
    return [
        layer
        for layer in model._flatten_layers(include_self=False)
        if isinstance(layer, keras.layers.BatchNormalization) and layer.trainable
    ]
