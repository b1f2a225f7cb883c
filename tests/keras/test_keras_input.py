"""What Keras users bring along: probabilities, one-hot labels, pipelines; and what is refused."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from coflect_widget.attribution.methods import ModelExplainer
from coflect_widget.backends.base import NonFiniteLossError
from coflect_widget.backends.keras import methods as keras_methods
from coflect_widget.backends.keras.backend import KerasBackend
from coflect_widget.backends.keras.data import Source
from coflect_widget.backends.keras.loss import find_head
from coflect_widget.backends.sourced import readable_layer
from coflect_widget.config import Config, GuidanceConfig
from coflect_widget.guidance.losses import GuidanceLosses
from coflect_widget.guidance.state import ActiveStroke, GuidanceState
from coflect_widget.modalities import IMAGE
from coflect_widget.modalities.image.regions import parse_roi
from tests.keras.keras_models import compiled, functional, sequential


@pytest.fixture(scope="module")
def arrays(shapes):
    return shapes.images.transpose(0, 2, 3, 1)[:64], shapes.labels[:64]


def backend_of(model, data, val=None, **more):
    arguments = {"num_classes": None, "loss": None, "optimizer": None, "scheduler": None, **more}
    return KerasBackend(model, data, val, batch_size=16, config=Config(), **arguments)


def first_loss(backend):
    backend.begin()
    output = backend.train_step(next(backend.train_batches(0)))
    logits, targets = backend.telemetry_arrays([output])
    return float(output.loss), logits, targets


def test_probabilities_are_recognised_and_not_softmaxed_twice(arrays):
    logits_model = compiled(sequential())
    model = sequential(last="softmax")
    compiled(model, loss=keras.losses.SparseCategoricalCrossentropy())
    model.set_weights(logits_model.get_weights())
    found = [first_loss(backend_of(m, arrays)) for m in (logits_model, model)]
    assert found[0][0] == pytest.approx(found[1][0], abs=1e-5)
    assert np.allclose(found[0][1], found[1][1], atol=1e-5)
    model.set_weights(logits_model.get_weights())
    model_there = keras_methods.load(keras_methods.structure(backend_of(model, arrays).model))
    explainer = ModelExplainer(model_there)
    model_there.classifier.model.set_weights(logits_model.get_weights())
    x = np.moveaxis(arrays[0][:1], -1, 1)
    said = explainer.explain(x, None, ("livecam", "smoothgrad"), 4, 0.1, None, 0)
    expected = model(arrays[0][:1], training=False).numpy()[0]
    assert np.allclose(said["probabilities"], expected, atol=1e-6)


def test_probabilities_of_another_last_layer_are_recognised(arrays):
    inner = functional()
    outputs = layers.Lambda(lambda z: keras.ops.exp(z) / keras.ops.sum(keras.ops.exp(z), 1, True))(
        inner.output
    )
    model = keras.Model(inner.input, outputs)
    backend = backend_of(compiled(model, loss="sparse_categorical_crossentropy"), arrays)
    assert backend.model.head == "softmax"
    logits = backend.model.logits(model(arrays[0][:4], training=False)).numpy()
    assert np.allclose(np.exp(logits).sum(1), 1, atol=1e-5)


@pytest.mark.parametrize("last", ["sigmoid", None])
def test_one_output_is_two_classes(arrays, last):
    images, labels = arrays[0], arrays[1] % 2
    loss = keras.losses.BinaryCrossentropy(from_logits=last is None)
    backend = backend_of(compiled(sequential(last=last, outputs=1), loss=loss), (images, labels))
    assert backend.num_classes == 2
    value, logits, targets = first_loss(backend)
    assert logits.shape == (16, 2)
    margin = logits[np.arange(16), targets] - logits[np.arange(16), 1 - targets]
    assert value == pytest.approx(float(np.log1p(np.exp(-margin)).mean()), abs=1e-5)
    data = keras_methods.structure(backend.model)
    said = ModelExplainer(keras_methods.load(data))
    said.model.classifier.model.set_weights(backend.keras_model.get_weights())
    assert said.logits(np.moveaxis(images[:2], -1, 1)).shape == (2, 2)


@pytest.mark.parametrize("form", ["numbers", "column", "one-hot"])
@pytest.mark.parametrize(
    "loss",
    [keras.losses.SparseCategoricalCrossentropy(True), keras.losses.CategoricalCrossentropy(True)],
)
def test_labels_of_each_form_go_with_each_loss(arrays, form, loss):
    images, labels = arrays
    given = {"numbers": labels, "column": labels[:, None], "one-hot": np.eye(4)[labels]}[form]
    value, logits, targets = first_loss(
        backend_of(compiled(sequential(), loss=loss), (images, given), val=(images, given))
    )
    expected = first_loss(backend_of(compiled(sequential()), (images, labels)))
    assert value == pytest.approx(expected[0], abs=1e-6)
    assert np.array_equal(targets, expected[2])
    assert np.allclose(logits, expected[1], atol=1e-5)


def focal(y, p):
    return -keras.ops.sum(y * keras.ops.log(p + 1e-7) * (1 - p) ** 2, -1)


@pytest.mark.parametrize(
    "loss",
    ["mean_squared_error", "mae", keras.losses.KLDivergence(), keras.losses.Huber(), focal,
     ["categorical_crossentropy"]],
)  # fmt: skip
def test_one_hot_labels_reach_a_loss_as_they_are(arrays, loss):
    images, labels = arrays
    one_hot = np.eye(4, dtype=np.float32)[labels]
    backend = backend_of(
        compiled(sequential(last="softmax", norm=False), loss=loss), (images, one_hot)
    )
    batch = next(backend.train_batches(0))
    output = backend.train_step(batch)
    model = compiled(sequential(last="softmax", norm=False), loss=loss)
    expected = model.evaluate(images[batch.indices], one_hot[batch.indices], verbose=0)
    assert float(output.loss) == pytest.approx(expected, abs=1e-5)
    assert np.array_equal(output.targets, labels[batch.indices])


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_probabilities_of_low_precision_are_recognised(policy):
    before = keras.config.dtype_policy()
    inputs = np.random.default_rng(0).standard_normal((8, 64)).astype(np.float32)
    try:
        keras.config.set_dtype_policy(policy)
        for classes in (3, 10, 100):
            keras.utils.set_random_seed(classes)
            outputs = layers.Dense(classes, activation="softmax")(inputs)
            assert find_head(outputs, None) == "softmax"
    finally:
        keras.config.set_dtype_policy(before)


def test_class_weights_are_those_of_fit(arrays):
    images, labels = arrays
    weights = {0: 3.0, 2: 0.5}
    backend = backend_of(compiled(sequential()), arrays, class_weight=weights)
    for batch in backend.train_batches(0):
        backend.train_step(batch)
    model = compiled(sequential())
    order = np.concatenate([b.indices for b in backend.train_batches(0)])
    full = {0: 3.0, 1: 1.0, 2: 0.5, 3: 1.0}
    model.fit(
        images[order], labels[order], class_weight=full, shuffle=False, batch_size=16, verbose=0
    )
    for a, b in zip(backend.keras_model.get_weights(), model.get_weights(), strict=True):
        assert np.allclose(a, b, atol=1e-5)


@pytest.mark.parametrize("batched", [False, True])
def test_a_pipeline_gets_indices_also_where_it_shuffles(arrays, batched):
    data = tf.data.Dataset.from_tensor_slices(arrays).shuffle(64, seed=1)
    backend = backend_of(compiled(sequential()), data.batch(10) if batched else data)
    assert backend.num_train == 64
    assert np.array_equal(backend.read_sample(5).input, backend.read_sample(5).input)
    known = {image.tobytes(): label for image, label in zip(*arrays, strict=True)}
    for index in range(64):
        sample = backend.read_sample(index)
        image = np.ascontiguousarray(np.moveaxis(sample.input, 0, -1))
        assert known[image.tobytes()] == sample.target


def test_a_model_that_is_not_compiled_says_so_or_takes_loss_and_optimizer(arrays):
    with pytest.raises(ValueError, match=r"not compiled; call model\.compile"):
        backend_of(sequential(), arrays)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    assert backend_of(sequential(), arrays, loss=loss, optimizer="sgd").keras_model.compiled
    with pytest.raises(ValueError, match="compiled with a loss"):
        backend_of(compiled(sequential()), arrays, loss=loss, optimizer="sgd")


@pytest.mark.parametrize("batched", [False, True])
@pytest.mark.parametrize("channels", [False, True])
@pytest.mark.parametrize("one_hot", [False, True])
def test_a_pipeline_is_read_sample_by_sample_whatever_its_ranks(arrays, batched, channels, one_hot):
    images, labels = arrays
    data = tf.data.Dataset.from_tensor_slices(
        (images if channels else images[..., 0], np.eye(4)[labels] if one_hot else labels)
    )
    source = Source(data.batch(10) if batched else data, "train_data")
    assert source.length == 64
    assert source.input(0).shape == ((32, 32, 3) if channels else (32, 32))
    assert np.array_equal(source.targets, labels)
    assert source.form == ("one-hot" if one_hot else "numbers")


class Items:
    """A map-style data set whose items have this as their input."""

    def __init__(self, x):
        self.x = x

    def __len__(self):
        return 4

    def __getitem__(self, index):
        return self.x, 0


class OwnStep(keras.Model):
    def train_step(self, data):
        return {}


ZEROS = np.zeros((2, 32, 32, 3), np.float32)


@pytest.mark.parametrize(
    ("data", "error", "words"),
    [
        (
            (np.zeros((2, 32, 32, 3), np.uint8), np.zeros(2, int)),
            ValueError,
            r"astype\('float32'\)",
        ),
        ((np.zeros((2, 32, 32, 3)), np.zeros(3, int)), ValueError, "2 inputs but 3 labels"),
        ((np.zeros((2, 32, 32, 3)), np.array([0, 4])), ValueError, r"label 4 at index 1"),
        ((np.zeros((2, 32, 32, 3)), np.array([[0.5, 0.5]] * 2)), ValueError, "soft labels"),
        ((np.zeros((2, 16, 16, 5)), np.zeros(2, int)), ValueError, "the model takes \\(32, 32, 3"),
        ((np.zeros((0, 32, 32, 3)), np.zeros(0, int)), ValueError, "is empty"),
        (
            tf.data.Dataset.from_tensors((ZEROS[0], 0)).repeat(),
            ValueError,
            "leave repeat\\(\\) out",
        ),
        (
            tf.data.Dataset.from_tensor_slices((ZEROS, [0, 1], [0.0, 1.0])),
            ValueError,
            "class_weight= weighs classes",
        ),
        (tf.data.Dataset.from_tensor_slices(({"a": ZEROS}, [0, 1])), ValueError, "a dict of 1"),
        (([ZEROS, ZEROS[:, 0, 0]], np.zeros(2, int)), ValueError, "a list of 2 arrays as inputs"),
        (Items((ZEROS[0], ZEROS[0, 0])), ValueError, "a tuple of 2 arrays as inputs"),
        (Items({"a": ZEROS[0]}), ValueError, "a dict of 1 arrays as inputs"),
        (3, TypeError, "neither a pair of arrays"),
    ],
)
def test_bad_data_is_named_with_the_remedy(data, error, words):
    with pytest.raises(error, match=words):
        backend_of(compiled(sequential()), data)


def test_bad_models_are_named_with_the_remedy(arrays):
    inputs = keras.Input((32, 32, 3))
    own = OwnStep(inputs, layers.Dense(4)(layers.Flatten()(inputs)))
    with pytest.raises(ValueError, match="train_step of its own"):
        backend_of(compiled(own), arrays)
    with pytest.raises(ValueError, match="outputs for 4 classes but classes= names 3"):
        backend_of(compiled(sequential()), arrays, num_classes=3)
    with pytest.raises(ValueError, match=r"must give \(samples, classes\)"):
        backend_of(compiled(keras.Sequential([inputs, layers.Conv2D(4, 3)])), arrays)
    other = keras.Input((4,))
    joined = layers.Concatenate()([layers.Flatten()(inputs), other])
    two = keras.Model([inputs, other], layers.Dense(4)(joined))
    with pytest.raises(ValueError, match="model takes 2 inputs"):
        backend_of(compiled(two), arrays)
    scaling = keras.Sequential([inputs, layers.Rescaling(1 / 255), sequential(norm=False)])
    with pytest.raises(ValueError, match=r"astype\('float32'\)$"):  # and no / 255
        backend_of(compiled(scaling), (arrays[0].astype(np.uint8), arrays[1]))
    with pytest.raises(TypeError, match=r"pass a keras\.Model"):
        backend_of(layers.Dense(3), arrays)
    with pytest.raises(ValueError, match="cannot be used here"):
        KerasBackend(
            compiled(sequential()), arrays, None, num_classes=None, loss=None, optimizer=None,
            scheduler=None, batch_size=16, config=Config(device="gpu"),
        )  # fmt: skip


def test_a_loss_that_is_not_finite_changes_no_weight(arrays):
    def loss(y, outputs):
        return keras.ops.sum(outputs) * float("nan")

    backend = backend_of(compiled(sequential(), loss=loss), arrays)
    before = [w.numpy() for w in backend.keras_model.trainable_weights]
    with pytest.raises(NonFiniteLossError):
        backend.train_step(next(backend.train_batches(0)))
    after = [w.numpy() for w in backend.keras_model.trainable_weights]
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize("eager", [False, True])
def test_a_sample_that_is_nan_leaves_running_statistics_as_they_were(arrays, eager):
    images = arrays[0].copy()
    images[5] = np.nan
    model = sequential()
    compiled(model)
    model.run_eagerly = eager
    backend = backend_of(model, (images, arrays[1]))
    refused = 0
    for batch in backend.train_batches(0):
        before = model.get_weights()
        try:
            backend.train_step(batch)
        except NonFiniteLossError:
            refused += 1
            after = model.get_weights()
            assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))
    assert refused == 1
    assert all(np.isfinite(weight).all() for weight in model.get_weights())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("policy", "ignore_loss"),
    [("mixed_float16", None), ("mixed_bfloat16", "input_gradient"), ("float64", None)],
)
def test_guidance_goes_with_each_precision(arrays, policy, ignore_loss):
    before = (keras.config.dtype_policy(), keras.config.floatx())
    try:
        if policy == "float64":
            keras.config.set_floatx(policy)
        keras.config.set_dtype_policy(policy)
        backend = backend_of(compiled(sequential(norm=False)), arrays)
        config = GuidanceConfig(ignore_loss=ignore_loss, replay_share=1)
        guidance = GuidanceLosses(backend.guided(), IMAGE, config)
        backend.attach_guidance(guidance)
        ignore, look = parse_roi((0, 0, 0.3, 0.3), "ignore"), parse_roi((0.3, 0.2, 1, 1), "look")
        said = backend.set_guidance(
            GuidanceState(
                (
                    ActiveStroke("ignore", ignore, None, 0.3, "a"),
                    ActiveStroke("look", look, 4, 0.4, "b"),
                )
            )
        )
        assert "activation" in said
        outputs = [backend.train_step(batch) for batch in backend.train_batches(0)]
        added = [float(o.guidance_loss) for o in outputs if o.guidance_loss is not None]
        assert len(added) >= 2
        assert np.isfinite(added).all()
    finally:
        keras.config.set_dtype_policy(before[0])
        keras.config.set_floatx(before[1])


def test_guidance_inside_a_tf_function_is_refused(arrays):
    backend = backend_of(compiled(sequential(norm=False)), arrays)

    @tf.function
    def step(x, y):
        return backend.guidance_term(x, y, tf.zeros(()), None)

    with pytest.raises(RuntimeError, match=r"forward = tf\.function\(model\)"):
        step(*(tf.constant(part[:8]) for part in arrays))


def test_schedules_and_settings_that_would_fail_later_are_refused(arrays):
    schedule = keras.optimizers.schedules.CosineDecay(0.1, 10)
    with pytest.raises(TypeError, match="belongs into the optimizer"):
        backend_of(compiled(sequential()), arrays, scheduler=schedule)
    model = compiled(sequential(), optimizer=keras.optimizers.SGD(schedule))
    with pytest.raises(ValueError, match="optimizer has a CosineDecay"):
        backend_of(model, arrays, scheduler=lambda epoch, rate: rate / 2)
    assert backend_of(model, arrays).learning_rate() == pytest.approx(0.1)
    with pytest.raises(ValueError, match="set_global_policy"):
        KerasBackend(
            compiled(sequential()), arrays, None, num_classes=None, loss=None, optimizer=None,
            scheduler=None, batch_size=16, config=Config(mixed_precision=True),
        )  # fmt: skip


def test_a_named_layer_is_found_by_path_or_name_and_a_wrong_one_is_answered(shapes):
    from coflect_widget.backends.errors import NoSuitableLayerError
    from tests.keras.keras_models import nested

    data = keras_methods.structure(backend_of(compiled(nested()), shapes).model)
    assert readable_layer(keras_methods.load(data), (3, 32, 32), "inner") == "body/inner"
    assert readable_layer(keras_methods.load(data), (3, 32, 32), "body/inner") == "body/inner"
    with pytest.raises(NoSuitableLayerError, match=r"no such layer.*Candidates are: 'body/inner'"):
        readable_layer(keras_methods.load(data), (3, 32, 32), "outer")


def test_a_learning_rate_schedule_at_the_epochs_end(arrays):
    backend = backend_of(compiled(sequential()), arrays, scheduler=lambda epoch, rate: rate / 2)
    next(backend.train_batches(0))
    backend.end_epoch({})
    assert backend.learning_rate() == pytest.approx(0.025)
