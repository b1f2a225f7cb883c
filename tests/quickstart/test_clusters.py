"""Clusters of rows: no target, centres that move under the dashboard, served as all else."""

import numpy as np
import pandas as pd
import pytest
from sklearn.cluster import MiniBatchKMeans

import coflect_widget as coflect
from coflect_widget.backends.clusters.centres import Centres
from coflect_widget.projects.endpoint.kept import kept
from coflect_widget.projects.endpoint.service import Asked, Service
from coflect_widget.projects.quickstart.goals.clusters import Clusters
from coflect_widget.projects.quickstart.pipeline import Pipeline


def shops(n=300):
    """Three kinds of shops, told by two numbers and a word."""
    rng = np.random.default_rng(0)
    kind = rng.integers(0, 3, n)
    frame = pd.DataFrame({
        "size": np.array([40, 300, 320])[kind] + rng.normal(0, 10, n),
        "visits": np.array([20, 25, 900])[kind] + rng.normal(0, 8, n),
        "place": np.array(["street", "mall", "mall"])[kind],
    })  # fmt: skip
    return frame, kind


def test_clusters_under_the_dashboard(start, capsys):
    frame, kind = shops()
    session = start(frame, task="clustering")
    assert "3 clusters: of 2 to 10 their silhouette is the highest" in capsys.readouterr().out
    session.train(6)
    assert session.wait(240)
    told = session.run.scalars()
    after = told["silhouette"][told["split"] == "val"]
    assert len(after) == 6  # a round is an epoch
    assert np.isfinite(after).all()
    assert session.metrics["val_loss"] < 0.2  # the inertia of a row
    assert session.metrics["val_silhouette"] > 0.5
    found = session.test()
    (plain,) = found["plain"].values()
    assert found["figures"]["silhouette"] > plain - 0.02
    # read from disk, what it says of rows is the kind of the shops, whatever the numbers are
    read = Pipeline.of(session.run.path)
    said = np.array([one["cluster"] for one in read.predict(frame)])
    pairs = {(a, b) for a, b in zip(said, kind, strict=True)}
    assert len(pairs) == 3
    assert read.evaluate(frame)["silhouette"] > 0.5
    # a service answers with it
    service = Service(session.run.path)
    row = {"size": 310.0, "visits": 890.0, "place": "mall"}
    ((one,),) = service.together([Asked.one(row)])
    assert one["cluster"] == said[kind == 2][0]
    assert one["distance"] == min(one["distances"])
    assert service.maps() is None
    # what does not apply is said
    with pytest.raises(Exception, match="no gradient and no target"):
        session.explain(0, timeout=60)
    with pytest.raises(ValueError, match=r"clusters take no guidance.*leave_out="):
        session.feedback(ignore="size")
    with pytest.raises(ValueError, match="a cluster has no target"):
        kept(session.run).label(0, "0")


def test_centres_are_those_of_scikit_learn(start):
    frame, _ = shops(120)
    session = start(frame, task="clustering", clusters=4, batch_size=16)
    session.train(1)
    assert session.wait(240)
    model, x = session.pipeline.model, session.pipeline.preprocess(session.sheet)
    assert np.allclose(
        model(x), MiniBatchKMeans.transform(session._open().backend._moving, x), atol=1e-4
    )
    again = Centres(4, x.shape[1])
    again.put_weights(model.weights())
    assert np.array_equal(again(x), model(x))
    with pytest.raises(ValueError, match="no centres of these"):
        Centres(5, x.shape[1]).put_weights(model.weights())


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"task": "clustering", "target": "size"}, "has no target; leave target= out"),
        ({"task": "clustering", "clusters": 1}, "clusters=1 must be from 2"),
        ({"task": "clustering", "clusters": 300}, "for 300 clusters; give fewer clu"),
        ({"task": "clustering", "model": "xgboost"}, "leave model= out"),
        ({"task": "clustering", "kind": "text"}, "no column is of it"),
        ({"task": "regression", "target": "size", "clusters": 3}, "clusters= is for task="),
        ({"target": "place", "model": "mini_batch_kmeans"}, "finds clusters"),
    ],
)
def test_what_does_not_fit_clusters(tmp_path, given, says):
    frame, _ = shops(90)
    with pytest.raises(ValueError, match=says):
        coflect.quickstart(frame, leave_out=(), run_dir=tmp_path, **given)
    assert not list(tmp_path.glob("run_*"))


def test_two_clusters_need_more_rows_and_not_fewer_clusters():
    goal = Clusters()
    goal.choose(2)
    with pytest.raises(ValueError, match=r"2 different rows .* for 2 clusters; give more rows"):
        goal.fit(np.array([[0.0], [1.0], [1.0]]))
