"""The same small network with the same weights in Torch and in Keras: the same answers."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import torch

from coflect_widget.attribution.methods import ModelExplainer, layercam, smoothgrad
from coflect_widget.backends.keras.gradients import KerasGradients
from coflect_widget.backends.keras.guidance import KerasGuided
from coflect_widget.backends.keras.methods import KerasWorkerModel
from coflect_widget.backends.keras.model import Classifier
from coflect_widget.backends.torch.gradients import TorchGradients
from coflect_widget.backends.torch.guidance import TorchGuided
from coflect_widget.backends.torch.methods import TorchWorkerModel
from coflect_widget.config import GuidanceConfig
from coflect_widget.guidance import rows as guided_rows
from coflect_widget.guidance.losses import GuidanceLosses
from coflect_widget.guidance.state import ActiveStroke, GuidanceState
from coflect_widget.guidance.terms import Turn
from coflect_widget.modalities import IMAGE
from coflect_widget.modalities.image.regions import parse_roi
from tests.keras.keras_models import compiled, sequential, torch_twin


@pytest.fixture(scope="module")
def twins(shapes):
    """Both models after a few steps, so that running statistics and weights are of a training."""
    model = compiled(sequential())
    x = shapes.images.transpose(0, 2, 3, 1)
    model.fit(x, shapes.labels, batch_size=32, epochs=2, verbose=0, shuffle=False)
    return Classifier(model, "last", "logits", 3), torch_twin(model).eval()


@pytest.mark.parametrize("index", [0, 3, 11])
def test_livecam_and_smoothgrad_are_equal(twins, shapes, index):
    classifier, twin = twins
    x = shapes.images[index][None]
    own = classifier.own(x)
    bound = (KerasGradients(classifier), TorchGradients(twin))
    found, layer = (one.find_layer(x.shape[1:]) for one in bound)
    assert found.grid == layer.grid
    cam, expected = (
        one.ops.numpy(layercam(one.ops, *one.layer_gradient(inputs, lambda z: z[0, 2], read)))[0]
        for one, inputs, read in zip(bound, (own, torch.from_numpy(x)), (found, layer), strict=True)
    )
    assert np.abs(cam - expected).max() < 1e-4 * max(1.0, expected.max())
    assert expected.max() > 1e-3
    explained = ModelExplainer(KerasWorkerModel(classifier)).explain(
        x, 2, ("livecam",), 1, 0, None, 0
    )
    theirs = ModelExplainer(TorchWorkerModel(twin, {}, set())).explain(
        x, 2, ("livecam",), 1, 0, None, 0
    )
    assert np.abs(explained["livecam"] - theirs["livecam"]).max() < 1e-4
    assert np.abs(explained["probabilities"] - theirs["probabilities"]).max() < 1e-5

    noise = 0.1 * np.random.default_rng(0).standard_normal((20, *x.shape[1:])).astype(np.float32)
    left = list(classifier.own(noise))

    def given(shape, _):
        return np.stack([left.pop(0) for _ in range(shape[0])])

    ours, used = smoothgrad(bound[0], own, 2, 20, given, 1.0, tolerance=0)
    assert used == 20
    inputs = torch.from_numpy(x + noise).requires_grad_()
    (gradient,) = torch.autograd.grad(twin(inputs)[:, 2].sum(), inputs)
    assert np.abs(ours - gradient.abs().mean((0, 1)).numpy()).max() < 1e-4
    assert ours.max() > 1e-3


@pytest.fixture(scope="module")
def plain_twins():
    """Both models without normalisation.

    TensorFlow's moments stop the gradient of the mean in the variance. The first derivative is
    right; the second, which penalties of the input gradient need, is not that of Torch.
    """
    model = compiled(sequential(norm=False))
    return Classifier(model, "last", "logits", 3), torch_twin(model)


@pytest.fixture(scope="module")
def guidances(twins, plain_twins, shapes):
    """Guidance of both kinds, on twins with normalisation and on twins without."""
    return {True: make_guidances(twins, shapes), False: make_guidances(plain_twins, shapes)}


def make_guidances(twins, shapes):
    classifier, twin = twins

    def rows_for_keras(indices):
        images = np.stack([shapes.images[i] for i in indices])
        return classifier.own(images), shapes.labels[indices]

    def rows_for_torch(indices):
        images = np.stack([shapes.images[i] for i in indices])
        return torch.from_numpy(images), torch.from_numpy(shapes.labels[indices])

    ours = GuidanceLosses(KerasGuided(classifier, rows_for_keras), IMAGE, GuidanceConfig())
    theirs = GuidanceLosses(TorchGuided(twin, rows_for_torch), IMAGE, GuidanceConfig())
    state = GuidanceState((
        ActiveStroke("ignore", parse_roi((0, 0, 0.3, 0.3), "ignore"), 3, 0.3, "a"),
        ActiveStroke("look", parse_roi((0.3, 0.2, 0.8, 0.9), "look"), 4, 0.4, "b"),
        ActiveStroke("look", parse_roi((0.1, 0.2, 0.5, 0.9), "look"), None, 0.2, "c", label=2),
    ))  # fmt: skip
    return ours, theirs, state


@pytest.mark.parametrize("term", ["fill", "slopes", "slopes inside", "activation"])
def test_guidance_losses_and_their_gradients_are_equal(guidances, shapes, term):
    ours, theirs, state = guidances["slopes" not in term]
    classifier, twin = ours.model.classifier, theirs.model.model
    assert ours.set_state(state).split(",")[:2] == theirs.set_state(state).split(",")[:2]
    x, y = shapes.images[:8], shapes.labels[:8]
    generator = np.random.default_rng(5)
    strength = generator.random(8, dtype=np.float32)
    strength[2] = 0
    if term == "fill":
        arrays = (x, np.where(shapes.images[:8, :, :, ::-1] > 0.5, x[::-1], x), y, strength)
        rows = guided_rows.Swapped(*arrays)
        rows = rows._replace(
            original=classifier.own(rows.original), swapped=classifier.own(rows.swapped)
        )
        expected_rows = guided_rows.Swapped(*map(torch.from_numpy, arrays))
        compute = theirs._passes.fill
    else:
        region = (generator.random((8, 32, 32)) < 0.4).astype(np.float32)
        arrays = (x, y, region, strength)
        rows = guided_rows.Marked(*arrays)._replace(inputs=classifier.own(x))
        expected_rows = guided_rows.Marked(*map(torch.from_numpy, arrays))
        compute = theirs._passes.activation
        if term != "activation":

            def compute(rows):
                return theirs._passes.slopes(rows, inside=term == "slopes inside")

    twin.train()
    twin.zero_grad()
    theirs._passes.remember(torch.tensor(2.5))
    expected = compute(expected_rows)
    expected.backward()
    before = classifier.model.get_weights()
    found, gradients, sound = ours.term(Turn(term, 1.0, 8), rows, tf.constant(2.5))
    assert bool(sound)
    twin.eval()
    assert float(found) == pytest.approx(float(expected), rel=1e-4, abs=1e-4)
    assert float(found) > 1e-3
    for before_one, after in zip(before, classifier.model.get_weights(), strict=True):
        assert np.array_equal(before_one, after)  # statistics too
    theirs_by_layer = [twin[0], twin[1], twin[4], twin[8]]
    expected_gradients = [p.grad for module in theirs_by_layer for p in module.parameters()]
    largest = 0.0
    for gradient, theirs_one in zip(gradients, expected_gradients, strict=True):
        wanted = np.zeros(1) if theirs_one is None else theirs_one.numpy()
        got = np.zeros(wanted.shape) if gradient is None else gradient.numpy()
        if got.ndim == 4:
            got = got.transpose(3, 2, 0, 1)
        elif got.ndim == 2:
            got = got.T
        scale = max(1.0, float(np.abs(wanted).max()))
        largest = max(largest, float(np.abs(wanted).max()))
        assert np.abs(got - wanted).max() < 1e-4 * scale
    assert largest > 1e-3


def test_telemetry_and_the_top_ten_are_equal(make_session, shapes):
    """Two epochs of the same batches: the same losses, logits, weights and forecast."""
    model = compiled(sequential(), optimizer=keras.optimizers.SGD(0.02))
    # No probes: what they say depends on time, and so do risks.
    config = {"log_every": 1, "forecast_every": 8, "attribution": {"budget": 0}}
    twin = torch_twin(model)
    sgd = torch.optim.SGD(twin.parameters(), lr=0.02)
    ours = make_session(model=model, config=config)
    theirs = make_session(model=twin, config=config, optimizer=sgd)
    for session in (ours, theirs):
        session.train(epochs=2)
        session.wait(240)
    losses = [
        [e.data["values"]["loss"] for e in s.events("metrics") if e.split == "train"]
        for s in (ours, theirs)
    ]
    assert len(losses[0]) == 8
    assert np.allclose(*losses, atol=1e-5)
    stores = [s._parts.forecaster.store for s in (ours, theirs)]
    assert np.array_equal(stores[0].predicted, stores[1].predicted)
    ranked = [s.events("forecast")[-1] for s in (ours, theirs)]
    assert [event.step for event in ranked] == [8, 8]
    risks = [dict(zip(e.data["index"], e.data["risk"], strict=True)) for e in ranked]
    assert risks[0].keys() == risks[1].keys()
    assert all(abs(risks[0][index] - risks[1][index]) < 1e-4 for index in risks[0])
