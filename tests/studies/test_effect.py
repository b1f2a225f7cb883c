import threading
from dataclasses import replace

import numpy as np
import pytest
import torch

from coflect_widget.studies.effect import compare
from coflect_widget.studies.readings import Readings
from tests.conftest import eventually, tiny_cnn


def readings(pull=0.0, accuracy=0.9, inside=0.2, elsewhere=0.0, count=200, spread=0.02, seed=0):
    """Answers of a model; `elsewhere` is the pull of other places, `spread` how maps wander."""
    rng = np.random.default_rng(seed)

    def flags(share):
        return (rng.permutation(count) < round(share * count)).astype(np.float32)

    return Readings(
        loss=rng.random(count).astype(np.float32),
        right=flags(accuracy),
        p_true_swapped=np.full(count, 0.5, np.float32),
        drawn_plain=np.zeros(count, np.float32),
        drawn_swapped=flags(pull),
        drawn_elsewhere=np.stack([flags(elsewhere) for _ in range(4)]),
        p_true=np.full(4, 0.7, np.float32),
        inside=np.array([inside, inside + 0.01, inside - 0.01, inside], np.float32),
        inside_elsewhere=rng.normal(0.1, spread, (64, 1)).repeat(4, 1).astype(np.float32),
        explainer="livecam",
    )


@pytest.mark.parametrize(
    ("kind", "before", "after", "verdict"),
    [
        ("ignore", {"pull": 0.6}, {"pull": 0.05}, "helped"),
        ("ignore", {"pull": 0.6}, {"pull": 0.58}, "no measurable effect"),
        ("ignore", {"pull": 0.03}, {"pull": 0.0}, "no measurable effect"),
        ("ignore", {"accuracy": 0.5}, {"accuracy": 0.95}, "no measurable effect"),
        ("ignore", {"accuracy": 0.9}, {"accuracy": 0.7}, "harmed"),
        ("ignore", {"accuracy": 0.9}, {"accuracy": 0.89}, "no measurable effect"),
        # a model that collapses, or names everything after the annotated one no more
        ("ignore", {"pull": 0.6}, {"accuracy": 0.15}, "harmed"),
        # a shortcut is lost that the validation pictures have, too
        ("ignore", {"pull": 0.6}, {"accuracy": 0.7}, "helped"),
        ("ignore", {"pull": 0.6, "elsewhere": 0.6}, {"pull": 0.0}, "no measurable effect"),
        # too few pictures to tell anything
        ("ignore", {"pull": 1, "count": 8}, {"pull": 0, "count": 8}, "no measurable effect"),
        ("ignore", {"count": 8}, {"accuracy": 0.2, "count": 8}, "no measurable effect"),
        ("look", {"inside": 0.2, "count": 8}, {"inside": 0.5, "count": 8}, "looks there more"),
        # maps that wander as much anywhere
        ("look", {"inside": 0.2}, {"inside": 0.3, "spread": 0.2}, "no measurable effect"),
        ("look", {"inside": 0.2}, {"inside": 0.5}, "looks there more"),
        ("look", {"inside": 0.5}, {"inside": 0.2}, "no measurable effect"),
        ("look", {"inside": float("nan")}, {"inside": 0.2}, "no measurable effect"),
    ],
)
def test_verdict(kind, before, after, verdict):
    effect = compare(
        "i1", {kind: (readings(**before), readings(**after, seed=1))}, 10, 110, guess=0.1
    )
    assert effect.verdict == verdict
    assert verdict.split()[0] in effect.text
    for measure in effect.measures:
        assert measure.low <= measure.change <= measure.high
        assert np.isfinite([measure.before, measure.after, measure.change]).all()


@pytest.mark.parametrize(
    ("ignored", "looked", "verdict", "said"),
    [
        ({"pull": 0.05}, {"inside": 0.5}, "helped", ["helped", "looks there more"]),
        ({"pull": 0.6}, {"inside": 0.5}, "looks there more", ["looks there more"]),
        ({"pull": 0.6}, {"inside": 0.2}, "no measurable effect", ["no measurable effect"]),
        ({"accuracy": 0.5}, {"accuracy": 0.5}, "harmed", ["harmed"]),
        ({"pull": 0.0, "accuracy": 0.7}, {"accuracy": 0.7}, "helped", ["helped"]),
    ],
)
def test_both_kinds_of_stroke_are_measured(ignored, looked, verdict, said):
    effect = compare(
        "i1",
        {
            "ignore": (readings(pull=0.6), readings(**{"pull": 0.6, **ignored}, seed=1)),
            "look": (readings(), readings(**looked, seed=1)),
        },
        10,
        110,
    )
    assert effect.verdict == verdict
    parts = effect.text.split("; ")
    assert [part.split(":")[0] for part in parts[:-1]] == said
    assert parts[-1].startswith("validation accuracy")
    assert effect.measures[-1].name == "energy inside what to look at"


