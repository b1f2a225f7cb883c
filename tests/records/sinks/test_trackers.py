"""Each tracker really is told, through its own client, and read back by its own reader.

The clients want older versions of some tools than the other tests, so `make sinks` runs these in an
environment of their own.
"""

import json
import math
import os
import struct
import subprocess
import sys
import types
from pathlib import Path

import pytest

import coflect_widget as coflect
from tests.conftest import eventually, tiny_cnn

pytestmark = pytest.mark.sinks


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """One training that told four trackers; the folder, the run and what it was told to."""
    folder = tmp_path_factory.mktemp("trackers")
    before = Path.cwd(), dict(os.environ)
    os.chdir(folder)  # MLflow's artifacts are below it
    os.environ |= {
        "TRACKIO_DIR": str(folder / "trackio"),
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "WANDB_ERROR_REPORTING": "false",
    }
    sinks = {
        "tensorboard": coflect.sinks.TensorBoard(),
        "mlflow": coflect.sinks.MLflow("shapes", f"sqlite:///{folder}/mlflow.db"),
        "wandb": coflect.sinks.Wandb("shapes", mode="offline", dir=str(folder)),
        "trackio": coflect.sinks.Trackio("shapes"),
    }
    session = coflect.Session(
        tiny_cnn(),
        coflect.data.synthetic(n=256),
        coflect.data.synthetic(n=32),
        classes=["circle", "cross", "square", "triangle"],
        run_dir=folder / "runs",
        config={"seed": 3, "author": "ana"},
        sinks=list(sinks.values()),
    )
    session.train(epochs=2)
    assert session.wait(300)
    session.explain(5)
    session.feedback(sample=5, ignore=(0, 0, 0.3, 0.3))
    session.checkpoint("mine")
    # What is closed has 30 seconds; a busy machine takes as long to make MLflow's tables.
    eventually(lambda: sinks["mlflow"].run_id and sinks["wandb"]._there, 240)
    session.run.tag(goal="baseline")
    session.close()
    assert not [n.data.text for n in session.events("notice") if "sink" in n.data.text]
    yield folder, session.run, sinks
    os.chdir(before[0])
    os.environ.clear()
    os.environ.update(before[1])


def expected(run):
    """Step, name and value of every metric, as trackers name them."""
    return sorted(
        (event.step, f"{event.split}/{name}", value)
        for event, values in run.iter_metrics()
        for name, value in values.items()
    )


def told(rows):
    return sorted((step, name, value) for step, name, value in rows if name != "interventions")


def same(found, wanted, relative=0.0):
    assert [one[:2] for one in found] == [one[:2] for one in wanted]
    assert [one[2] for one in found] == pytest.approx([one[2] for one in wanted], rel=relative)


def test_tensorboard_is_read_back_by_its_own_reader(trained, monkeypatch):
    monkeypatch.setitem(  # its own way to be without TensorFlow, which takes seconds to import
        sys.modules, "tensorboard.compat.notf", types.ModuleType("tensorboard.compat.notf")
    )
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    _, run, sinks = trained
    assert sinks["tensorboard"].folder == run.path / "tensorboard"
    read = EventAccumulator(str(run.path / "tensorboard"))
    read.Reload()
    tags = read.Tags()
    rows = [(one.step, tag, one.value) for tag in tags["scalars"] for one in read.Scalars(tag)]
    same(told(rows), expected(run), relative=1e-6)
    assert {"interventions", "train/loss", "val/accuracy"} <= set(tags["scalars"])
    assert "maps/sample_000005" in tags["images"]
    assert read.Images("maps/sample_000005")[0].encoded_image_string[:4] == b"\x89PNG"
    (note, *_) = read.Tensors("notes")
    assert b"ana: " in note.tensor_proto.string_val[0]
    assert b"| seed | 3 |" in read.Tensors("settings")[0].tensor_proto.string_val[0]
    # Told again, it leaves the first files alone.
    assert run.replay("tensorboard").folder == run.path / "tensorboard_2"


