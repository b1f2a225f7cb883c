"""Knobs, added samples and poisoned rows with Keras: the same as with Torch."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from tests.conftest import eventually
from tests.keras.keras_models import compiled, nested, sequential

TEN = [
    {"lr": 0.02}, {"lr": "x 0.5"}, {"weight_decay": 0.01}, {"momentum": 0.5}, {"batch_size": 32},
    {"freeze": "first"}, {"freeze": "second", "lr": 0.03}, {"unfreeze": "first"},
    {"momentum": "x 0.5", "weight_decay": "x 2"}, {"lr": "x 3"},
]  # fmt: skip


def sgd(rate=0.05):
    return keras.optimizers.SGD(rate, momentum=0.9, weight_decay=1e-3)


def halves(epoch, rate):
    return rate * 0.5


def held(make_session, model, **arguments):
    session = make_session(model=model, config={"author": "Ada"}, **arguments)
    session.train(epochs=5)
    eventually(lambda: session.metrics["step"] >= 2, 90)
    session.pause()
    return session


def weights(model):
    return {weight.path: weight.numpy() for weight in model.weights}


def test_ten_knobs_in_mid_training_each_undone_leave_no_trace(make_session):
    plain = make_session(model=compiled(sequential(), optimizer=sgd()), scheduler=halves)
    plain.train(epochs=5)
    assert plain.wait(120)
    model = compiled(sequential(), optimizer=sgd())
    session = held(make_session, model, scheduler=halves)
    optimizer = model.optimizer
    rate = float(optimizer.learning_rate)
    told = [session.set(**given) for given in TEN]
    assert float(optimizer.learning_rate) == pytest.approx(0.09)
    assert (optimizer.momentum, optimizer.weight_decay) == (0.25, 0.02)
    assert model.get_layer("first").trainable
    assert not model.get_layer("second").trainable
    shown = session.events("knobs")[-1].data
    assert {v.name: v.values for v in shown.values}["momentum"] == [0.25]
    assert {layer.name: layer.frozen for layer in shown.layers}["second"] == 1
    assert shown.next_batch_size == 32
    events = session.events("intervention")
    assert [e.data.id for e in events] == [one.id for one in told]
    assert {(e.data.author, e.step) for e in events} == {("Ada", session.metrics["step"])}
    session.undo(told[0])
    assert float(optimizer.learning_rate) == pytest.approx(0.09)  # a later one sets it
    session.undo(told[6])
    assert float(optimizer.learning_rate) == pytest.approx(rate * 1.5)
    for one in (told[9], *told[1:6], *told[7:9]):
        session.undo(one)
    assert float(optimizer.learning_rate) == rate
    assert (optimizer.momentum, optimizer.weight_decay) == (0.9, 1e-3)
    assert all(layer.trainable for layer in model.layers)
    session.resume()
    assert session.wait(240)
    mine, theirs = weights(model), weights(plain._backend.keras_model)
    assert all(np.array_equal(mine[k], v) for k, v in zip(mine, theirs.values(), strict=True))


def test_the_loss_follows(make_session):
    model = compiled(sequential(), optimizer=sgd())
    session = held(make_session, model, scheduler=halves)
    done = session.set(lr=1e-12, momentum=0.0, weight_decay=0.0)
    assert "the halves goes on from there" in done.understood
    before = weights(model)
    session.step(2)
    after = weights(model)
    trained = [w.path for w in model.trainable_variables]
    assert all(np.allclose(before[name], after[name], atol=1e-8) for name in trained)
    session.step("epoch")
    assert float(model.optimizer.learning_rate) == pytest.approx(0.5e-12)
    session.undo(done)
    norm = next(layer.name for layer in model.layers if "norm" in layer.name)
    freeze = session.set(freeze=["first", norm])
    before = weights(model)
    session.step(2)
    after = weights(model)
    still = {name for name in before if np.array_equal(before[name], after[name])}
    held_ = {w.path for name in ("first", norm) for w in model.get_layer(name).weights}
    assert still == held_
    session.undo(freeze)
    session.step()
    again = weights(model)
    assert not any(np.array_equal(again[name], after[name]) for name in held_)


def test_a_schedule_within_the_optimizer_goes_on_from_a_knob(make_session):
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 1, 0.9)
    model = compiled(sequential(), optimizer=keras.optimizers.Adam(schedule))
    session = held(make_session, model)
    step = session.metrics["step"]
    done = session.set(lr=0.02)
    assert "the ExponentialDecay goes on from there" in done.understood
    rate = lambda: float(model.optimizer.learning_rate)  # noqa: E731 - it moves
    assert rate() == pytest.approx(0.02)
    session.step(2)
    assert rate() == pytest.approx(0.02 * 0.9**2, rel=1e-5)
    half = session.set(lr="x 0.5", momentum=0.5)
    assert model.optimizer.beta_1 == 0.5
    assert rate() == pytest.approx(0.01 * 0.9**2, rel=1e-5)
    session.undo(done)
    assert rate() == pytest.approx(0.05 * 0.9 ** (step + 2), rel=1e-5)
    session.undo(half)
    assert rate() == float(schedule(step + 2))
    assert model.optimizer.beta_1 == pytest.approx(0.9)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"lr": 0}, "above 0"), ({"weigth_decay": 1}, "'weight_decay'"),
        ({"momentum": 1}, "below 1"), ({"freeze": "inner"}, None),
        ({"freeze": "iner"}, "did you mean 'inner'"),
        ({"freeze": ["body", "dense"]}, "nothing would be left"),
        ({"batch_size": 257}, "at most 256"),
    ],
)  # fmt: skip
def test_bad_input_is_refused_with_words(make_session, given, says):
    model = nested()
    last = model.layers[-1].name
    if isinstance(given.get("freeze"), list):
        given = {"freeze": [last if name == "dense" else name for name in given["freeze"]]}
    session = make_session(model=compiled(model, optimizer=sgd()))
    if says is None:
        done = session.set(**given)
        assert not model.get_layer("body").get_layer("inner").trainable
        assert model.get_layer("body").get_layer("deep").trainable
        session.undo(done)
        assert all(layer.trainable for layer in model._flatten_layers())
        return
    with pytest.raises(ValueError, match=says):
        session.set(**given)
    assert session.interventions == []
    assert all(layer.trainable for layer in model._flatten_layers())


def test_what_was_frozen_before_stays_frozen_after_an_undo(make_session):
    model = nested()
    model.get_layer("body").get_layer("inner").trainable = False
    session = make_session(model=compiled(model, optimizer=sgd()))
    done = session.set(freeze="body")
    session.undo(done)
    flags = {layer.name: layer.trainable for layer in model._flatten_layers()}
    assert not flags["inner"]
    assert flags["deep"]
    assert flags["body"]
    with pytest.raises(ValueError, match="frozen when the optimizer was made"):
        session.set(unfreeze="inner")
    plain = keras.optimizers.SGD(0.05)
    session = make_session(model=compiled(sequential(), optimizer=plain))
    session.train(steps=1)
    assert session.wait(240)
    with pytest.raises(ValueError, match="no room for it"):
        session.set(momentum=0.9)


def test_samples_are_added_and_taken_back(make_session, shapes):
    images = shapes.images.transpose(0, 2, 3, 1)
    model = compiled(sequential(), optimizer=sgd())
    session = held(make_session, model, data=(images, shapes.labels), batch_size=32)
    done = session.add(1 - images[:40], shapes.labels[:40])
    session.step("epoch")
    begun = session.metrics["step"]
    session.step("epoch")
    assert session.metrics["step"] == begun + 10
    session._parts.forecaster.drain(30)
    store = session._parts.forecaster.store
    assert store.num_samples == 296
    assert store.seen.all()
    session.undo(done)
    session.relabel(5, 1)
    session.drop(6)
    session.step("epoch")
    assert session.metrics["step"] == begun + 18
    session._parts.forecaster.drain(30)
    assert (store.last_seen[256:] <= begun + 10).all()
    assert store.target[5] == 1


def test_a_batch_of_which_all_is_left_out_weighs_nothing(make_session, shapes):
    data = shapes.images.transpose(0, 2, 3, 1), shapes.labels
    backend = make_session(compiled(sequential(), optimizer=sgd()), data=data)._backend
    batch = next(iter(backend.train_batches(0)))
    rows = batch.indices.tolist()
    for left_out, shown in ((rows[1:], len(rows)), (rows, 0)):
        backend.set_labels(dict.fromkeys(left_out))
        output = backend.train_step(batch)
        assert {len(output.indices), len(output.targets), len(output.logits)} == {shown}


def test_data_that_are_drawn_anew_take_no_more_samples(make_session, shapes):
    images = shapes.images.transpose(0, 2, 3, 1)
    data = tf.data.Dataset.from_tensor_slices((images, shapes.labels))
    generator = tf.random.Generator.from_non_deterministic_state()
    drawn = data.map(lambda x, y: (x + generator.uniform(()) * 0.01, y)).batch(32)
    session = make_session(model=compiled(sequential()), data=drawn)
    with pytest.raises(ValueError, match="read anew in each epoch"):
        session.add(images[0], 1)
    copied = make_session(model=compiled(sequential()), data=data.batch(32))
    assert copied.add(images[0], 1).record.data.index == [256]


def test_three_poisoned_rows_are_named(make_session, shapes):
    images = shapes.images.transpose(0, 2, 3, 1).copy()
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((32, 32, 3)), layers.Flatten(), layers.Dense(4)])
    session = make_session(
        model=compiled(model, optimizer=keras.optimizers.Adam(1e-3)),
        data=(images, shapes.labels), batch_size=32,
        config={"attribution": {"method": "smoothgrad"}},
    )  # fmt: skip
    session.train(epochs=60)
    eventually(lambda: session.metrics["epoch"] >= 8, 90)
    session.pause()
    session.step("epoch")
    epoch = session.metrics["epoch"]
    rows = session._backend.order(epoch)[96:128][[4, 17, 30]]
    images[rows] *= 400
    session.relabel(rows, model(images[rows]).numpy().argmin(1))  # as surely wrong as can be
    session.step("epoch")
    session._parts.forecaster.drain(30)
    (spike,) = session.events("spike")
    assert sorted(spike.data.index) == sorted(rows.tolist())
    session.drop(spike)
    session.step("epoch")
    session._parts.forecaster.drain(30)
    assert len(session.events("spike")) == 1
