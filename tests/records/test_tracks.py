"""Metrics over steps, epochs and time: read once, kept beside the stream, read anew when lost."""

import json

import numpy as np
import pytest

import coflect_widget as coflect
from coflect_widget.records import tracks as module
from coflect_widget.records.tracks import TRACKS, read_tracks, write_tracks
from coflect_widget.ui.compared import contents
from tests.records.test_runs_table import event, write_run


def at(seq, second, kind, step=0, **data):
    split = "val" if kind == "metrics" else None
    one = event(seq, kind, step, split=split, **data)
    return {**one, "ts": f"2026-11-30T06:{second // 60:02d}:{second % 60:02d}Z"}


def value(seq, second, step, **values):
    return at(seq, second, "metrics", step, values=values)


@pytest.fixture
def folder(tmp_path):
    return write_run(
        tmp_path / "run_a",
        at(0, 0, "state", state="training"),
        value(1, 10, 10, loss=1.0, accuracy=0.5),
        at(2, 15, "state", 10, state="paused"),
        at(3, 75, "state", 10, state="training"),
        at(4, 80, "intervention", 15, id="i1"),
        value(5, 85, 20, loss=None, accuracy=0.9),
        at(6, 85, "state", 20, state="finished"),
    )


def same(a, b):
    assert (a.seconds, a.steps, a.told, [*a.splits]) == (b.seconds, b.steps, b.told, [*b.splits])
    for name, track in a.splits.items():
        other = b.splits[name]
        for one, two in zip(
            (track.steps, track.epochs, track.seconds, *track.values.values()),
            (other.steps, other.epochs, other.seconds, *other.values.values()),
            strict=True,
        ):
            assert one.dtype == two.dtype
            np.testing.assert_array_equal(one, two)


def test_pauses_do_not_count_and_what_is_kept_is_read_again(folder, monkeypatch):
    found = read_tracks(folder)
    assert (found.seconds, found.steps, found.told) == (25.0, 20, [15])
    assert found.throughput == 0.8
    val = found.splits["val"]
    assert (val.steps.tolist(), val.seconds.tolist()) == ([10, 20], [10.0, 25.0])
    assert val.values["accuracy"].tolist() == [0.5, 0.9]
    assert np.isnan(val.values["loss"]).tolist() == [False, True]
    assert (folder / TRACKS).is_file()
    with monkeypatch.context() as patch:
        patch.setattr(module, "fold", lambda _: pytest.fail("the stream was read"))
        same(read_tracks(folder), found)
    # the stream has grown: read anew
    with (folder / "events.jsonl").open("a") as stream:
        stream.write(json.dumps(value(7, 85, 30, loss=0.1)) + "\n")
    assert read_tracks(folder).splits["val"].steps.tolist() == [10, 20, 30]


@pytest.mark.parametrize(
    "damage",
    [
        lambda kept: kept.update(told="x"),
        lambda kept: kept["splits"]["val"]["steps"].append(30),
        lambda kept: kept["splits"]["val"]["values"].update(loss=[1.0, "x"]),
        lambda kept: kept.pop("splits"),
        lambda kept: kept.update(format="another"),
        lambda kept: kept.update(steps=float("inf")),
    ],
)
def test_a_damaged_file_is_made_anew(folder, damage):
    found = read_tracks(folder)
    kept = json.loads((folder / TRACKS).read_text())
    damage(kept)
    (folder / TRACKS).write_text(json.dumps(kept))
    same(read_tracks(folder), found)
    assert json.loads((folder / TRACKS).read_text())["format"] == "coflect-tracks-1"
    (folder / TRACKS).write_text("[1")
    write_tracks(folder)
    same(read_tracks(folder), found)


def test_a_long_run_keeps_its_first_and_last_points(tmp_path):
    folder = write_run(
        tmp_path / "run_a",
        *(value(k, 0, k, loss=float(k)) for k in range(1200)),
    )
    val = read_tracks(folder).splits["val"]
    assert len(val.steps) == 500
    assert (val.steps[0], val.steps[-1]) == (0, 1199)


def test_what_is_told_rarely_and_the_best_are_kept_too(tmp_path):
    losses = [value(k, 0, k, loss=9.0 - (k == 1001) * 8) for k in range(3000)]
    scores = [value(3000 + k, 0, 3000 + k, f1=0.1 * k) for k in range(3)]
    val = read_tracks(write_run(tmp_path / "run_a", *losses, *scores)).splits["val"]
    assert val.values["f1"][np.isfinite(val.values["f1"])].tolist() == [0.0, 0.1, 0.2]
    assert np.nanmin(val.values["loss"]) == 1.0
    assert len(val.steps) < 510


def test_a_time_without_a_zone_is_of_utc(tmp_path):
    stream = at(0, 0, "state", state="training"), value(1, 10, 10, loss=1.0)
    folder = write_run(tmp_path / "run_a", stream[0], {**stream[1], "ts": "2026-11-30T06:00:10"})
    assert read_tracks(folder).seconds == 10.0


def test_a_link_of_others_is_not_written_through(folder, tmp_path):
    mine = tmp_path / "mine"
    mine.write_text("mine")
    (folder / f"{TRACKS}.part").symlink_to(mine)
    read_tracks(folder)
    assert (mine.read_text(), (folder / TRACKS).is_file()) == ("mine", True)


@pytest.mark.slow
def test_a_session_leaves_them_and_a_page_gets_curves_and_columns(make_session, shapes):
    session = make_session(val=shapes)
    session.train(epochs=2)
    session.wait(240)
    session.close()
    path = session.run.path
    assert json.loads((path / TRACKS).read_text())["steps"] == session.metrics["step"]
    compared = coflect.compare([path])
    data, points = contents(compared)
    json.dumps(data, allow_nan=False)
    [run] = data["runs"]
    floats = np.frombuffer(points, np.float32)
    assert len(floats) == sum(t["count"] * (3 + len(t["metrics"])) for t in run["tracks"])
    names = [one["name"] for one in data["columns"]]
    assert names[-2:] == ["seconds trained", "steps a second"]
    assert data["aim"]["column"] == names[names.index(data["aim"]["column"])]
    assert data["aim"]["better"] == "higher"
    better = {one["name"]: one["better"] for one in data["columns"]}
    assert (better["best.loss"], better["seconds trained"]) == ("lower", "lower")
    assert compared.view()._kind == "compare"