def mlflow_run(sink, client):
    """All that MLflow has of a run, but for its id."""
    found = client.get_run(sink.run_id)
    metrics = sorted(
        (one.step, one.timestamp, one.key, one.value)
        for name in found.data.metrics
        for one in client.get_metric_history(sink.run_id, name)
    )
    tags = {k: v for k, v in found.data.tags.items() if not k.startswith("mlflow.user")}
    info = found.info
    pictures = sorted(one.path for one in client.list_artifacts(sink.run_id, "maps"))
    return (
        metrics,
        found.data.params,
        tags,
        pictures,
        (info.run_name, info.status, info.start_time, info.end_time),
    )


def test_a_run_replayed_into_mlflow_equals_the_one_logged_live(trained):
    _, run, sinks = trained
    client = sinks["mlflow"].connect()
    live = mlflow_run(sinks["mlflow"], client)
    metrics, params, tags, pictures, (name, status, *_) = live
    same(told((step, key, value) for step, _, key, value in metrics), expected(run))
    assert (name, status) == (run.id, "FINISHED")
    assert params["seed"] == "3"
    assert params["batch_size"] == "64"
    assert params["data.num_train"] == "256"
    assert float(params["lr"]) == pytest.approx(1e-3)
    assert tags["goal"] == "baseline"
    assert tags["coflect.run_id"] == run.id
    assert "ana: " in tags["mlflow.note.content"]
    assert pictures
    assert all(one.startswith("maps/sample_000") for one in pictures)
    again = run.replay(coflect.sinks.MLflow("shapes", sinks["mlflow"]._uri))
    assert again.run_id != sinks["mlflow"].run_id
    assert mlflow_run(again, client) == live


def test_a_checkpoint_is_a_version_of_a_registered_model(trained, monkeypatch):
    import mlflow

    folder, run, sinks = trained
    client, sink = sinks["mlflow"].connect(), coflect.sinks.MLflow("shapes", sinks["mlflow"]._uri)
    before = len(client.search_runs([sink.experiment(client)]))
    assert run.register("shapes", sink=sink) == "models:/shapes/1"
    assert run.register("shapes", "mine", sink=sink) == "models:/shapes/2"
    assert len(client.search_runs([sink.experiment(client)])) == before, "it was there already"
    first, second = (client.get_model_version("shapes", number) for number in "12")
    assert first.tags["coflect.step"] == str(run.checkpoints.best.step)
    assert second.tags["coflect.run_id"] == run.id
    mlflow.set_tracking_uri(sink._uri)
    got = Path(mlflow.artifacts.download_artifacts("models:/shapes/2", dst_path=folder / "got"))
    mine = run.checkpoints["mine"].path
    assert {f.name: f.read_bytes() for f in got.rglob("*") if f.is_file()} == {
        f.name: f.read_bytes() for f in mine.rglob("*") if f.is_file()
    }
    # Back from there: the run folder, by the names that MLflow has for it.
    monkeypatch.setenv("MLFLOW_TRACKING_URI", sink._uri)
    client.set_registered_model_alias("shapes", "champion", "1")
    for uri in (f"runs:/{sinks['mlflow'].run_id}", "models:/shapes/2", "models:/shapes@champion"):
        assert coflect.open_run(uri).path == run.path.resolve()
    with pytest.raises(ValueError, match="names no run"):
        coflect.open_run("models:/shapes")
    # Where MLflow has not heard of the run, it is sent there.
    other = coflect.sinks.MLflow("elsewhere", sinks["mlflow"]._uri)
    assert run.register("shapes", "mine", sink=other) == "models:/shapes/3"
    (sent,) = client.search_runs([other.experiment(client)])
    assert sent.data.tags["coflect.run_id"] == run.id
    with pytest.raises(ValueError, match="has 'best', 'last', 'mine'"):
        run.register("shapes", "yours", sink=sink)
    # Of a folder that somebody else made no link is followed.
    for link, place in ((mine / "away", folder), (mine / "file", folder / "secret")):
        link.symlink_to(place)
        with pytest.raises(ValueError, match="leads outside the run folder"):
            run.register("shapes", "mine", sink=sink)
        link.unlink()
    assert len(client.search_model_versions("name = 'shapes'")) == 3


def wandb_records(file):
    """The records of an offline run: protocol buffers in LevelDB's log format."""
    from wandb.proto import wandb_internal_pb2

    data, at, part = file.read_bytes(), 7, b""
    while at + 7 <= len(data):
        if 32768 - at % 32768 < 7:
            at += 32768 - at % 32768
            continue
        _, length, kind = struct.unpack("<IHB", data[at : at + 7])
        part += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or the last part
            record = wandb_internal_pb2.Record()
            record.ParseFromString(part)
            part = b""
            yield record


