"""Keras models of values to regress on and of several labels: queue, maps, strokes, refusals."""

import keras
import numpy as np
import pytest
from keras import layers

import coflect_widget as coflect
from coflect_widget.backends.keras.numbers import LabelsBackend, ValuesBackend
from coflect_widget.config import Config
from coflect_widget.tasks import MultiLabel

SAMPLES, SPOILT = 160, 20
SLOW = pytest.mark.slow
FORECAST = {"horizon_epochs": 2, "error_quantile": 1 - SPOILT / SAMPLES}


def pictures(seed=0):
    """A bright square, how far right it is, and a corner that says the same."""
    rng = np.random.default_rng(seed)
    x = rng.normal(0, 0.1, (SAMPLES, 12, 12, 1)).astype(np.float32)
    left, top = rng.integers(0, 9, (2, SAMPLES))
    for picture, a, b in zip(x, left, top, strict=True):
        picture[b : b + 4, a : a + 4] += 1
    return x, (left / 4 - 1).astype(np.float32)


def series(seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(0, 0.1, (SAMPLES, 24, 1)).astype(np.float32)
    y = rng.uniform(-1, 1, SAMPLES).astype(np.float32)
    x[:, 6:12, 0] += y[:, None]
    return x, y


def table(seed=0):
    x = np.random.default_rng(seed).normal(size=(SAMPLES, 5)).astype(np.float32)
    return x, (x[:, 0] - 0.5 * x[:, 2]).astype(np.float32)


def net(shape, outputs=1, loss="mse", last=None):
    keras.utils.set_random_seed(0)
    body = {
        3: [layers.Conv2D(6, 3, activation="relu"), layers.MaxPooling2D(2), layers.Flatten()],
        2: [layers.Conv1D(6, 3, activation="relu"), layers.Flatten()],
        1: [layers.Dense(16, activation="relu")],
    }[len(shape)]
    model = keras.Sequential([keras.Input(shape), *body, layers.Dense(outputs, activation=last)])
    model.compile(keras.optimizers.Adam(0.01), loss)
    return model


def spoilt(y):
    return np.concatenate([(y[:SPOILT] + 1.2), y[SPOILT:]]).astype(np.float32)


@pytest.mark.parametrize(
    "data",
    [pytest.param(pictures, marks=SLOW), pytest.param(series, marks=SLOW), table],
)
def test_the_queue_names_rows_with_spoilt_values(data, tmp_path, executor):
    x, y = data()
    model = net(x.shape[1:])
    with coflect.Session(
        model, (x, spoilt(y)), (x, y), task="regression", batch_size=16, run_dir=tmp_path,
        executor=executor, config={"forecast": FORECAST, "forecast_every": 4},
    ) as session:  # fmt: skip
        session.train(epochs=10)
        assert session.wait(240)
        assert sum(one.index < SPOILT for one in session.candidates) >= 9
        row = session.candidates[0]
        assert row.target_value == pytest.approx(float(spoilt(y)[row.index]))
        assert row.error > 0
        said = model.predict(x, verbose=0)[:, 0]
        expected = 1 - np.square(said - y).sum() / np.square(y - y.mean()).sum()
        assert session.metrics["val_r2"] == pytest.approx(expected, abs=1e-3)
        assert not {"accuracy", "val_accuracy"} & session.metrics.keys()
        found = session.explain(SAMPLES - 1, 240)
        assert found.map.max() > 0
        assert found.top_probs == ()


@pytest.mark.slow
def test_what_is_ignored_tells_no_value_any_more(tmp_path, executor):
    x, y = pictures()
    told = x.copy()
    told[:, 10:, 10:, 0] = 2 * y[:, None, None]
    model = net(x.shape[1:])
    with coflect.Session(
        model, (told, y), task="regression", batch_size=16, run_dir=tmp_path, executor=executor
    ) as session:
        session.train(epochs=5)
        assert session.wait(240)
        before = np.square(model.predict(x, verbose=0)[:, 0] - y).mean()
        assert "fill" in session.feedback(3, ignore=(0.8, 0.8, 1, 1)).record.loss
        session.train(epochs=8)
        assert session.wait(240)
        assert session.metrics["guidance_loss"] > 0
        assert not session.events("lapsed")
        assert np.square(model.predict(x, verbose=0)[:, 0] - y).mean() < 0.5 * before


def labelled():
    """Two places that say a label each, and a corner that says the first one as well."""
    rng = np.random.default_rng(0)
    there = (rng.random((SAMPLES, 2)) < 0.5).astype(np.float32)
    x = rng.normal(0, 0.3, (SAMPLES, 12, 12, 1)).astype(np.float32)
    x[there[:, 0] == 1, 1:5, 1:5] += 0.5
    x[there[:, 1] == 1, 1:5, 7:11] += 2
    return x, there


@pytest.mark.slow
@pytest.mark.parametrize(
    ("last", "loss"),
    [
        ("sigmoid", "binary_crossentropy"),
        pytest.param(None, keras.losses.BinaryCrossentropy(True), marks=SLOW),
    ],
)
def test_several_labels_are_named_explained_and_guided(last, loss, tmp_path, executor):
    x, there = labelled()
    told = x.copy()
    told[there[:, 0] == 1, 9:, 9:] += 3
    wrong = there.copy()
    wrong[5] = 1 - wrong[5]
    model = net(x.shape[1:], 2, loss, last)
    with coflect.Session(
        model, (told, wrong), (told, there), classes=["left", "right"], task="multi_label",
        batch_size=16, run_dir=tmp_path, executor=executor, config={"forecast_every": 4},
    ) as session:  # fmt: skip
        session.train(epochs=5)
        assert session.wait(240)
        said = model.predict(told, verbose=0) > (0.5 if last else 0)
        assert session.metrics["val_label_accuracy"] == pytest.approx((said == there).mean())
        assert 0.9 < session.metrics["val_macro_f1"] <= 1
        store = session._parts.forecaster.store
        assert 5 in np.flatnonzero(~store.correct)
        sample = int(np.flatnonzero(there.all(1))[-1])
        left = session.explain(sample, 240, target="left")
        right = session.explain(sample, 240, target="right")
        assert (left.explained, right.explained, left.labels) == (0, 1, (0, 1))
        assert sum(left.top_probs) > 1.2
        assert right.map[1:5, 7:11].mean() > left.map[1:5, 7:11].mean()
        before = ((model.predict(x, verbose=0)[:, 0] > (0.5 if last else 0)) == there[:, 0]).mean()
        session.feedback(sample, ignore=(0.7, 0.7, 1, 1))
        session.train(epochs=6)
        assert session.wait(240)
        after = ((model.predict(x, verbose=0)[:, 0] > (0.5 if last else 0)) == there[:, 0]).mean()
        assert after > max(0.85, before)


X, Y = table()
HOT = (np.random.default_rng(1).random((SAMPLES, 3)) < 0.4).astype(np.float32)


def backend(kind, data, model, **more):
    given = {"num_classes": None, "loss": None, "optimizer": None, "scheduler": None, **more}
    return kind(model, data, None, batch_size=16, config=Config(), **given)


@pytest.mark.parametrize(
    ("kind", "targets", "model", "more", "words"),
    [
        (ValuesBackend, Y, lambda: net((5,), loss="binary_crossentropy", last="sigmoid"), {},
         "is for classes; compile it with a loss for values"),
        (ValuesBackend, Y, lambda: net((5,), 2, last="softmax"), {}, "ends with a softmax"),
        (ValuesBackend, Y, lambda: net((5,), 2), {}, "2 outputs but train_data has targets of 1"),
        (ValuesBackend, np.where(Y[7] == Y, np.nan, Y), lambda: net((5,)), {},
         "target at index 7 that is NaN"),
        (ValuesBackend, Y, lambda: net((5,)), {"num_classes": 2}, "classes= is for classes"),
        (ValuesBackend, Y, lambda: net((5,)), {"class_weight": {0: 2.0}}, "class_weight= is for"),
        (LabelsBackend, HOT * 3, lambda: net((5,), 3, "binary_crossentropy", "sigmoid"), {},
         "the target 3 at index .* needs 1 where a label is there"),
        (LabelsBackend, HOT, lambda: net((5,), 3, "categorical_crossentropy", "softmax"), {},
         "for one class a sample; end it with activation='sigmoid'"),
        (LabelsBackend, HOT, lambda: net((5,), 3, "binary_crossentropy"), {}, "from_logits=True"),
        (LabelsBackend, HOT, lambda: net((5,), 3, "binary_crossentropy", "sigmoid"),
         {"num_classes": 2}, "classes= names 2"),
    ],
)  # fmt: skip
def test_what_does_not_belong_together_is_refused_with_a_remedy(kind, targets, model, more, words):
    with pytest.raises(ValueError, match=words):
        backend(kind, (X, targets), model(), **more)


def test_data_sets_and_several_values_are_as_arrays():
    rows = np.stack([Y, -Y], 1)
    arrays = backend(ValuesBackend, (X, rows), net((5,), 2))
    items = backend(ValuesBackend, list(zip(X, rows, strict=True)), net((5,), 2))
    for one, other in zip(arrays.train_batches(0), items.train_batches(0), strict=True):
        assert np.array_equal(one.targets, other.targets)
    batch = next(arrays.train_batches(0))
    losses = [float(engine.train_step(batch).loss) for engine in (arrays, items)]
    assert losses[0] == losses[1]
    assert isinstance(
        backend(LabelsBackend, (X, HOT > 0), net((5,), 3, "binary_crossentropy", "sigmoid")).task,
        MultiLabel,
    )
