"""A timeline that is watched: windows are told again, and what is unusual stands out."""

import numpy as np
import pandas as pd
import pytest
import torch

import coflect_widget as coflect
from coflect_widget.projects.endpoint.service import Asked, Service
from coflect_widget.projects.quickstart.goals.anomaly import Anomaly
from coflect_widget.projects.quickstart.inputs.series import Series
from coflect_widget.projects.quickstart.networks.made import make
from coflect_widget.projects.quickstart.pipeline import Pipeline
from coflect_widget.projects.quickstart.sheet import Sheet


def load(hours=800, seed=0):
    rng = np.random.default_rng(seed)
    hour = np.arange(hours)
    values = 50 + 20 * np.sin(hour * 2 * np.pi / 24) + rng.normal(0, 2, hours)
    values[100:103] = np.nan
    return pd.DataFrame({"time": pd.date_range("2024-01-01", periods=hours, freq="h"),
                         "load": values})  # fmt: skip


def test_what_is_unusual_stands_out(tmp_path, capsys):
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        watched(tmp_path, capsys)
    finally:
        torch.set_num_threads(threads)


def watched(tmp_path, capsys):
    frame = load()
    with coflect.quickstart(frame, "load", "anomaly", run_dir=tmp_path) as session:
        assert "Windows of 32 moments" in capsys.readouterr().out
        # windows lie in one part wholly
        train, test = session.sheet.rows(session.split.train), session.split.test
        assert train.cells["window"].shape == (560 - 32 + 1, 1, 32)
        assert len(test) == 120 - 32 + 1
        usual, odd = frame[-32:].copy(), frame[-32:].copy()
        odd.loc[odd.index[20:24], "load"] += 40
        assert session.pipeline.predict(usual)[0]["unusual"] is None  # no limit is known yet
        session.train(steps=2)
        assert session.wait(240)
        first, limit = session.test(), session.pipeline.goal.limit
        session.train(8)
        assert session.wait(240)
        # the test part is used once; the limit is that of the best weights
        assert session.test() == first
        now = Pipeline.of(session.run.path)
        assert limit != session.pipeline.goal.limit == now.goal.limit
        now.goal.settle(now.outputs(session._of_validation()))
        assert now.goal.limit == pytest.approx(session.pipeline.goal.limit, rel=1e-5)
        (session.run.path / "pipeline" / "test.json").unlink()
        found = session.test()
        (plain,) = found["plain"].values()
        assert found["figures"]["r2"] > max(plain - 0.02, 0.9)
        assert found["figures"]["unusual"] < 0.2
        assert session.metrics["val_r2"] > 0.9
    read = Pipeline.of(session.run.path)
    assert read.evaluate(frame[-120:]) == pytest.approx(found["figures"], rel=1e-4)
    (quiet,), (loud,) = read.predict(usual), read.predict(odd)
    assert (quiet["unusual"], loud["unusual"]) == (False, True)
    assert loud["score"] > 2 * quiet["score"]
    assert 20 <= int(np.argmax(loud["moments"])) < 24
    with pytest.raises(ValueError, match="the last 32 are needed"):
        read.predict(frame[:10])
    # and as a service tells it
    row = {"time": [str(t) for t in odd["time"]], "load": odd["load"].tolist()}
    service = Service(session.run.path)
    ((told,),) = service.together([Asked.one(row)])
    assert service.moments(row, ("body", "row")) == []
    assert told["unusual"] is True
    assert told["score"] == pytest.approx(loud["score"], rel=1e-4)


def test_nobody_is_asked_whether_a_timeline_is_watched(tmp_path):
    with coflect.quickstart(load(), "load", run_dir=tmp_path) as session:
        assert (session.pipeline.inputs.name, session.pipeline.goal.name) == (
            "timeline",
            "forecast",
        )
    with pytest.raises(ValueError, match="too few for windows"):
        coflect.quickstart(load(102), "load", "anomaly", run_dir=tmp_path)


def test_equal_numbers_have_no_deviation_of_rounding():
    goal, series = Anomaly(), Series()
    for value in (0, 0.1, 0.3, 1.1, 7.7):  # numpy rounds the mean of some of them
        same = np.full((100, 1, 16), value)
        goal.fit(same)
        series._measure(Sheet("same", {"window": same}), ["window"])
        assert goal.stds == series.std == [1.0]
        assert goal.figures(np.ones((100, 16)), same)["r2"] == 0
    small = np.random.default_rng(0).normal(size=(300, 1, 16)) * 1e-12
    goal.fit(small)  # a small unit is one
    assert goal.transform(small).std() == pytest.approx(1, rel=1e-3)


def test_training_begins_with_principal_components():
    x = np.random.default_rng(0).normal(size=(200, 2, 16)).astype(np.float32)
    x[:, 1] = x[:, 0]  # so that few numbers tell all
    net = make(
        {"net": "watch", "channels": 2, "length": 16, "outputs": 32, "code": 4}, 0, x, x
    ).eval()
    from sklearn.decomposition import PCA

    flat = x.reshape(200, -1)
    plain = PCA(4, svd_solver="full").fit(flat)
    with torch.no_grad():
        told = net(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(told, plain.inverse_transform(plain.transform(flat)), atol=1e-4)
