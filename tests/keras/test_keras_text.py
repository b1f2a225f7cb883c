"""Texts as ids (N, L) in Keras: the same words, marks and maps as in torch."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import torch
from keras import layers
from torch import nn

import coflect_widget as coflect
from coflect_widget.attribution.entered import integrated, smoothgrad
from coflect_widget.backends.keras.gradients import KerasGradients
from coflect_widget.backends.keras.model import Classifier
from coflect_widget.backends.torch.gradients import TorchGradients
from tests.keras.keras_models import compiled
from tests.keras.test_keras_series import backend_of

LENGTH = 16


def net(kind, ids, rate=0.01):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((LENGTH,), dtype="int64")
    x = layers.Embedding(ids, 24, mask_zero=kind in ("LSTM", "mean"), name="words")(inputs)
    if kind == "convolutions":
        x = layers.Conv1D(32, 3, padding="same", activation="relu")(x)
        x = layers.GlobalMaxPooling1D()(x)
    elif kind == "LSTM":
        x = layers.LSTM(16)(x)
    else:
        x = layers.GlobalAveragePooling1D()(x)
    outputs = layers.Dense(2)(x)
    return compiled(keras.Model(inputs, outputs), optimizer=keras.optimizers.Adam(rate))


@pytest.fixture
def make(tmp_path, executor):
    made = []

    def session(model, data, val=None, **more):
        more = {"tokenizer": coflect.data.reviews(2, LENGTH).words, "batch_size": 40, **more}
        made.append(coflect.Session(model, data, val, run_dir=tmp_path, executor=executor, **more))
        return made[-1]

    yield session
    for each in made:
        each.close()


def test_a_decoy_is_seen_marked_and_gone(make):
    data = coflect.data.reviews(800, LENGTH, leak=0.97)
    other = coflect.data.reviews(300, LENGTH, seed=1)
    session = make(
        net("convolutions", len(data.words)), (data.ids, data.labels), (other.ids, other.labels),
        classes=data.classes,
    )  # fmt: skip
    assert session._parts.modality.name == "text"
    session.train(epochs=4)
    session.wait(240)
    assert session.metrics["accuracy"] > 0.9
    spoiled = session.metrics["val_accuracy"]
    assert session.candidates
    at = int(np.flatnonzero(data.decoy >= 0)[0])
    found = session.explain(at)
    assert found.method == "consensus"
    assert found.map.shape == (LENGTH,)
    assert (found.map[data.ids[at] < 3] == 0).all()  # padding, "[CLS]" and "[SEP]"
    assert found.map.argmax() == data.decoy[at]
    strokes = [session.feedback(instruction=f'ignore "{word}"') for word in data.decoys]
    assert all(stroke.record.loss.startswith("fill") for stroke in strokes)
    session.train(epochs=8)
    session.wait(240)
    assert session.metrics["val_accuracy"] > max(spoiled + 0.1, 0.8)
    look = session.feedback(sample=2, look=(1, 4))
    assert "input gradient inside" in look.record.loss
    session.train(epochs=1)
    session.wait(240)
    assert not session.events("lapsed")
    assert session.undo(strokes[0]).undone


@pytest.mark.parametrize("kind", [pytest.param("LSTM", marks=pytest.mark.slow), "mean"])
def test_nets_that_are_told_what_is_padding(make, kind):
    data = coflect.data.reviews(400, LENGTH, leak=0.97)
    session = make(net(kind, len(data.words)), tf.data.Dataset.from_tensor_slices(
        (data.ids, data.labels)).batch(40))  # fmt: skip
    session.feedback(instruction=f'ignore "{data.decoys[0]}"')
    session.feedback(sample=2, look=(1, 4))
    session.train(epochs=2)
    session.wait(240)
    assert not session.events("lapsed")
    at = int(np.flatnonzero(data.decoy >= 0)[0])
    found = session.explain(at).map
    assert found.any()
    assert (found[data.ids[at] < 3] == 0).all()


class Twin(nn.Module):
    """The net "convolutions" or "mean", with the same weights; padding is averaged too."""

    def __init__(self, model):
        super().__init__()
        words, dense = model.get_layer("words"), model.layers[-1]
        self.words = nn.Embedding(words.input_dim, words.output_dim)
        self.head = nn.Linear(*dense.kernel.shape)
        conv = next((one for one in model.layers if isinstance(one, layers.Conv1D)), None)
        self.conv = None if conv is None else nn.Conv1d(24, 32, 3, padding=1)

        def tensor(variable):
            return torch.from_numpy(variable.numpy().copy())

        with torch.no_grad():
            self.words.weight.copy_(tensor(words.embeddings))
            self.head.weight.copy_(tensor(dense.kernel).T)
            self.head.bias.copy_(tensor(dense.bias))
            if conv is not None:
                self.conv.weight.copy_(tensor(conv.kernel).permute(2, 1, 0))
                self.conv.bias.copy_(tensor(conv.bias))

    def forward(self, ids):
        x = self.words(ids)
        if self.conv is not None:
            return self.head(torch.relu(self.conv(x.transpose(1, 2))).amax(2))
        real = (ids != 0).float()[..., None]
        return self.head((x * real).sum(1) / real.sum(1))


@pytest.mark.parametrize("kind", ["convolutions", "mean"])
def test_maps_are_those_of_torch(kind):
    data = coflect.data.reviews(300, LENGTH, leak=0.97)
    model = net(kind, len(data.words))
    model.fit(data.ids, data.labels, batch_size=30, epochs=3, verbose=0)
    backend = backend_of(model, (data.ids, data.labels))
    modality = coflect.Text(data.words).numbered(len(data.words))
    bounds = (
        KerasGradients(Classifier(model, "first", "logits", 1)),
        TorchGradients(Twin(model).eval()),
    )
    noise = 0.1 * np.random.default_rng(0).standard_normal((8, LENGTH, 24)).astype(np.float32)
    for sample in (0, 1, 5):
        x = data.ids[sample][None].astype(np.int64)
        inputs = tf.constant(x), torch.from_numpy(x)
        found, expected = (
            integrated(bound, rows, 1, modality) for bound, rows in zip(bounds, inputs, strict=True)
        )
        assert np.abs(found - expected).max() < 1e-4
        assert expected.max() > 1e-3
        smooth, wanted = (
            smoothgrad(bound, rows, 1, 8, lambda *_, own=own: own(noise), 0.1, modality)[0]
            for bound, rows, own in zip(bounds, inputs, (tf.constant, torch.from_numpy),
                                        strict=True)
        )  # fmt: skip
        assert np.abs(smooth - wanted).max() < 1e-4
    # and the gradient that strokes are obeyed with
    rows = data.ids[:6].astype(np.int64)
    _, ours = backend.guided().input_gradient(rows, lambda y: tf.reduce_sum(y[:, 1]))
    twin = Twin(model).eval()
    leaf = twin.words(torch.from_numpy(rows)).detach().requires_grad_()
    handle = twin.words.register_forward_hook(lambda *_: leaf)
    (theirs,) = torch.autograd.grad(twin(torch.from_numpy(rows))[:, 1].sum(), leaf)
    handle.remove()
    assert np.abs(ours.numpy() - theirs.numpy().transpose(0, 2, 1)).max() < 1e-4


BAD = {
    "an id past the embedding": (
        lambda ids: np.where(ids == 5, 10_000, ids), r"has the id 10000 at index \d+.*10001 rows",
    ),
    "an id below 0": (lambda ids: np.where(ids == 5, -1, ids), "counted from 0"),
    "floating point": (lambda ids: ids.astype(np.float32), r"astype\('int64'\)"),
    "nothing but padding": (lambda ids: ids * (np.arange(len(ids)) != 3)[:, None],
                            "no words at index 3"),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD)
def test_what_is_no_text_is_refused_with_a_remedy(what):
    data = coflect.data.reviews(60, LENGTH)
    change, message = BAD[what]
    with pytest.raises(ValueError, match=message):
        backend_of(net("mean", len(data.words)), (change(data.ids), data.labels),
                   coflect.Text(data.words))  # fmt: skip


def test_labels_of_each_word_are_refused():
    data = coflect.data.reviews(60, LENGTH)
    with pytest.raises(ValueError, match=r"labels"):
        backend_of(net("mean", len(data.words)), (data.ids, data.ids), coflect.Text(data.words))


def test_ids_without_words_and_a_model_that_looks_none_up():
    data = coflect.data.reviews(60, LENGTH)
    backend = backend_of(net("mean", len(data.words)), (data.ids, data.labels))
    assert backend.modality.name == "text"
    assert "whose ids have no words" in " ".join(backend.assumptions)
    assert backend.read_sample(3).input.dtype == np.int64
    assert (backend.read_sample(3).input == data.ids[3]).all()
    inputs = keras.Input((LENGTH,))
    model = compiled(keras.Model(inputs, layers.Dense(2)(inputs)))
    with pytest.raises(ValueError, match=r"keras.layers.Embedding that is called with the ids"):
        backend_of(model, (data.ids, data.labels), coflect.Text(data.words))
