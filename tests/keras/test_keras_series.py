"""Series (N, L, C) and rows (N, F) in Keras: the same words and the same maps as in torch."""

import keras
import numpy as np
import pandas as pd
import pytest
import torch
from keras import layers
from torch import nn

import coflect_widget as coflect
from coflect_widget.attribution.methods import ModelExplainer, smoothgrad
from coflect_widget.backends.keras.backend import KerasBackend
from coflect_widget.backends.keras.gradients import KerasGradients
from coflect_widget.backends.keras.methods import KerasWorkerModel
from coflect_widget.backends.keras.model import Classifier
from coflect_widget.backends.torch.gradients import TorchGradients
from coflect_widget.backends.torch.methods import TorchWorkerModel
from coflect_widget.config import Config
from coflect_widget.data import patients, signals
from coflect_widget.modalities import SERIES, registry
from tests.keras.keras_models import compiled
from tests.modalities.test_toy import LEAK, Numbers, rows

LENGTH = 128
RNG = np.random.default_rng(0)
Y = np.arange(24) % 3


def net(*first, shape):
    model = keras.Sequential([keras.Input(shape), *first, layers.Flatten(), layers.Dense(3)])
    return compiled(model)


def convolutional(shape=(LENGTH, 2), classes=2, rate=0.1):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([
        keras.Input(shape),
        layers.Conv1D(16, 7, padding="same"),
        layers.BatchNormalization(momentum=0.9, epsilon=1e-5),
        layers.ReLU(),
        layers.MaxPooling1D(2),
        layers.Conv1D(32, 5, padding="same", activation="relu", name="deep"),
        layers.GlobalAveragePooling1D(),
        layers.Dense(classes),
    ])  # fmt: skip
    return compiled(model, optimizer=keras.optimizers.Adam(rate))


def recurrent():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((64, 2))
    steps = layers.LSTM(16, return_sequences=True, name="steps")(inputs)
    outputs = layers.Dense(2)(layers.GlobalAveragePooling1D()(steps))
    return compiled(keras.Model(inputs, outputs), optimizer=keras.optimizers.Adam(0.01))


def backend_of(model, data, modality=None):
    return KerasBackend(
        model, data, None, num_classes=None, loss=None, optimizer=None, scheduler=None,
        batch_size=8, config=Config(), modality=modality,
    )  # fmt: skip


def last(data):
    """Series with their channels last."""
    return np.ascontiguousarray(data.series.transpose(0, 2, 1)), data.labels


@pytest.fixture
def make(tmp_path, executor):
    made = []

    def session(model, data, val=None, **more):
        made.append(
            coflect.Session(
                model, data, val, batch_size=50, run_dir=tmp_path, executor=executor, **more
            )
        )
        return made[-1]

    yield session
    for each in made:
        each.close()


def test_a_guided_training_on_series(make):
    train, val = signals(500), signals(200, decoy="random", seed=1)
    session = make(convolutional(rate=0.003), last(train), last(val), classes=train.classes)
    assert session._parts.modality is SERIES
    session.train(epochs=4)
    session.wait(240)
    assert session.metrics["accuracy"] > 0.9
    spoiled = session.metrics["val_accuracy"]
    assert spoiled < 0.8
    found = session.explain(0)
    assert found.method == "consensus"
    assert found.map.shape == (2, LENGTH)  # channels first, whatever the layout
    start, stop = (round(edge * LENGTH) for edge in train.decoys[0])
    row, step = np.unravel_index(found.map.argmax(), found.map.shape)
    assert row == 0
    assert start - 2 <= step <= stop + 2
    for sample in (0, 1):
        start, stop = (round(edge * LENGTH) for edge in train.decoys[sample])
        stroke = session.feedback(sample=sample, ignore={"steps": [start, stop], "channel": 0},
                                  strength=0.6)  # fmt: skip
        assert stroke.understood == (
            f"ignore steps {start}-{stop - 1} of channel 0 on sample {sample}, strength 0.60"
        )
        assert len(session.similar(stroke)) > 150
        session.confirm(stroke)
    session.train(epochs=7)
    session.wait(240)
    assert session.metrics["val_accuracy"] > spoiled + 0.1
    look = session.feedback(instruction="look at the first half of channel 0", sample=2)
    assert look.understood == "focus first half of channel 0 on sample 2, strength 0.30"
    assert "input gradient inside" in look.record.loss  # a layer's map does not know channels
    session.undo(look)
    look = session.feedback(instruction="look at the first half", sample=2)
    assert "class activation at deep" in look.record.loss
    session.train(epochs=1)
    session.wait(240)
    assert not session.events("lapsed")


@pytest.mark.slow
def test_a_recurrent_net_has_the_map_and_the_terms_that_need_no_layer(make):
    train = signals(100, length=64)
    session = make(recurrent(), last(train))
    assert session._parts.modality.layers is False
    look = session.feedback(sample=0, look=(0.2, 0.4))
    assert "input gradient inside" in look.record.loss
    assert "fill" in session.feedback(sample=1, ignore=(0.2, 0.4)).record.loss
    session.train(epochs=1)
    session.wait(240)
    assert not session.events("lapsed")
    found = session.explain(0)
    assert found.method == "smoothgrad"
    assert found.map.shape == (2, 64)
    assert found.map.max() > 0


