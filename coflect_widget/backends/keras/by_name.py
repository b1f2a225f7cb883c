"""Optimizers and losses that an experiment's file calls by a name, for the Keras backend."""

from __future__ import annotations

from typing import Any

import keras

OPTIMIZERS: dict[str, Any] = {
    "adam": keras.optimizers.Adam,
    "adamw": keras.optimizers.AdamW,
    "rmsprop": keras.optimizers.RMSprop,
    "sgd": keras.optimizers.SGD,
}
LOSSES: dict[str, Any] = {
    "bce": keras.losses.BinaryCrossentropy,
    "cross_entropy": keras.losses.SparseCategoricalCrossentropy,
    "huber": keras.losses.Huber,
    "l1": keras.losses.MeanAbsoluteError,
    "mse": keras.losses.MeanSquaredError,
}


def optimizer(kind: Any, arguments: dict[str, Any]) -> Any:
    """An optimizer; Keras calls the learning rate by its whole name."""
    rate = arguments.pop("lr")
    return kind(learning_rate=rate, **arguments)


def seed(number: int) -> None:
    """Begin the chance of Keras, numpy and Python anew."""
    keras.utils.set_random_seed(number)


def brings_its_own(model: Any) -> bool:
    """Whether a model has an optimizer and a loss already: it is compiled."""
    return bool(getattr(model, "compiled", False))
