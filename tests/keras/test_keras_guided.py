"""Every kind of stroke, in every kind of Keras model and way to train one; and what fails."""

import math
from functools import cache

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import coflect_widget as coflect
from tests.conftest import eventually
from tests.keras.guided_models import CLASSES, MODELS, make
from tests.one_worker import quiet
from tests.thinned import thinned

SAMPLES, BATCH, EPOCHS = 48, 16, 1
rng = np.random.default_rng(0)
PICTURES = rng.random((SAMPLES, 32, 32, 3), dtype=np.float32)
LABELS = np.arange(SAMPLES) % CLASSES
REGION = (0.2, 0.2, 0.6, 0.6)
MARK, ODD, BLACK = 9.0, 7, 11

STROKES = {
    "look": ({"look": REGION}, None, "class activation"),
    "ignore, fill": ({"ignore": REGION}, "fill", "fill"),
    "ignore, gradient": ({"ignore": REGION}, "input_gradient", "input gradient"),
}


def session_of(model, run_dir, executor, loss=None, pictures=PICTURES):
    guidance = {"replay_share": 1.0, "effect_after": 0}  # a guided pass in each step
    if loss is not None:
        guidance["ignore_loss"] = loss
    return coflect.Session(
        model, (pictures, LABELS), batch_size=BATCH, run_dir=run_dir, executor=executor,
        config=quiet({"guidance": guidance, "log_every": 1}),
    )  # fmt: skip


def train(session, draw, epochs=EPOCHS):
    draw()
    session.train(epochs=epochs)
    session.wait(240)


def fit(session, draw, pictures=PICTURES, epochs=EPOCHS):
    draw()
    session._backend.keras_model.fit(
        pictures, LABELS, sample_weight=np.arange(SAMPLES), batch_size=BATCH, epochs=epochs,
        shuffle=False, verbose=0, callbacks=[session.keras_callback()],
    )  # fmt: skip


def loop(session, draw, pictures=PICTURES, epochs=EPOCHS):
    """A bare loop with a tape of its own; the first stroke is drawn in its midst."""
    model = session._backend.keras_model
    cuts = [np.arange(start, start + BATCH) for start in range(0, SAMPLES, BATCH)]
    for number, indices in enumerate(session.loop(cuts, epochs=epochs)):
        if number == 1:
            draw()
        x, y = pictures[indices], LABELS[indices]
        with tf.GradientTape() as tape:
            outputs = model(x, training=True)
            loss = model.compute_loss(x, y, outputs)
            session.observe(indices, outputs, y, loss)
            total = loss + session.guidance_loss(x, y, loss)
        variables = model.trainable_variables
        model.optimizer.apply(tape.gradient(total, variables), variables)


WAYS = {"train": train, "fit": fit, "loop": loop}
#: `fit` makes the steps of `train`, and a bare loop's terms are those of `train` outside a graph.
CASES = thinned([(name, "train") for name in MODELS if name not in ("plain", "vit")], STROKES)
CASES += thinned(["plain", "vit", "norm of features"], [(w, s) for s in STROKES for w in WAYS])


def weights(session):
    return np.concatenate([w.numpy().ravel() for w in session._backend.keras_model.weights])


@pytest.fixture(scope="module")
def unguided(executor, tmp_path_factory):
    """Weights of the same training without a stroke."""

    @cache
    def run(name, way):
        session = session_of(make(name), tmp_path_factory.mktemp("runs"), executor)
        WAYS[way](session, lambda: None)
        session.close()
        return weights(session)

    return run


@pytest.mark.parametrize(("name", "way", "stroke"), CASES)
def test_a_stroke_is_obeyed(name, way, stroke, executor, unguided, tmp_path):
    given, loss, words = STROKES[stroke]
    session = session_of(make(name), tmp_path, executor, loss)
    entries = []
    WAYS[way](session, lambda: entries.append(session.feedback(sample=5, **given)))
    assert session.state == "finished"
    assert entries[0].record.loss.startswith(words)
    assert not session.events("lapsed")
    assert not [e.data.text for e in session.events("notice") if e.data.level != "info"]
    session.wait(240)
    found = [e.data.values.get("guidance_loss") for e in session.events("metrics")]
    found = [value for value in found if value is not None]
    assert all(math.isfinite(value) for value in found)
    assert sum(found) > 0
    assert np.isfinite(weights(session)).all()
    assert not np.array_equal(weights(session), unguided(name, way))
    session.close()


