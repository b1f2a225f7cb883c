"""A run's model measured on data: figures, intervals, groups, charts."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import coflect_widget as coflect
from coflect_widget.records.evaluations.bootstrap import intervals, of_mean
from tests.conftest import tiny_cnn

NASTY = "$<b>$ & c"


@pytest.fixture(scope="module")
def data():
    return coflect.data.synthetic(n=200), coflect.data.synthetic(n=120, seed=1)


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    session = coflect.Session(
        tiny_cnn(), *data, classes=["a", "b", NASTY, "d"], batch_size=20,
        run_dir=tmp_path_factory.mktemp("runs"), optimizer=lambda p: torch.optim.Adam(p, 0.02),
    )  # fmt: skip
    session.train(epochs=3)
    session.wait(300)
    session.close()
    return coflect.open_run(session.run.path)


def test_an_evaluation_says_what_validation_said_and_more(run, data):
    halves = np.where(np.arange(120) < 60, "first", "second")
    found = run.evaluate(data[1], tiny_cnn(seed=3), slices={"half": halves}, resamples=50)
    assert found.path == run.path / "evaluations" / "eval_001"
    best = run.checkpoints.best
    assert found.metrics["accuracy"] == pytest.approx(best.score.value)
    losses = {e.step: v["loss"] for e, v in run.iter_metrics() if e.split == "val"}
    assert found.metrics["loss"] == pytest.approx(losses[best.step], abs=1e-4)
    assert len(set(losses.values())) == len(losses), "each checkpoint has a loss of its own"
    facts = json.loads((found.path / "metrics.json").read_text())
    assert facts == found.facts
    for name, one in facts["metrics"].items():
        if name != "calibration_error":  # a resample is hardly ever as even as all samples are
            assert one["low"] <= one["value"] <= one["high"] or one["low"] == one["high"]
    low, high = (facts["metrics"]["accuracy"][end] for end in ("low", "high"))
    wide = 1.96 * np.sqrt(best.score.value * (1 - best.score.value) / 120)
    assert (high - low) / 2 == pytest.approx(wide, rel=0.5)
    assert facts["classes"][NASTY]["n"] == facts["groups"]["class"][NASTY]["n"] == 30
    half = facts["groups"]["half"]
    mean = (half["first"]["value"] + half["second"]["value"]) / 2
    assert mean == pytest.approx(found.metrics["accuracy"])
    every = [one["value"] for of in facts["groups"].values() for one in of.values()]
    assert found.worst["value"] == min(every)
    assert facts["notes"] == []
    counts = np.array(facts["charts"]["confusion"]["values"])
    assert np.trace(counts) / 120 == pytest.approx(found.metrics["accuracy"])
    assert set(facts["files"]) == {
        f"{name}.{ending}"
        for name in ("confusion", "roc", "precision_recall", "calibration")
        for ending in ("svg", "png")
    }
    for name in facts["files"]:
        text = (found.path / name).read_bytes()
        assert b"<svg" in text if name.endswith("svg") else text[1:4] == b"PNG"
    with Image.open(found.path / "confusion.png") as image:
        assert min(image.size) > 400
    shown = found._repr_html_()
    assert "&lt;b&gt;" in shown
    assert "<b>" not in shown
    assert "worst group" in str(found)


def test_the_samples_of_the_training_are_recognised(run, data):
    found = run.evaluate(data[0], tiny_cnn(), checkpoint="last", resamples=0, plots=False)
    assert "trained on" in found.facts["notes"][0]
    assert found.facts["metrics"]["accuracy"]["low"] is None
    assert found.facts["files"] == []
    assert [path.name for path in found.path.iterdir()] == ["metrics.json"]
    assert run.evaluations[-1].facts == found.facts
    (found.path / "metrics.json").write_text("{")
    assert found.path not in [one.path for one in run.evaluations]


def test_bad_input(run, data):
    for given, words in (
        ({"slices": {"a": [1, 2]}}, r"slices\['a'\] has shape \(2,\)"),
        ({"slices": {"a": np.arange(120)}}, "120 different values"),
        ({"slices": {"class": np.zeros(120)}}, "take another name"),
        ({"resamples": -1}, "resamples=-1"),
        ({"checkpoint": "x"}, "'best', 'last'"),
    ):
        with pytest.raises(ValueError, match=words):
            run.evaluate(data[1], tiny_cnn(), **given)
    with pytest.raises(ValueError, match="needs model="):
        run.evaluate(data[1])
    x, y = np.zeros((8, 3, 32, 32), np.float32), np.zeros((8, 1), np.float32)
    with pytest.raises(ValueError, match="data has labels"):
        run.evaluate((x, y), tiny_cnn())
    assert not list((run.path / "evaluations").glob(".*"))


def test_numbers_and_labels(make_session):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((120, 5)).astype(np.float32)
    y = (x[:, :1] + 0.1 * rng.standard_normal((120, 1))).astype(np.float32)
    labels = (x[:, :3] > 0).astype(np.float32)
    for targets, loss, expected in (
        (y, nn.MSELoss(), {"r2", "rmse", "mae", "loss", "median_error"}),
        (labels, nn.BCEWithLogitsLoss(), {"accuracy", "all_right", "f1", "loss", "roc_auc",
                                          "average_precision", "calibration_error"}),
    ):  # fmt: skip
        width = targets.shape[1]
        model = nn.Sequential(nn.Linear(5, width))
        session = make_session(
            model, (x, targets), (x, targets), loss=loss, inputs="table",
            optimizer=torch.optim.Adam(model.parameters(), 0.1),
        )  # fmt: skip
        session.train(epochs=3)
        session.wait(300)
        session.close()
        recorded = coflect.open_run(session.run.path)
        fresh = nn.Sequential(nn.Linear(5, width))
        found = recorded.evaluate((x, targets), fresh, inputs="table", resamples=20, plots=False)
        assert found.metrics.keys() == expected
        score = recorded.checkpoints.best.score.value
        name = "r2" if "r2" in expected else "accuracy"
        assert found.metrics[name] == pytest.approx(score, abs=1e-4)


# --- the bootstrap -------------------------------------------------------------------------------


def test_intervals_hold_the_true_value_about_as_often_as_they_say():
    rng = np.random.default_rng(1)
    held = 0
    for _ in range(200):
        values = (rng.random(80) < 0.7).astype(float)
        found = of_mean(values, 200, rng)
        held += found["low"] <= 0.7 <= found["high"]
    assert 175 <= held <= 199


def test_a_figure_that_is_not_defined():
    def figures(scores, targets):
        return {"mean": float(scores.mean()), "none": float("nan")}

    found, made = intervals(figures, np.arange(9.0), np.arange(9), 30, np.random.default_rng(0))
    assert made == 30
    assert found["none"] == {"value": None, "low": None, "high": None}
    assert found["mean"]["low"] < 4 < found["mean"]["high"]


def test_figures_of_ones_own(run, data, monkeypatch):
    monkeypatch.setattr("coflect_widget.registry._registered", {"evaluator": {}})

    @coflect.register("evaluator", "doubt")
    def doubt(scores, targets):
        assert scores.shape == (len(targets), 4)
        return {"doubt": 1 - scores.max(1).mean(), "none": np.nan}

    def wrong(scores, targets):
        return (scores.argmax(1) != targets).mean()

    found = run.evaluate(
        data[1], tiny_cnn(), evaluators=["doubt", wrong], resamples=20, plots=False
    )
    assert found.metrics["wrong"] == pytest.approx(1 - found.metrics["accuracy"])
    assert found.metrics["none"] is None
    one = found.facts["metrics"]["doubt"]
    assert one["low"] < one["value"] < one["high"]
    for given, words in (
        (["doubd"], "evaluator 'doubd' is not known: did you mean 'doubt'"),
        ([wrong, wrong], "has 'wrong' twice"),
        ([lambda *_: "much"], "gives 'much'"),
        ([lambda *_: {"accuracy": 1.0}], "gives 'accuracy', which is there already"),
    ):
        with pytest.raises(ValueError, match=words):
            run.evaluate(data[1], tiny_cnn(), evaluators=given, resamples=0, plots=False)
    with pytest.raises(TypeError, match="coflect list evaluators"):
        run.evaluate(data[1], tiny_cnn(), evaluators=[3])
