"""What labels, losses, outputs and inputs of Keras users mean: said where guessed, or refused."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from coflect_widget.backends.keras.backend import KerasBackend
from coflect_widget.backends.keras.data import Source
from coflect_widget.backends.keras.loss import last_activation
from coflect_widget.config import Config

N = 24
RNG = np.random.default_rng(0)
X = RNG.random((N, 10, 12, 3), dtype=np.float32)
Y = np.arange(N) % 3
SPARSE = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
CATEGORICAL = keras.losses.CategoricalCrossentropy(from_logits=True)


def backend_of(model, data, **more):
    arguments = {"num_classes": None, "loss": None, "optimizer": None, "scheduler": None, **more}
    return KerasBackend(model, data, None, batch_size=8, config=Config(), **arguments)


def net(loss=SPARSE, last=None, outputs=3, shape=(10, 12, 3), name=None, pool=True):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([
        keras.Input(shape, name=name), layers.Conv2D(4, 3, activation="relu"),
        layers.GlobalAveragePooling2D() if pool else layers.Flatten(),
        layers.Dense(outputs, activation=last),
    ])  # fmt: skip
    model.compile("sgd", loss)
    return model


class Items:
    def __init__(self, x, y):
        self.x, self.y = x, y

    def __len__(self):
        return len(self.x)

    def __getitem__(self, index):
        return self.x[index], self.y[index]


class Batches(keras.utils.PyDataset):
    def __init__(self, x, y):
        super().__init__()
        self.x, self.y = x, y

    def __len__(self):
        return len(self.x) // 8

    def __getitem__(self, index):
        group = slice(8 * index, 8 * index + 8)
        return self.x[group], self.y[group]


WAYS = {
    "arrays": lambda x, y: (x, y),
    "tensors": lambda x, y: (tf.constant(x), tf.constant(y)),
    "items": Items,
    "a list": lambda x, y: list(zip(x, y, strict=True)),
    "a pipeline": lambda x, y: tf.data.Dataset.from_tensor_slices((x, y)),
    "a batched pipeline": lambda x, y: tf.data.Dataset.from_tensor_slices((x, y)).batch(8),
    "a PyDataset": Batches,
}
SEVERAL = np.array([[1, 1, 0], [0, 0, 1], [1, 0, 1], [0, 1, 0]] * 6)
NONE = np.array([[1, 0, 0], [0, 0, 0], [0, 0, 1], [0, 1, 0]] * 6)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("labels", [SEVERAL, SEVERAL.astype(np.float32), SEVERAL > 0, NONE])
@pytest.mark.parametrize(
    ("loss", "last"), [("binary_crossentropy", "sigmoid"), (CATEGORICAL, None)]
)  # fmt: skip
def test_several_labels_a_sample_are_refused_wherever_they_come_from(way, labels, loss, last):
    with pytest.raises(ValueError, match="several labels a sample need task='multi_label'"):
        backend_of(net(loss, last), WAYS[way](X, labels))


def test_several_labels_that_were_not_looked_at_are_named_in_training():
    many = np.repeat(X, 8, 0)
    labels = np.eye(3)[np.repeat(Y, 8)]
    labels[1, :] = 1  # no probe
    backend = backend_of(net(CATEGORICAL), Items(many, labels))
    assert 1 not in backend.train_source.probes()
    with pytest.raises(ValueError, match=r"3 of 3 set at index 1; several labels a sample"):
        list(backend.train_batches(0))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("targets", "outputs"),
    [(RNG.random(N), 1), (RNG.random((N, 1)), 1), (RNG.normal(size=(N, 4)), 4), (Y + 0.5, 3)],
)
def test_targets_with_fractions_are_never_cut_to_classes(way, targets, outputs):
    with pytest.raises(ValueError, match="task='regression'"):
        backend_of(net("mse", outputs=outputs), WAYS[way](X, targets.astype(np.float32)))


@pytest.mark.parametrize(
    "loss", ["mse", "mae", keras.losses.Huber(), keras.losses.LogCosh(), "msle"]
)
@pytest.mark.parametrize("labels", [np.arange(N), Y % 2, (Y % 2).astype(float)])
def test_a_regression_of_whole_numbers_is_no_classification(loss, labels):
    with pytest.raises(ValueError, match="task='regression'"):
        backend_of(net(loss, outputs=1), (X, labels))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("loss", [SPARSE, CATEGORICAL])
def test_a_column_of_class_numbers_is_read_as_such_and_said(way, loss):
    backend = backend_of(net(loss), WAYS[way](X, Y[:, None]))
    for batch in backend.train_batches(0):
        assert np.array_equal(batch.targets, Y[batch.indices])
        backend.train_step(batch)
    assert any("(N, 1), were read as class numbers" in text for text in backend.assumptions)


@pytest.mark.parametrize("way", WAYS)
def test_one_hot_rows_are_classes_and_it_is_said(way):
    backend = backend_of(net(CATEGORICAL), WAYS[way](X, np.eye(3, dtype=np.float32)[Y]))
    batch = next(backend.train_batches(0))
    assert np.array_equal(batch.targets, Y[batch.indices])
    assert backend.targets(batch.targets).shape == (8, 3)
    assert any("taken for one-hot" in text for text in backend.assumptions)


@pytest.mark.parametrize("way", WAYS)
def test_masks_as_labels_are_no_classes(way):
    masks = (X[..., 0] > 0.5).astype(np.int64)
    with pytest.raises(ValueError, match="like masks, which need task='segmentation'"):
        backend_of(net(), WAYS[way](X, masks))


@pytest.mark.parametrize(
    ("last", "labels"), [("sigmoid", Y % 2), ("sigmoid", (Y % 2)[:, None].astype(float)),
                         (None, Y % 2), (None, (Y % 2) > 0)],
)  # fmt: skip
def test_one_output_of_a_binary_loss_has_its_probabilities(last, labels):
    model = net(keras.losses.BinaryCrossentropy(from_logits=last is None), last, outputs=1)
    backend = backend_of(model, (X, labels))
    expected = model.evaluate(X, np.asarray(labels, np.float32).reshape(-1, 1), verbose=0)
    found = backend.model.logits(model(X, training=False)).numpy()
    shares = np.exp(found)[:, 1] / np.exp(found).sum(1)
    truth = np.asarray(labels).reshape(-1).astype(float)
    assert expected == pytest.approx(
        -np.mean(truth * np.log(shares) + (1 - truth) * np.log(1 - shares)), abs=1e-5
    )


@pytest.mark.parametrize(
    "loss", ["mse", "binary_crossentropy", "kl_divergence", "categorical_hinge"]
)
def test_class_numbers_for_a_loss_of_rows_are_made_rows_and_it_is_said(loss):
    backend = backend_of(net(loss, "softmax"), (X, Y))
    assert np.array_equal(backend.targets(Y[:4]), np.eye(3)[Y[:4]])
    assert any("as one-hot rows" in text for text in backend.assumptions)


def test_sigmoids_of_classes_that_exclude_each_other_are_said():
    model = net("sparse_categorical_crossentropy", "sigmoid")
    backend = backend_of(model, (X, Y))
    assert backend.model.head == "sigmoids"
    loss = float(backend.train_step(next(backend.train_batches(0))).loss)
    batch = next(backend.train_batches(0)).indices
    logits = backend.model.logits(net(model.loss, "sigmoid")(X[batch], training=False)).numpy()
    chances = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    assert loss == pytest.approx(-np.log(chances[np.arange(8), Y[batch]]).mean(), abs=1e-5)
    assert any("do not sum to 1" in text for text in backend.assumptions)


@pytest.mark.parametrize("form", ["numbers", "column", "one-hot"])
def test_a_loss_of_ones_own_gets_labels_as_fit_would_give_them(form):
    given = {"numbers": Y, "column": Y[:, None], "one-hot": np.eye(3, dtype=np.float32)[Y]}[form]
    shapes = []

    def own(y, outputs):
        shapes.append(tuple(y.shape)[1:])
        return keras.ops.mean(outputs, -1)

    backend_of(net(own), (X, given))
    expected = {"numbers": (), "column": (1,), "one-hot": (3,)}[form]
    ours = set(shapes)
    shapes.clear()
    net(own).fit(X, given, verbose=0)
    assert ours == set(shapes) == {expected}


def test_nothing_is_said_where_nothing_was_guessed():
    assert backend_of(net(), (X, Y)).assumptions == []
    assert backend_of(net(CATEGORICAL), Items(X, Y)).warnings == []


def test_outputs_for_many_more_classes_than_labels_are_said():
    said = backend_of(net(outputs=1000), (X, Y)).assumptions
    assert any("1000 classes" in text and "the first 3" in text for text in said)


def nested_last():
    inner = keras.Sequential([keras.Input((4,)), layers.Dense(3), layers.Activation("tanh")])
    inputs = keras.Input((4,))
    return keras.Model(inputs, layers.Activation("linear", dtype="float32")(inner(inputs)))


@pytest.mark.parametrize(
    ("model", "name"),
    [
        (lambda: net(), "linear"), (lambda: net(last="softmax"), "softmax"), (nested_last, "tanh"),
        (lambda: keras.Sequential([keras.Input((4,)), layers.Dense(3), layers.Softmax()]), ""),
    ],
)  # fmt: skip
def test_the_last_activation_is_found(model, name):
    assert last_activation(model()) == name


def test_a_nan_among_the_first_samples_does_not_hide_a_softmax():
    images = X.copy()
    images[0] = np.nan
    shares = layers.Lambda(lambda z: keras.ops.exp(z) / keras.ops.sum(keras.ops.exp(z), 1, True))
    model = keras.Sequential([net(), shares])
    model.compile("sgd", "sparse_categorical_crossentropy")
    assert backend_of(model, (images, Y)).model.head == "softmax"


# --- inputs ------------------------------------------------------------------------------------


def first_layers(*given, shape, dtype=None):
    model = keras.Sequential([keras.Input(shape, dtype=dtype), *given, layers.Dense(3)])
    model.compile("sgd", SPARSE)
    return model


IDS = RNG.integers(0, 50, (N, 12))
SERIES = RNG.normal(size=(N, 32, 1)).astype(np.float32)
NO_PICTURES = {
    "a table of integers": (lambda: first_layers(layers.Dense(8), shape=(12,)), IDS, "token ids"),
    "token ids as floats": (lambda: first_layers(
        layers.Embedding(50, 4), layers.GlobalAveragePooling1D(), shape=(12,)),
        IDS.astype(np.float32) / 255, "token ids"),
    "words": (lambda: first_layers(layers.Dense(8), shape=(8,)), np.array(["good film"] * N),
              "texts"),
    "films": (lambda: first_layers(layers.Conv3D(2, 3), layers.GlobalAveragePooling3D(),
                                   shape=(5, 10, 12, 3)),
              RNG.random((N, 5, 10, 12, 3), dtype=np.float32), "volumes or films"),
    "a strip": (lambda: first_layers(layers.Conv2D(2, (3, 1)), layers.GlobalAveragePooling2D(),
                                     shape=(32, 1, 1)), SERIES[..., None], "a strip"),
    "a lying strip": (lambda: first_layers(layers.Flatten(), shape=(1, 32, 1)),
                      SERIES[:, None], "a strip"),
}  # fmt: skip


@pytest.mark.parametrize("way", ["arrays", "items", "a pipeline", "a batched pipeline",
                                 "a PyDataset"])  # fmt: skip
@pytest.mark.parametrize("kind", NO_PICTURES)
def test_what_is_no_picture_is_refused_first(kind, way):
    make, x, looks = NO_PICTURES[kind]
    with pytest.raises(ValueError, match=r"^train_data has inputs") as found:
        backend_of(make(), WAYS[way](x, Y))
    assert looks in str(found.value)
    assert "astype" not in str(found.value).replace("where these are, pass x.astype('int64')", "")


def test_gray_pictures_without_a_channel_are_pictures():
    gray = X[..., 0]
    model = first_layers(layers.Flatten(), shape=(10, 12))
    assert backend_of(model, (gray, Y)).read_sample(0).input.shape[1:] == (10, 12)
    assert backend_of(net(shape=(10, 12, 1)), (gray, Y)).read_sample(0).input.shape[1:] == (10, 12)


@pytest.mark.parametrize("way", WAYS)
def test_channels_are_put_where_the_model_takes_them_and_it_is_said(way):
    first = np.ascontiguousarray(np.moveaxis(X, -1, 1))
    backend = backend_of(net(), WAYS[way](first, Y))
    batch = next(backend.train_batches(0))
    assert np.array_equal(batch.inputs, X[batch.indices])
    assert any("turned to (H, W, C)" in text for text in backend.assumptions)
    turned = first_layers(layers.Permute((2, 3, 1)), layers.Conv2D(2, 3),
                          layers.GlobalAveragePooling2D(), shape=(3, 10, 12))  # fmt: skip
    backend = backend_of(turned, WAYS[way](X, Y))
    batch = next(backend.train_batches(0))
    assert np.array_equal(batch.inputs, first[batch.indices])
    assert any("turned to (C, H, W)" in text for text in backend.assumptions)


def test_channels_that_their_number_does_not_tell_are_said():
    wide = RNG.random((N, 10, 12, 7), dtype=np.float32)
    backend = backend_of(net(shape=(10, 12, 7)), (wide, Y))
    assert backend.read_sample(0).input.shape[1:] == (10, 12)
    assert any("were taken to stand last" in text for text in backend.assumptions)


@pytest.mark.parametrize(
    "make",
    [
        lambda: ({"photo": X}, Y),
        lambda: ([X], Y),
        lambda: tf.data.Dataset.from_tensor_slices(({"photo": X}, Y)),
        lambda: tf.data.Dataset.from_tensor_slices(({"photo": X}, Y)).batch(8),
        lambda: Items([{"photo": x} for x in X], Y),
        lambda: tf.data.Dataset.from_tensor_slices(({"id": np.arange(N), "photo": X}, Y)),
    ],
)
def test_an_input_is_found_by_the_models_name_for_it(make):
    data = make()
    backend = backend_of(net(name="photo"), data)
    assert np.array_equal(backend.train_source.input(3), X[3])
    several = "id" in str(getattr(data, "element_spec", ""))
    assert several == any("and not 'id'" in text for text in backend.assumptions)


def test_a_models_own_mapping_of_one_input_is_found():
    inputs = keras.Input((10, 12, 3))
    outputs = layers.Dense(3)(layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3)(inputs)))
    model = keras.Model({"photo": inputs}, outputs)
    model.compile("sgd", SPARSE)
    backend = backend_of(model, ({"photo": X}, Y))
    backend.train_step(next(backend.train_batches(0)))
    with pytest.raises(ValueError, match=r"'foto', and none has the name .* 'photo'"):
        backend_of(model, ({"foto": X}, Y))


# --- items -------------------------------------------------------------------------------------


class Files(Items):
    """An image file that cannot be read, at one place."""

    def __init__(self, bad, error):
        super().__init__(np.repeat(X, 8, 0), np.repeat(Y, 8))
        self.bad, self.error = bad, error

    def __getitem__(self, index):
        if index == self.bad:
            raise self.error
        return super().__getitem__(index)


@pytest.mark.parametrize(
    "bad", [0, 1]
)  # one that is looked at before training, and one that is not
@pytest.mark.parametrize("error", [OSError("file is truncated"), KeyError("label"), IndexError()])
def test_a_damaged_item_is_named_by_its_index(bad, error):
    def read_all():
        list(backend_of(net(), Files(bad, error)).train_batches(0))

    with pytest.raises(type(error)) as found:
        read_all()
    said = str(found.value) + "".join(getattr(found.value, "__notes__", ()))
    assert f"train_data[{bad}]" in said


def test_a_damaged_item_ends_a_training_with_its_index(make_session):
    session = make_session(model=net(), data=Files(1, OSError("file is truncated")), batch_size=8)
    session.train(epochs=1)
    with pytest.raises(OSError, match=r"train_data\[1\]: file is truncated"):
        session.wait(240)
    (failure,) = session.events("failure")
    assert "train_data[1]" in failure.data["error"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda x, y: (x[:5], y), r"train_data\[1\] has shape \(5, 12, 3\), but sample"),
        (lambda x, y: (x, 1.5), "the target 1.5 at index 1"),
        (lambda x, y: (x, "cat"), "the label 'cat' at index 1"),
        (lambda x, y: (x, None), r"train_data\[1\] has the label None"),
        (lambda x, y: (x, float("nan")), "the label nan at index 1"),
        (lambda x, y: x, r"train_data\[1\] is a ndarray"),
        (lambda x, y: {"x": x, "y": y}, r"train_data\[1\] is a dict"),
    ],
)
def test_an_odd_item_that_was_not_looked_at_is_named_in_training(change, words):
    class Odd(Items):
        def __getitem__(self, index):
            item = super().__getitem__(index)
            return change(*item) if index == 1 else item

    backend = backend_of(net(), Odd(np.repeat(X, 8, 0), np.repeat(Y, 8)))
    with pytest.raises(ValueError, match=words):
        list(backend.train_batches(0))


def test_each_probe_is_read_once_before_training():
    reads = []

    class Slow(Items):
        def __getitem__(self, index):
            reads.append(index)
            return super().__getitem__(index)

    backend = backend_of(net(), Slow(np.repeat(X, 8, 0), np.repeat(Y, 8)))
    backend.labels()
    backend.probes()
    backend.read_sample(0)
    assert sorted(reads) == backend.train_source.probes()
    backend.begin()
    backend.read_sample(0)
    assert len(reads) == len(backend.train_source.probes()) + 1


# --- loops of the user's own ---------------------------------------------------------------------


def test_several_labels_are_refused_in_fit_and_in_a_loop_and_shares_are_the_likeliest(make_session):
    model = net(CATEGORICAL)
    session = make_session(model=model, data=(X, Y))
    with pytest.raises(ValueError, match="several labels a sample need task='multi_label'"):
        model.fit(X, SEVERAL, sample_weight=np.arange(N), verbose=0,
                  callbacks=[session.keras_callback()])  # fmt: skip
    backend = session._backend
    rows, logits = np.arange(4), model(X[:4])
    with pytest.raises(ValueError, match="several labels a sample need task='multi_label'"):
        backend.step_output(rows, logits, SEVERAL[:4], None, None)
    mixed = np.array([[0.7, 0.3, 0], [0, 0.2, 0.8], [0, 1, 0], [1, 0, 0]])
    assert backend.step_output(rows, logits, mixed, None, None).targets.tolist() == [0, 2, 1, 0]


def test_an_array_source_keeps_its_form():
    assert Source((X, np.eye(3)[Y]), "train_data").form == "one-hot"
    assert Source((X, Y[:, None]), "train_data").form == "column"