@pytest.mark.slow
def test_a_guided_training_on_rows_of_another_kind(make, monkeypatch):
    monkeypatch.setattr(registry, "_registered", {})
    x, y = rows(600, 1, leaking=True)
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [keras.Input((x.shape[1],)), layers.Dense(32, "relu"), layers.Dense(2)]
    )
    compiled(model, optimizer=keras.optimizers.Adam(0.01))
    session = make(model, (x, y), rows(300, 2, leaking=False), inputs=Numbers())
    session.train(epochs=6)
    session.wait(240)
    spoiled = session.metrics["val_accuracy"]
    assert spoiled < 0.75
    found = session.explain(3)
    assert found.map.shape == (x.shape[1],)
    assert found.map.argmax() == LEAK
    stroke = session.feedback(sample=3, ignore=LEAK, strength=0.6)
    assert stroke.understood == f"ignore number {LEAK} on sample 3, strength 0.60"
    look = session.feedback(instruction="focus number 0", scope="everywhere")
    assert "input gradient inside" in look.record.loss
    session.undo(look)
    session.train(epochs=20)
    session.wait(240)
    assert session.metrics["val_accuracy"] > max(0.8, spoiled + 0.1)
    assert not session.events("lapsed")


def test_tables_are_called_as_in_torch(make):
    train, val = patients(600), patients(300, invoice="random", seed=1)
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((13,)), layers.Dense(32, "relu"), layers.Dense(2)])
    compiled(model, optimizer=keras.optimizers.Adam(0.01))
    session = make(model, train, val, classes=train.classes)
    assert session._parts.modality.names == train.modality.names
    stroke = session.feedback(sample=3, ignore="invoice")
    assert stroke.understood == "ignore invoice on sample 3, strength 0.30"
    session.train(epochs=1)
    session.wait(240)
    assert session.explain(3).map.shape == (13,)
    assert not session.events("lapsed")


@pytest.mark.parametrize("given", ["array", "frame", "items"])
def test_rows_are_rows_whatever_they_come_in(given):
    x = RNG.normal(size=(24, 3)).astype(np.float32)
    data = {
        "array": (x, Y),
        "frame": (pd.DataFrame(x, columns=["age", "sex", "sugar"]), Y),
        "items": [(row, int(label)) for row, label in zip(x, Y, strict=True)],
    }[given]
    backend = backend_of(net(shape=(3,)), data)
    assert backend.modality.name == "table"
    names = ("age", "sex", "sugar") if given == "frame" else ("0", "1", "2")
    assert backend.modality.names == names
    assert (backend.read_sample(5).input == x[5]).all()
    said = " ".join(backend.assumptions)
    assert ("columns are called 0 to 2" in said) == (given != "frame")


def test_a_gap_anywhere_in_the_data_is_named():
    x = RNG.normal(size=(24, 32, 3)).astype(np.float32)
    x[20, 7, 1] = np.inf
    with pytest.raises(ValueError, match=r"train_data\[20\] has a series with inf in"):
        backend_of(net(layers.Conv1D(4, 3), shape=(32, 3)), (x, Y))


# --- the same in torch ---------------------------------------------------------------------------


def torch_twin(model):
    """The net of `convolutional` with the same weights."""
    conv, norm, _, _, deep, _, dense = model.layers
    twin = nn.Sequential(
        nn.Conv1d(conv.kernel.shape[1], 16, 7, padding=3), nn.BatchNorm1d(16), nn.ReLU(),
        nn.MaxPool1d(2), nn.Conv1d(16, 32, 5, padding=2), nn.ReLU(),
        nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(32, dense.units),
    )  # fmt: skip

    def tensor(variable):
        return torch.from_numpy(variable.numpy().copy())

    with torch.no_grad():
        for ours, theirs in ((twin[0], conv), (twin[4], deep)):
            ours.weight.copy_(tensor(theirs.kernel).permute(2, 1, 0))
            ours.bias.copy_(tensor(theirs.bias))
        twin[1].weight.copy_(tensor(norm.gamma))
        twin[1].bias.copy_(tensor(norm.beta))
        twin[1].running_mean.copy_(tensor(norm.moving_mean))
        twin[1].running_var.copy_(tensor(norm.moving_variance))
        twin[8].weight.copy_(tensor(dense.kernel).T)
        twin[8].bias.copy_(tensor(dense.bias))
    return twin.eval()


