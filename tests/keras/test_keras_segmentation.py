"""A class for each pixel of a Keras model: the same as in torch, maps, strokes, refusals."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import torch
from keras import layers
from torch import nn

import coflect_widget as coflect
from coflect_widget.attribution.methods import ModelExplainer
from coflect_widget.backends.guided_outputs import OfPlaces
from coflect_widget.backends.keras.methods import KerasWorkerModel
from coflect_widget.backends.keras.model import Classifier
from coflect_widget.backends.keras.ops import TfOps
from coflect_widget.backends.keras.segmentation import SegmentationBackend
from coflect_widget.backends.torch.methods import TorchWorkerModel
from coflect_widget.backends.torch.ops import TorchOps
from coflect_widget.backends.torch.segmentation import SegmentationBackend as TorchBackend
from coflect_widget.config import Config, GuidanceConfig
from coflect_widget.guidance.losses import GuidanceLosses
from coflect_widget.guidance.state import ActiveStroke, GuidanceState
from coflect_widget.modalities import IMAGE
from coflect_widget.modalities.image.regions import parse_roi
from tests.backends.torch_parts import Items
from tests.conftest import eventually
from tests.tasks.test_segmentation import SIDE, scenes

N = 48
X, MASKS = scenes(np.random.default_rng(0), N)
INPUTS = np.ascontiguousarray(X.transpose(0, 2, 3, 1))
SPARSE = keras.losses.SparseCategoricalCrossentropy


def net(loss=None, outputs=3, last=None, side=SIDE):
    """What is beside a pixel, and the most that is anywhere in the picture."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((side, side, 3))
    near = layers.Conv2D(12, 3, padding="same", activation="relu")(inputs)
    near = layers.ReLU(name="near")(layers.Conv2D(12, 3, padding="same")(near))
    most = layers.GlobalMaxPooling2D(keepdims=True)(near)
    both = layers.Concatenate()([near, layers.UpSampling2D(side)(most)])
    model = keras.Model(inputs, layers.Conv2D(outputs, 1, activation=last)(both))
    model.compile(keras.optimizers.Adam(0.01), loss or SPARSE(from_logits=True))
    return model


class Twin(nn.Module):
    """The same in torch, with the same weights."""

    def __init__(self, model):
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 12, 3, padding=1), nn.Conv2d(12, 12, 3, padding=1)
        self.near, self.head = nn.ReLU(), nn.Conv2d(24, 3, 1)
        given = iter(model.get_weights())
        with torch.no_grad():
            for layer in (self.first, self.second, self.head):
                layer.weight.copy_(torch.from_numpy(next(given).transpose(3, 2, 0, 1).copy()))
                layer.bias.copy_(torch.from_numpy(next(given)))

    def forward(self, x):
        near = self.near(self.second(self.first(x).relu()))
        return self.head(torch.cat([near, near.amax((2, 3), keepdim=True).expand_as(near)], 1))


def backend(data, model=None, kind=SegmentationBackend, **more):
    given = {"num_classes": None, "loss": None, "optimizer": None, "scheduler": None, **more}
    config = Config(device="cpu")
    return kind(model or net(), data, data, batch_size=16, config=config, **given)


