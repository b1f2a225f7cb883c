"""Keras models as ONNX and in Keras's own format, from checkpoints, and measured."""

import keras
import numpy as np
import pytest
from keras import layers

import coflect_widget as coflect
from coflect_widget.backends.keras.model import Classifier, weight_names
from coflect_widget.backends.keras.structure import structure
from coflect_widget.backends.portable import ExportError
from coflect_widget.records.exports.onnx_files import open_onnx
from coflect_widget.records.exports.writing import write
from coflect_widget.records.reopened import Way
from tests.keras.keras_models import Subclassed, compiled, sequential

RNG = np.random.default_rng(0)


def recurrent():
    return keras.Sequential([keras.Input((20, 2)), layers.LSTM(8), layers.Dense(3)])


def words():
    ids = keras.Input((12,), dtype="int32")
    x = layers.Embedding(50, 8)(ids)
    x = layers.LayerNormalization()(x + layers.MultiHeadAttention(2, 4)(x, x))
    return keras.Model(ids, layers.Dense(3)(layers.GlobalAveragePooling1D()(x)))


def table():
    scaled = layers.Normalization()
    scaled.adapt(RNG.standard_normal((50, 6)) * 3 + 1)
    return keras.Sequential(
        [keras.Input((6,)), scaled, layers.Dense(8, activation="relu"),
         layers.Dense(3, activation="softmax")]
    )  # fmt: skip


def pictures():
    return RNG.random((8, 32, 32, 3))


MODELS = {
    "convolutions": (sequential, pictures),
    "subclassed": (lambda: Subclassed(8), pictures),
    "recurrent": (recurrent, lambda: RNG.standard_normal((8, 20, 2))),
    "words": (words, lambda: RNG.integers(0, 50, (8, 12)).astype("int32")),
    "table": (table, lambda: RNG.standard_normal((8, 6))),
}


def way_of(model, axes):
    names = weight_names(model.weights)
    weights = {name: weight.numpy() for name, weight in zip(names, model.weights, strict=True)}
    made = structure(Classifier(model, "none", "logits", axes))
    portable = "coflect_widget.backends.keras.portable:KerasPortable"
    return Way(portable, made, weights, {"names": names})


#: The others take some seconds each.
QUICK = ("subclassed", "table")


@pytest.mark.parametrize(
    "name",
    [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in MODELS],
)
def test_a_file_gives_what_the_model_gives(name, tmp_path):
    make, inputs = MODELS[name]
    model, x = make(), inputs()
    x = x if x.dtype == np.int32 else x.astype(np.float32)
    wanted = np.asarray(model(x, training=False))
    found = write(way_of(model, x.ndim - 1), "onnx", tmp_path / "model.onnx", (x,))
    assert found.difference <= 1e-4
    assert np.abs(open_onnx(tmp_path / "model.onnx")((x[:5],)) - wanted[:5]).max() <= 1e-4


@pytest.mark.slow
def test_a_run_exported_and_measured(tmp_path):
    data, val = coflect.data.synthetic(n=64), coflect.data.synthetic(n=48, seed=1)
    session = coflect.Session(compiled(sequential()), data, val, run_dir=tmp_path)
    session.train(epochs=2)
    session.wait(300)
    trained = session._backend.keras_model
    x = np.stack([val[i][0] for i in range(5)]).transpose(0, 2, 3, 1)
    wanted = np.asarray(trained(x, training=False))
    session.close()
    run = coflect.open_run(session.run.path)
    other = compiled(sequential(seed=5))
    before = [weight.numpy() for weight in other.weights]
    own = run.export("keras", other, val, checkpoint="last")
    again = keras.models.load_model(own.file, compile=False)
    assert np.abs(np.asarray(again(x, training=False)) - wanted).max() <= 1e-4
    assert own.difference <= 1e-4
    assert all(
        np.array_equal(old, new.numpy()) for old, new in zip(before, other.weights, strict=True)
    )
    made = run.export("onnx", other, val, checkpoint="last", quantise="int8")
    assert np.abs(open_onnx(made.file)((x,)) - wanted).max() <= 1e-4
    assert made.quantised.metrics.keys() == made.metrics.keys()
    found = run.evaluate(val, other, resamples=10, plots=False)
    assert found.metrics["accuracy"] == pytest.approx(run.checkpoints.best.score.value)
    with pytest.raises(ValueError, match="'onnx', 'keras', 'safetensors'"):
        run.export("torchscript", other, val)
    narrow = compiled(sequential(norm=False))
    with pytest.raises(ValueError, match="pass the model that the run was made with"):
        run.export("keras", narrow, val)


def test_what_onnx_cannot_hold_is_said(tmp_path):
    class Odd(layers.Layer):
        def call(self, x):
            import tensorflow as tf

            y = tf.py_function(lambda y: y * 2, [x], tf.float32)
            y.set_shape(x.shape)
            return y

        def compute_output_spec(self, x):
            return keras.KerasTensor(x.shape, x.dtype)

    inputs = keras.Input((6,))
    model = keras.Model(inputs, layers.Dense(3)(Odd()(inputs)))
    x = RNG.standard_normal((8, 6)).astype(np.float32)
    with pytest.raises(ExportError, match="PyFunc"):
        write(way_of(model, 1), "onnx", tmp_path / "model.onnx", (x,))
