"""One step is tried before training: it finds what does not fit, and leaves nothing behind."""

import random
import threading

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from coflect_widget.backends.keras import backend as keras_backend
from coflect_widget.backends.keras.backend import KerasBackend
from coflect_widget.config import Config

N = 24
RNG = np.random.default_rng(0)
X = RNG.random((N, 10, 12, 3), dtype=np.float32)
Y = np.arange(N) % 3
SPARSE = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def backend_of(model, data=(X, Y), batch_size=8, **more):
    arguments = {"num_classes": None, "loss": None, "optimizer": None, "scheduler": None, **more}
    return KerasBackend(model, data, None, batch_size=batch_size, config=Config(), **arguments)


class Noise(layers.Layer):
    """Draws from TensorFlow's own stateful generator."""

    def call(self, x, training=False):
        return x + tf.random.normal(tf.shape(x), 0, 0.1) if training else x


def net(optimizer="adam", *, metrics=None, extra=(), **more):
    keras.utils.set_random_seed(3)
    model = keras.Sequential([
        keras.Input((10, 12, 3)), layers.RandomFlip(), *extra, layers.Conv2D(4, 3),
        layers.BatchNormalization(momentum=0.5), layers.ReLU(), layers.GlobalAveragePooling2D(),
        layers.Dropout(0.5), layers.Dense(3),
    ])  # fmt: skip
    model.compile(optimizer, SPARSE, metrics=metrics, **more)
    return model


def averages():
    return keras.optimizers.Adam(use_ema=True, ema_momentum=0.9, ema_overwrite_frequency=2)


def accumulating():
    return keras.optimizers.SGD(0.1, momentum=0.9, gradient_accumulation_steps=2)


def scaled():
    return keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(), dynamic_growth_steps=1)


def decaying():
    return keras.optimizers.SGD(keras.optimizers.schedules.ExponentialDecay(0.5, 1, 0.5))


KINDS = {
    "adam": net,
    "averages": lambda: net(averages()),
    "accumulating": lambda: net(accumulating()),
    "scaled": lambda: net(scaled()),
    "decaying": lambda: net(decaying(), metrics=["accuracy"]),
    "eager": lambda: net("rmsprop", run_eagerly=True),
    "noise": lambda: net(extra=[Noise()]),
}


def values(model):
    found = [*model.variables, *model.optimizer.variables]
    return [variable.numpy().copy() for variable in found]


def same(first, second):
    return len(first) == len(second) and all(
        np.array_equal(a, b) for a, b in zip(first, second, strict=True)
    )


@pytest.mark.parametrize("kind", KINDS)
def test_training_is_bit_for_bit_the_same_with_a_rehearsal_as_without(kind, monkeypatch):
    def trained():
        model = KINDS[kind]()
        tf.random.set_seed(5)
        backend = backend_of(model)
        backend.begin()
        for epoch in range(2):
            for batch in backend.train_batches(epoch):
                backend.train_step(batch)
        return values(model)

    with_it = trained()
    monkeypatch.setattr(keras_backend, "rehearse", lambda *_: None)
    assert same(with_it, trained())


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_rehearsal_leaves_model_optimizer_metrics_and_random_numbers_as_they_were(kind):
    model = KINDS[kind]()
    model.fit(X, Y, verbose=0)  # so that nothing is at its beginning
    model.reset_metrics()
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002 - the generator that users draw from
    state = random.getstate(), np.random.get_state()[1].copy()  # noqa: NPY002
    before = values(model)
    threads = threading.active_count()
    backend = backend_of(model)
    assert same(before, values(model))
    assert random.getstate() == state[0]
    assert np.array_equal(np.random.get_state()[1], state[1])  # noqa: NPY002
    assert threading.active_count() <= threads + 1  # TensorFlow's own
    backend.train_step(next(backend.train_batches(0)))
    assert not same(before, values(model))  # and training does change it


def test_the_step_that_was_tried_is_the_one_that_trains():
    traced = []

    def loss(y, outputs):
        traced.append(1)
        return SPARSE(y, outputs)

    model = net()
    model.compile("adam", loss)
    backend = backend_of(model)
    known = len(traced)
    for batch in backend.train_batches(0):
        backend.train_step(batch)
    assert len(traced) == known  # nothing was compiled once more


@pytest.mark.parametrize("samples", [5, 9])
def test_few_samples_are_rehearsed_as_they_are_trained(samples):
    sizes = []

    class Seen(layers.Layer):
        def call(self, x, training=False):
            if training:
                sizes.append(x.shape[0])
            return x

    model = net(extra=[Seen()], run_eagerly=True)
    backend_of(model, (X[:samples], Y[:samples]))
    assert sizes == [samples]  # 9: a last batch of one would be put to the first


def broken_loss(y, outputs):
    return keras.ops.sum(outputs[:, :2] * outputs, -1)


def constant_loss(y, outputs):
    return keras.ops.zeros_like(y)


def masks_of_wrong_size(y, outputs):
    return keras.ops.mean((keras.ops.cast(y, "float32") - outputs) ** 2, -1)


@pytest.mark.parametrize(
    ("make", "data", "words"),
    [
        (lambda: net(loss_weights=[1.0, 2.0]), (X, Y), "loss_weights"),
        (lambda: recompiled(broken_loss), (X, Y), "cannot be used with outputs"),
        (lambda: recompiled(constant_loss), (X, Y), "one step of training was tried"),
        (lambda: recompiled(masks_of_wrong_size), (X, Y), "cannot be used with outputs"),
        (lambda: recompiled(SPARSE, metrics=[keras.metrics.F1Score()]), (X, Y), "metrics"),
        (lambda: recompiled(SPARSE, [NoTraining()]), (X, Y), "one step of training was tried"),
        (lambda: frozen(), (X, Y), "all layers are frozen"),
    ],
)
def test_what_does_not_fit_is_found_before_a_thread_starts(make, data, words, make_session):
    threads = set(threading.enumerate())
    with pytest.raises(ValueError, match=words):
        make_session(model=make(), data=data, batch_size=8)
    assert not {t for t in set(threading.enumerate()) - threads if "coflect" in t.name}


class NoTraining(layers.Layer):
    """Fails in training alone."""

    def call(self, x, training=False):
        if training:
            raise ArithmeticError("not in training")
        return x


def recompiled(loss, extra=(), **more):
    model = net(extra=extra)
    model.compile("adam", loss, **more)
    return model


def frozen():
    model = net()
    model.trainable = False
    return model


def test_a_sample_that_is_nan_is_left_to_training():
    images = X.copy()
    images[0] = np.nan
    model = net()
    before = values(model)
    backend = backend_of(model, (images, Y))
    assert backend.model.head == "logits"
    assert same(before, values(model)[: len(before)])
