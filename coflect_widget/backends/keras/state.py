"""A Keras training's state at a step boundary: copied out, and put back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from coflect_widget.backends.keras.model import lasting_names, weight_names
from coflect_widget.backends.state import (
    Generators,
    Memory,
    TrainingState,
    copied,
)
from coflect_widget.records.trees import Arrays, Bits


def copy_state(backend: Any, memory: Memory, *, own_loop: bool) -> TrainingState:
    """Everything that the next step of `backend` (a KerasBackend) depends on."""
    model = backend.keras_model
    names = weight_names(model.weights)
    weights: Arrays = {
        name: _copied(memory, f"weights/{name}", weight)
        for name, weight in zip(names, model.weights, strict=True)
    }
    optimizer = model.optimizer
    guidance = backend._guidance
    rest = {
        "names": names,
        "optimizer": {
            "class": type(optimizer).__name__,
            "variables": _variables(memory, "optimizer", optimizer.variables)
            if optimizer.built
            else {},
        },
        "seeds": _variables(memory, "seeds", seed_generators(model)),
        "random": backend.random_state(),
        "guidance": None if guidance is None or not guidance.active else _plain(guidance.kept()),
    }
    inexact = []
    if backend.device != "cpu":
        inexact.append(f"on {backend.device} equal steps may sum up in another order")
    if backend.train_source.anew is not None:
        inexact.append("train_data is a pipeline that is read anew: its random operations go on")
    if own_loop:
        inexact.append("a loop of your own begins its epoch anew")
    return TrainingState(weights, rest, inexact=inexact)


def restore_state(backend: Any, weights: Arrays, rest: Mapping[str, Any]) -> None:
    """Put a state back into `backend` (a KerasBackend); names and shapes are known to fit.

    Raises
    ------
    ValueError
        If the model is compiled with another optimizer.
    """
    model = backend.keras_model
    for name, weight in zip(rest["names"], model.weights, strict=True):  # others in each process
        assign(weight, weights[name])
    _put(seed_generators(model), rest["seeds"], "random seeds")
    kept = rest["optimizer"]
    name = type(model.optimizer).__name__
    if name != kept["class"]:
        raise ValueError(
            f"the model is compiled with the optimizer {name}, the run's was {kept['class']}; "
            "compile it with that"
        )
    if kept["variables"]:
        if not model.optimizer.built:
            model.optimizer.build(model.trainable_variables)
        _put(model.optimizer.variables, kept["variables"], f"the optimizer {name}")


def seed_generators(model: Any) -> list[Any]:
    """States of the generators that dropout and augmentation layers draw from."""
    return [v for v in model.non_trainable_variables if "seed_generator" in v.path]


def _plain(value: Any) -> Any:
    """A tree without tensors."""
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items()}
    return value.numpy() if tf.is_tensor(value) else value


def _variables(memory: Memory, name: str, variables: list[Any]) -> dict[str, Any]:
    return {
        key: _copied(memory, f"{name}/{key}", variable)
        for key, variable in zip(lasting_names(variables), variables, strict=True)
    }


def _copied(memory: Memory, name: str, variable: Any) -> NDArray[Any] | Bits:
    values = variable.numpy()
    if str(values.dtype) == "bfloat16":
        return Bits(copied(memory, name, values.view(np.uint16)), "BF16")
    return copied(memory, name, values)


def _put(variables: list[Any], kept: Mapping[str, Any], whose: str) -> None:
    names = lasting_names(variables)
    missing = [name for name in names if name not in kept]
    if missing or len(names) != len(kept):
        what = missing[0] if missing else next(name for name in kept if name not in names)
        raise ValueError(f"{whose} differs from the run's: {what!r} is only in one of them")
    for name, variable in zip(names, variables, strict=True):
        assign(variable, kept[name])


def assign(variable: Any, value: NDArray[Any] | Bits) -> None:
    """Give a variable a value that a checkpoint has kept."""
    if isinstance(value, Bits):
        variable.assign(np.array(value.bits).view(variable.numpy().dtype))
    else:
        variable.assign(np.array(value))


class KeepsState(Generators):
    """The part of a `KerasBackend` that checkpoints need."""

    keras_model: Any

    def lasting_names(self) -> list[str]:
        return lasting_names(self.keras_model.weights)

    def state(self, memory: Memory, *, own_loop: bool = False) -> TrainingState:
        return copy_state(self, memory, own_loop=own_loop)

    def put_back(self, weights: Arrays, rest: Mapping[str, Any]) -> None:
        restore_state(self, weights, rest)  # the states of layers are variables, among the weights
