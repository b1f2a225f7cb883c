import threading

import numpy as np
import pytest

from coflect_widget.guidance.effect import compare
from coflect_widget.guidance.readings import Readings


def readings(pull=0.0, accuracy=0.9, inside=0.2, count=200, seed=0):
    rng = np.random.default_rng(seed)

    def flags(share):
        return (rng.permutation(count) < round(share * count)).astype(np.float32)

    return Readings(
        loss=rng.random(count).astype(np.float32),
        right=flags(accuracy),
        p_true_swapped=np.full(count, 0.5, np.float32),
        drawn_plain=np.zeros(count, np.float32),
        drawn_swapped=flags(pull),
        p_true=np.full(4, 0.7, np.float32),
        inside=np.array([inside, inside + 0.01, inside - 0.01, inside], np.float32),
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
        ("look", {"inside": 0.2}, {"inside": 0.5}, "looks there more"),
        ("look", {"inside": 0.5}, {"inside": 0.2}, "no measurable effect"),
        ("look", {"inside": float("nan")}, {"inside": 0.2}, "no measurable effect"),
    ],
)
def test_verdict(kind, before, after, verdict):
    effect = compare("i1", {kind: (readings(**before), readings(**after, seed=1))}, 10, 110)
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
    assert session._wiring.steering.effects.wait(60)
    (effect,) = session.events("effect")
    inside = {m["name"]: m for m in effect.data.model_dump()["measures"] if "inside" in m["name"]}
    assert set(inside) == {"energy inside", "energy inside what to look at"}
    assert effect.data.explainer == "livecam and smoothgrad"


def test_others_of_the_same_step_are_named():
    effect = compare("i1", {"ignore": (readings(), readings())}, 0, 9, together=2)
    assert "(2 other interventions at the same time)" in effect.text


def test_weights_that_a_device_still_copies_are_waited_for(make_session):
    session = make_session(config={"guidance": {"effect_after": 20}})
    watch = session._wiring.steering.effects
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
