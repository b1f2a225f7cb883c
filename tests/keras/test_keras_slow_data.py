"""Slow data sets of Keras models: each sample is read once before training."""

import collections

import numpy as np
import tensorflow as tf

from coflect_widget.backends import progress
from tests.keras.keras_models import compiled, sequential


class Counted:
    def __init__(self):
        self.reads = collections.Counter()
        self.buffer = np.zeros((32, 32, 3), np.float32)

    def __len__(self):
        return 300

    def __getitem__(self, i):
        self.reads[i] += 1
        self.buffer[:] = i / 300
        return self.buffer, i % 4


def test_each_sample_is_read_once_before_training(make_session):
    train, val = Counted(), Counted()
    session = make_session(compiled(sequential()), train, val)
    for data in (train, val):
        assert set(data.reads.values()) == {1}
        assert len(data.reads) == 64
    assert np.allclose(session._backend.read_sample(150).input, 0.5)
    assert len(session._backend.labels()) == 64


def test_a_pipeline_says_how_far_its_reading_is(make_session, shapes, monkeypatch, capsys):
    monkeypatch.setattr(progress, "PATIENCE", 0.0)
    images = shapes.images.transpose(0, 2, 3, 1)
    pipeline = tf.data.Dataset.from_tensor_slices((images, shapes.labels)).batch(64)
    make_session(compiled(sequential()), pipeline)
    assert "Coflect: 4 of 4 batches of train_data read" in capsys.readouterr().err


class Cropped(Counted):
    def __getitem__(self, i):
        picture = np.random.default_rng(i).random((40, 40, 3)).astype(np.float32)
        picture = np.repeat(np.repeat(picture[::5, ::5], 5, 0), 5, 1)
        a, b = np.random.randint(0, 9, 2)  # noqa: NPY002 - as users draw
        return picture[a : a + 32, b : b + 32], i % 4


def test_a_picture_that_moves_is_said_at_the_first_stroke(make_session):
    session = make_session(compiled(sequential()), Cropped())
    session.feedback(sample=5, ignore=(0, 0, 0.2, 0.2))
    warned = [e.data.text for e in session.events("notice") if e.data.level != "info"]
    assert ["lies elsewhere" in text for text in warned] == [True]
    session = make_session(compiled(sequential()), Counted())
    session.feedback(sample=5, ignore=(0, 0, 0.2, 0.2))
    assert not [e for e in session.events("notice") if e.data.level != "info"]
