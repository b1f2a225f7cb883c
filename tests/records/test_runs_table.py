"""Runs of a folder as a table: what each came to, and what a person said of it."""

import errno
import json
import os
import shutil
from pathlib import Path

import pytest

import coflect_widget as coflect
from coflect_widget.records.folder import make_run_folder, runs_root
from coflect_widget.records.locks import hold_for_writing
from coflect_widget.records.summary import SUMMARY, read_summary, write_summary
from coflect_widget.records.table import CACHE, BrokenRunWarning
from tests.records.test_damaged_records import FIXTURES

FIRST = FIXTURES / "run_001_20261129_1913"


def event(seq, kind, step=0, split=None, **data):
    return {
        "schema_version": 1, "seq": seq, "ts": f"2026-11-30T06:00:{seq:02d}Z", "run_id": "run",
        "type": kind, "step": step, "epoch": step // 10, "split": split, "data": data,
    }  # fmt: skip


def write_run(folder, *events):
    folder.mkdir(parents=True)
    (folder / "events.jsonl").write_text("".join(json.dumps(one) + "\n" for one in events))
    return folder


def metrics(seq, step, split="val", **values):
    return event(seq, "metrics", step, split, values=values)


def locked(monkeypatch, folder):
    """Have `folder` neither listed nor entered, also by root, whom its mode does not stop."""

    def refusing(ask):
        def asked(path=".", *args, **kwargs):
            place = "" if isinstance(path, int) else os.fsdecode(path)
            inside = place.startswith(f"{folder}{os.sep}")
            if inside or (place == str(folder) and ask is listing):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), place)
            return ask(path, *args, **kwargs)

        return asked

    listing = os.scandir
    for name in ("stat", "lstat", "scandir", "listdir"):
        monkeypatch.setattr(os, name, refusing(getattr(os, name)))


@pytest.fixture
def folder(tmp_path):
    """Two runs as the first version left them, one in an experiment's folder."""
    for place in ("run_001_20261129_1913", "family/run_002_20261129_1914"):
        shutil.copytree(FIRST, tmp_path / place)
    return tmp_path


def test_the_environment_says_where_runs_are(tmp_path, monkeypatch):
    assert runs_root() == Path("runs")
    monkeypatch.setenv("COFLECT_ROOT", str(tmp_path / "all"))
    made = make_run_folder(runs_root())
    assert made.parent == tmp_path / "all"
    assert [row["id"] for row in coflect.runs().rows] == [made.name]
    assert runs_root("mine") == Path("mine"), "what is given comes first"
    monkeypatch.setenv("COFLECT_ROOT", "")
    assert runs_root() == Path("runs")


def test_a_session_leaves_a_run_that_the_table_finds(make_session, tmp_path):
    session = make_session(val=coflect.data.synthetic(n=32), config={"seed": 11})
    session.train(steps=4)
    session.wait()
    session.checkpoint("mine")
    session.run.tag(goal="baseline", fold=3)
    session.close()
    assert json.loads((session.run.path / SUMMARY).read_text())["state"] == "finished"
    (row,) = coflect.runs(tmp_path / "runs").rows
    assert (row["id"], row["state"], row["step"]) == (session.run.id, "finished", 4)
    assert row["config"]["seed"] == 11
    assert row["tags"] == {"goal": "baseline", "fold": 3}
    assert row["checkpoints"] == len(session.run.checkpoints) > 0
    held = [v["loss"] for e, v in session.run.iter_metrics() if e.split == "val"]
    assert row["last"]["val loss"] == held[-1]
    assert row["best"]["loss"]["value"] == min(held)
    assert set(row["best"]) >= {"loss", "accuracy"}, "the direction of a quality is known"


def test_the_table_is_a_sequence_of_runs(folder):
    table = coflect.runs(folder)
    assert [row["id"] for row in table.rows] == ["run_002_20261129_1914", "run_001_20261129_1913"]
    assert table["run_001"].state == "finished"
    assert table[1].path == folder / "run_001_20261129_1913"
    assert [run.id for run in table[:1]] == ["run_002_20261129_1914"]
    assert table.rows[0]["interventions"] == 4
    with pytest.raises(KeyError, match="2 runs begin with"):
        table["run_0"]
    frame = table.to_pandas()
    assert frame["best.loss"].tolist() == [row["best"]["loss"]["value"] for row in table.rows]
    assert str(frame["started"].dtype).startswith("datetime64")
    assert frame["config.seed"].tolist() == [3, 3]


def test_filter_and_sort(tmp_path):
    for name, loss in (("a", 0.3), ("b", 0.1), ("c", None), ("d", 0.2)):
        write_run(tmp_path / name, *([] if loss is None else [metrics(0, 10, loss=loss)]))
    coflect.open_run(tmp_path / "d").tag(goal="mine")
    table = coflect.runs(tmp_path)
    assert [r.id for r in table.sort("best.loss")] == ["b", "d", "a", "c"]
    assert [r.id for r in table.sort("best.loss", descending=True)] == ["a", "d", "b", "c"]
    assert [r.id for r in table.filter(goal="mine")] == ["d"]
    assert [r.id for r in table.filter(lambda row: row["step"] == 0)] == ["c"]
    with pytest.raises(ValueError, match="no column and no tag"):
        table.filter(gaol="mine")
    with pytest.raises(ValueError, match="no column"):
        table.sort("best.los")


