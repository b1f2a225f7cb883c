"""A Keras model apart from its training, written as ONNX or in Keras's own format."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from coflect_widget.backends import portable
from coflect_widget.backends.keras.methods import load
from coflect_widget.backends.keras.state import assign
from coflect_widget.backends.portable import ExportError, Inputs, Outputs, missing
from coflect_widget.records.trees import Arrays, Bits

#: Letters of an error that are told; Keras writes in bold and on many lines.
_WORDS = 300
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_LOGGERS = ("tf2onnx", "tensorflow", "absl")


class KerasPortable:
    """`backends.portable.Portable` for Keras; models have one input.

    Parameters
    ----------
    structure : bytes
        Of `backends.keras.structure.structure`.
    device : str
        TensorFlow chooses itself.
    """

    formats = ("onnx", "keras")
    keeps = ("names",)
    names = ("input",)

    def __init__(self, structure: bytes, device: str = "cpu") -> None:
        self._classifier = load(structure).classifier
        self._model = self._classifier.model

    def fill(self, weights: Arrays, rest: Mapping[str, Any]) -> None:
        names = rest.get("names") or list(weights)
        own = self._model.weights
        if len(names) != len(own) or any(name not in weights for name in names):
            raise ValueError(
                f"the checkpoint has {len(names)} weights and the model {len(own)}; pass the model "
                "that the run was made with"
            )
        for name, weight in zip(names, own, strict=True):
            value = weights[name]
            shape = (value.bits if isinstance(value, Bits) else value).shape
            if shape != tuple(weight.shape):
                raise ValueError(
                    f"{name!r} is of shape {shape} in the checkpoint and of {tuple(weight.shape)} "
                    "in the model"
                )
            assign(weight, value)
        for layer in self._model._flatten_layers(include_self=False):
            if isinstance(layer, keras.layers.Normalization):
                layer.finalize_state()  # it computes with constants made from its weights
                # ... which would be inputs of an exported graph, were they tensors
                layer.mean, layer.variance = np.asarray(layer.mean), np.asarray(layer.variance)

    def outputs(self, inputs: Inputs) -> NDArray[Any]:
        found: NDArray[Any] = np.asarray(self._model(inputs[0], training=False), np.float32)
        return found

    def scores(self, outputs: NDArray[Any]) -> NDArray[Any]:
        found: NDArray[Any] = np.asarray(self._classifier.logits(outputs))
        return found

    def write(self, form: str, file: Path, inputs: Inputs) -> None:
        x = inputs[0]
        self._model(x[:1], training=False)  # Keras exports what has been called
        if form == "keras":
            self._model.save(file)
            return
        try:
            importlib.import_module("tf2onnx")
        except ImportError as error:
            raise missing("tf2onnx", "exporting a Keras model as ONNX") from error
        takes = keras.InputSpec(shape=(None, *x.shape[1:]), dtype=str(x.dtype), name="input")
        try:
            with portable.silent(_LOGGERS):
                self._model.export(file, format="onnx", input_signature=[takes], verbose=False)
        except Exception as error:
            words = " ".join(_COLOURS.sub("", str(error)).split())
            raise ExportError(
                f"the model cannot be exported as ONNX: {type(error).__name__}: {words[:_WORDS]}"
            ) from error

    def read(self, form: str, file: Path) -> Outputs:
        model = keras.models.load_model(file, compile=False)

        def outputs(inputs: Inputs) -> NDArray[Any]:
            found: NDArray[Any] = np.asarray(model(inputs[0], training=False), np.float32)
            return found

        return outputs


class Exports(portable.Exports):
    """The part of a `KerasBackend` that files and evaluations need."""

    portable = "coflect_widget.backends.keras.portable:KerasPortable"

    def rows(self, source: Any, size: int) -> Iterator[tuple[Inputs, Any]]:
        for batch in source.batches(np.arange(source.length), size):
            yield (np.asarray(batch.inputs),), np.asarray(batch.targets)

    def portable_beside(self, *, validation: bool) -> bool:
        source = self.val_source if validation else self.train_source
        return source.dataset is None
