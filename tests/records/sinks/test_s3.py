"""A run on S3, as moto serves it on this machine: copied while it trains, and read from there."""

import json
from urllib.request import Request, urlopen

import pytest

import coflect_widget as coflect
from tests.conftest import eventually, tiny_cnn

pytestmark = pytest.mark.sinks


@pytest.fixture
def bucket(monkeypatch, tmp_path):
    """Options of a server of this test's own, with one empty bucket."""
    from moto.server import ThreadedMotoServer
    from s3fs import S3FileSystem

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    address, port = server.get_host_and_port()
    options = {"endpoint_url": f"http://{address}:{port}", "key": "us", "secret": "hush"}
    reset = Request(f"{options['endpoint_url']}/moto-api/reset", method="POST")
    urlopen(reset).close()  # what servers of before were told is kept in the process
    S3FileSystem(**options).mkdir("bucket")
    yield options
    server.stop()


def names(options):
    from s3fs import S3FileSystem

    files = S3FileSystem(**options, use_listings_cache=False, skip_instance_cache=True)
    return {
        name.removeprefix("bucket/runs/"): files.info(name)["size"] for name in files.find("bucket")
    }


def test_a_training_is_copied_at_its_checkpoints_and_its_end(bucket, tmp_path):
    session = coflect.Session(
        tiny_cnn(), coflect.data.synthetic(n=64), coflect.data.synthetic(n=16), batch_size=32,
        run_dir=tmp_path / "runs", config={"xai_every": 10**6},
        sinks=[coflect.sinks.Upload("s3://bucket/runs", **bucket)],
    )  # fmt: skip
    session.train(epochs=1)
    session.wait(240)
    written = session.checkpoint("mine").relative_to(session.run.path).as_posix()
    weights = f"{session.run.id}/{written}/weights.safetensors"
    eventually(lambda: weights in names(bucket), 120, "the checkpoint on S3")
    session.run.tag(goal="baseline")
    session.close()
    folder = session.run.path
    here = {
        f"{folder.name}/{file.relative_to(folder).as_posix()}": file.stat().st_size
        for file in folder.rglob("*")
        if file.is_file()
    }
    assert names(bucket) == here
    assert f"{folder.name}/summary.json" in here
    assert "hush" not in json.dumps([event.data for event in session.events()], default=str)

    (row,) = coflect.runs("s3://bucket/runs", options=bucket).rows
    assert (row["state"], row["tags"]) == ("finished", {"goal": "baseline"})
    found = coflect.runs("s3://bucket/runs", options=bucket)[row["id"]]
    assert found.path != folder
    assert found.checkpoints.last.step == session.run.checkpoints.last.step
    assert len(found.events()) == len(session.events())


def test_a_bucket_that_is_not_there_is_said_and_the_training_goes_on(bucket, tmp_path):
    from s3fs import S3FileSystem

    session = coflect.Session(
        tiny_cnn(), coflect.data.synthetic(n=64), batch_size=32, run_dir=tmp_path / "runs",
        config={"xai_every": 10**6}, sinks=[coflect.sinks.Upload("s3://nobodys/runs", **bucket)],
    )  # fmt: skip
    session.train(epochs=1)
    session.wait(240)

    def said():
        return [one.data.text for one in session.events("notice") if "Upload" in one.data.text]

    eventually(said, 120, "a notice of it")
    assert session.state == "finished"
    session.close()
    assert len(said()) == 1
    assert S3FileSystem(**bucket, skip_instance_cache=True).ls("") == ["bucket"]