def test_a_resumed_run_counts_only_what_holds(tmp_path):
    folder = write_run(
        tmp_path / "run",
        metrics(0, 10, loss=0.5, accuracy=0.5),
        event(1, "checkpoint", 10, path="p", metric="accuracy", direction="higher", value=0.5),
        metrics(2, 20, loss=0.1, accuracy=0.9),
        event(3, "resumed", 10, validated=10),
        metrics(4, 20, loss=0.4, accuracy=0.6),
        metrics(5, 30, loss=0.45, accuracy=None),
    )
    sums = read_summary(folder)
    assert sums["best"]["loss"] == {"value": 0.4, "step": 20, "direction": "lower"}
    assert sums["best"]["accuracy"] == {"value": 0.6, "step": 20, "direction": "higher"}
    assert sums["last"] == {"val loss": 0.45, "val accuracy": 0.6}


def test_a_summary_of_before_is_not_believed(tmp_path):
    folder = write_run(tmp_path / "run", metrics(0, 10, loss=0.5))
    write_summary(folder)
    assert read_summary(folder)["last"] == {"val loss": 0.5}
    with (folder / "events.jsonl").open("a") as file:
        file.write(json.dumps(metrics(1, 20, loss=0.25)) + "\n")
    assert read_summary(folder)["last"] == {"val loss": 0.25}
    write_summary(folder)
    (folder / "config.yaml").write_text("config: {seed: 8}\n")
    assert read_summary(folder)["config"] == {"seed": 8}
    for damage in ("{", "[]", "{}", '{"format": "coflect-summary-1"}'):
        (folder / SUMMARY).write_text(damage)
        assert read_summary(folder)["last"] == {"val loss": 0.25}


def test_a_run_that_is_written_trains_and_a_killed_one_was_interrupted(tmp_path):
    folder = write_run(tmp_path / "run", event(0, "state", state="training"))
    assert coflect.runs(tmp_path).rows[0]["state"] == "interrupted"
    with (folder / "events.jsonl").open("r+b") as file:
        assert hold_for_writing(file)
        os.utime(folder / "events.jsonl")  # a writer leaves a newer time
        assert coflect.runs(tmp_path).rows[0]["state"] == "training"
    assert coflect.runs(tmp_path).rows[0]["state"] == "interrupted"
    assert len(coflect.runs(tmp_path, require_complete=True)) == 0


def test_a_broken_run_is_a_warning_with_its_name(folder):
    (folder / "run_001_20261129_1913" / "labels.json").write_text("{")
    with pytest.warns(BrokenRunWarning, match=r"run_001_20261129_1913 .*labels\.json.* is damaged"):
        table = coflect.runs(folder)
    assert [row["id"] for row in table.rows] == ["run_002_20261129_1914"]


def test_a_folder_that_nobody_may_read_hides_no_other(folder, monkeypatch):
    shutil.copytree(FIRST, folder / "family" / "aside" / "run_003")
    (folder / "a_locked_one").mkdir()
    (folder / "family" / "aside" / "locked").mkdir()
    table = [row["id"] for row in coflect.runs(folder).rows]
    assert len(table) == 3
    locked(monkeypatch, folder / "a_locked_one")
    locked(monkeypatch, folder / "family" / "aside" / "locked")
    assert [row["id"] for row in coflect.runs(folder).rows] == table


def test_the_cache_is_used_and_made_anew(folder):
    table = coflect.runs(folder).rows
    cache = json.loads((folder / CACHE).read_text())
    cache["runs"]["run_001_20261129_1913"]["row"]["step"] = 77
    (folder / CACHE).write_text(json.dumps(cache))
    assert coflect.runs(folder).rows[1]["step"] == 77, "nothing of the run has changed"
    coflect.open_run(folder / "run_001_20261129_1913").note("looked at")
    assert coflect.runs(folder).rows[1]["step"] == table[1]["step"]
    assert coflect.runs(folder).rows[1]["notes"] == ["looked at"]
    for damage in ("", "{", "[1]", '{"format": "coflect-runs-1", "runs": {"a": 1}}'):
        (folder / CACHE).write_text(damage)
        assert [row["step"] for row in coflect.runs(folder).rows] == [r["step"] for r in table]


def test_labels(folder):
    run = coflect.runs(folder)["run_001"]
    run.tag(goal="baseline", fold=2)
    run.tag(fold=None, clean=True)
    run.note("one")
    run.note("two <b>")
    labels = coflect.open_run(run.path).labels
    assert labels.tags == {"goal": "baseline", "clean": True}
    assert labels.notes == ["one", "two <b>"]
    with pytest.raises(TypeError, match=r"tag groups=\['a'\] is of type list"):
        run.tag(groups=["a"])
    with pytest.raises(ValueError, match="a note is a text"):
        run.note("")
    run.archive()
    assert [row["id"] for row in coflect.runs(folder).rows] == ["run_002_20261129_1914"]
    assert len(coflect.runs(folder, archived=True)) == 2
    run.archive(archived=False)
    assert len(coflect.runs(folder)) == 2


def test_text_is_never_html_and_times_say_their_zone(folder):
    coflect.runs(folder)["run_001"].tag(goal="<script>alert(1)</script>")
    shown = coflect.runs(folder)._repr_html_()
    assert "<th>started (UTC)</th>" in shown
    assert "<script" not in shown
    assert "&lt;script&gt;" in shown


def test_a_folder_that_is_none_says_what_to_give(tmp_path):
    with pytest.raises(FileNotFoundError, match="run_dir"):
        coflect.runs(tmp_path / "nothing")