def test_a_stroke_of_each_kind_gets_its_own_figures(make_session):
    session = make_session(config={"guidance": {"effect_after": 20}})
    session.feedback(sample=3, look=(0.5, 0.5, 1, 1), ignore=(0, 0, 0.4, 0.4))
    session.train(steps=30)
    assert session.wait(timeout=120)
    assert session._parts.steering.effects.wait(60)
    (effect,) = session.events("effect")
    inside = {m["name"]: m for m in effect.data.model_dump()["measures"] if "inside" in m["name"]}
    assert set(inside) == {"energy inside", "energy inside what to look at"}
    assert effect.data.explainer == "livecam and smoothgrad"


def test_a_pull_that_was_negative_is_no_pull():
    before, after = readings(), readings(seed=1)
    named = np.ones(200, np.float32)  # every picture was named after the annotated one
    after = replace(after, drawn_plain=named, drawn_elsewhere=named[None].repeat(4, 0))
    assert compare("i1", {"ignore": (before, after)}, 0, 9).verdict == "no measurable effect"


def test_harm_is_what_the_accuracy_does_not_do_by_itself():
    pair = {"ignore": (readings(accuracy=0.9), readings(accuracy=0.8, seed=1))}
    assert compare("i1", pair, 0, 9, swing=0.04).verdict == "harmed"
    assert compare("i1", pair, 0, 9, swing=0.15).verdict == "no measurable effect"


@pytest.mark.parametrize("split", ["validation", pytest.param("training", marks=pytest.mark.slow)])
def test_accuracy_is_that_of_all_classes_and_of_the_data_it_is_of(make_session, shapes, split):
    pair = (shapes.images[:64], shapes.labels[:64] % 2)
    model = tiny_cnn()
    session = make_session(
        model, pair, pair if split == "validation" else None,
        config={"guidance": {"effect_after": 20}},
    )  # fmt: skip
    session.feedback(sample=3, ignore=(0, 0, 0.4, 0.4))
    session.train(steps=20)
    assert session.wait(timeout=120)
    assert session._parts.steering.effects.wait(60)
    (effect,) = session.effects
    with torch.no_grad():
        found = model.eval()(torch.from_numpy(pair[0])).argmax(1).numpy()
    measured = next(m for m in effect.measures if m.name == f"{split} accuracy")
    assert measured.after == pytest.approx((found == pair[1]).mean(), abs=1e-4)
    assert f"{split} accuracy" in effect.text


def test_other_changes_meanwhile_are_named(make_session):
    effect = compare("i1", {"ignore": (readings(), readings())}, 0, 9, others=2)
    assert "(2 other interventions meanwhile)" in effect.text
    session = make_session(config={"guidance": {"effect_after": 10**5}})
    session.feedback(sample=1, instruction="ignore borders")
    session.train(steps=10**6)
    for say in ("set focus to 0.9", "ignore the centre"):
        eventually(lambda step=session.metrics["step"]: session.metrics["step"] > step + 12)
        session.feedback(sample=1, instruction=say)
    eventually(lambda step=session.metrics["step"]: session.metrics["step"] > step + 12)
    session.stop()
    assert session.wait(timeout=120)
    assert session._parts.steering.effects.wait(60)
    assert len(session.effects) == 2  # a focus has none of its own
    for effect in session.effects:
        assert "(2 other interventions meanwhile)" in effect.text


def test_a_model_that_was_changed_goes_on_without_a_measurement(make_session):
    model = tiny_cnn()
    session = make_session(model, config={"guidance": {"effect_after": 20}})
    session.feedback(sample=3, ignore=(0, 0, 0.4, 0.4))
    model[-1] = torch.nn.Linear(model[-1].in_features, 4, bias=False)
    session.train(steps=30)
    assert session.wait(timeout=120)
    assert session.state == "finished"
    assert not session.effects
    assert any("not measured" in e.data.text for e in session.events("notice"))


def test_weights_that_a_device_still_copies_are_waited_for(make_session):
    session = make_session(config={"guidance": {"effect_after": 20}})
    watch = session._parts.steering.effects
    copy, copying = watch._copy, threading.Event()

    def as_a_device_does(arrays):
        for array in arrays:
            array.fill(0)

        def finish():
            assert copying.wait(30)
            copy(arrays)

        return finish

    watch._copy = as_a_device_does
    session.train(steps=10**6)
    session.pause()
    session.feedback(sample=3, ignore=(0, 0, 0.4, 0.4))
    copied = watch._waiting[0].before
    copying.set()
    model = session._backend.model.state_dict()
    assert all(np.array_equal(array, model[name].numpy()) for name, array in copied().items())
