"""A Keras model as bytes for the workers: its structure once, never the values of its weights.

Where Keras can describe the model, the description travels, with the classes that a worker
cannot import. A model that it cannot describe (subclassed, with arguments of its own) travels as
the object it is, with empty variables in place of its own.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import keras
import numpy as np
from keras.src.utils.backend_utils import DynamicBackend
from keras.src.utils.tracking import TrackedDict, TrackedList

from coflect_widget.backends.by_value import (
    ByValuePickler,
    ByValueUnpickler,
    dumps,
    findable,
    loads,
)
from coflect_widget.backends.errors import ModelNotSendableError
from coflect_widget.backends.keras.model import Classifier

#: What a description calls the modules of which Keras knows everything by itself.
_BUILT_IN = ("keras", "builtins")
#: Of no use in a worker; some of it cannot be pickled.
_LEFT_OUT = (
    "optimizer", "_optimizer", "_compile_loss", "_compile_metrics", "_compile_config", "_loss",
    "train_function", "test_function", "predict_function", "_loss_tracker", "loss_tracker",
    "_distribute_strategy", "_inbound_nodes", "_outbound_nodes", "_self_unconditional_checkpoint",
    "_eval_epoch_iterator", "history",
)  # fmt: skip


def structure(classifier: Classifier) -> bytes:
    """What a worker needs to rebuild the model, except its weights; the model is not changed.

    Raises
    ------
    ModelNotSendableError
        If neither way works; the message says what to do.
    """
    model = classifier.model
    shapes = [tuple(weight.shape) for weight in model.weights]
    problems = []
    for how in (_described, _pickled):
        try:
            body = how(model)
            sent = dumps((how.__name__, body, classifier.layout, classifier.head, classifier.axes))
            copy, modules = _rebuild(sent)
            found = [tuple(weight.shape) for weight in copy.model.weights]
            lost = next((name for name in sorted(modules) if not findable(name)), None)
            if lost is not None:
                raise ImportError(f"a worker cannot import the module {lost!r}")
        except Exception as error:  # noqa: BLE001 - Keras raises many kinds; the next way may work
            problems.append(f"{type(error).__name__}: {str(error).strip().splitlines()[0]}")
        else:
            if found == shapes:
                return bytes(sent)
            problems.append("the copy has other weights than the model")
    raise ModelNotSendableError(
        "model cannot be sent to a worker: " + "; ".join(problems) + ". Give the model a "
        "get_config() that returns the arguments of its constructor"
    )


def rebuild(data: bytes) -> Classifier:
    """The model of `structure`; its weights hold whatever was in memory."""
    return _rebuild(data)[0]


def _rebuild(data: bytes) -> tuple[Classifier, set[str]]:
    """The model, and the names of the modules that were imported for it."""
    how, body, layout, head, axes = loads(data)
    content = (ByValueUnpickler if how == "_described" else _Unpickler)(io.BytesIO(body))
    model = content.load()
    if how == "_described":
        model = _from_description(*model)
    return Classifier(model, layout, head, axes), content.modules


# --- described ---------------------------------------------------------------------------------


def _described(model: Any) -> bytes:
    described = keras.saving.serialize_keras_object(model)
    described.pop("compile_config", None)
    inputs = _input_shape(model)
    found = {type(layer) for layer in _with_inner(model)}
    foreign = {c.__name__: c for c in found if not c.__module__.startswith("keras.")}
    return dumps((described, foreign | dict(_own_objects(described)), inputs))


def _own_objects(described: Any) -> Iterator[tuple[str, Any]]:
    """Functions and classes of the user's that a description names, by the names it has for them.

    A worker knows of none that was registered here.
    """
    if isinstance(described, list | tuple):
        for part in described:
            yield from _own_objects(part)
    if not isinstance(described, Mapping):
        return
    for part in described.values():
        yield from _own_objects(part)
    name, module = described.get("class_name"), described.get("module")
    if name == "function":
        name = described.get("config")
    if not isinstance(name, str) or "config" not in described:
        return
    known = keras.saving.get_custom_objects()
    registered = described.get("registered_name") or name
    own = known.get(registered) or known.get(name)
    if own is None and isinstance(module, str) and module.split(".")[0] not in _BUILT_IN:
        own = getattr(sys.modules.get(module), name, None)
    if own is not None:
        yield registered, own
        yield name, own


def _from_description(described: Any, foreign: Mapping[str, Any], inputs: Any) -> Any:
    with keras.saving.custom_object_scope(foreign):
        model = keras.saving.deserialize_keras_object(described, safe_mode=False)
    if inputs is not None:
        model(np.zeros(inputs, np.float32), training=False)  # a subclass has no weights before
    return model


def _input_shape(model: Any) -> tuple[int, ...] | None:
    """(1, ...) of the inputs that the model was called with."""
    shape = getattr(model, "_build_shapes_dict", None) or {}
    first = next(iter(shape.values()), None)
    if first is None:
        try:
            first = model.input_shape
        except (AttributeError, ValueError):
            return None
    if not isinstance(first, tuple | list) or any(isinstance(s, tuple | list) for s in first):
        return None
    return tuple(1 if side is None else int(side) for side in first)


def _with_inner(model: Any) -> Iterable[Any]:
    return model._flatten_layers(include_self=True, recursive=True)  # type: ignore[no-any-return]


# --- as the object it is -------------------------------------------------------------------------


def _pickled(model: Any) -> bytes:
    return dumps(model, _Pickler)


class _Pickler(ByValuePickler):
    def persistent_id(self, obj: Any) -> Any:
        if isinstance(obj, keras.Variable):
            return (
                "variable", id(obj), tuple(obj.shape), str(obj.dtype), bool(obj.trainable),
                obj.name, obj.path,
            )  # fmt: skip
        if isinstance(obj, keras.optimizers.Optimizer | keras.metrics.Metric):
            return ("nothing",)
        return None

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, keras.Layer):
            state = {k: v for k, v in vars(obj).items() if k not in _LEFT_OUT}
            return (_blank, (type(obj),), state)
        if isinstance(obj, DynamicBackend):  # of each preprocessing layer
            return (DynamicBackend, (obj._backend,))
        # Keras' own containers want their contents before what they tell of changes.
        if isinstance(obj, TrackedList):
            return (TrackedList, (), vars(obj), iter(list(obj)))
        if isinstance(obj, TrackedDict):
            return (TrackedDict, (), vars(obj), None, iter(list(obj.items())))
        return super().reducer_override(obj)


class _Unpickler(ByValueUnpickler):
    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file)
        self._variables: dict[int, Any] = {}

    def persistent_load(self, pid: Any) -> Any:
        if pid[0] == "nothing":
            return None
        _, key, shape, dtype, trainable, name, path = pid
        if key not in self._variables:
            made = keras.Variable(np.zeros(shape), dtype=dtype, trainable=trainable, name=name)
            made._path = path
            self._variables[key] = made
        return self._variables[key]


def _blank(kind: type) -> Any:
    made: Any = object.__new__(kind)
    for name in _LEFT_OUT:
        if name.startswith("_") and name.endswith("nodes"):
            made.__dict__[name] = []
    return made