def test_a_small_net_is_the_same_in_torch():
    model = net(SPARSE(from_logits=True, ignore_class=-100))
    void = MASKS.copy()
    void[:, :2] = -100
    engine = backend((INPUTS, void), model)
    twin = backend((X, void), Twin(model), TorchBackend, optimizer=lambda w: torch.optim.SGD(w, 0))
    assert repr(engine.task) == repr(twin.task)
    assert engine.validate(lambda: True) == pytest.approx(twin.validate(lambda: True), abs=1e-5)
    ours, theirs = (next(one.train_batches(0)) for one in (engine, twin))
    assert np.array_equal(ours.indices, theirs.indices)
    assert np.array_equal(ours.targets, theirs.targets)
    ours, theirs = engine.train_step(ours), twin.train_step(theirs)
    assert ours.logits.shape == (16, 6)
    assert np.allclose(ours.logits, theirs.logits, atol=1e-5)
    assert float(ours.loss) == pytest.approx(float(theirs.loss), abs=1e-5)

    explainers = (
        ModelExplainer(KerasWorkerModel(Classifier(net(), "last", "logits", 3))),
        ModelExplainer(TorchWorkerModel(Twin(net()).eval(), {}, set())),
    )
    region = MASKS[3] > 0
    assert np.allclose(*(one.places(X[:2]) for one in explainers), atol=1e-5)
    cams, grads, means = zip(
        *(
            (
                one.explain(X[3:4], 1, ("livecam",), 1, 0, "near", 0, region=region)["livecam"],
                one.explain(X[3:4], 1, ("smoothgrad",), 1, 1e-6, None, 0, region=region)[
                    "smoothgrad"
                ],
                one.logits(X[3:4], region),
            )
            for one in explainers
        ),
        strict=True,
    )
    assert np.abs(cams[0] - cams[1]).max() < 1e-4
    assert cams[0].max() > 0
    assert np.abs(grads[0] - grads[1]).max() < 1e-4
    assert np.allclose(*means, atol=1e-5)

    rng = np.random.default_rng(0)
    logits = rng.normal(size=(4, 3, 5, 5)).astype(np.float32)
    masks = rng.integers(-1, 4, (4, 1, 5, 5))
    rows = np.concatenate([masks, masks > 1], 1).astype(np.float32)
    ours, theirs = OfPlaces(TfOps()), OfPlaces(TorchOps())
    for name in ("cross_entropy", "beside"):
        expected = getattr(theirs, name)(torch.from_numpy(logits), torch.from_numpy(rows))
        found = getattr(ours, name)(tf.constant(logits), tf.constant(rows))
        assert np.allclose(found, expected, atol=1e-5)


def test_a_step_trains_on_masks_that_what_is_exchanged_has_taken_along():
    coded = np.zeros((N, SIDE, SIDE, 3), np.float32)  # pixels say their class, and their picture
    coded[..., 0], coded[..., 1] = MASKS, np.arange(N)[:, None, None] / N
    engine = backend((coded, MASKS))
    losses = GuidanceLosses(engine.guided(), IMAGE, GuidanceConfig())
    engine.attach_guidance(losses)
    stroke = ActiveStroke("ignore", parse_roi((0.0, 0.0, 0.6, 0.6)), None, 1.0, "i1")
    engine.set_guidance(GuidanceState((stroke,)))
    run, seen = engine._run, []

    def watched(prepared, inputs, targets, weights, **how):
        seen.append((prepared.inputs, targets))
        return run(prepared, inputs, targets, weights, **how)

    engine._run = watched
    batch = next(engine.train_batches(0))
    output = engine.train_step(batch)
    ((inputs, targets),) = seen
    assert np.array_equal(np.asarray(inputs)[..., 0], targets)
    assert not np.array_equal(targets, batch.targets)
    assert float(output.loss) == pytest.approx(output.logits[:, 0].numpy().mean(), abs=1e-4)
    assert not losses.lapses

    def broken(prepared, *given, **how):
        if prepared is not None:
            raise RuntimeError("no such masks")
        return run(prepared, *given, **how)

    engine._run = broken
    batch = next(engine.train_batches(1))
    output = engine.train_step(batch)  # on the batch as it came
    assert float(output.loss) == pytest.approx(output.logits[:, 0].numpy().mean(), abs=1e-4)
    assert losses.lapses


@pytest.mark.slow
def test_a_session_names_explains_and_guides_regions(tmp_path, executor):
    masks = MASKS.copy()
    masks[5] = (masks[5] > 0) * (3 - masks[5].max())  # a spoilt mask: the other class
    with coflect.Session(
        net(), (INPUTS, masks), (INPUTS, masks), classes=["around", "dim", "bright"],
        task="segmentation", batch_size=16, run_dir=tmp_path, executor=executor,
        config={"forecast_every": 4, "guidance": {"effect_after": 9}},
    ) as session:  # fmt: skip
        session.train(epochs=14)
        assert session.wait(240)
        metrics = session.metrics
        assert 0.7 < metrics["val_iou"] < 1
        assert 0.7 < metrics["val_mean_iou"] < 1
        assert 0.3 < metrics["iou"] < 1
        store = session._parts.forecaster.store
        assert not store.correct[5]
        assert {int(store.target[5]), int(store.predicted[5])} == {1, 2}
        sample = int(np.flatnonzero(masks[6:, :5].max((1, 2)) == 2)[0]) + 6
        rows, columns = np.nonzero(masks[sample])
        middle = ((columns.mean() + 0.5) / SIDE, (rows.mean() + 0.5) / SIDE)
        for found in (session.explain(sample, 240), session.explain(sample, 240, at=middle)):
            assert (found.explained, found.target, found.predicted) == (2, 2, 2)
            assert np.array_equal(found.truth, masks[sample])
            assert found.region[masks[sample] > 0].mean() > 0.8
            assert found.map[2:9].sum() > found.map[9:].sum()
        assert "fill" in session.feedback(sample, ignore=(0.75, 0.75, 1, 1)).record.loss
        assert "fill" in session.feedback(sample, look=(0.2, 0, 0.8, 0.5)).record.loss
        session.train(epochs=3)
        assert session.wait(240)
        assert session.metrics["guidance_loss"] > 0
        assert not session.events("failure") + session.events("lapsed")
        effects = eventually(lambda: len(session.effects) == 2 and session.effects, 240)
        assert "validation IoU" in effects[0].text


