"""Requests that are kept become a queue, which a person labels and a network is trained on."""

import json
import stat

import numpy as np
import pandas as pd
import pytest
from fastapi.testclient import TestClient

import coflect_widget as coflect
from coflect_widget.projects.endpoint.app import make_app
from coflect_widget.projects.endpoint.keeping import Keeper, KeptRow, names_in, read_row
from coflect_widget.projects.endpoint.service import Service
from coflect_widget.projects.quickstart.pipeline import Pipeline
from tests.conftest import eventually


def people(row, ages):
    return [{**row, "age": float(age)} for age in ages]


def test_the_least_sure_are_kept_labelled_and_trained_on(run, trained, tmp_path, capsys):
    rows = people(trained.row, range(20, 70, 5))
    with TestClient(make_app(Service(run, keep=6))) as client:
        assert "up to 6 requests are kept" in json.loads(capsys.readouterr().err)["kept"]
        told = [client.post("/predict", json={"row": rows[0]}).json()["prediction"]]
        told += client.post("/predict/batch", json={"rows": rows[1:]}).json()["predictions"]
        client.post("/predict", json={"row": rows[0]})  # the same again is one
        assert client.post("/predict", json={"row": {}}).status_code == 422
        assert client.get("/model/info").json()["kept"]["at_most"] == 6
    sure = [max(one["probabilities"].values()) for one in told]
    kept = coflect.kept(run)
    assert len(kept) == 6
    assert sorted(row.confidence for row in kept) == pytest.approx(sorted(sure)[:6])
    queue = [kept[k].confidence for k in kept.queue]
    assert queue == sorted(queue)
    assert all(len(row.request) == 32 for row in kept)
    assert stat.S_IMODE((run / "kept").stat().st_mode) == 0o700

    with pytest.raises(ValueError, match=r"'maybe' is no class; expected one of 'no', 'yes'"):
        kept.label(0, "maybe")
    with pytest.raises(ValueError, match=r"label\(number, class\) first"):
        kept.arrays()
    number = kept.queue[0]
    kept.label(number, "yes")
    kept.label(kept.queue[0], "no")
    assert number not in kept.queue
    again = coflect.kept(run)
    assert sorted(row.label for row in again if row.label is not None) == ["no", "yes"]
    x, y = again.arrays()
    labelled = [row for row in again if row.label is not None]
    assert np.array_equal(x, Pipeline.of(run).preprocess([row.row for row in labelled]))
    assert [["no", "yes"][k] for k in y] == [row.label for row in labelled]

    # A session goes on with what the run has learned, and knows the labelled rows too.
    with again.session(trained.data, run_dir=tmp_path / "next") as session:
        told = Pipeline.of(run).outputs(x)
        assert np.allclose(session.pipeline.outputs(x), told, atol=1e-6)
        assert session.run.config["data"]["num_train"] == len(trained.split.train) + 2
        assert np.array_equal(session.split.test, trained.split.test)
        session.train(1)
        assert session.wait(240)
        assert Service(session.run.path).model is not None
    with pytest.raises(ValueError, match="no column 'age'"):
        again.session(trained.data.drop(columns="age"))
    again.forget(again.queue[0])
    assert (len(again), len(coflect.kept(run))) == (5, 5)

    # A labelled row stays, whatever comes after it.
    with TestClient(make_app(Service(run, keep=1))) as client:
        client.post("/predict/batch", json={"rows": rows})
    assert len(names_in(run, "kept/waiting")) == 1
    assert [row.label for row in coflect.kept(run) if row.label] == [row.label for row in labelled]


def test_nothing_is_kept_unasked(run, trained):
    with TestClient(make_app(Service(run))) as client:
        client.post("/predict", json={"row": trained.row})
        assert client.get("/model/info").json()["kept"] is None
    assert not (run / "kept").exists()
    assert len(coflect.kept(run)) == 0


def test_damaged_and_foreign_files_are_no_rows(run, trained, tmp_path):
    with TestClient(make_app(Service(run, keep=5))) as client:
        client.post("/predict", json={"row": trained.row})
    waiting = run / "kept" / "waiting"
    whole = (waiting / f"{coflect.kept(run)[0].id}.json").read_text()
    for k, text in enumerate(['{"format"', "[]", "[" * 9999, whole, '{"format": "x"}']):
        (waiting / f"{k:032x}.json").write_text(text)
    (waiting / "notes.txt").write_text("mine")
    (tmp_path / "secret").write_text(whole)
    (waiting / f"{9:032x}.json").symlink_to(tmp_path / "secret")
    kept = coflect.kept(run)
    assert (len(kept), kept.damaged) == (1, 6)


