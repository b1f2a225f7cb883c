"""A session on Keras models: real training, real workers, the same commands as for Torch."""

import threading

import keras
import numpy as np
import pytest
import tensorflow as tf
from safetensors.numpy import load_file

import coflect_widget as coflect
from tests.conftest import eventually, tiny_cnn
from tests.integrations.test_callbacks import steer
from tests.keras.keras_models import (
    channels_first,
    compiled,
    functional,
    nested,
    sequential,
    subclassed,
    vision_transformer,
)
from tests.one_worker import BUSY
from tests.training.test_own_loop import Person


def test_a_training_with_pause_stroke_overlay_undo_stop_and_checkpoint(make_session, shapes):
    session = make_session(model=compiled(sequential()), val=shapes)
    session.train(steps=100_000)
    steer(session)
    assert session.state == "stopped"
    saved = load_file(session.run.checkpoints.last.weights)
    model = session._backend.keras_model
    for weight in model.weights:
        assert np.array_equal(saved[weight.path], weight.numpy())
    explanation = session.explain(3)
    assert explanation.map.shape == (32, 32)
    assert explanation.model_step == session.metrics["step"]
    expected = tf.nn.softmax(model(shapes.images[3].transpose(1, 2, 0)[None], training=False))[0]
    found = np.zeros(4, np.float32)
    found[list(explanation.top_classes)] = explanation.top_probs
    known = found > 0
    assert np.allclose(found[known], expected.numpy()[known], atol=1e-5)
    session.undo(session.interventions[0])
    session.train(steps=2)
    session.wait(240)
    assert "guidance_loss" in session.metrics
    assert session.state == "finished"


@pytest.mark.slow
def test_the_effect_is_measured_by_the_weights_of_both_steps(make_session, shapes):
    images, labels = shapes.images.transpose(0, 2, 3, 1)[:64], shapes.labels[:64]
    session = make_session(
        model=compiled(sequential()), data=(images, labels), val=(images, labels),
        config={"guidance": {"effect_after": 8}},
    )  # fmt: skip
    session.train(steps=4)
    assert session.wait(240)
    entry = session.feedback(sample=1, ignore=(0.0, 0.0, 0.4, 0.4))
    model = session._backend.keras_model

    def accuracy():
        return float((model(images, training=False).numpy().argmax(1) == labels).mean())

    before = accuracy()
    session.train(steps=8)
    assert session.wait(240)
    (effect,) = eventually(lambda: session.effects, 120)
    assert effect.intervention == entry.id
    assert (effect.from_step, effect.to_step) == (4, 12)
    assert effect.explainer == "livecam"
    measures = {m.name: m for m in effect.measures}
    assert measures.keys() >= {"pull of the region", "validation accuracy"}
    assert measures["validation accuracy"].before == pytest.approx(before, abs=1e-4)
    assert measures["validation accuracy"].after == pytest.approx(accuracy(), abs=1e-4)
    assert not [e for e in session.events("notice") if "not measured" in e.data.text]


def test_metrics_of_validation_and_the_compiled_ones(make_session, shapes):
    model = sequential()
    top_2 = keras.metrics.SparseTopKCategoricalAccuracy(2, name="top_2")
    compiled(model, metrics=[top_2])
    session = make_session(model=model, val=shapes)
    session.train(epochs=2)
    session.wait(240)
    images = shapes.images.transpose(0, 2, 3, 1)
    loss, share = model.evaluate(images, shapes.labels, verbose=0)
    assert session.metrics["val_loss"] == pytest.approx(loss, abs=1e-5)
    assert session.metrics["val_top_2"] == pytest.approx(share, abs=1e-6)
    predicted = model.predict(images, verbose=0).argmax(1)
    assert session.metrics["val_accuracy"] == pytest.approx((predicted == shapes.labels).mean())


def test_equal_seeds_give_equal_runs_with_dropout(make_session):
    def losses(seed):
        config = {"seed": seed, "log_every": 1, **BUSY}
        session = make_session(model=compiled(functional()), config=config)
        session.train(epochs=1)
        session.wait(240)
        return [e.data["values"]["loss"] for e in session.events("metrics")]

    first = losses(0)
    assert first == losses(0)
    assert first != losses(1)