@pytest.mark.parametrize("way", WAYS)
def test_a_stroke_is_in_force_in_the_next_epoch_too(way, executor, tmp_path):
    session = session_of(make("plain"), tmp_path, executor)
    WAYS[way](session, lambda: session.feedback(sample=5, look=REGION), epochs=2)
    session.wait(240)
    steps = SAMPLES // BATCH
    found = {e.step: e.data.values.get("guidance_loss") for e in session.events("metrics")}
    assert max(found) == 2 * steps
    assert all((found[step] or 0) > 0 for step in range(steps + 1, 2 * steps + 1))
    session.close()


# --- what fails --------------------------------------------------------------------------------


class Picky(layers.Layer):
    """Fails on a small batch with the marked picture: while computing, or while it is traced."""

    def __init__(self, *, traced, **more):
        super().__init__(**more)
        self.traced = traced

    def call(self, x, training=False):
        if not training or x.shape[0] is None or x.shape[0] >= 8:
            return x
        if self.traced:
            if x.shape[0] == 1:
                raise ValueError("no kernel for one row")
            return x
        marked = tf.reduce_any(x[:, 0, 0, 0] == MARK)
        with tf.control_dependencies([tf.debugging.Assert(~marked, ["no kernel for this one"])]):
            return tf.identity(x)


def picky(*, traced):
    inputs = keras.Input((32, 32, 3))
    x = Picky(traced=traced)(inputs)
    x = layers.Conv2D(8, 3, strides=2, padding="same", activation="relu")(x)
    return keras.Model(inputs, layers.Dense(CLASSES)(layers.GlobalAveragePooling2D()(x)))


@pytest.mark.parametrize(
    ("way", "eagerly", "traced"),
    [("train", False, True), ("train", False, False), ("train", True, True), ("fit", False, False),
     ("loop", False, True), ("loop", False, False)],
)  # fmt: skip
def test_what_raises_is_out_of_force_and_the_step_is_the_unguided_one(
    way, eagerly, traced, executor, tmp_path
):
    pictures = PICTURES.copy()
    pictures[ODD, 0, 0, 0] = MARK
    found = []
    for guided in (False, True):
        model = make(lambda: picky(traced=traced), eagerly=eagerly)
        session = session_of(model, tmp_path, executor, pictures=pictures)

        def draw(session=session, guided=guided):
            if guided:
                session.feedback(sample=ODD, look=REGION)

        WAYS[way](session, draw, *([] if way == "train" else [pictures]))
        assert session.state == "finished"
        found.append(weights(session))
        if guided:
            [lapsed] = session.events("lapsed")
            assert (lapsed.data.id, lapsed.data.kind, lapsed.data.sample) == ("i1", "look", ODD)
            [text] = [e.data.text for e in session.events("notice") if e.data.level != "info"]
            assert f"i1 (look on sample {ODD})" in text
            assert "raised" in text
            assert "no kernel for" in text
            assert "look" in session.interventions[0].lapsed
            session.undo("i1")
        session.close()
    assert np.array_equal(*found)


class Power(layers.Layer):
    """Has a second derivative that is not finite at 0, and a first one that is."""

    def call(self, x):
        return tf.pow(tf.abs(x), 1.5)


def power():
    inputs = keras.Input((32, 32, 3))
    x = Power()(layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False)(inputs))
    return keras.Model(inputs, layers.Dense(CLASSES)(layers.GlobalAveragePooling2D()(x)))


@pytest.mark.parametrize("way", WAYS)
def test_only_the_stroke_that_is_not_finite_leaves(way, executor, tmp_path):
    pictures = PICTURES.copy()
    pictures[BLACK] = 0
    session = session_of(make(power), tmp_path, executor, "input_gradient", pictures)

    def draw():
        session.feedback(sample=BLACK, ignore=REGION, scope="sample")
        session.feedback(sample=5, ignore=REGION, scope="sample")

    WAYS[way](session, draw, *([] if way == "train" else [pictures]))
    assert session.state == "finished"
    assert np.isfinite(weights(session)).all()
    assert [e.data.id for e in session.events("lapsed")] == ["i1"]
    session.wait(240)
    assert session.metrics["guidance_loss"] > 0  # of the other one
    assert [s.id for s in session.ledger.state().strokes] == ["i2"]
    session.close()


def test_a_batch_that_is_not_finite_is_not_laid_on_the_guidance(executor, tmp_path):
    pictures = PICTURES.copy()
    pictures[20, 3, 3] = np.nan
    session = session_of(make("norm of features"), tmp_path, executor, pictures=pictures)
    session.feedback(sample=5, look=REGION)
    session.train(epochs=1)
    eventually(lambda: session.state in ("paused", "finished"))
    assert session.state == "paused"
    session.resume()
    session.wait(240)
    assert not session.events("lapsed")
    session.close()