@pytest.mark.slow
def test_pipelines_items_one_hot_and_void_are_as_arrays():
    small = MASKS.astype(np.uint8)
    plain = backend((INPUTS, MASKS))
    batch = next(plain.train_batches(0))
    loss = float(plain.train_step(batch).loss)
    categorical = keras.losses.CategoricalCrossentropy(from_logits=True)
    for data, how in (
        (Items(lambda i: (INPUTS[i], small[i]), N), None),
        (tf.data.Dataset.from_tensor_slices((INPUTS, small)).batch(7), None),
        ((INPUTS, small), categorical),
    ):
        engine = backend(data, net(how))
        given = next(engine.train_batches(0))
        assert np.array_equal(given.targets, batch.targets)
        assert float(engine.train_step(given).loss) == pytest.approx(loss, abs=1e-5)
    shares = backend((INPUTS, MASKS), net("sparse_categorical_crossentropy", last="softmax"))
    assert float(shares.train_step(batch).loss) == pytest.approx(loss, abs=1e-5)
    void = small.copy()
    void[:, :4] = 255
    engine = backend((INPUTS, void), net(SPARSE(from_logits=True, ignore_class=255)))
    output = engine.train_step(next(engine.train_batches(0)))
    assert engine.task.void == 255
    assert float(output.loss) == pytest.approx(output.logits[:, 0].numpy().mean(), abs=1e-4)
    own = engine.step_output(np.arange(4), net()(INPUTS[:4]), void[:4], None, None)
    assert own.logits.shape == (4, 6)


@pytest.mark.parametrize(
    ("masks", "model", "more", "words"),
    [
        (MASKS[:, 0, 0], net, {}, r"needs masks \(N, H, W\).*of one class number a sample"),
        (MASKS[..., None], net, {}, r"pass masks\[\.\.\., 0\]"),
        (np.eye(3, dtype=int)[MASKS], net, {}, r"pass masks\.argmax\(3\)"),
        (MASKS / 255, net, {}, r"\.astype\('int64'\).*lost their class numbers"),
        (np.where(MASKS == 2, 255, MASKS), net, {}, r"class 255 at index .*ignore_class=255"),
        (MASKS[:, ::2, ::2], net, {}, r"masks are \(8, 8\); .*Resizing\(8, 8\)"),
        (MASKS, lambda: net("binary_crossentropy", 1, "sigmoid"), {}, "one output a pixel"),
        (MASKS, lambda: net("binary_crossentropy", 3, "sigmoid"), {}, "asks of each class alone"),
        (MASKS, net, {"num_classes": 4}, "classes= names 4"),
        (MASKS, net, {"class_weight": {0: 2.0}}, "class_weight= is for"),
    ],
)  # fmt: skip
def test_what_cannot_be_masks_is_refused_with_a_remedy(masks, model, more, words):
    with pytest.raises(ValueError, match=words):
        backend((INPUTS, masks), model(), **more)


def test_a_model_that_gives_one_class_a_picture_is_told_the_way():
    model = keras.Sequential([keras.Input((SIDE, SIDE, 3)), layers.Flatten(), layers.Dense(3)])
    model.compile("adam", SPARSE(from_logits=True))
    with pytest.raises(ValueError, match=r"it must give \(samples, H, W, classes\)"):
        backend((INPUTS, MASKS), model)
