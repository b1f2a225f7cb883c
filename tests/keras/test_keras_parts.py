"""Keras models of several inputs: what an input decides, strokes on one, and forms of data."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import coflect_widget as coflect
from tests.modalities.parts_models import spoilt


def answers(*, by_name=True):
    """Colours of a picture, words of a question, and what the two mean together."""
    keras.utils.set_random_seed(0)
    image = keras.Input((24, 24, 3), name="image")
    question = keras.Input((8,), dtype="int32", name="question")
    seen = keras.layers.Conv2D(8, 3, padding="same", activation="relu")(image)
    seen = keras.layers.GlobalMaxPooling2D()(seen)
    asked = keras.layers.GlobalAveragePooling1D()(keras.layers.Embedding(12, 8)(question))
    both = keras.layers.Dense(32, activation="relu")(keras.layers.Concatenate()([seen, asked]))
    inputs = {"image": image, "question": question} if by_name else [image, question]
    model = keras.Model(inputs, keras.layers.Dense(2)(both))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.01), loss)
    return model


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.conv = keras.layers.Conv2D(8, 3, activation="relu")
        self.pool = keras.layers.GlobalMaxPooling2D()
        self.words = keras.layers.Embedding(12, 8)
        self.mean = keras.layers.GlobalAveragePooling1D()
        self.join, self.head = keras.layers.Concatenate(), keras.layers.Dense(2)

    def call(self, inputs):
        image, question = inputs
        asked = self.mean(self.words(question))
        return self.head(self.join([self.pool(self.conv(image)), asked]))


def last(pictures):
    return np.ascontiguousarray(pictures.transpose(0, 2, 3, 1))


def mean_focus(session, name, samples=(3, 14, 15)):
    return np.mean([session.explain(k).modality_focus[name] for k in samples])


@pytest.mark.parametrize(
    ("decides", "least", "most"),
    [
        ("question", 0.9, 1.0),
        pytest.param("picture", 0.0, 0.1, marks=pytest.mark.slow),
        pytest.param("both", 0.25, 0.75, marks=pytest.mark.slow),
    ],
)
def test_the_share_of_the_question_is_what_it_decides(make_session, executor, decides, least, most):
    data = coflect.data.shapes_and_questions(400, decides)
    inputs, labels = data.arrays
    if decides == "question":  # the model takes channels last, whichever way they come
        inputs = {**inputs, "image": last(data.pictures)}
    session = make_session(
        answers(), (inputs, labels), batch_size=32, tokenizer=data.words, executor=executor
    )
    session.train(epochs=16 if decides == "both" else 6)
    assert session.wait(300)
    assert session.metrics["accuracy"] > 0.97
    assert least <= mean_focus(session, "question") <= most
    found = session.explain(3)
    assert found.parts["image"].shape == (24, 24)
    assert found.parts["question"].shape == (8,)
    if decides != "picture":
        assert found.parts["question"].argmax() == data.asked[3]
    if decides != "question":
        image = found.parts["image"]
        assert image[data.shapes[3]].sum() / image.sum() > 2 * data.shapes[3].mean()


@pytest.mark.slow
def test_strokes_on_one_input(make_session, executor):
    data = coflect.data.shapes_and_questions(600, "picture")
    other = coflect.data.shapes_and_questions(300, "picture", seed=1)
    questions, labels = spoilt(data)
    unspoilt = other.questions.copy()
    unspoilt[:, 7] = 6 + np.random.default_rng(2).integers(0, 2, len(other))
    train = tf.data.Dataset.from_tensor_slices(
        ({"image": last(data.pictures), "question": questions}, labels)
    ).batch(50)
    session = make_session(
        answers(by_name=False), train,
        ({"image": last(other.pictures), "question": unspoilt}, other.labels),
        batch_size=40, tokenizer=data.words, executor=executor,
    )  # fmt: skip
    session.train(epochs=6)
    assert session.wait(300)
    assert session.metrics["val_accuracy"] < 0.8
    told = session.feedback(ignore={"question": ["really", "now"]}, strength=0.9)
    assert told.understood.startswith('ignore "really" and "now" of question on every sample')
    session.train(epochs=10)
    assert session.wait(300)
    assert session.metrics["val_accuracy"] > 0.88


def test_a_subclassed_model_and_items_of_tuples(make_session, executor):
    data = coflect.data.shapes_and_questions(96)

    class Items:
        def __len__(self):
            return len(data)

        def __getitem__(self, index):
            picture = data.pictures[index].transpose(1, 2, 0)
            return (picture, data.questions[index]), int(data.labels[index])

    model = Subclassed()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss)
    session = make_session(model, Items(), executor=executor)
    session.train(steps=3)
    assert session.wait(300)
    assert len(session.explain(2).parts) == 2


def test_what_is_missing_is_named(make_session):
    data = coflect.data.shapes_and_questions(40)
    with pytest.raises(ValueError, match=r"model takes 2 inputs \(image, question\), and train_d"):
        make_session(answers(), (last(data.pictures), data.labels))
    wrong = {"image": last(data.pictures), "words": data.questions}
    with pytest.raises(ValueError, match="has no input 'question', which the model takes"):
        make_session(answers(), (wrong, data.labels))