@pytest.mark.parametrize(
    ("make", "layer"),
    [
        (sequential, "second"), (functional, "joined"), (nested, "body"), (subclassed, "conv2d"),
        (channels_first, "turned"), (vision_transformer, "block_1"),
    ],
)  # fmt: skip
def test_every_kind_of_model_is_rebuilt_and_read_at_its_last_map(shapes, make, layer):
    from coflect_widget.attribution.methods import ModelExplainer
    from coflect_widget.backends.keras import methods as keras_methods
    from coflect_widget.backends.keras.backend import KerasBackend
    from coflect_widget.backends.sourced import readable_layer
    from coflect_widget.config import Config

    backend = KerasBackend(
        compiled(make()), shapes, None, num_classes=4, loss=None, optimizer=None, scheduler=None,
        batch_size=64, config=Config(),
    )  # fmt: skip
    for batch in backend.train_batches(0):
        backend.train_step(batch)  # so that running statistics are not those of a new model
    before = [weight.numpy() for weight in backend.keras_model.weights]
    data = keras_methods.structure(backend.model)
    x = backend.read_sample(7).input
    assert x.shape == (3, 32, 32)
    assert layer in readable_layer(keras_methods.load(data), x.shape)
    explainer = ModelExplainer(keras_methods.load(data))
    specs = backend.weight_specs()
    copies = [np.empty(spec.shape, spec.dtype) for spec in specs]
    backend.copy_weights(copies)
    explainer.load_weights({s.name: c for s, c in zip(specs, copies, strict=True)})
    own = backend.model.logits(backend.keras_model(backend.model.own(x[None]), training=False))
    assert np.allclose(explainer.logits(x[None]), own.numpy(), atol=1e-5)
    found = explainer.explain(x[None], None, ("livecam", "smoothgrad"), 4, 0.1, None, 0)
    assert found["livecam"].shape == found["smoothgrad"].shape == (32, 32)
    assert found["livecam"].max() > 0
    after = [weight.numpy() for weight in backend.keras_model.weights]
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))


@pytest.mark.slow
def test_a_worker_is_quiet_and_takes_no_gpu(make_session, capfd):
    # one of its own: the shared one was started before anybody listened
    session = make_session(model=compiled(sequential()), executor=None)
    session.explain(0)
    assert capfd.readouterr().err == ""


def test_both_frameworks_in_one_kernel_in_turn_and_at_once(make_session):
    few = {"attribution": {"checks": False, "smoothgrad_samples": 4}}
    ours = make_session(model=compiled(sequential()), config=few)
    theirs = make_session(model=tiny_cnn(), config=few)
    for session in (ours, theirs):
        session.train(epochs=1)
        session.wait(240)
    for session in (ours, theirs):
        session.train(steps=100_000)
    reached = [session.metrics["step"] for session in (ours, theirs)]
    for session, step in zip((ours, theirs), reached, strict=True):
        eventually(lambda s=session, n=step: s.metrics["step"] > n + 5, 60)
        assert session.explain(1).map.max() == 1
    for session in (ours, theirs):
        session.stop()
        assert session.state == "stopped"


@pytest.mark.parametrize("with_fit", [False, True])
def test_a_second_compile_is_that_of_the_next_training(make_session, shapes, with_fit):
    x, y, index = last(shapes)
    model = sequential(norm=False)
    model.layers[0].trainable = False
    compiled(model, optimizer=keras.optimizers.SGD(0.0))
    session = make_session(model=model, val=shapes)

    def moved():
        before = [weight.numpy() for weight in model.weights]
        if with_fit:
            model.fit(x, y, sample_weight=index, verbose=0, callbacks=[session.keras_callback()])
        else:
            session.train(epochs=1)
            session.wait(240)
        return [bool((a != b.numpy()).any()) for a, b in zip(before, model.weights, strict=True)]

    assert not any(moved())
    model.layers[0].trainable = True
    top_2 = keras.metrics.SparseTopKCategoricalAccuracy(2, name="top_2")
    compiled(model, optimizer=keras.optimizers.SGD(0.5), metrics=[top_2])
    assert all(moved())
    assert "val_top_2" in session.metrics
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    compiled(model, loss=loss, metrics=[])  # whose targets have another form
    if with_fit:
        y = np.eye(4, dtype=np.float32)[y]
    assert all(moved())


def test_a_training_ends_with_the_average_weights_of_its_optimizer(make_session):
    optimizer = keras.optimizers.SGD(0.5, use_ema=True, ema_momentum=0.9)
    model = compiled(sequential(norm=False), optimizer=optimizer)
    session = make_session(model=model)
    session.train(epochs=1)
    session.wait(240)
    averages = optimizer._model_variables_moving_average
    for weight, average in zip(model.trainable_weights, averages, strict=True):
        assert np.array_equal(weight.numpy(), average.numpy())
    saved = load_file(session.run.checkpoints.last.weights)
    for weight in model.weights:
        assert np.array_equal(saved[weight.path], weight.numpy())


# --- fit -----------------------------------------------------------------------------------------


def last(shapes):
    return shapes.images.transpose(0, 2, 3, 1), shapes.labels, np.arange(len(shapes))