def test_maps_are_those_of_torch():
    train = signals(200)
    model = convolutional(rate=0.005)
    model.fit(*last(train), batch_size=50, epochs=3, verbose=0)
    ours, theirs = (
        ModelExplainer(KerasWorkerModel(Classifier(model, "last", "logits", 2))),
        ModelExplainer(TorchWorkerModel(torch_twin(model), {}, set())),
    )
    for sample in (0, 1, 5):
        x = train.series[sample][None]
        found, expected = (
            each.explain(x, 1, ("livecam", "gradcam"), 1, 0, None, 0, SERIES)
            for each in (ours, theirs)
        )
        assert expected["livecam"].shape == (2, LENGTH)
        assert expected["livecam"].max() > 1e-3
        for method in ("livecam", "gradcam", "probabilities"):
            assert np.abs(found[method] - expected[method]).max() < 1e-4
        # the same noise for both, which either draws in its own way
        noise = 0.1 * np.random.default_rng(0).standard_normal((8, 2, LENGTH)).astype(np.float32)
        classifier = ours.model.classifier
        smooth, _ = smoothgrad(
            KerasGradients(classifier), classifier.own(x), 1, 8,
            lambda shape, _, noise=noise, own=classifier.own: own(noise), 1.0, 0, SERIES,
        )  # fmt: skip
        inputs = torch.from_numpy(x + noise).requires_grad_()
        (gradient,) = torch.autograd.grad(theirs.model.model(inputs)[:, 1].sum(), inputs)
        far = np.abs(x[0] - x[0].mean(1, keepdims=True))
        assert np.abs(smooth - far * gradient.abs().mean(0).numpy()).max() < 1e-4
        assert smooth.max() > 1e-3


def test_maps_of_rows_are_those_of_torch():
    train = patients(60)
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((13,)), layers.Dense(16, "relu"), layers.Dense(2)])
    twin = nn.Sequential(nn.Linear(13, 16), nn.ReLU(), nn.Linear(16, 2))
    with torch.no_grad():
        for ours, theirs in zip((twin[0], twin[2]), model.layers, strict=True):
            ours.weight.copy_(torch.from_numpy(theirs.kernel.numpy().T.copy()))
            ours.bias.copy_(torch.from_numpy(theirs.bias.numpy()))
    classifier = Classifier(model, "first", "logits", 1)
    for row in train.rows[:3]:
        noise = 0.1 * np.random.default_rng(0).standard_normal((8, 13)).astype(np.float32)
        found, expected = (
            smoothgrad(
                bound, bound.own(row[None]), 1, 8,
                lambda shape, _, own=bound.own, noise=noise: own(noise), 1.0, 0, train.modality,
            )[0]
            for bound in (KerasGradients(classifier), TorchGradients(twin))
        )  # fmt: skip
        assert np.abs(found - expected).max() < 1e-4
        assert found.max() > 1e-3


# --- which kind, and which axis ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "shape", "extent", "said"),
    [
        (layers.Conv1D, (32, 1), (1, 32), ""),
        (layers.Conv1D, (32, 9), (9, 32), "series, steps and channels, because Conv1D stands"),
        (None, (32, 3), (3, 32), ""),
    ],
)
def test_steps_and_channels_are_told_apart_and_a_guess_is_said(first, shape, extent, said):
    x = RNG.normal(size=(24, *shape)).astype(np.float32)
    backend = backend_of(net(*([] if first is None else [first(4, 3)]), shape=shape), (x, Y))
    assert backend.modality is SERIES
    assert SERIES.extent(backend.read_sample(0).input) == extent
    assert np.allclose(backend.read_sample(2).input, x[2].T)
    assert said in " ".join(backend.assumptions)
    assert bool(said) == any("are taken as series" in each for each in backend.assumptions)


def test_series_without_an_axis_of_channels_have_one_channel():
    x = RNG.normal(size=(24, 32)).astype(np.float32)
    backend = backend_of(net(layers.Conv1D(4, 3), shape=(32, 1)), (x, Y))
    assert backend.modality is SERIES
    assert backend.read_sample(0).input.shape == (1, 32)
    assert backend.guided().read_rows([0, 1])[0].shape == (2, 1, 32)


def test_a_person_may_say_that_rows_of_pictures_are_pictures_or_series():
    x = RNG.random((24, 28, 28), dtype=np.float32)
    flat = lambda: net(shape=(28, 28))  # noqa: E731
    assert backend_of(flat(), (x, Y)).modality.name == "image"
    assert backend_of(flat(), (x, Y), SERIES).modality.name == "series"
    by_rows = net(layers.LSTM(4, return_sequences=True), shape=(28, 28))
    assert backend_of(by_rows, (x, Y)).modality.name == "series"
    image = registry.find_modality("image")
    assert backend_of(by_rows, (x, Y), image).modality.name == "image"


@pytest.mark.parametrize(
    ("x", "shape", "says"),
    [
        (RNG.random((24, 3, 32)), (32, 3), r"turn them with series.transpose\(0, 2, 1\)"),
        (np.full((24, 32, 3), np.nan), (32, 3), "nan in channel 0 at step 0; fill gaps first"),
        (RNG.random((24, 1, 3)), (1, 3), "series of 1 step"),
        (RNG.integers(0, 9, (24, 32, 3)), (32, 3), r"floating point: x.astype\('float32'\)$"),
    ],
)
def test_bad_series_are_refused_with_a_remedy(x, shape, says):
    x = x.astype(np.float32) if x.dtype.kind == "f" else x
    with pytest.raises(ValueError, match=says):
        backend_of(net(layers.Conv1D(4, 1), shape=shape), (x, Y))
