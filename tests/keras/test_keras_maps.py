"""A Keras explainer beyond LiveCAM and SmoothGrad: Grad-CAM, random weights, the verdict."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from coflect_widget.attribution import worker
from coflect_widget.attribution.consensus import NOISE_BATCH
from coflect_widget.attribution.methods import ModelExplainer, gradcam
from coflect_widget.backends.keras import methods as keras_methods
from coflect_widget.backends.keras.backend import KerasBackend
from coflect_widget.config import Config
from coflect_widget.tasks import Classification
from tests.keras.keras_models import compiled, sequential


@pytest.fixture(scope="module")
def sent(shapes):
    backend = KerasBackend(
        compiled(sequential()), shapes, None, num_classes=4, loss=None, optimizer=None,
        scheduler=None, batch_size=64, config=Config(),
    )  # fmt: skip
    specs = backend.weight_specs()
    copies = [np.empty(spec.shape, spec.dtype) for spec in specs]
    backend.copy_weights(copies)
    weights = {spec.name: copy for spec, copy in zip(specs, copies, strict=True)}
    return keras_methods.structure(backend.model), weights, backend.read_sample(3).input


def explain(data, weights, x, random=None, methods=("livecam", "gradcam", "smoothgrad")):
    explainer = ModelExplainer(keras_methods.load(data))
    explainer.load_weights(weights)
    if random is not None:
        explainer.randomise(random)
    return explainer.explain(x[None], 1, methods, 32, 0.15, None, 0)


def test_gradcam_is_what_its_formula_says(sent):
    data, weights, x = sent
    explainer = ModelExplainer(keras_methods.load(data))
    explainer.load_weights(weights)
    bound = explainer.model.bound()
    layer = bound.find_layer(x.shape)
    maps = bound.layer_gradient(bound.own(x[None]), lambda logits: logits[0, 1], layer)
    found = gradcam(bound.ops, *maps)[0].numpy()
    activation, gradient = (each.numpy()[0] for each in maps)
    expected = np.zeros(found.shape)
    for channel in range(activation.shape[-1]):
        expected += gradient[..., channel].mean() * activation[..., channel]
    assert np.allclose(found, np.maximum(expected, 0), atol=1e-5)


@pytest.mark.parametrize("last", ["sigmoid", None])
def test_a_model_of_one_output_has_a_map_of_each_class(shapes, last):
    model = compiled(
        sequential(last=last, outputs=1), keras.losses.BinaryCrossentropy(from_logits=last is None)
    )
    images, labels = shapes.images.transpose(0, 2, 3, 1)[:64], shapes.labels[:64] % 2
    backend = KerasBackend(
        model, (images, labels), None, num_classes=None, loss=None, optimizer=None,
        scheduler=None, batch_size=64, config=Config(),
    )  # fmt: skip
    explainer = ModelExplainer(keras_methods.load(keras_methods.structure(backend.model)))
    explainer.model.classifier.model.set_weights(model.get_weights())
    x = backend.read_sample(3).input[None]
    share = float(tf.reshape(model(images[3:4], training=False), ()))
    share = share if last else 1 / (1 + np.exp(-share))
    found = np.exp(explainer.logits(x)[0])
    assert found / found.sum() == pytest.approx([1 - share, share], abs=1e-5)
    for of in (0, 1):
        maps = explainer.explain(x, of, ("livecam", "smoothgrad"), 8, 0.15, None, 0)
        assert maps["explained"] == of
        assert maps["livecam"].max() > 0
        assert maps["smoothgrad"].max() > 0


class Normalised(keras.Model):
    """With an argument of its own and no get_config, so that it travels as the object it is."""

    def __init__(self, first):
        super().__init__()
        self.first = first
        self.rest = sequential(norm=False)

    def call(self, x):
        return self.rest(self.first(x))


@pytest.mark.parametrize("axis", [-1, None])
@pytest.mark.parametrize("described", [True, False])
def test_a_worker_normalises_as_the_adapted_layer_does(shapes, axis, described):
    images = shapes.images.transpose(0, 2, 3, 1)[:32] * 5 + 10
    normalised = layers.Normalization(axis=axis)
    normalised.adapt(images)
    model = Normalised(normalised)
    if described:
        model = keras.Sequential([keras.Input((32, 32, 3)), normalised, sequential(norm=False)])
    backend = KerasBackend(
        compiled(model), (images, shapes.labels[:32]), None, num_classes=None, loss=None,
        optimizer=None, scheduler=None, batch_size=16, config=Config(),
    )  # fmt: skip
    specs = backend.weight_specs()
    copies = [np.empty(spec.shape, spec.dtype) for spec in specs]
    backend.copy_weights(copies)
    explainer = ModelExplainer(keras_methods.load(keras_methods.structure(backend.model)))
    explainer.load_weights({s.name: c for s, c in zip(specs, copies, strict=True)})
    x = backend.read_sample(3).input[None]
    own = backend.model.logits(model(backend.model.own(x), training=False))
    assert np.allclose(explainer.logits(x), own.numpy(), atol=1e-5)


def test_random_weights_give_other_maps_and_repeat(sent):
    live, one, again, two = (explain(*sent, random=r) for r in (None, 0, 0, 1))
    for method in ("livecam", "smoothgrad"):
        assert np.isfinite(one[method]).all()
        assert np.array_equal(one[method], again[method])
        assert not np.array_equal(one[method], two[method])
        assert not np.array_equal(one[method], live[method])
    assert live["samples_used"] % NOISE_BATCH == 0


def test_a_worker_judges_maps_of_keras_models(sent):
    data, weights, x = sent
    model = worker.Model("keras", "coflect_widget.backends.keras.methods:load", data)
    result = worker.run_job(
        worker.Job(
            "keras", model, weights, 0, Classification(4), x, None, "consensus", 16, 0.15, None, 0
        )
    )
    assert isinstance(result, worker.JobResult), result
    assert not result.quality.reliable  # it has learned nothing
    assert result.quality.reason