def test_fit_has_metrics_a_forecast_and_validation(make_session, shapes):
    x, y, index = last(shapes)
    model = sequential()
    compiled(model, metrics=["accuracy"])
    session = make_session(model=model, config={"forecast_every": 4})
    history = model.fit(
        x, y, sample_weight=index, batch_size=32, epochs=2, verbose=0, validation_data=(x, y),
        callbacks=[session.keras_callback()],
    ).history  # fmt: skip
    session.wait(240)
    assert session.state == "finished"
    assert (session.metrics["step"], session.metrics["epoch"]) == (16, 2)
    assert session.metrics["val_accuracy"] == pytest.approx(history["val_accuracy"][-1])
    store = session._parts.forecaster.store
    assert store.seen.all()
    assert np.array_equal(store.target, y)
    assert len(session.candidates) == 10
    assert len(history["loss"]) == 2
    model.fit(x, y, batch_size=64, verbose=0)  # without us, as if nothing had been
    assert session.metrics["step"] == 16


def test_fit_learns_the_same_with_a_session_as_without(make_session, shapes):
    x, y, index = last(shapes)

    def weights(with_session):
        model = compiled(functional())
        for key in model.non_trainable_variables:
            key.assign(np.array([1, 2], np.uint32))
        data = tf.data.Dataset.from_tensor_slices((x, y, index) if with_session else (x, y))
        callbacks = []
        if with_session:
            callbacks = [make_session(model=model, config=BUSY).keras_callback()]
        model.fit(data.batch(32), epochs=2, verbose=0, callbacks=callbacks)
        return np.concatenate([w.numpy().ravel() for w in model.weights])

    assert np.allclose(weights(True), weights(False), atol=1e-5)


def test_fit_is_held_guided_and_stopped(make_session, shapes):
    x, y, index = last(shapes)
    model = compiled(sequential())
    session = make_session(model=model)
    person = Person(session, lambda: steer(session))
    model.fit(
        x, y, sample_weight=index, epochs=100_000, verbose=0, callbacks=[session.keras_callback()]
    )
    person.done()
    assert session.state == "stopped"
    states = [e.data["state"] for e in session.events("state")]
    assert states == ["training", "paused", "training", "stopped"]


def test_fit_without_indices_says_how_to_give_them(make_session, shapes):
    x, y, _ = last(shapes)
    model = compiled(sequential())
    session = make_session(model=model)
    with pytest.raises(ValueError, match=r"sample_weight=numpy\.arange\(len\(x\)\)"):
        model.fit(x, y, verbose=0, callbacks=[session.keras_callback()])
    session.close()


def test_data_of_unknown_length_are_an_epoch_each_time_they_end(make_session, shapes):
    data = tf.data.Dataset.from_tensor_slices(last(shapes)).filter(lambda x, y, index: index >= 0)
    model = compiled(sequential(norm=False))
    session = make_session(model=model)
    history = model.fit(
        data.batch(64), epochs=3, verbose=0, callbacks=[session.keras_callback()]
    ).history
    assert len(history["loss"]) == 3
    assert session.wait(240)
    assert session.state == "finished"
    assert (session.metrics["step"], session.metrics["epoch"]) == (12, 3)


def test_validation_split_weighs_each_sample_alike(make_session, shapes):
    x, y, index = last(shapes)
    model = compiled(sequential(norm=False), metrics=["accuracy"])
    session = make_session(model=model)
    history = model.fit(
        x, y, sample_weight=index, validation_split=0.25, batch_size=48, epochs=2, verbose=0,
        callbacks=[session.keras_callback()],
    ).history  # fmt: skip
    loss, accuracy = model.evaluate(x[192:], y[192:], verbose=0)
    assert history["val_loss"][-1] == pytest.approx(loss, abs=1e-5)
    assert history["val_accuracy"][-1] == pytest.approx(accuracy)
    assert session.metrics["val_loss"] == pytest.approx(loss, abs=1e-5)
    weights = np.where(y == 0, 0.0, 1.0)
    history = model.fit(
        x, y, sample_weight=index, validation_data=(x, y, weights), verbose=0,
        callbacks=[session.keras_callback()],
    ).history  # fmt: skip
    weighted = model.evaluate(x, y, sample_weight=weights, verbose=0)[0]
    assert history["val_loss"][-1] == pytest.approx(weighted, abs=1e-5)
    assert model.evaluate(x, y, sample_weight=index, verbose=0)[0] > 10 * weighted  # as ever


def test_whole_numbers_that_repeat_are_pointed_out_as_weights(make_session, shapes):
    x, y, index = last(shapes)
    model = compiled(sequential(norm=False))
    session = make_session(model=model)

    def notices(numbers):
        model.fit(
            x, y, sample_weight=numbers, epochs=2, verbose=0, callbacks=[session.keras_callback()]
        )
        return [e.data["text"] for e in session.events("notice")]

    assert not notices(index)
    said = notices(np.where(y == 0, 1, 2))
    assert len(said) == 1
    assert "class_weight= to Session" in said[0]


