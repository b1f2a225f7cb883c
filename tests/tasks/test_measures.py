"""Figures of a trained model, against scikit-learn's on outputs made by hand."""

import numpy as np
import pytest
from sklearn import metrics

from coflect_widget.tasks import Classification, MultiLabel, Regression
from coflect_widget.tasks.measures import Chart, Matrix, measures_of
from coflect_widget.tasks.measures.base import distribution, tail
from coflect_widget.tasks.measures.shares import calibration

RNG = np.random.default_rng(0)
TARGETS = RNG.integers(0, 4, 300)
SCORES = (RNG.standard_normal((300, 4)) + 1.5 * np.eye(4)[TARGETS]).astype(np.float32)
NAMES = ["a", "b", "c", "d"]


def test_classes():
    measures = measures_of(Classification(4))
    shares = np.exp(SCORES) / np.exp(SCORES).sum(1, keepdims=True)
    found, said = measures.figures(SCORES, TARGETS), SCORES.argmax(1)
    assert found["accuracy"] == metrics.accuracy_score(TARGETS, said)
    assert found["balanced_accuracy"] == metrics.balanced_accuracy_score(TARGETS, said)
    assert found["f1"] == metrics.f1_score(TARGETS, said, average="macro")
    assert found["loss"] == pytest.approx(metrics.log_loss(TARGETS, shares), abs=1e-5)
    area = metrics.roc_auc_score(TARGETS, shares, multi_class="ovr")
    assert found["roc_auc"] == pytest.approx(area, abs=1e-6)
    assert 0 < found["calibration_error"] < 0.3
    table = measures.classes(SCORES, TARGETS, NAMES)
    recall = metrics.recall_score(TARGETS, said, average=None)
    assert [one["recall"] for one in table.values()] == pytest.approx(recall.tolist())
    assert [one["n"] for one in table.values()] == np.bincount(TARGETS).tolist()
    members = measures.members(TARGETS, NAMES)
    assert measures.of_each(SCORES, TARGETS)[members["b"]].mean() == pytest.approx(recall[1])
    charts = {chart.name: chart for chart in measures.charts(SCORES, TARGETS, NAMES)}
    assert charts.keys() == {"confusion", "roc", "precision_recall", "calibration"}
    assert np.array_equal(charts["confusion"].values, metrics.confusion_matrix(TARGETS, said))
    x, y = charts["roc"].curves["c"]
    assert metrics.auc(x, y) == pytest.approx(metrics.roc_auc_score(TARGETS == 2, shares[:, 2]))


def test_a_class_that_no_sample_has_and_one_logit_for_two():
    some = TARGETS != 3
    found = measures_of(Classification(4)).figures(SCORES[some], TARGETS[some])
    assert all(np.isfinite(value) for value in found.values())
    alike = measures_of(Classification(4)).figures(SCORES[TARGETS == 1], TARGETS[TARGETS == 1])
    assert np.isnan(alike["roc_auc"])
    two, one = measures_of(Classification(2)), (TARGETS > 1).astype(int)
    column = (SCORES[:, 3] - SCORES[:, 0])[:, None]
    both = np.concatenate([np.zeros_like(column), column], 1)
    assert two.figures(column, one) == two.figures(both, one)
    assert set(two.charts(column, one, NAMES[:2])[1].curves) == {"b"}
    assert two.figures(column, one)["roc_auc"] == metrics.roc_auc_score(one, column[:, 0])


def test_labels():
    there = (RNG.random((200, 3)) < 0.4).astype(np.float32)
    logits = (RNG.standard_normal((200, 3)) + 2 * there - 1).astype(np.float32)
    measures = measures_of(MultiLabel(3))
    found = measures.figures(logits, there)
    said = logits > 0
    assert found["accuracy"] == pytest.approx((said == there).mean())
    assert found["all_right"] == metrics.accuracy_score(there, said)
    assert found["f1"] == metrics.f1_score(there, said, average="macro")
    loss = np.mean(
        [metrics.log_loss(there[:, k], 1 / (1 + np.exp(-logits[:, k]))) for k in (0, 1, 2)]
    )
    assert found["loss"] == pytest.approx(loss, abs=1e-5)
    assert measures.members(there, NAMES[:3])["b"].sum() == there[:, 1].sum()
    assert measures.classes(logits, there, NAMES[:3])["a"]["n"] == there[:, 0].sum()
    assert {c.name for c in measures.charts(logits, there, NAMES[:3])} == {
        "roc", "precision_recall", "calibration",
    }  # fmt: skip


def test_numbers():
    wanted = RNG.standard_normal((100, 2)).astype(np.float32)
    given = wanted + 0.1 * RNG.standard_normal((100, 2)).astype(np.float32)
    measures = measures_of(Regression())
    found = measures.figures(given, wanted)
    assert found["r2"] == pytest.approx(metrics.r2_score(wanted, given), abs=1e-5)
    assert found["rmse"] == pytest.approx(np.sqrt(found["loss"]))
    assert found["mae"] == pytest.approx(np.abs(given - wanted).mean(), abs=1e-6)
    charts = measures.charts(given, wanted, [])
    assert [c.name for c in charts] == [
        "residuals", "absolute_error_distribution", "absolute_error_tail",
    ]  # fmt: skip
    assert charts[0].dots
    assert charts[2].logarithmic == (True, True)


def test_a_task_of_ones_own_is_measured_by_its_loss():
    class Own(Classification):
        measures = None

    measures = measures_of(Own(4))
    found = measures.figures(SCORES, TARGETS)
    assert found == {
        "loss": pytest.approx(measures.of_each(SCORES, TARGETS).mean(), abs=1e-6),
        "right": pytest.approx((SCORES.argmax(1) == TARGETS).mean()),
    }
    assert measures.better == "lower"
    assert len(measures.charts(SCORES, TARGETS, NAMES)) == 1


def test_calibration_of_who_says_what_is_so_and_of_who_does_not():
    said = np.repeat([0.25, 0.75], 400)
    right = np.concatenate([np.arange(400) % 4 == 0, np.arange(400) % 4 != 0])
    (x, y), error = calibration(right, said)
    assert (x.tolist(), y.tolist(), error) == ([0.25, 0.75], [0.25, 0.75], 0.0)
    assert calibration(~right, said)[1] == 0.5


def test_distributions():
    values = np.array([3.0, 1.0, np.nan, 2.0])
    x, y = distribution("loss", values).curves[""]
    assert (x.tolist(), y.tolist()) == ([1, 2, 3], pytest.approx([1 / 3, 2 / 3, 1]))
    x, y = tail("loss", values).curves[""]
    assert y.tolist() == pytest.approx([1, 2 / 3, 1 / 3])
    assert isinstance(tail("loss", values), Chart)
    assert not isinstance(tail("loss", values), Matrix)
