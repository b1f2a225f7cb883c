"""Who learns: networks of one's own, and boosted trees; what does not apply is said."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.datasets import load_diabetes
from sklearn.linear_model import RidgeCV
from torch import nn

from benchmarks.quickstart.messy import FILES
from coflect_widget.backends.trees.forest import Forest
from coflect_widget.backends.trees.growing import GROWERS
from coflect_widget.projects.endpoint.service import Asked, Service
from coflect_widget.projects.quickstart.networks.made import answering, make, outputs_of
from coflect_widget.projects.quickstart.pipeline import Pipeline

# --- boosted trees --------------------------------------------------------------------------------


def grown(name, classes, rounds=12):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 5)).astype(np.float32)
    x[::3, 0] = x[1::3, 0]  # equal values, where a threshold may be
    told = x[:, 0] + x[:, 1] ** 2
    y = np.digitize(told, [0.5, 1.5][: classes - 1]) if classes else told[:, None]
    grower, forest = GROWERS[name](x, y, classes, 3), Forest(name, 5, classes or 1)
    for _ in range(rounds):
        forest.grow(grower.round())
    forest.start = grower.start
    return x, y, grower, forest


@pytest.mark.parametrize("classes", [0, 2, 3])
@pytest.mark.parametrize("name", GROWERS)
def test_arrays_say_what_the_library_says(name, classes):
    x, _, grower, forest = grown(name, classes)
    if name == "xgboost":
        import xgboost

        theirs = grower._booster.predict(xgboost.DMatrix(x), output_margin=True)
    else:
        theirs = grower._model._raw_predict(x)
    theirs = np.asarray(theirs).reshape(len(x), -1)
    mine = forest(x)
    assert mine.shape == (len(x), classes or 1)
    if classes == 2:
        assert not mine[:, 0].any()
        mine = mine[:, 1:]
    elif classes:  # what is added to all of them changes no probability
        mine, theirs = (one - one.mean(1, keepdims=True) for one in (mine, theirs))
    np.testing.assert_allclose(mine, theirs, atol=1e-5)
    again = Forest(name, 5, classes or 1)
    again.put_weights(forest.weights())
    assert np.array_equal(again(x), forest(x))
    assert (again.rounds, len(again)) == (12, 12 * max(1, classes * (classes > 2)))


@pytest.mark.parametrize("present", [(0, 2), (1, 2, 4), (3,)])
@pytest.mark.parametrize("name", GROWERS)
def test_classes_without_a_row(name, present):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 2)).astype(np.float32)
    y = np.array(present)[np.digitize(x[:, 0], [-0.3, 0.4][: len(present) - 1])]
    if name == "hist_gradient_boosting" and len(present) == 1:
        with pytest.raises(ValueError, match=r"are of class 3.*add rows of another"):
            GROWERS[name](x, y, 5, 0)
        return
    grower, forest = GROWERS[name](x, y, 5, 0), Forest(name, 2, 5)
    for _ in range(8):
        forest.grow(grower.round())
    forest.start = grower.start
    assert np.mean(forest(x).argmax(1) == y) > 0.95


@pytest.mark.parametrize(
    "change",
    [
        {"feature": np.full(3, 9)}, {"left": np.zeros(1, np.int32)}, {"root": np.array([10**6])},
        {"output": np.array([-1])}, {"start": np.zeros(4)}, {"rounds": np.zeros(0)},
        {"value": None}, "circle",
    ],
    ids=str,
)  # fmt: skip
def test_arrays_that_are_no_trees(change):
    weights = grown("hist_gradient_boosting", 2, 2)[-1].weights()
    if change == "circle":
        change = {"left": np.where(weights["feature"] >= 0, 0, weights["left"])}
    with pytest.raises(ValueError, match="no trees"):
        Forest("hist_gradient_boosting", 5, 2).put_weights({**weights, **change})


@pytest.mark.parametrize("name", GROWERS)
def test_boosted_trees_under_the_dashboard(start, tmp_path, name):
    session = start(FILES["mixed"](tmp_path), target="left", model=name)
    assert session.epochs == 150
    session.train(20)
    assert session.wait(240)
    # a round is a step and an epoch: each has a loss of the training and of the validation part
    told = session.run.scalars()
    val = told["loss"][told["split"] == "val"]
    assert len(val) == 20
    assert val[-1] < val[0]
    assert session.metrics["step"] == session.metrics["epoch"] == 20
    found = session.test()
    (plain,) = found["plain"].values()
    assert found["figures"]["accuracy"] > max(plain - 0.1, found["guess"] + 0.1)
    read = Pipeline.of(session.run.path)
    test = session.sheet.rows(session.split.test)
    assert read.evaluate(test) == pytest.approx(found["figures"], rel=1e-5)
    rows = [{"age": 70, "paid": "100,00", "plan": "PRO", "joined": "2015-03-04"},
            {"age": 20, "paid": "3000,00", "plan": "never heard of", "joined": None}]  # fmt: skip
    assert [one["class"] for one in read.predict(rows)] == ["yes", "no"]
    worth = read.worth_of_columns(session.sheet.rows(session.split.validation))
    assert set(worth) == {"age", "paid", "plan", "joined"}
    assert max(worth, key=worth.get) in ("age", "paid")
    assert worth["joined"] < 0.1
    # Shapley values of a single row, by a worker's own copy of the trees
    found = session.explain(0, timeout=240)
    x, names = session.pipeline.preprocess(session.sheet.rows(session.split.train[:1])), []
    assert (found.method, found.map.shape) == ("shapley", x[0].shape)
    assert found.quality is not None
    for feature in session._open().modality.features:
        names += [feature.name] * len(feature.columns)
    of = {name: found.map[[n == name for n in names]].sum() for name in names}
    assert max(of, key=of.get).startswith(("age", "paid"))
    assert found.predicted == session.pipeline.outputs(x).argmax()
    # what does not apply is said
    with pytest.raises(ValueError, match=r"no last layer to fit again; .*leave_out=\[\.\.\.\]"):
        session._open().backend.last_layer(x)
    assert not session._open().backend.refits  # nor is that the remedy for a finding
    with pytest.raises(ValueError, match=r"boosted trees take no guidance.*leave_out=\[\.\.\.\]"):
        session.feedback(ignore="joined")
    # more rounds go on where it stopped
    session.train(2)
    assert session.wait(240)
    assert session.pipeline.model.rounds == 22


def test_boosted_trees_tell_numbers(start):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(400, 3)), columns=["a", "b", "c"])
    frame["price"] = 300 + 50 * frame["a"] - 40 * np.abs(frame["b"])
    session = start(frame, target="price", leave_out=(), model="hist_gradient_boosting")
    session.train(60)
    assert session.wait(240)
    found = session.test()["figures"]
    assert found["r2"] > 0.8
    assert session.metrics["val_r2"] > 0.8
    assert found["root_mean_square_error"] < 30


def test_who_does_not_fit_is_told(start, tmp_path):
    with pytest.raises(ValueError, match=r"takes rows of a table.*these are texts"):
        start(FILES["encoded"](tmp_path), model="xgboost")
    with pytest.raises(ValueError, match="did you mean 'xgboost'"):
        start(FILES["doubled"](tmp_path), model="xgbost")
    with pytest.raises(ValueError, match="loss= is not for boosted trees"):
        start(FILES["doubled"](tmp_path), model="xgboost", loss=nn.CrossEntropyLoss())


# --- networks -------------------------------------------------------------------------------------


class Mine(nn.Module):
    """Asks for what it needs, and has a value of its own for the rest."""

    def __init__(self, columns, outputs, width=8):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(columns, width), nn.ReLU(), nn.Linear(width, outputs))

    def forward(self, x):
        return self.layers(x)


def test_a_network_of_ones_own(start, tmp_path):
    session = start(FILES["doubled"](tmp_path), model=Mine)
    assert isinstance(session.pipeline.model, Mine)
    session.train(3)
    assert session.wait(240)
    found = session.test()
    with pytest.raises(ValueError, match=r"was made by .*Mine.*Pipeline.of\(run, model=...\)"):
        Pipeline.of(session.run.path)
    read = Pipeline.of(session.run.path, model=Mine)
    assert read.evaluate(session.sheet.rows(session.split.test)) == pytest.approx(
        found["figures"], rel=1e-5
    )
    with pytest.raises(ValueError, match="the weights are not this network's"):
        Pipeline.of(session.run.path, model=lambda columns, outputs: Mine(columns, outputs, 9))


@pytest.mark.slow
def test_an_lstm_tells_what_comes_next(start):
    hours = np.arange(300)
    load = 500 + 20 * np.sin(hours * 2 * np.pi / 24)
    frame = pd.DataFrame({"time": pd.date_range("2024-01-01", periods=300, freq="h"), "load": load})
    session = start(frame, target="load", model="lstm", batch_size=32)
    assert [type(one).__name__ for one in session.pipeline.model.children()][:2] == ["LSTM"] * 2
    assert session.pipeline.model.narrow.hidden_size == 64
    session.train(4)
    assert session.wait(240)
    found = session.test()
    read = Pipeline.of(session.run.path)
    (told,) = read.predict(frame[:200])
    assert len(told["value"]) == session.pipeline.goal.outputs == 7
    assert np.abs(np.array(told["value"]) - load[200:207]).max() < 20  # in the unit of the load
    assert read.evaluate(session.sheet.rows(session.split.test)) == pytest.approx(
        found["figures"], rel=1e-4
    )
    with pytest.raises(ValueError, match=r"model='lstm' learns task='forecast'; this is classific"):
        start({"a": np.arange(40.0) ** 2, "label": np.array(["x", "y"] * 20)}, model="lstm",
              leave_out=())  # fmt: skip


class Flat(nn.Module):
    """Views its pictures as rows, which those that lie channels last cannot be."""

    def __init__(self, traced):
        super().__init__()
        self.first, self.norm = nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.last, self.traced = nn.Linear(3 * 8 * 8, 2), traced

    def forward(self, x):
        if not self.traced and x.sum() > 1e9:  # nothing that is traced may ask so
            return x
        told = self.last(x.view(x.size(0), -1))
        return told + self.norm(self.first(x)).mean((2, 3))[:, :2]


@pytest.mark.parametrize("traced", [True, False])
def test_a_network_that_views_its_pictures_answers(traced):
    model = Flat(traced).eval()
    x = np.random.default_rng(0).normal(size=(300, 3, 8, 8)).astype(np.float32)
    answer = answering(model)
    for part in (x[:1], x):
        np.testing.assert_allclose(answer(part), outputs_of(model, part), atol=1e-5)


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (Mine(4, 2), "give the class, model=Net, and not"),
        (lambda words: None, "needs words; it may ask for columns, numbers, outputs, rows"),
        (lambda columns: columns, "expected a torch.nn.Module"),
        (3, "must be a class or function"),
    ],
)
def test_what_is_no_network(start, tmp_path, model, says):
    with pytest.raises(TypeError, match=says):
        start(FILES["doubled"](tmp_path), model=model)
    assert not list((tmp_path / "runs").glob("run_*"))


def test_rows_begin_with_ridge_regression_and_runs_of_before_are_read():
    found = load_diabetes()
    x = found.data.astype(np.float32) * 20
    y = ((found.target - found.target.mean()) / found.target.std()).astype(np.float32)[:, None]
    facts = {"net": "table", "columns": 10, "numbers": list(range(10)), "outputs": 1}
    net = make({**facts, "rows": len(x)}, 0, x, y).eval()
    ridge = RidgeCV(alphas=np.logspace(-1, 4, 21)).fit(x, y[:, 0])
    with torch.no_grad():
        told = net(torch.from_numpy(x))[:, 0].numpy()
    np.testing.assert_allclose(told, ridge.predict(x), atol=1e-4)
    # networks of a run of before said nothing of rows, and had wide layers alone
    before = make(facts, 0, x, y)
    assert before.line is None
    assert before.layers[0].out_features == 192


@pytest.mark.slow
def test_own_networks_and_trees_are_served(start, tmp_path):
    for model, own in ((Mine, Mine), ("hist_gradient_boosting", None)):
        session = start(FILES["mixed"](tmp_path), target="left", model=model, seed=3)
        session.train(2)
        assert session.wait(240)
        session.test()  # the best weights are on disk then
        row = {"age": 70, "paid": 100, "plan": "PRO", "joined": "2015-03-04"}
        service = Service(session.run.path, own)
        ((told,),) = service.together([Asked.one(row)])
        (wanted,) = Pipeline.of(session.run.path, own).predict([row])
        assert told["probabilities"] == pytest.approx(wanted["probabilities"], abs=1e-5)
        assert service.info()["form"] == ("torch" if own else "trees")
        maps = service.maps()
        if own is None:  # of trees Shapley values, by a process of their own
            x = session.pipeline.preprocess([row])
            found = maps.explain(x, 1)
            assert (found["method"], found["explained"]) == ("shapley", 1)
            assert np.shape(found["map"]) == x[0].shape
            assert max(found["map"]) == 1
            maps.close()
        else:
            assert "coflect serve RUN --model" in Service(session.run.path).why
