"""A Keras run that is interrupted goes on where it was."""

import keras
import numpy as np
import pytest

import coflect_widget as coflect
from coflect_widget.records.checkpoint_files import read_checkpoint
from tests.conftest import to_step


class Drawing:
    """Draws a random number for each item."""

    def __init__(self, n=160):
        self.given = coflect.data.synthetic(n=n)

    def __len__(self):
        return len(self.given)

    def __getitem__(self, index):
        x, y, *_ = self.given[index]
        noise = np.float32(0.05 * np.random.randn())  # noqa: NPY002 - what users draw from
        return np.moveaxis(np.asarray(x, np.float32), 0, -1) + noise, int(y)


def network(optimizer=None):
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [
            keras.Input((32, 32, 3)), keras.layers.Conv2D(8, 3), keras.layers.BatchNormalization(),
            keras.layers.ReLU(), keras.layers.Dropout(0.2),
            keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(4),
        ]
    )  # fmt: skip
    model.compile(
        optimizer or keras.optimizers.SGD(0.05, momentum=0.9),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    return model


@pytest.fixture
def make(tmp_path):
    made = []

    def session(model=None, data=None, **more):
        options = {
            "scheduler": lambda epoch, rate: rate * 0.9, "batch_size": 32, "run_dir": tmp_path,
            "config": {"forecast": {"probes": 0, "horizon_epochs": 1}},
        } | more  # fmt: skip
        made.append(coflect.Session(model or network(), data or Drawing(), **options))
        return made[-1]

    yield session
    for one in made:
        one.close()


def test_resumed_in_mid_epoch_it_ends_as_if_it_had_never_been_interrupted(make):
    def begun(name):
        session = make()
        session.train(epochs=3)
        session.pause()
        to_step(session, 3)
        session.feedback(sample=3, ignore=(0.1, 0.1, 0.4, 0.4), strength=0.5)
        to_step(session, 7)
        at = session.checkpoint(name)
        session.judge(5, "wrong", 2)
        session.resume()
        return session, at

    whole, at = begun("seven")
    whole.wait(120)
    wanted = [weight.numpy() for weight in whole._backend.keras_model.weights]
    queue = [(one.index, one.risk) for one in whole.candidates]
    whole.close()
    resumed = make(resume=at)
    assert resumed.metrics["step"] == 7
    np.random.rand(5)  # noqa: NPY002 - whatever happens meanwhile
    resumed.train()
    resumed.wait(120)
    found = [weight.numpy() for weight in resumed._backend.keras_model.weights]
    assert max(np.abs(a - b).max() for a, b in zip(wanted, found, strict=True)) <= 1e-6
    assert [(one.index, one.risk) for one in resumed.candidates] == queue
    assert [one.judged for one in resumed.suspects if one.index == 5] == ["wrong"]
    resumed.close()
    with pytest.raises(ValueError, match="optimizer Adam, the run's was SGD"):
        make(network(keras.optimizers.Adam()), resume=whole.run)


@pytest.mark.slow
def test_fit_goes_on_with_weights_optimizer_and_what_is_known(make):
    given = coflect.data.synthetic(n=96)
    x, y = np.moveaxis(given.images, 1, -1), given.labels

    def fit(session, model, **more):
        model.fit(
            x, y, sample_weight=np.arange(96), batch_size=32, verbose=0,
            callbacks=[session.keras_callback()], **more,
        )  # fmt: skip

    model = network()
    first = make(model, (x, y), scheduler=None)
    fit(first, model, epochs=2)
    first.close()
    again = network()
    resumed = make(again, (x, y), scheduler=None, resume=first.run)
    for one, other in zip(model.weights, again.weights, strict=True):
        assert np.array_equal(one.numpy(), other.numpy())
    assert int(again.optimizer.iterations) == 6
    fit(resumed, again, epochs=4, initial_epoch=resumed.metrics["epoch"])
    assert (resumed.metrics["step"], resumed.metrics["epoch"]) == (12, 4)
    resumed._parts.forecaster.drain(30)
    assert (resumed._parts.forecaster.store.times_seen == 4).all()


@pytest.mark.slow
def test_a_replay_is_the_run_that_never_had_it(make, tmp_path):
    def told(folder, *, box):
        session = make(run_dir=tmp_path / folder)
        session.train(epochs=2)
        session.pause()
        to_step(session, 3)
        if box:
            session.feedback(sample=3, ignore=(0.1, 0.1, 0.4, 0.4), strength=0.5)
        to_step(session, 5)
        session.feedback(sample=8, look=(0.2, 0.2, 0.8, 0.8))
        session.resume()
        assert session.wait(300)
        return session

    session = told("first", box=True)
    replayed = session.replay(without="i1")
    assert replayed.wait(300)
    without = told("second", box=False)

    def close(one, other):
        first, second = (read_checkpoint(run.checkpoints.last).weights for run in (one, other))
        assert first.keys() == second.keys()
        return max(np.abs(first[name] - second[name]).max() for name in first)

    assert close(replayed, without.run) <= 1e-6
    assert close(replayed, session.run) > 1e-6
