"""A run folder's copy elsewhere: whole after each checkpoint, and tried again after a failure."""

import json

import fsspec
import pytest

import coflect_widget as coflect
from coflect_widget.events import CheckpointSaved, Metrics
from coflect_widget.records.run import Run
from coflect_widget.records.sinks.feed import Sinks
from coflect_widget.records.stream import EventStream
from tests.conftest import eventually
from tests.records.test_runs_table import event, write_run

BEGUN = event(0, "notice", level="info", text="begun")
MEMORY = fsspec.filesystem("memory")


@pytest.fixture
def folder(tmp_path):
    folder = write_run(tmp_path / "run_001", BEGUN)
    (folder / "meta.json").write_text('{"host": "here"}')
    yield folder
    MEMORY.rm("/bucket", recursive=True)


def copied():
    names = MEMORY.find("/bucket")
    return {name.removeprefix("/bucket/runs/run_001/"): MEMORY.cat_file(name) for name in names}


def of_folder(folder):
    files = [one for one in folder.rglob("*") if one.is_file()]
    return {one.relative_to(folder).as_posix(): one.read_bytes() for one in files}


def test_the_copy_follows_the_folder(folder, tmp_path):
    run, stream = Run(folder), EventStream(folder, 1)
    sinks = Sinks(
        [coflect.sinks.Upload("memory://bucket/runs")], run, None, stream.flush, lambda: None
    )
    sinks.start()
    eventually(lambda: "meta.json" in copied(), 60)
    first, second = folder / "checkpoints" / "step_1", folder / "checkpoints" / "step_2"
    for one in (first, second):
        one.mkdir(parents=True)
        (one / "weights.npz").write_bytes(b"weights of " + one.name.encode())
        stream.emit(CheckpointSaved(path=f"checkpoints/{one.name}"), 1, 0)
        stream.flush()
        eventually(lambda one=one: f"checkpoints/{one.name}/weights.npz" in copied(), 60)
    (first / "weights.npz").unlink()
    (folder / "checkpoints" / ".step_3.part").mkdir()
    (folder / "checkpoints" / ".step_3.part" / "weights.npz").write_bytes(b"half")
    (tmp_path / "secret").write_text("not of the run")
    (folder / "link").symlink_to(tmp_path / "secret")
    (folder / "connection.json").write_text('{"key": "of a served training"}')
    (folder / "kept" / "waiting").mkdir(parents=True)
    (folder / "kept" / "waiting" / "0.json").write_text('{"row": "of somebody else"}')
    stream.emit(Metrics(values={"loss": 0.5}), 9, 1)
    sinks.close()
    stream.close()
    not_copied = {"link", "checkpoints/.step_3.part/weights.npz", "scalars.csv", "connection.json",
                  "kept/waiting/0.json"}  # fmt: skip
    last = copied()
    last.pop("scalars.csv", None)  # written when the stream is closed
    assert last == {k: data for k, data in of_folder(folder).items() if k not in not_copied}
    assert json.loads(last["events.jsonl"].splitlines()[-1])["data"]["values"] == {"loss": 0.5}


def test_a_copy_that_fails_is_tried_again(folder, monkeypatch, caplog):
    upload = coflect.sinks.Upload("memory://bucket/runs")
    upload.open(Run(folder))
    (folder / "config.yaml").write_text("a: 1")
    real = type(upload._files).put_file
    down = []

    def put(*arguments, **more):
        if not down:
            down.append(1)
            raise ConnectionError("no route to host")
        return real(*arguments, **more)

    monkeypatch.setattr(type(upload._files), "put_file", put)
    upload.on_event(None)
    upload.flush()
    assert "tried again: no route to host" in caplog.text
    assert "config.yaml" not in copied()
    upload.flush()
    assert copied()["config.yaml"] == b"a: 1"
    upload.close()


def test_another_run_of_that_name_is_left_alone(folder, tmp_path):
    Run(folder).replay(coflect.sinks.Upload("memory://bucket/runs"))
    other = write_run(tmp_path / "elsewhere" / "run_001", BEGUN, BEGUN)
    (other / "meta.json").write_text('{"host": "there"}')
    with pytest.raises(FileExistsError, match="another run of this name"):
        Run(other).replay(coflect.sinks.Upload("memory://bucket/runs"))
    assert copied() == of_folder(folder)
    said = []
    upload = coflect.sinks.Upload("memory://bucket/runs")
    sinks = Sinks([upload], Run(other), lambda one, *_: said.append(one.text), list, lambda: None)
    sinks.start()
    sinks.close()
    assert "another run of this name" in said[0]
    assert copied() == of_folder(folder), "nor does the end of a session write there"


def test_a_target_that_cannot_be_is_refused_at_once():
    with pytest.raises(ValueError, match=r"Upload\('nowhere://x'\)"):
        coflect.sinks.Upload("nowhere://x")
    with pytest.raises(ImportError, match=r"Upload\('oss://bucket'\): .*ossfs"):
        coflect.sinks.Upload("oss://bucket")
