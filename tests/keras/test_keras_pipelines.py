"""Data in batches: what is drawn anew stays so where each sample keeps its place."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from coflect_widget.backends import rereading
from coflect_widget.backends.keras.backend import KerasBackend
from coflect_widget.backends.keras.data import Source
from coflect_widget.config import Config

N = 32
RNG = np.random.default_rng(0)
# each picture's first pixel says which it is, and augmentation leaves it
X = RNG.random((N, 10, 12, 3), dtype=np.float32)
X[:, 0, 0, 0] = np.arange(N)
Y = RNG.integers(0, 3, N)


def net(first=()):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([
        keras.Input((10, 12, 3)), *first, layers.Conv2D(4, 3), layers.GlobalAveragePooling2D(),
        layers.Dense(3),
    ])  # fmt: skip
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def backend_of(data, val=None, batch_size=8):
    return KerasBackend(
        net(), data, val, num_classes=None, loss=None, optimizer=None, scheduler=None,
        batch_size=batch_size, config=Config(),
    )  # fmt: skip


def slices(x=X, y=Y):
    return tf.data.Dataset.from_tensor_slices((x, y))


# With a global seed, tf.random.uniform would draw the same in each reading, in fit() too.
DRAWN = tf.random.Generator.from_non_deterministic_state()


def lighter(x, y):
    light = DRAWN.uniform((), 0.0, 0.5)
    return tf.concat([x[:, :1], x[:, 1:] + light], 1), y


def light_of(inputs, indices):
    """What was added to each picture."""
    return np.median((inputs - X[indices])[:, :, 1:], (1, 2, 3))


def epoch(backend, number):
    batches = list(backend.train_batches(number))
    indices = np.concatenate([b.indices for b in batches])
    inputs = np.concatenate([np.asarray(b.inputs) for b in batches])
    targets = np.concatenate([b.targets for b in batches])
    return indices, inputs, targets, [len(b.indices) for b in batches]


class Batches(keras.utils.PyDataset):
    """Light drawn anew, and an order that changes where `on_epoch_end` is called."""

    def __init__(self, shuffled=False):
        super().__init__()
        self.order = np.arange(N)
        self.shuffled = shuffled

    def __len__(self):
        return -(-N // 5)

    def __getitem__(self, index):
        if self.shuffled:
            self.order = np.random.permutation(N)  # noqa: NPY002 - as users do
        group = self.order[5 * index : 5 * index + 5]
        x = X[group].copy()
        x[:, :, 1:] += np.random.uniform(0, 0.5, (len(group), 1, 1, 1))  # noqa: NPY002
        return x, Y[group]

    def on_epoch_end(self):
        np.random.shuffle(self.order)  # noqa: NPY002


def keras_augmented():
    flip = keras.Sequential([layers.RandomBrightness(0.3, value_range=(0, 1)), layers.Rescaling(1)])

    def augment(x, y):
        return tf.concat([x[:, :1], flip(x, training=True)[:, 1:]], 1), y

    return slices().map(augment)


ANEW = {
    "samples": lambda: slices().map(lighter),
    "batches": lambda: slices().map(lighter).batch(5),
    "in parallel": lambda: slices().map(lighter, num_parallel_calls=2).batch(8).prefetch(1),
    "cached before": lambda: slices().cache().map(lighter).batch(8),
    "a layer of Keras": keras_augmented,
    "a PyDataset": Batches,
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("kind", ANEW)
def test_random_augmentation_is_drawn_anew_in_each_epoch(kind):
    backend = backend_of(ANEW[kind]())
    assert any("each epoch reads it anew" in text for text in backend.assumptions)
    plain = backend_of((X, Y))
    seen = []
    for number in range(3):
        indices, inputs, targets, sizes = epoch(backend, number)
        order, _, _, expected = epoch(plain, number)
        assert np.array_equal(indices, order)  # where there is room for all of them
        assert sizes == expected
        assert np.array_equal(inputs[:, 0, 0, 0].round(), indices)  # each keeps its place
        assert np.array_equal(targets, Y[indices])
        lights = np.empty(N)
        lights[indices] = light_of(inputs, indices)
        seen.append(lights)
    assert all(np.abs(a - b).max() > 0.01 for a, b in [seen[:2], seen[1:]])
    assert np.array_equal(backend.read_sample(3).input, backend.read_sample(3).input)
    assert not backend.warnings


@pytest.mark.parametrize("window", [0, 6])
def test_an_epoch_without_room_in_memory_has_each_sample_once(monkeypatch, window):
    monkeypatch.setattr(rereading, "_WINDOW", window * X[0].nbytes)
    backend = backend_of(slices().map(lighter).batch(3), batch_size=2)
    indices, inputs, *_ = epoch(backend, 1)
    assert sorted(indices) == list(range(N))
    assert np.array_equal(inputs[:, 0, 0, 0].round(), indices)
    assert not np.array_equal(indices, np.arange(N))  # mixed as far as it goes
    again = epoch(backend, 1)[0]
    assert np.array_equal(indices, again)
    later = np.concatenate([b.indices for b in backend.train_batches(1, skip=3)])
    assert np.array_equal(later, indices[6:])


def shuffled_at_last(x, y):
    return slices(x, y).shuffle(N).batch(4)


def globally_seeded():
    tf.random.set_seed(1)
    return slices().map(lambda x, y: (x + tf.random.uniform(()), y))


SAME = {
    "plain": lambda: slices().batch(8),
    "shuffled": lambda: shuffled_at_last(X, Y),
    "cached": lambda: slices().map(lighter).cache().batch(8),
    "a global seed": globally_seeded,
    "seeded": lambda: slices().enumerate().map(
        lambda i, xy: (xy[0] + tf.random.stateless_uniform((), (tf.cast(i, tf.int32), 1)), xy[1])
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", SAME)
def test_a_pipeline_that_is_the_same_in_each_reading_is_read_no_more(kind):
    reads = []

    def counted(x, y):
        read = tf.py_function(lambda v: reads.append(1) or v, [x], tf.float32)
        return tf.ensure_shape(read, x.shape), y

    backend = backend_of(SAME[kind]().map(counted))
    known = len(reads)
    assert known
    first, second = epoch(backend, 0), epoch(backend, 1)
    assert len(reads) == known
    assert np.array_equal(first[1][np.argsort(first[0])], second[1][np.argsort(second[0])])
    assert not backend.warnings
    assert not backend.assumptions


UNKNOWN = {
    "shuffled first": lambda: slices().shuffle(N).map(lighter).batch(8),
    "shuffled last": lambda: slices().map(lighter).batch(4).shuffle(8),
    "one class, shuffled": lambda: slices(y=np.zeros(N, int)).shuffle(N).map(lighter).batch(8),
    "not deterministic": lambda: slices(y=np.zeros(N, int))
    .map(lighter, num_parallel_calls=2, deterministic=False).batch(8),
    "drawn from two": lambda: tf.data.Dataset.sample_from_datasets(
        [slices().map(lighter).take(16), slices().map(lighter).skip(16)]
    ).apply(tf.data.experimental.assert_cardinality(N)).batch(8),
    "a shuffled PyDataset": lambda: Batches(shuffled=True),
}  # fmt: skip


@pytest.mark.parametrize("kind", UNKNOWN)
def test_where_nobody_can_tell_samples_apart_the_first_copies_are_trained_and_it_is_said(kind):
    backend = backend_of(UNKNOWN[kind]())
    assert sum("copies of the first reading" in text for text in backend.warnings) == 1
    first, second = epoch(backend, 0), epoch(backend, 1)
    assert np.array_equal(first[1][np.argsort(first[0])], second[1][np.argsort(second[0])])


class Turning(keras.utils.PyDataset):
    """In one order, until the reading after `reads`."""

    def __init__(self, reads, change):
        super().__init__()
        self.reads = reads
        self.change = change
        self.left = 0

    def __len__(self):
        return 4

    def __getitem__(self, index):
        self.left += 1
        x, y = X[8 * index : 8 * index + 8] + np.random.rand(), Y[8 * index : 8 * index + 8]  # noqa: NPY002
        return self.change(x, y) if self.left > self.reads else (x, y)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda x, y: (x[::-1], y[::-1]), "other labels than before"),
        (lambda x, y: (x[:5], y[:5]), "than before"),
        (lambda x, y: (np.repeat(x, 2, 0), np.repeat(y, 2)), "than before"),
    ],
)
def test_an_order_that_changes_later_ends_the_reading_and_not_the_training(change, words):
    backend = backend_of(Turning(4 + 8 + 4, change))  # read once, looked at twice, an epoch
    assert sorted(epoch(backend, 0)[0]) == list(range(N))
    assert not backend.warnings
    for number in (1, 2):
        indices, _, targets, sizes = epoch(backend, number)
        assert sorted(indices) == list(range(N))
        assert np.array_equal(targets, Y[indices])
        assert sizes == [8] * 4
    (said,) = backend.warnings
    assert words in said
    assert "copies of the first reading" in said


def test_validation_data_are_read_once(monkeypatch):
    backend = backend_of((X, Y), slices().map(lighter).batch(8))
    first, second = (backend.read_val_sample(3).input for _ in range(2))
    assert np.array_equal(first, second)
    assert not backend.warnings


def test_a_batch_that_cannot_be_read_is_named():
    class Broken(Batches):
        def __getitem__(self, index):
            if index == 3:
                raise OSError("image file is truncated")
            return super().__getitem__(index)

    with pytest.raises(OSError, match=r"train_data\[3\]: image file is truncated"):
        Source(Broken(), "train_data")

    def broken(i, x, y):
        tf.debugging.assert_less(i, tf.constant(9, tf.int64), "no picture")
        return x, y

    data = slices().enumerate().map(lambda i, xy: broken(i, *xy)).batch(4)
    with pytest.raises(ValueError, match="train_data cannot be read after its first 8 samples"):
        Source(data, "train_data")


class Augmented:
    """A map-style data set whose pictures are drawn anew."""

    def __len__(self):
        return N

    def __getitem__(self, index):
        x = X[index].copy()
        x[:, 1:] += np.random.uniform(0, 0.5)  # noqa: NPY002 - as users do
        return x, Y[index]


def test_a_map_style_data_set_draws_anew_in_training_and_is_not_moved_by_maps():
    np.random.seed(0)  # noqa: NPY002
    backend = backend_of(Augmented())
    backend.begin()
    indices, inputs, *_ = epoch(backend, 0)
    lights = light_of(inputs, indices)
    assert len(np.unique(lights.round(4))) > N // 2  # each sample draws
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    backend.read_sample(3)
    assert np.array_equal(before, np.random.get_state()[1])  # noqa: NPY002
    assert backend.reads_at_boundary
