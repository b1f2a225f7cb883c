"""Keras models with parts of modules that a worker cannot import: maps by a real worker."""

import importlib.util
import sys

import keras
import numpy as np
import pytest
from keras import layers

from coflect_widget.attribution.methods import ModelExplainer
from coflect_widget.attribution.work import explaining
from coflect_widget.attribution.worker import Job, JobResult, Model
from coflect_widget.backends.keras import methods as keras_methods
from coflect_widget.backends.keras.backend import KerasBackend
from coflect_widget.config import Config
from coflect_widget.tasks import Classification
from coflect_widget.workers.pool import WorkerPool
from tests.keras.keras_models import compiled

KERAS = "coflect_widget.backends.keras.methods:load"
PARTS = """
import threading
import keras
from keras import layers

guard = threading.Lock()

def bent(x):
    return keras.ops.maximum(x, 0.1 * x)

@keras.saving.register_keras_serializable("elsewhere")
def bent_more(x):
    return keras.ops.maximum(x, 0.2 * x)

@keras.saving.register_keras_serializable("elsewhere")
class Scaled(layers.Layer):
    def __init__(self, factor=2.0, **more):
        super().__init__(**more)
        self.factor = factor
    def call(self, x):
        return bent(x) * self.factor
    def get_config(self):
        return {**super().get_config(), "factor": self.factor}

class Plain(layers.Layer):
    def call(self, x):
        return bent(x)

class Whole(keras.Model):
    def __init__(self, body):
        super().__init__()
        self.body = body
        self.scaled = Scaled(0.5)
    def call(self, x):
        return self.body(self.scaled(x))
"""


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    file = tmp_path_factory.mktemp("elsewhere") / "parts.py"
    file.write_text(PARTS)
    spec = importlib.util.spec_from_file_location("elsewhere_keras_parts", file)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def body(*more, activation="relu"):
    return keras.Sequential(
        [
            keras.Input((32, 32, 3)), *more, layers.Conv2D(8, 3, activation=activation),
            layers.GlobalAveragePooling2D(), layers.Dense(4),
        ]
    )  # fmt: skip


MODELS = {
    "layer": lambda parts: body(parts.Plain()),
    "registered layer": lambda parts: body(parts.Scaled(3.0)),
    "function": lambda parts: body(activation=parts.bent),
    "registered function": lambda parts: body(activation=parts.bent_more),
    "whole model": lambda parts: parts.Whole(body()),
}
EACH_TIME = ("whole model",)


@pytest.mark.parametrize(
    "how",
    [pytest.param(how, marks=[] if how in EACH_TIME else [pytest.mark.slow]) for how in MODELS],
)
def test_a_worker_makes_maps_of_it(how, parts, shapes):
    keras.utils.set_random_seed(1)
    model = MODELS[how](parts)
    backend = KerasBackend(
        compiled(model), shapes, None, num_classes=4, loss=None, optimizer=None,
        scheduler=None, batch_size=64, config=Config(),
    )  # fmt: skip
    specs = backend.weight_specs()
    copies = [np.empty(spec.shape, spec.dtype) for spec in specs]
    backend.copy_weights(copies)
    x = backend.read_sample(3).input
    weights = {spec.name: copy for spec, copy in zip(specs, copies, strict=True)}
    sent = Model(how, KERAS, keras_methods.structure(backend.model))
    with WorkerPool(explaining(sent)) as pool:
        answer = pool.interactive.run(
            Job(
                how,
                None,
                weights,
                0,
                Classification(2),
                x,
                1,
                "consensus",
                8,
                0.1,
                None,
                0,
                checks=False,
            ),
            120,
        )
    assert isinstance(answer, JobResult), answer
    own = ModelExplainer(keras_methods.KerasWorkerModel(backend.model)).explain(
        x[None], 1, ("livecam", "smoothgrad"), 8, 0.1, None, 0
    )
    for method in ("livecam", "smoothgrad"):
        found = np.corrcoef(getattr(answer, method).ravel(), own[method].ravel())
        assert found[0, 1] > 0.99, method
