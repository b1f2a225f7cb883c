"""What a person is asked next, and random places among it."""

import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import coflect_widget as coflect
from coflect_widget import events
from coflect_widget.events import Answered, Control, Finding
from coflect_widget.modalities import find_modality
from coflect_widget.modalities.image import IMAGE
from coflect_widget.studies.controls import (
    Questions,
    Tally,
    random_places,
    tally_of,
    worth,
)
from coflect_widget.studies.looking import Carrier
from coflect_widget.ui.view import replay
from tests.conftest import tiny_cnn
from tests.studies.test_findings import patched


def found(name, low=0.8, share=0.5, **more):
    return Finding(
        id=name, index=[1], regions=[{}], looked=40, share=share, pull=0.9, interval=(low, 0.97),
        held_out=False, classes=[0], since=4, count=7, text=name, **more,
    )  # fmt: skip


def control(name, worth=0.5):
    return Control(id=name, index=[1], regions=[{}], classes=[0], worth=worth)


def said(name, answer, author=""):
    return Answered(finding=name, answer=answer, author=author)


def test_what_most_hangs_on_is_asked_next_and_what_is_asked_stays():
    questions = Questions()
    for one in (found("f1", share=0.2), found("f2", share=0.9), control("f3", 0.3), found("f4")):
        questions.take(one)
        assert questions.asked.id == "f1"  # a card may be open
    assert worth(found("f2", share=0.9)) == pytest.approx(0.72)
    questions.take(said("f1", "skip"))
    order = []
    while questions.asked is not None:
        order.append(questions.asked.id)
        questions.take(said(order[-1], "right reason"))
    assert order == ["f2", "f4", "f3"]
    questions.take(found("f2", answer="right reason"))  # newer figures of what was answered
    questions.take(found("f5", asked=False))
    assert questions.asked is None


def test_errors_are_counted_by_person():
    tally = Tally()
    assert tally.controls.rate is None
    for name, answer, author in (
        ("f1", "right reason", "ada"),
        ("f2", "wrong reason", "ada"),
        ("f3", "skip", "ada"),
        ("f4", "wrong reason", "bo"),
    ):
        tally.take(control(name))
        tally.take(said(name, answer, author))
    tally.take(said("f9", "right reason", "bo"))  # no control
    controls = tally.controls
    assert (controls.answered, controls.errors) == (3, 1)
    assert controls.by == {"ada": (2, 1), "bo": (1, 0)}
    low, high = controls.interval
    assert 0 < low < 1 / 3 < high < 1
    assert str(controls) == "Of 3 control questions 1 called a right reason (6% to 79%)."


@given(st.sampled_from(["image", "series", "table"]), st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_random_places_are_as_large_and_elsewhere(kind, seed):
    modality = IMAGE if kind == "image" else find_modality(kind)
    shape = {"image": (3, 24, 24), "series": (2, 48), "table": (6,)}[kind]
    rng = np.random.default_rng(seed)
    x = rng.normal(size=shape).astype(np.float32)
    values = np.zeros(modality.extent(x), np.float32)
    values.reshape(-1)[0] = 1
    region = modality.heaviest(values)
    looked = [Carrier(k, x, k % 2, region) for k in range(8)]
    places = random_places(looked, modality, rng)
    assert len({one.index for one in places}) == len(places) == 6
    marked = modality.mask_in(region, x)
    for one in places:
        mask = modality.mask_in(one.region, x)
        assert mask.sum() == marked.sum()
        assert not (mask & marked).any()


@pytest.mark.slow
def test_a_control_is_asked_as_a_finding_is_and_ignores_nothing(tmp_path):
    torch.manual_seed(0)
    train, val = patched(240, 1), patched(120, 2)
    config = {
        "findings": {"act": "ask", "controls": 0.5},  # one or the other with each
        "guidance": {"effect_after": 0},
        "attribution": {"budget": 0},
        "author": "ada",
    }
    session = coflect.Session(
        tiny_cnn(2), train, val, run_dir=tmp_path, batch_size=24, config=config
    )
    with session:
        parts = session._parts
        parts.findings.controls.wanted = True
        session.train(epochs=8)
        assert session.wait(240)
        assert parts.findings.wait(240)
        [asked, *_] = session.events("control")
        real = session.findings[0]
        name = asked.data.id
        assert re.fullmatch(r"f\d+", name)
        assert name not in [one.id for one in session.findings]
        shown = replay(session.run).update(full=True)[0]["question"]
        assert session.advice.key == f"finding:{shown['id']}"
        desk = parts.desk
        text = desk.handle(events.AnswerFinding(finding=name, answer="wrong reason")).result(240)
        assert text.text.startswith("That was a control, a random place; nothing is ignored. Of 1")
        assert not session.interventions
        assert session.controls.by == {"ada": (1, 0)}
        assert session.answer(name, "right reason") is None  # as one says it in a cell
        assert session.controls.rate == 1
        assert tally_of(session.events()).controls == session.controls
        told = session.answer(real, "wrong reason")
        assert told.record.found is not None
        assert session.controls.answered == 1
        with pytest.raises(ValueError, match="there is no finding 'f99'"):
            session.answer("f99", "skip")


def test_a_question_without_figures_says_them_after_the_answer(make_session):
    session = make_session()
    parts = session._parts
    finding = found("f1", blind=True).model_copy(
        update={"index": [3, 5], "regions": [{"box": [0.0, 0.0, 0.25, 0.25]}] * 2}
    )
    parts.findings.adopt([finding], Tally())
    parts.tell.emit(finding)
    session._on_disk()
    shown = replay(session.run).update(full=True)[0]["question"]
    assert shown["text"] == session.advice.text
    assert "f1" not in shown["text"]
    assert (shown["count"], shown["pull"], shown["interval"]) == (None, None, [])
    answer = parts.desk.handle(events.AnswerFinding(finding="f1", answer="wrong reason"))
    assert answer.result(240).text == "Ignored in 2 samples. It alone turns 90% of other samples"