def test_rows_are_read_once_and_again_where_they_changed(run, trained, monkeypatch):
    keep(run, 5, [trained.row, {**trained.row, "age": 20.0}])
    kept, other = coflect.kept(run), coflect.kept(run)
    names = []

    def counted(folder, room, name):
        names.append(name)
        return read_row(folder, room, name)

    monkeypatch.setattr("coflect_widget.projects.endpoint.kept.read_row", counted)
    kept.refresh()
    assert (len(kept), names) == (2, [])
    for label in ("yes", "no"):  # by somebody else, who changes their mind
        other.label(0, label)
        kept.refresh()
        assert [row.label for row in kept] == [label, None]
    assert names == [f"{0:032x}"] * 2
    other.forget(0)
    kept.refresh()
    assert [row.id for row in kept] == [f"{1:032x}"]


def test_no_link_leads_what_is_kept_elsewhere(run, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (run / "kept").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match="outside the run folder"):
        Service(run, keep=5)
    assert not list((tmp_path / "elsewhere").iterdir())


@pytest.mark.parametrize("most", [0, -1, 10**6])
def test_how_many_is_bounded(tmp_path, most):
    with pytest.raises(ValueError, match=r"at most 100,000 requests"):
        Keeper(tmp_path, most)


def keep(folder, most, rows):
    """By a service that begins and ends."""
    keeper = Keeper(folder, most)
    for number, row in enumerate(rows):
        keeper.offer(f"{number:032x}", "", row, {})
    keeper.close()


def test_rows_that_a_person_took_away_make_room(run, trained):
    keeper = Keeper(run, 2)
    for name in "12":
        keeper.offer(32 * name, "", trained.row, {"probabilities": {"yes": 0.5, "no": 0.5}})
    eventually(lambda: len(names_in(run, "kept/waiting")) == 2)
    kept = coflect.kept(run)
    kept.label(0, "yes")
    kept.forget(1)
    for name in "34":  # of these the model is surer
        keeper.offer(32 * name, "", trained.row, {"probabilities": {"yes": 0.9, "no": 0.1}})
    keeper.close()
    assert names_in(run, "kept/waiting") == [32 * "3", 32 * "4"]
    assert len(keeper) == 2


def test_the_oldest_goes_also_after_a_restart(tmp_path):
    keep(tmp_path, 3, [])
    for at, name in enumerate("321"):
        row = KeptRow(32 * name, f"2026-01-0{1 + at}", "", {}, {}, None)
        (tmp_path / "kept" / "waiting" / f"{row.id}.json").write_text(row.text())
    keeper = Keeper(tmp_path, 3)
    keeper.offer(32 * "5", "", {}, {})
    keeper.close()
    assert [name[0] for name in names_in(tmp_path, "kept/waiting")] == ["1", "2", "5"]


def test_no_labelled_row_is_one_that_the_run_is_judged_by(run, trained, tmp_path, capsys):
    rows = [
        {"age": row.age, "paid": row.paid, "plan": row.plan, "joined": f"{row.joined:%Y-%m-%d}"}
        for part in (trained.split.validation, trained.split.test, trained.split.train)
        for row in [trained.data.iloc[part[0]]]
    ]
    keep(run, 3, rows)
    kept = coflect.kept(run)
    for number in range(3):
        kept.label(number, "yes")
    with kept.session(trained.data, run_dir=tmp_path / "next") as session:
        assert session.run.config["data"]["num_train"] == len(trained.split.train) + 1
    assert (
        "2 labelled rows equal rows of the validation or the test part" in capsys.readouterr().out
    )


def test_equal_rows_of_a_run_of_before_are_not_divided_anew(run, trained, tmp_path):
    file = next(run.rglob("divided.json"))
    told = json.loads(file.read_text())
    del told["rule"]
    file.write_text(json.dumps(told))
    keep(run, 1, [trained.row])
    kept = coflect.kept(run)
    kept.label(0, "yes")
    doubled = pd.concat([trained.data, trained.data.iloc[:5]])
    with pytest.raises(ValueError, match=r"rule of an earlier version.*begin a run anew"):
        kept.session(doubled, run_dir=tmp_path)
    with kept.session(trained.data, run_dir=tmp_path) as session:  # without any it is the same
        assert session.state == "idle"


def test_trees_are_grown_anew_with_all_their_rounds(trained, tmp_path):
    with coflect.quickstart(
        trained.data, "left", leave_out=(), run_dir=tmp_path, model="hist_gradient_boosting"
    ) as first:
        first.train(1)
        assert first.wait(240)
        first.test()
    keep(first.run.path, 1, [trained.row])
    kept = coflect.kept(first.run.path)
    kept.label(0, "yes")
    with kept.session(trained.data, run_dir=tmp_path) as session:
        assert session.epochs == first.epochs
