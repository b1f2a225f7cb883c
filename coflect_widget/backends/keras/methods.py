"""A Keras model in a worker: its weights come and go."""

from __future__ import annotations

import contextlib
import math
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coflect_widget.backends.differentiable import Held, Noise, WorkerModel
from coflect_widget.backends.keras.start import start_tensorflow

if "tensorflow" not in sys.modules:
    # A worker: in the kernel the person's model has brought TensorFlow along.
    start_tensorflow()

import keras
import tensorflow as tf

from coflect_widget.backends.keras.entry import Entry
from coflect_widget.backends.keras.gradients import KerasGradients
from coflect_widget.backends.keras.model import Classifier, weight_names
from coflect_widget.backends.keras.several import within
from coflect_widget.backends.keras.structure import rebuild, structure

__all__ = ["KerasWorkerModel", "load", "structure"]


def load(structure: bytes) -> KerasWorkerModel:
    """Rebuild the model that `structure` made bytes of; its weights have no values yet."""
    return KerasWorkerModel(rebuild(structure))


class KerasWorkerModel(WorkerModel):
    """`backends.differentiable.WorkerModel` for Keras."""

    def __init__(self, classifier: Classifier) -> None:
        self.classifier = classifier
        self._entries: dict[str, Entry] = {}
        self._weights = dict(
            zip(weight_names(classifier.model.weights), classifier.model.weights, strict=True)
        )

    def load_weights(self, views: Mapping[str, NDArray[Any]]) -> None:
        """Copy weights into the model, in the order of ``model.weights``.

        Raises
        ------
        KeyError
            If their number or shapes are others: the model was changed since it was sent.
        """
        # By place: a rebuilt layer may have been given another name.
        own = list(self._weights.values())
        shapes = [tuple(view.shape) for view in views.values()]
        if shapes != [tuple(weight.shape) for weight in own]:
            raise KeyError("the model's weights changed since it was sent to the worker")
        for weight, view in zip(own, views.values(), strict=True):
            weight.assign(np.array(view))
        for layer in self.classifier.model._flatten_layers(include_self=False):
            if isinstance(layer, keras.layers.Normalization):
                layer.finalize_state()  # it computes with constants made from its weights

    def randomise(self, seed: int) -> None:
        """Give the model random weights, as before any training."""
        rng = np.random.default_rng(seed)
        model = self.classifier.model
        trained = {id(weight) for weight in model.trainable_weights}
        for weight in model.weights:
            shape, last = tuple(weight.shape), weight.path.rpartition("/")[2]
            if id(weight) in trained and len(shape) >= 2:
                fan_in = max(1, math.prod(shape[:-1]))
                weight.assign(rng.standard_normal(shape, np.float32) * math.sqrt(2 / fan_in))
            elif last in ("bias", "beta", "moving_mean"):
                weight.assign(np.zeros(shape))
            elif last in ("gamma", "moving_variance"):
                weight.assign(np.ones(shape))

    def fill(self) -> None:
        """Give weights some values with which a model can run."""
        generator = np.random.default_rng(0)
        for weight in self.classifier.model.weights:
            if "float" in str(weight.dtype):
                # Positive, so that variances are valid and ReLUs let gradients through.
                weight.assign(generator.random(tuple(weight.shape)) * 0.1)

    def bound(self, held: Held | None = None) -> KerasGradients:
        model = self.classifier.model
        if held is None:
            entry = self._entries.setdefault("", Entry(model))
            return KerasGradients(self.classifier, entry=entry, region=self.region)
        call = within(model, held.row, held.part)
        # where the part enters does not depend on what is held
        entry = self._entries.setdefault(held.part.name, Entry(model, call))
        return KerasGradients(self.classifier, entry=entry, call=call, region=self.region)

    def places(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        bound = self.bound()
        found: NDArray[np.float32] = bound.outputs(tf.constant(bound.own(np.asarray(x)))).numpy()
        return found

    def probabilities(self, logits: Any) -> NDArray[np.float32]:
        values = logits.numpy()
        exponentials = np.exp(values - values.max())
        found: NDArray[np.float32] = (exponentials / exponentials.sum())[0].astype(np.float32)
        return found

    @contextlib.contextmanager
    def seeded(self, seed: int) -> Iterator[Noise]:
        rng = np.random.default_rng(seed)
        yield lambda shape, spread: spread * rng.standard_normal(shape, dtype=np.float32)

    def outputs(self, x: NDArray[np.float32], held: Held | None = None) -> NDArray[np.float32]:
        bound = self.bound(held)
        found: NDArray[np.float32] = bound.logits(tf.constant(bound.own(np.asarray(x)))).numpy()
        return found
