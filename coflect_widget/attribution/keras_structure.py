"""A Keras model as bytes for the workers: its structure once, never the values of its weights.

Where Keras can describe the model, the description travels, with the classes that a worker
cannot import. A model that it cannot describe (subclassed, with arguments of its own) travels as
the object it is, with empty variables in place of its own.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Iterable
from typing import Any

import cloudpickle
import keras
import numpy as np
from keras.src.utils.backend_utils import DynamicBackend
from keras.src.utils.tracking import TrackedDict, TrackedList

from coflect_widget.attribution.errors import ModelNotSendableError
from coflect_widget.backends.keras_model import Classifier

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
            sent = cloudpickle.dumps((how.__name__, body, classifier.layout, classifier.head))
            found = [tuple(weight.shape) for weight in rebuild(sent).model.weights]
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
    how, body, layout, head = pickle.loads(data)  # noqa: S301 - made by the process that asked
    model = _from_description(body) if how == "_described" else _Unpickler(io.BytesIO(body)).load()
    return Classifier(model, layout, head)


# --- described ---------------------------------------------------------------------------------


def _described(model: Any) -> bytes:
    described = keras.saving.serialize_keras_object(model)
    described.pop("compile_config", None)
    inputs = _input_shape(model)
    found = {type(layer) for layer in _with_inner(model)}
    foreign = {c.__name__: c for c in found if not c.__module__.startswith("keras.")}
    data: bytes = cloudpickle.dumps((described, foreign, inputs))
    return data


def _from_description(data: bytes) -> Any:
    described, foreign, inputs = pickle.loads(data)  # noqa: S301 - as above
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
    buffer = io.BytesIO()
    _Pickler(buffer).dump(model)
    return buffer.getvalue()


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]  # cloudpickle has no types
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


class _Unpickler(pickle.Unpickler):
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
