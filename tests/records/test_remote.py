"""Runs elsewhere: a table of them, one opened, what changed there copied again, nothing outside."""

import shutil

import fsspec
import pytest

import coflect_widget as coflect
from coflect_widget.records import remote as module
from coflect_widget.records.run import Run
from coflect_widget.session.resuming import Resume
from tests.records.test_runs_table import event, metrics, write_run

MEMORY = fsspec.filesystem("memory")


@pytest.fixture
def bucket(tmp_path, monkeypatch):
    """Two runs in a bucket, and a cache of this test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name, loss in (("run_a", 0.5), ("run_b", 0.25)):
        folder = write_run(
            tmp_path / "here" / name,
            event(0, "state", 0, state="training"),
            metrics(1, 10, loss=loss),
            event(2, "state", 10, state="finished"),
        )
        (folder / "config.yaml").write_text("config: {seed: 1}\n")
        (folder / "overlays").mkdir()
        (folder / "overlays" / "big.npz").write_bytes(b"x" * 1000)
        Run(folder).replay(coflect.sinks.Upload("memory://bucket/runs"))
    yield "memory://bucket/runs"
    MEMORY.rm("/bucket", recursive=True)


def copied(tmp_path):
    return {one.name for one in (tmp_path / "cache").rglob("*") if one.is_file()}


def test_a_table_copies_the_records_and_an_opened_run_all_of_it(bucket, tmp_path):
    MEMORY.pipe_file("/bucket/runs/run_a/checkpoints/step_1/checkpoint.json", b"{}")
    table = coflect.runs(bucket)
    assert [row["id"] for row in table.rows] == ["run_a", "run_b"]
    assert [row["best"]["loss"]["value"] for row in table.rows] == [0.5, 0.25]
    assert [row["checkpoints"] for row in table.rows] == [1, 0]
    assert "big.npz" not in copied(tmp_path)
    run = table["run_b"]
    assert run.id == "run_b"
    assert run.events("metrics")[0].data["values"] == {"loss": 0.25}
    assert (run.path / "overlays" / "big.npz").stat().st_size == 1000
    assert coflect.compare(table).differs["best.loss"] == [0.5, 0.25]
    assert coflect.open_run(f"{bucket}/run_b/").path == run.path

    # what changed there is copied again, what is gone there goes, the rest stays
    kept = (run.path / "config.yaml").stat().st_mtime_ns
    stream = MEMORY.cat_file("/bucket/runs/run_b/events.jsonl")
    MEMORY.pipe_file("/bucket/runs/run_b/events.jsonl", stream.replace(b"0.25", b"0.75"))
    MEMORY.rm_file("/bucket/runs/run_b/overlays/big.npz")
    again = coflect.open_run(f"{bucket}/run_b")
    assert again.events("metrics")[0].data["values"] == {"loss": 0.75}
    assert not (run.path / "overlays" / "big.npz").exists()
    assert (run.path / "config.yaml").stat().st_mtime_ns == kept
    assert coflect.runs(bucket).rows[1]["last"] == {"val loss": 0.75}


def test_what_a_person_did_in_the_copy_stays_and_it_is_not_gone_on_with(bucket, tmp_path):
    place = "/bucket/runs/run_a"
    for name in ("labels.json", "notes.txt"):
        MEMORY.pipe_file(f"{place}/{name}", b"{}")
    run = coflect.open_run(f"{bucket}/run_a")
    run.tag(owner="me")
    (run.path / "notes.txt").write_text("mine")
    (run.path / "new.txt").write_text("mine")
    MEMORY.pipe_file(f"{place}/labels.json", b'{"tags": {"owner": "other"}}')
    MEMORY.pipe_file(f"{place}/new.txt", b"other")
    MEMORY.rm_file(f"{place}/notes.txt")
    for _ in range(2):
        again = coflect.open_run(f"{bucket}/run_a")
        assert again.labels.tags == {"owner": "me"}
        assert [(run.path / f"{n}.txt").read_text() for n in ("notes", "new")] == ["mine", "mine"]
    with pytest.raises(ValueError, match=r"a copy of a run that lies elsewhere.*copytree"):
        Resume.of(again)
    Run(shutil.copytree(run.path, tmp_path / "run_a"))
    assert Resume.of(tmp_path / "run_a").checkpoint is None


def test_what_a_killed_process_copied_is_brought_up_to_date(bucket, monkeypatch):
    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, "_stamp", lambda file: killed() if file.suffix == ".part" else None)
        with pytest.raises(KeyboardInterrupt):
            coflect.open_run(f"{bucket}/run_a")
    MEMORY.pipe_file("/bucket/runs/run_a/config.yaml", b"config: {seed: 2}\n")
    assert coflect.open_run(f"{bucket}/run_a").config == {"config": {"seed": 2}}


def test_no_name_there_leads_out_of_the_copy(bucket, tmp_path):
    MEMORY.store["/bucket/runs/run_a/../../../../out"] = MEMORY.store[
        "/bucket/runs/run_a/config.yaml"
    ]
    MEMORY.pipe_file("/bucket/runs/run_a/.coflect_copied.json", b"[]")
    coflect.open_run(f"{bucket}/run_a")
    assert not list(tmp_path.rglob("out"))
    assert coflect.open_run(f"{bucket}/run_a").config == {"config": {"seed": 1}}
    MEMORY.store.pop("/bucket/runs/run_a/../../../../out")


def test_what_is_not_there_says_so(bucket):
    with pytest.raises(FileNotFoundError, match="nothing at 'memory://bucket/none'"):
        coflect.runs("memory://bucket/none")
    with pytest.raises(FileNotFoundError, match="is not a run folder"):
        coflect.open_run(bucket)
    with pytest.raises(ValueError, match="nowhere"):
        coflect.runs("nowhere://bucket")
