"""Each remedy that a message for Keras users names is followed once, and a session then trains."""

import re
import subprocess
import sys
import threading

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import coflect_widget as coflect
from coflect_widget.backends import in_batches
from coflect_widget.backends.errors import NoSuitableLayerError
from tests.keras.remedy_cases import (
    CASES,
    FROM_LOGITS,
    Batches,
    Items,
    N,
    X,
    Y,
    net,
    random_light,
    slices,
)


def session_of(case, executor, tmp_path):
    make, data, *more = case
    return coflect.Session(
        make(), data, batch_size=8, run_dir=tmp_path, executor=executor, **(more[0] if more else {})
    )


def trains(case, executor, tmp_path):
    """What a session has said after one epoch."""
    with session_of(case, executor, tmp_path) as session:
        session.train(epochs=1)
        assert session.wait(240)
        assert session.state == "finished"
        return [event.data["text"] for event in session.events("notice")]


@pytest.mark.parametrize(
    ("wrong", "remedy", "right"),
    # Each is a training of its own: one in eight at every turn, all of them in `make slow`.
    [
        case
        if number % 8 == 0
        else pytest.param(*getattr(case, "values", case), marks=pytest.mark.slow)
        for number, case in enumerate(CASES)
    ],
)
def test_the_remedy_works(wrong, remedy, right, executor, tmp_path):
    kinds = (ValueError, TypeError, NoSuitableLayerError)
    with pytest.raises(kinds, match=re.escape(remedy)):
        session_of(wrong, executor, tmp_path / "wrong")
    assert not list((tmp_path / "wrong").glob("*"))  # nothing was begun
    said = trains(right, executor, tmp_path / "right")
    assert not any("Training works, overlays do not" in text for text in said)


def test_data_too_large_for_memory_are_taken_from_a_map_style_data_set(
    executor, tmp_path, monkeypatch
):
    monkeypatch.setattr(in_batches, "LARGEST_READ", X.nbytes - 1)
    with pytest.raises(ValueError, match="pass a map-style data set, which gives one sample"):
        session_of((net, slices()), executor, tmp_path)
    trains((net, Items(lambda i: (X[i], Y[i]))), executor, tmp_path)


def light(x):
    return (x + np.random.uniform(-0.5, 0.5)).astype(np.float32)  # noqa: NPY002 - as users do


@pytest.mark.parametrize(
    ("words", "right"),
    [
        ("keras.layers.RandomFlip", (lambda: net(first=[layers.RandomFlip()]), slices())),
        ("leave shuffle() out", (net, slices().map(random_light))),
        ("a map-style data set", (net, Items(lambda i: (light(X[i]), Y[i])))),
        ("keras.utils.PyDataset", (net, Batches(lambda s: (light(X[s]), Y[s])))),
    ],
)
def test_a_pipeline_whose_copies_stay_names_ways_to_draw_them_anew(
    words, right, executor, tmp_path
):
    wrong = (net, slices().shuffle(N).map(random_light))
    (said,) = [t for t in trains(wrong, executor, tmp_path) if "copies of the first" in t]
    assert words in said
    assert not any("stays as it was" in text for text in trains(right, executor, tmp_path))


# --- what is said later than at the beginning ----------------------------------------------------


@pytest.fixture
def fitted(executor, tmp_path):
    """A model and its session, for a training with fit()."""
    model = net()
    with session_of((lambda: model, (X, Y)), executor, tmp_path) as session:
        yield model, session


def fits(model, session, *data, **more):
    model.fit(*data, verbose=0, callbacks=[session.keras_callback()], **more)
    assert session.state == "finished"


@pytest.mark.parametrize(
    ("words", "data", "more"),
    [
        ("sample_weight=numpy.arange(len(x))", (X, Y), {"sample_weight": np.arange(N)}),
        ("Dataset.from_tensor_slices((x, y, numpy.arange(len(x))))",
         (tf.data.Dataset.from_tensor_slices((X, Y, np.arange(N))).batch(8),), {}),
    ],
)  # fmt: skip
def test_a_fit_without_indices_names_ways_to_give_them(fitted, words, data, more):
    with pytest.raises(ValueError, match=re.escape(words)):
        fits(*fitted, X, Y)
    fits(*fitted, *data, **more)


def test_a_fit_of_another_model_or_of_steps_at_once_says_what_to_do(fitted, executor, tmp_path):
    model, session = fitted
    with pytest.raises(ValueError, match="is not the one that is fitted; use one model"):
        fits(net(), session, X, Y, sample_weight=np.arange(N))
    model.compile("sgd", FROM_LOGITS, steps_per_execution=2)
    with pytest.raises(ValueError, match="steps_per_execution > 1; compile it without"):
        fits(model, session, X, Y, sample_weight=np.arange(N))
    model.compile("sgd", FROM_LOGITS)
    fits(model, session, X, Y, sample_weight=np.arange(N))
    session.close()
    with pytest.raises(RuntimeError, match=r"make a new Session and give fit\(\) its keras_callb"):
        model.fit(X, Y, sample_weight=np.arange(N), verbose=0, callbacks=[closed_callback(session)])
    with session_of((lambda: model, (X, Y)), executor, tmp_path / "new") as new:
        fits(model, new, X, Y, sample_weight=np.arange(N))


