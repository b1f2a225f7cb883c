"""Keras' models of structured data: an input for each column, read as one table."""

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from keras import layers

import coflect_widget as coflect
from coflect_widget.data import patients
from tests.keras.test_keras_series import backend_of

NAMES = ("age", "sugar", "weight")
RNG = np.random.default_rng(0)
X = {name: RNG.normal(size=24).astype(np.float32) for name in NAMES}
Y = np.arange(24) % 2


def structured(names, *, sigmoid=True, dtypes=None):
    """As in the guide to structured data: a normalised input for each column, side by side."""
    keras.utils.set_random_seed(0)
    inputs = {
        name: keras.Input((1,), name=name, dtype=(dtypes or {}).get(name, "float32"))
        for name in names
    }
    encoded = [
        layers.Flatten()(layers.Embedding(4, 2)(one)) if one.dtype == "int64" else one
        for one in inputs.values()
    ]
    x = layers.Dense(32, "relu")(layers.concatenate(encoded))
    outputs = layers.Dense(1, "sigmoid")(x) if sigmoid else layers.Dense(2)(x)
    model = keras.Model(inputs, outputs)
    loss = "binary_crossentropy" if sigmoid else keras.losses.SparseCategoricalCrossentropy(True)
    model.compile(optimizer=keras.optimizers.Adam(0.01), loss=loss, metrics=["accuracy"])
    return model


def test_a_table_of_named_columns_is_trained_shown_and_marked(tmp_path, executor):
    train, val = patients(600), patients(300, invoice="random", seed=1)
    names = train.modality.columns
    frames = [pd.DataFrame(one.rows, columns=names) for one in (train, val)]
    data = [
        tf.data.Dataset.from_tensor_slices((dict(frame), one.labels)).batch(50)
        for frame, one in zip(frames, (train, val), strict=True)
    ]
    model = structured(names)
    session = coflect.Session(model, *data, classes=train.classes, batch_size=50,
                              run_dir=tmp_path, executor=executor)  # fmt: skip
    with session:
        before = model.get_weights()[0].copy()
        session.train(epochs=4)
        session.wait(240)
        assert (model.get_weights()[0] != before).any()  # the person's own weights
        assert session.metrics["accuracy"] > 0.9
        spoiled = session.metrics["val_accuracy"]
        assert session.candidates
        ill = int(np.flatnonzero(train.labels == 1)[0])
        found = session.explain(ill).map
        assert found.shape == (len(names),)
        assert session._parts.modality.names[found.argmax()] == "invoice"
        session.feedback(sample=ill, ignore="invoice", strength=0.6)
        session.train(epochs=10)
        session.wait(240)
        assert session.metrics["val_accuracy"] > spoiled + 0.1
        assert not session.events("lapsed")


@pytest.mark.parametrize("form", ["arrays", "columns", "frame", "items", "single", "batches"])
def test_columns_are_columns_whatever_they_come_in(form):
    columns = {name: values[:, None] for name, values in X.items()}
    pairs = [({name: X[name][k] for name in NAMES}, int(Y[k])) for k in range(24)]
    data = {
        "arrays": (X, Y),
        "columns": (dict(reversed(columns.items())), Y),
        "frame": (pd.DataFrame(X), Y),
        "items": pairs,
        "single": tf.data.Dataset.from_tensor_slices((X, Y)),
        "batches": tf.data.Dataset.from_tensor_slices((columns, Y)).batch(5),
    }[form]
    backend = backend_of(structured(NAMES), data)
    assert backend.modality.name == "table"
    assert backend.modality.names == NAMES
    for k in (0, 7, 23):
        assert np.allclose(backend.read_sample(k).input, [X[name][k] for name in NAMES])
    assert (backend.labels() == Y).all()


def test_a_column_of_whole_numbers_is_looked_up_by_the_model():
    data = {**X, "ward": np.arange(24) % 4}
    model = structured(("ward", "age"), sigmoid=False, dtypes={"ward": "int64"})
    backend = backend_of(model, (data, Y))
    rows = np.stack([backend.read_sample(k).input for k in range(24)])
    own = model({"age": data["age"][:, None], "ward": data["ward"][:, None]})
    assert np.allclose(backend.keras_model(rows), own, atol=1e-6)


def test_what_cannot_be_read_is_refused_with_a_remedy():
    words = structured(NAMES)
    with pytest.raises(ValueError, match=r"no column 'weight', which the model takes"):
        backend_of(words, ({name: X[name] for name in NAMES[:2]}, Y))
    with pytest.raises(ValueError, match=r"column 'age' of type <U3.*StringLookup"):
        backend_of(words, ({**X, "age": np.array(["old"] * 24)}, Y))
    lookup = layers.StringLookup(vocabulary=["a", "b"], output_mode="one_hot")
    city, age = keras.Input((1,), name="city", dtype="string"), keras.Input((1,), name="age")
    model = keras.Model([city, age], layers.Dense(2)(layers.concatenate([lookup(city), age])))
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(True))
    with pytest.raises(ValueError, match=r"words in its input 'city'.*StringLookup"):
        backend_of(model, ({"city": np.array(["a"] * 24), "age": X["age"]}, Y))
    # and the remedy
    data = {"city": np.asarray(layers.StringLookup(vocabulary=["a", "b"])(["a", "b"] * 12)),
            "age": X["age"]}  # fmt: skip
    assert backend_of(structured(("city", "age")), (data, Y)).modality.names == ("city", "age")
    gap = {**X, "sugar": np.where(np.arange(24) == 5, np.nan, X["sugar"])}
    with pytest.raises(ValueError, match=r"train_data.*5.*sugar|sugar.*5"):
        backend_of(structured(NAMES), (gap, Y))


def test_windows_of_a_long_series_as_keras_cuts_them():
    long = RNG.normal(size=(60, 3)).astype(np.float32)
    data = keras.utils.timeseries_dataset_from_array(
        long, np.arange(60) % 2, sequence_length=12, batch_size=7
    )
    inputs = keras.Input((12, 3))
    model = keras.Model(inputs, layers.Dense(2)(layers.LSTM(8)(inputs)))
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(True))
    backend = backend_of(model, data)
    assert backend.modality.name == "series"
    assert backend.num_train == 49
    assert np.allclose(backend.read_sample(9).input, long[9:21].T)
