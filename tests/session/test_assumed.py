"""What a session guesses is said, once, and stands in config.yaml; plain cases are silent."""

import numpy as np
import pytest
import torch
import yaml
from torch import nn

import coflect_widget as coflect
from coflect_widget.session.arguments import class_names
from tests.backends.torch_parts import cnn, pictures
from tests.conftest import tiny_cnn

IMAGES, LABELS = pictures()


def said(session):
    return [event.data.text for event in session.events("notice")]


def recorded(session):
    return yaml.safe_load((session.run.path / "config.yaml").read_text())["assumed"]


@pytest.mark.parametrize("named", [None, ["a", "b", "c", "d"]])
def test_a_plain_classifier_is_told_nothing(make_session, shapes, named):
    session = make_session(
        tiny_cnn(), shapes, shapes, classes=named,
        scheduler=lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 2),
    )  # fmt: skip
    session.train(epochs=2)
    assert session.wait(240)
    assert said(session) == []
    assert recorded(session) == []
    assert session.run.config["assumed"] == []


def test_each_guess_is_one_notice_and_one_line_of_the_record(make_session):
    images = (IMAGES * 255).round()
    session = make_session(
        cnn(1000), (images, LABELS), batch_size=8, optimizer=lambda p: torch.optim.SGD(p, lr=0.1),
        scheduler=lambda o: torch.optim.lr_scheduler.LambdaLR(o, lambda t: min(1.0, t / 6)),
    )  # fmt: skip
    assert len(said(session)) == len(recorded(session)) == 2
    for _ in range(2):  # what the second training tells is known
        session.train(epochs=1)
        assert session.wait(240)
    assert said(session) == recorded(session)
    assert len(recorded(session)) == 3
    for sentence, words in zip(
        recorded(session),
        ("Labels go from 0 to 3", "whole numbers up to 255", "LambdaLR steps after each batch"),
        strict=True,
    ):
        assert words in sentence
        assert sentence.endswith(".")
    assert session.run.config["seed"] == 0  # the rest of the file is as it was
    assert coflect.open_run(session.run.path).config["assumed"] == recorded(session)


@pytest.mark.parametrize(
    "classes",
    [
        {"dog": 1, "cat": 0, "emu": 2},
        {2: "emu", 0: "cat", 1: "dog"},
        {"dog": np.int64(1), "emu": np.int64(2), "cat": np.int64(0)},
        ["cat", "dog", "emu"],
        ("cat", "dog", "emu"),
        np.array(["cat", "dog", "emu"]),
        {"cat": 0, "dog": 1, "emu": 2}.keys(),
    ],
)
def test_classes_are_read_in_the_order_of_their_labels(classes):
    assert class_names(classes) == ["cat", "dog", "emu"]


@pytest.mark.parametrize(
    ("classes", "error", "words"),
    [
        ({"cat", "dog"}, TypeError, r"is a set, which has no order.*sorted\(names\)"),
        (frozenset({"cat", "dog"}), TypeError, "is a set, which has no order"),
        ({"cat": 1, "dog": 2}, ValueError, "labels 0 to 1"),
        ({"cat": 0, "dog": 0}, ValueError, "each once"),
        ({"cat": 0.5, "dog": 1}, ValueError, "labels 0 to 1"),
        ({"cat": "dog", "dog": "cat"}, ValueError, "labels 0 to 1"),
        ({"cat": True, "dog": False}, ValueError, "labels 0 to 1"),
        ({}, ValueError, "at least two names"),
    ],
)
def test_classes_without_an_order_are_refused(classes, error, words):
    with pytest.raises(error, match=words):
        class_names(classes)


def test_the_session_shows_the_names_that_a_mapping_gives(make_session):
    session = make_session(cnn(3), (IMAGES, LABELS % 3), classes={"dog": 1, "cat": 0, "emu": 2})
    assert session.classes == ["cat", "dog", "emu"]
    assert session.events("run_started")[0].data.classes == ["cat", "dog", "emu"]


def test_a_damaged_file_is_named_by_wait_and_in_the_record(make_session):
    class Files(torch.utils.data.Dataset):
        def __len__(self):
            return len(IMAGES)

        def __getitem__(self, i):
            if i == 10:
                raise OSError("image file is truncated")
            return torch.from_numpy(IMAGES[i]), int(LABELS[i])

    session = make_session(cnn(), Files())
    session.train(epochs=1)
    with pytest.raises(OSError, match=r"train_data\[10\]: image file is truncated"):
        session.wait(240)
    [failure] = session.events("failure")
    assert failure.data.error == "OSError: train_data[10]: image file is truncated"


def test_a_note_stands_in_the_record_where_the_text_cannot_be_changed(make_session):
    class Codec(torch.utils.data.Dataset):
        def __len__(self):
            return len(IMAGES)

        def __getitem__(self, i):
            if i == 10:
                raise UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")
            return torch.from_numpy(IMAGES[i]), int(LABELS[i])

    session = make_session(cnn(), Codec())
    session.train(epochs=1)
    with pytest.raises(UnicodeDecodeError) as met:
        session.wait(240)
    assert "train_data[10]" in "".join(met.value.__notes__)
    assert "train_data[10]" in session.events("failure")[0].data.error


def test_no_loss_for_classes_is_a_regression_in_a_session(make_session):
    hot = (np.random.default_rng(0).random((len(IMAGES), 4)) < 0.4).astype("float32")

    def loss(logits, targets):
        return nn.functional.soft_margin_loss(logits, 2 * targets - 1)

    with pytest.raises(ValueError, match="several labels a sample need task='multi_label'"):
        make_session(cnn(), (IMAGES, hot), (IMAGES, hot), loss=loss)