def test_wandb_offline_is_read_back(trained):
    folder, run, _ = trained
    (file,) = (folder / "wandb").glob("offline-run-*/*.wandb")
    rows, config, notes, tags, pictures = [], {}, [], set(), []
    for record in wandb_records(file):
        kind = record.WhichOneof("record_type")
        if kind == "history":
            row = {
                "/".join(one.nested_key) or one.key: json.loads(one.value_json)
                for one in record.history.item
            }
            step = row.pop("step")
            rows += [(step, name, value) for name, value in row.items() if name[0] != "_"]
        elif kind == "run":
            config |= {one.key: json.loads(one.value_json) for one in record.run.config.update}
            notes.append(record.run.notes)
            tags |= set(record.run.tags)
            name = record.run.display_name
        elif kind == "config":
            config |= {one.key: json.loads(one.value_json) for one in record.config.update}
        elif kind == "files":
            pictures += [one.path for one in record.files.files if "maps" in one.path]
    same(told(row for row in rows if not row[1].startswith("maps/")), expected(run))
    assert name == run.id
    assert (config["seed"], config["batch_size"], config["data.num_train"]) == (3, 64, 256)
    assert any("ana: " in note for note in notes)
    assert "goal=baseline" in tags
    assert pictures
    assert (file.parent / "files" / pictures[0]).read_bytes()[:4] == b"\x89PNG"


def test_trackio_is_read_back(trained):
    _, run, _ = trained
    from trackio.sqlite_storage import SQLiteStorage

    rows = SQLiteStorage.get_logs("shapes", run.id)
    figures = [
        (row["step"], name, value)
        for row in rows
        for name, value in row.items()
        if name not in ("step", "timestamp") and isinstance(value, int | float)
    ]
    same(told(figures), expected(run))
    config = SQLiteStorage.get_run_config("shapes", run.id)
    assert (config["seed"], config["batch_size"]) == (3, 64)
    texts = json.dumps(rows, default=str)
    assert "ana: " in texts
    assert "maps/sample_000005" in texts
    assert not math.isnan(figures[0][2])


def test_a_server_that_is_down_is_said_and_training_goes_on(tmp_path, make_session, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    session = make_session(sinks=[coflect.sinks.MLflow(tracking_uri="http://127.0.0.1:9")])
    session.train(steps=2)
    assert session.wait(300)
    (said,) = eventually(
        lambda: [n for n in session.events("notice") if "sink mlflow" in n.data.text], 120
    )
    assert "session.run.replay('mlflow') tells it the whole run" in said.data.text
    assert session.state == "finished"


SCRIPT = """
import coflect_widget as coflect
from tests.conftest import eventually, tiny_cnn

if __name__ == "__main__":
    wandb = coflect.sinks.Wandb(mode="offline")
    session = coflect.Session(
        tiny_cnn(), coflect.data.synthetic(n=64), run_dir="runs", sinks=[wandb, "tensorboard"],
    )
    eventually(lambda: wandb._there is not None, 120)
    session.train(steps=3)
    session.wait(300)
    # No close: the interpreter's end must not cut off what the sinks have still to be told.
"""


def test_a_script_that_just_ends_has_told_its_sinks_everything(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    root = str(Path(coflect.__file__).parents[1])
    subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, check=True, timeout=240,
        env={**os.environ, "PYTHONPATH": root},
    )  # fmt: skip
    (run,) = coflect.runs(tmp_path / "runs")
    assert run.state == "finished"
    assert not [n.data.text for n in run.events("notice") if "sink" in n.data.text]
    (file,) = (tmp_path / "wandb").glob("offline-run-*/*.wandb")
    records = list(wandb_records(file))
    rows = [[one.value_json for one in r.history.item] for r in records if r.history.item]
    # A map that was made meanwhile has a row of its own.
    figures = [row for row in rows if not any("image-file" in value for value in row)]
    assert len(figures) == len(list(run.iter_metrics())) > 0
    assert "exit" in [record.WhichOneof("record_type") for record in records]