def closed_callback(session):
    from coflect_widget.integrations.keras import make_callback

    return make_callback(session._parts.own_loop)


def test_weights_that_look_like_places_name_two_ways(fitted):
    model, session = fitted
    fits(model, session, X, Y, sample_weight=np.ones(N, int))
    (said,) = [e.data["text"] for e in session.events("notice") if "as weights" not in e.type]
    assert "pass numpy.arange(len(x)), and class_weight= to Session" in said
    fits(model, session, X, Y, sample_weight=np.arange(N))
    assert len(session.events("notice")) == 1


def test_guidance_in_a_compiled_function_is_computed_outside_it(fitted):
    model, session = fitted
    session.feedback(sample=1, ignore=(0, 0, 0.4, 0.4))
    forward = tf.function(model)
    data = tf.data.Dataset.from_tensor_slices((X, Y, np.arange(N))).batch(8)

    def step(x, y, index):
        with tf.GradientTape() as tape:
            logits = forward(x, training=True)
            loss = tf.reduce_mean(keras.losses.sparse_categorical_crossentropy(y, logits, True))
            total = loss + session.guidance_loss(x, y, loss)
        model.optimizer.apply(tape.gradient(total, model.trainable_variables))
        session.observe(index, logits, y, loss)

    compiled_step = tf.function(step)
    with pytest.raises(RuntimeError, match=r"forward = tf\.function\(model\) may be compiled"):
        [compiled_step(*batch) for batch in session.loop(data)]
    session.stop()  # the error still holds the loop that it came out of
    for batch in session.loop(data):
        step(*batch)
    assert session.state == "finished"


def test_mixed_precision_is_a_policy_of_keras(executor, tmp_path):
    with pytest.raises(ValueError, match=r'set_global_policy\("mixed_float16"\) before you make'):
        session_of((net, (X, Y), {"config": {"mixed_precision": True}}), executor, tmp_path)
    before = keras.config.dtype_policy()
    try:
        keras.mixed_precision.set_global_policy("mixed_float16")
        trains((net, (X, Y)), executor, tmp_path)
    finally:
        keras.config.set_dtype_policy(before)


class Unsendable(layers.Layer):
    """Holds what no other process can have, and describes itself only where `told`."""

    def __init__(self, scale, *, told=False):
        super().__init__()
        self.scale, self.told = scale, told
        self.lock = threading.Lock()

    def call(self, x):
        return x * self.scale

    def get_config(self):
        if not self.told:
            raise NotImplementedError("no description")
        return {"scale": self.scale, "told": True}


def test_a_model_that_cannot_be_sent_describes_itself_then(executor, tmp_path):
    said = trains((lambda: net(first=[Unsendable(2.0)]), (X, Y)), executor, tmp_path)
    (text,) = [text for text in said if "overlays do not" in text]
    assert "get_config() that returns the arguments of its constructor" in text
    told = (lambda: net(first=[Unsendable(2.0, told=True)]), (X, Y))
    assert not trains(told, executor, tmp_path)


ENGINE = """
import os, sys, tempfile
os.environ["KERAS_BACKEND"] = "torch"
import keras, numpy, coflect_widget as coflect
from keras import layers
if __name__ == "__main__":
    model = keras.Sequential([
        keras.Input((3, 8, 8)), layers.Permute((2, 3, 1)), layers.Conv2D(4, 3),
        layers.GlobalAveragePooling2D(), layers.Dense(2),
    ])
    data = numpy.random.rand(8, 3, 8, 8).astype("float32"), numpy.arange(8) % 2
    more = {"run_dir": tempfile.mkdtemp(), "config": {"attribution": {"method": "smoothgrad"}}}
    try:
        coflect.Session(model, data, backend="keras", **more)
    except ValueError as error:
        print(error)
    session = coflect.Session(model, data, backend="torch", **more)
    session.train(epochs=1)
    session.wait(240)
    print(session.state)
    session.close()
"""


@pytest.mark.slow
def test_another_engine_of_keras_says_which_works(tmp_path):
    script = tmp_path / "engine.py"
    script.write_text(ENGINE)
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, check=False
    )
    refusal, state = done.stdout.splitlines()
    # The other way out is how all tests of this folder are run: conftest.py sets it.
    assert 'KERAS_BACKEND"] = "tensorflow" before the first import of keras' in refusal
    assert "backend='torch' trains a Keras model on the torch engine" in refusal
    assert state == "finished"


def test_pictures_may_be_named(tmp_path):
    with coflect.Session(net(), (X, Y), inputs="image", run_dir=tmp_path) as session:
        assert session._parts.modality.name == "image"