def test_fit_with_a_closed_session_is_refused_at_its_beginning(make_session, shapes):
    x, y, index = last(shapes)
    model = compiled(sequential(norm=False))
    session = make_session(model=model)
    callback = session.keras_callback()
    session.close()
    before = model.get_weights()
    with pytest.raises(RuntimeError, match="session is closed"):
        model.fit(x, y, sample_weight=index, verbose=0, callbacks=[callback])
    assert all((a == b).all() for a, b in zip(before, model.get_weights(), strict=True))


def test_fit_that_begins_late_announces_the_epochs_that_are_left(make_session, shapes):
    x, y, index = last(shapes)
    model = compiled(sequential(norm=False))
    session = make_session(model=model)
    model.fit(
        x, y, sample_weight=index, batch_size=64, epochs=6, initial_epoch=4, verbose=0,
        callbacks=[session.keras_callback()],
    )  # fmt: skip
    assert session.events("train_started")[-1].data["total_steps"] == 8
    assert (session.state, session.metrics["step"]) == ("finished", 8)


def test_a_bare_loop_over_data_of_unknown_length(make_session, shapes):
    data = tf.data.Dataset.from_tensor_slices(last(shapes)).filter(lambda x, y, index: index >= 0)
    model = compiled(sequential(norm=False))
    session = make_session(model=model)
    for inputs, labels, indices in session.loop(data.batch(64), epochs=2):
        session.observe(indices, model(inputs), labels)
    session.wait(240)
    assert (session.state, session.metrics["step"]) == ("finished", 8)


def test_a_bare_loop_with_a_gradient_tape(make_session, shapes):
    x, y, index = last(shapes)
    model = compiled(sequential())
    session = make_session(model=model, config={"log_every": 1})
    session.feedback(sample=3, ignore=(0.0, 0.0, 0.3, 0.3))
    data = tf.data.Dataset.from_tensor_slices((x, y, index)).shuffle(256).batch(32)
    for inputs, labels, indices in session.loop(data, epochs=2):
        with tf.GradientTape() as tape:
            logits = model(inputs, training=True)
            loss = tf.reduce_mean(
                keras.losses.sparse_categorical_crossentropy(labels, logits, True)
            )
            session.observe(indices, logits, labels, loss)
            total = loss + session.guidance_loss(inputs, labels, loss)
        gradients = tape.gradient(total, model.trainable_variables)
        model.optimizer.apply(gradients, model.trainable_variables)
    session.wait(240)
    assert session.metrics["step"] == 16
    assert session.metrics["guidance_loss"] > 0
    assert session._parts.forecaster.store.seen.all()
    assert threading.current_thread() is threading.main_thread()
    assert coflect.open_run(session.run.path) is not None


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
def test_a_fit_that_is_broken_off_leaves_the_model_to_the_next(make_session, shapes, error):
    x, y, index = last(shapes)
    model = compiled(sequential())
    session = make_session(model=model)

    take = session._parts.own_loop.take

    def broken(output):
        take(output)
        if session.metrics["step"] == 3:
            raise error

    session._parts.own_loop.take = broken
    with pytest.raises(error):
        model.fit(
            x, y, sample_weight=index, epochs=9, verbose=0, callbacks=[session.keras_callback()]
        )
    assert session.state == ("stopped" if error is KeyboardInterrupt else "failed")
    before = model.get_weights()
    model.fit(x, y, verbose=0)  # another fit, without the session
    assert any((a != b).any() for a, b in zip(before, model.get_weights(), strict=True))


def test_a_verdict_reaches_fit_and_what_was_drawn(make_session, shapes):
    x, y, index = last(shapes)
    model = compiled(sequential())
    session = make_session(model=model)
    other = (int(y[5]) + 1) % 4
    session.feedback(sample=5, ignore=(0.0, 0.0, 0.3, 0.3))
    session.judge(5, "wrong", other)
    session.judge(6, "leave out")
    assert session._backend.read_rows([5, 6])[1].tolist() == [other, -1]
    trained, step = {}, session._backend.step

    def watched(indices, inputs, labels, targets, weights=None, **more):
        for place, sample in enumerate(indices.tolist()):
            weight = 1.0 if weights is None else float(weights[place])
            trained[sample] = (int(np.asarray(targets)[place]), weight)
        return step(indices, inputs, labels, targets, weights, **more)

    session._backend.step = watched
    model.fit(x, y, sample_weight=index, verbose=0, callbacks=[session.keras_callback()])
    assert trained[5] == (other, 1.0)
    assert trained[6][1] == 0
    assert trained[7] == (int(y[7]), 1.0)
    assert not session.events("notice")
