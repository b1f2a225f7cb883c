"""Several runs in one folder, read back as a colleague would."""

import csv
import json
import re

import numpy as np
import pytest
import yaml

import coflect_widget as coflect
from coflect_widget.records.reports.figures import aim_of, pareto_front
from coflect_widget.records.reports.timing import timing_of
from tests.records.test_runs_table import metrics, write_run


def event(seq, kind, second, step=0, split=None, **data):
    when = f"2026-11-30T06:{second // 60:02d}:{second % 60:02d}Z"
    return {
        "schema_version": 1, "seq": seq, "ts": when,
        "run_id": "run", "type": kind, "step": step, "epoch": step // 10, "split": split,
        "data": data,
    }  # fmt: skip


def state(seq, second, new, step=0):
    return event(seq, "state", second, step, state=new)


def value(seq, second, step, split="val", **values):
    return event(seq, "metrics", second, step, split, values=values)


def run(folder, name, quality, seconds):
    """A training of two validations, with a pause of a minute between them."""
    best = {"metric": "accuracy", "direction": "higher", "value": quality[1]}
    place = {"path": "checkpoints/step_00000020", "reason": "best"}
    checkpoint = event(5, "checkpoint", 60 + seconds, 20, **place, **best)
    return write_run(
        folder / name,
        state(0, 0, "training"),
        value(1, seconds // 2, 10, loss=1.0, accuracy=quality[0]),
        state(2, seconds // 2, "paused", 10),
        state(3, 60 + seconds // 2, "training", 10),
        value(4, 60 + seconds, 20, loss=0.5, accuracy=quality[1]),
        checkpoint,
        state(6, 60 + seconds, "finished", 20),
    )


def test_what_cannot_be_reported_is_said_before_anything_is_measured(tmp_path):
    one, asked = run(tmp_path, "a", (0.5, 0.8), 40), []
    for name, metric, why in (
        ("a name", None, "must be 1 to 64 letters"),
        ("name", "f1", "metric='f1'"),
        ("name", None, "no whole checkpoint"),
    ):
        with pytest.raises(ValueError, match=why):
            coflect.report([one], name, tmp_path, metric=metric, data=(), model=asked.append)
    assert not asked


def test_time_is_that_in_training(tmp_path):
    found = timing_of(coflect.open_run(run(tmp_path, "a", (0.5, 0.8), 40)))
    assert (found.seconds, found.steps, found.throughput) == (40.0, 20, 0.5)
    seconds, values = found.curves["val accuracy"]
    assert (seconds.tolist(), values.tolist()) == ([20, 40], [0.5, 0.8])
    assert found.reached("val accuracy", 0.6, "higher") == 40
    assert found.reached("val loss", 1.0, "lower") == 20
    assert found.reached("val accuracy", 0.9, "higher") is None
    assert found.reached("val f1", 0.9, "higher") is None


def test_what_a_resumed_run_left_behind_does_not_count(tmp_path):
    path = write_run(
        tmp_path / "a", state(0, 0, "training"), value(1, 10, 10, loss=1.0),
        value(2, 20, 20, loss=9.0),
        event(3, "resumed", 1000, 10, checkpoint="", validated=10), state(4, 1000, "training", 10),
        value(5, 1010, 20, loss=0.5), state(6, 1010, "finished", 20),
    )  # fmt: skip
    found = timing_of(coflect.open_run(path))
    assert found.curves["val loss"][1].tolist() == [1.0, 0.5]
    assert (found.seconds, found.steps) == (30, 20)


def test_a_report_of_runs(tmp_path):
    runs = [run(tmp_path / "runs", f"run_{k}", (0.4, q), s)
            for k, (q, s) in enumerate([(0.7, 20), (0.9, 50), (0.6, 40)])]  # fmt: skip
    coflect.open_run(runs[2]).note("=cmd()")
    folder = coflect.report(coflect.runs(tmp_path / "runs"), "three", tmp_path / "reports")
    assert re.fullmatch(r"report_\d{8}_\d{6}_three", folder.name)
    manifest = yaml.safe_load((folder / "manifest.yaml").read_text())
    assert manifest["compared_by"] == {
        "metric": "val accuracy", "better": "higher", "threshold": 0.6,
    }  # fmt: skip
    assert [one["label"] for one in manifest["runs"]] == ["run_0", "run_1", "run_2"]
    for file in manifest["files"]:
        assert (folder / file).stat().st_size > 100
    names = {file.rpartition("/")[2] for file in manifest["files"]}
    assert names == {"summary.csv"} | {
        f"{figure}.{ending}"
        for figure in ("loss_against_time", "time_to_threshold", "pareto", "throughput")
        for ending in ("svg", "png")
    }
    with (folder / "training" / "summary.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["seconds_trained"]) for row in rows] == [20, 50, 40]
    assert [float(row["seconds_to_threshold"]) for row in rows] == [20, 50, 40]
    assert [float(row["best.accuracy"]) for row in rows] == [0.7, 0.9, 0.6]
    assert rows[2]["notes"] == "'=cmd()"
    assert not list((tmp_path / "reports").glob(".*"))
    again = coflect.report(runs, "three", tmp_path / "reports", metric="loss", threshold=0.7)
    assert again != folder
    assert yaml.safe_load((again / "manifest.yaml").read_text())["compared_by"]["threshold"] == 0.7


def test_evaluated_runs_of_one_name(tmp_path):
    facts = {
        "format": "coflect-evaluation-1", "checkpoint": "checkpoints/step_00000020", "each": "x",
        "metrics": {"accuracy": {"value": 0.75}}, "notes": [], "n": 4,
        "charts": {"confusion": {"names": ["a", "<b>$"], "values": [[2, 0], [1, 1]]},
                   "calibration": {"": [[0.5, 0.9], [0.5, 1.0]]}},
    }  # fmt: skip
    runs = [run(tmp_path / folder, "run_0", (0.4, 0.5), 20) for folder in ("x", "y")]
    for path, charts in zip(runs, (facts["charts"], {"confusion": {"names": ["a"], "values": [1]}}),
                            strict=True):  # fmt: skip
        place = path / "evaluations" / "eval_001"
        place.mkdir(parents=True)
        (place / "metrics.json").write_text(json.dumps(facts | {"charts": charts}))
    folder = coflect.report(runs, "both", tmp_path)
    found = {path.name for path in (folder / "figures").glob("c*.png")}
    assert found == {"confusion_x_run_0.png", "calibration.png"}, "of a damaged one nothing"
    with (folder / "training" / "summary.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["run"] for row in rows] == ["x/run_0", "y/run_0"]
    assert [row["evaluation.accuracy"] for row in rows] == ["0.75", ""]


def test_bad_input(tmp_path):
    path = run(tmp_path, "a", (0.5, 0.8), 40)
    with pytest.raises(ValueError, match="no run to report"):
        coflect.report([], "x", tmp_path)
    for name in ("../x", "", "a b"):
        with pytest.raises(ValueError, match="letters, digits"):
            coflect.report([path], name, tmp_path)
    with pytest.raises(ValueError, match="'accuracy'"):
        coflect.report([path], "x", tmp_path, metric="f1")
    assert not list(tmp_path.glob("*report*"))
    empty = write_run(tmp_path / "b", metrics(0, 10, split="train", loss=0.5))
    folder = coflect.report([empty], "x", tmp_path / "r")
    assert yaml.safe_load((folder / "manifest.yaml").read_text())["compared_by"] is None


def test_the_pareto_front():
    points = {"slow": (9.0, 0.8), "quick": (1.0, 0.5), "worse": (5.0, 0.4), "best": (6.0, 0.9)}
    assert pareto_front(points, "higher") == ["quick", "best"]
    losses = {name: (x, -y) for name, (x, y) in points.items()}
    assert pareto_front(losses, "lower") == ["quick", "best"]
    rng = np.random.default_rng(0)
    many = {str(k): tuple(rng.random(2)) for k in range(200)}
    front = pareto_front(many, "higher")
    for name, (x, y) in many.items():
        beaten = any(a <= x and b >= y and (a, b) != (x, y) for a, b in many.values())
        assert (name in front) == (not beaten)


def test_the_aim():
    def row(**best):
        return {"best": {n: {"value": v, "direction": d} for n, (v, d) in best.items()}}

    rows = [row(loss=(0.2, "lower"), f1=(0.5, "higher")), row(loss=(0.4, "lower"))]
    assert aim_of(rows, None, None).metric == "loss"
    assert aim_of(rows, None, None).threshold == 0.4
    assert aim_of(rows[:1], None, None).metric == "f1"
    assert aim_of([row()], None, None) is None
