"""Run folders of others: links, pipes, sparse files, and what a kill or a full disk left."""

import base64
import multiprocessing
import os
import signal
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import coflect_widget as coflect
from coflect_widget.records.folder import make_run_folder
from coflect_widget.records.inside import OutsideError, open_inside
from coflect_widget.records.run import DamagedFileError, Run
from tests.records.test_damaged_records import FORECAST, OVERLAY, recorded, shown  # noqa: F401

SECRET = b"PRIVATE KEY of the person who opens the run" * 20


@pytest.fixture
def secret(tmp_path_factory):
    file = tmp_path_factory.mktemp("home") / "id_rsa"
    file.write_bytes(SECRET)
    return file


@pytest.fixture
def with_queue(recorded, tmp_path):  # noqa: F811
    """A run whose queue names sample 1, with the place of its thumbnail."""
    run = recorded(("forecast", FORECAST))
    file = tmp_path / "overlays" / "thumbnails" / "sample_000001.png"
    file.parent.mkdir()
    return run, file


def page_of(run, tmp_path):
    return run.save_html(tmp_path / "page.html").read_text()


def holds(page, data):
    return base64.b64encode(data).decode().rstrip("=")[:40] in page or data.decode() in page


def test_a_whole_thumbnail_is_in_the_page(with_queue, tmp_path):
    run, file = with_queue
    Image.new("RGB", (64, 64), "red").save(file)
    assert base64.b64encode(file.read_bytes()).decode() in page_of(run, tmp_path)


@pytest.mark.parametrize("place", ["file", "folder"])
def test_a_thumbnail_that_links_outside_is_not_read(with_queue, tmp_path, secret, place):
    run, file = with_queue
    if place == "file":
        file.symlink_to(secret)
    else:
        file.parent.rmdir()
        (secret.parent / file.name).write_bytes(SECRET)
        file.parent.symlink_to(secret.parent)
    assert not holds(page_of(run, tmp_path), SECRET[:60])


def test_a_picture_outside_is_not_read_either(with_queue, tmp_path, tmp_path_factory):
    run, file = with_queue
    outside = tmp_path_factory.mktemp("pictures") / "private.png"
    Image.new("RGB", (64, 64), "blue").save(outside)
    file.symlink_to(outside)
    assert base64.b64encode(outside.read_bytes()).decode() not in page_of(run, tmp_path)


def test_a_thumbnail_that_is_no_picture_is_not_shown(with_queue, tmp_path):
    run, file = with_queue
    file.write_bytes(b"\x89PNG\r\n\x1a\n" + SECRET)
    assert not holds(page_of(run, tmp_path), SECRET[:60])
    Image.new("RGB", (64, 64), "red").save(file, "JPEG")
    update = shown(run, tmp_path)
    assert update["queue"]["items"][0]["thumbnail_buffer"] is None


def test_a_sparse_thumbnail_makes_no_large_page(with_queue, tmp_path):
    run, file = with_queue
    Image.new("RGB", (64, 64), "red").save(file)
    with file.open("r+b") as opened:
        opened.truncate(100_000_000)
    tracemalloc.start()
    page = page_of(run, tmp_path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(page) < 2_000_000
    assert peak < 30_000_000


def test_a_pipe_in_place_of_a_file_does_not_hang(with_queue, tmp_path):
    run, file = with_queue
    os.mkfifo(file)
    for name in ("scalars.csv", "config.yaml"):
        os.mkfifo(tmp_path / name)
    page_of(run, tmp_path)
    assert run.scalars() == {}
    assert run.config == {}


def test_maps_that_link_outside_are_not_read(recorded, tmp_path, secret):  # noqa: F811
    run = recorded(("overlay", OVERLAY))
    maps = tmp_path / "overlays" / "a.npz"
    maps.rename(secret.parent / "a.npz")
    maps.symlink_to(secret.parent / "a.npz")
    assert shown(run, tmp_path)["explanation"]["picture_buffer"] is None


def test_an_event_stream_outside_is_neither_read_nor_cut(tmp_path, secret):
    (tmp_path / "events.jsonl").symlink_to(secret)
    with pytest.raises(FileNotFoundError, match="not a run folder"):
        coflect.open_run(tmp_path)
    assert secret.read_bytes() == SECRET  # repair() would have cut its only, torn line off


def test_settings_outside_are_not_read(recorded, tmp_path, secret):  # noqa: F811
    run = recorded()
    (secret.parent / "c.yaml").write_text("password: 1234")
    (tmp_path / "config.yaml").symlink_to(secret.parent / "c.yaml")
    assert run.config == {}
    with pytest.raises(OutsideError, match="replace the link by a copy"):
        open_inside(tmp_path, "config.yaml")


def test_a_run_folder_may_itself_be_a_link(recorded, tmp_path, tmp_path_factory):  # noqa: F811
    recorded(("forecast", FORECAST))
    link = tmp_path_factory.mktemp("links") / "my_best_run"
    link.symlink_to(tmp_path)
    assert coflect.open_run(link).state == "finished"


# --- damaged files --------------------------------------------------------------------------


WHOLE = "step,epoch,split,loss,accuracy\n10,0,train,1.5,0.25\n20,0,train,0.75,0.5\n"


@pytest.mark.parametrize(
    ("text", "losses"),
    [
        (WHOLE, [1.5, 0.75]),
        (WHOLE[:-1], [1.5]),  # the last cell may have been 0.5125
        (WHOLE[:-6], [1.5]),
        (WHOLE + "30,0,tra", [1.5, 0.75]),
        (WHOLE.replace("20,0,train,0.75,0.5", "20,0,train,0.75"), [1.5]),
        (WHOLE.replace("20,0,train,0.75", "20,0,train,0.7\x005"), [1.5]),
        (WHOLE.replace("20,0", "2-,0"), [1.5]),
        (WHOLE.replace("20,0,train", "20,0,1.5"), [1.5]),
        (WHOLE + "30,1,val,,0.5\n", [1.5, 0.75, np.nan]),
        (WHOLE[:20], None),
        ("", None),
        ("\x00" * 100 + "\n", None),
    ],
)
def test_only_whole_rows_of_scalars_are_data(recorded, tmp_path, text, losses):  # noqa: F811
    run = recorded()
    (tmp_path / "scalars.csv").write_text(text)
    scalars = run.scalars()
    if losses is None:
        assert scalars == {}
    else:
        np.testing.assert_array_equal(scalars["loss"], losses)
        assert {len(column) for column in scalars.values()} == {len(losses)}


@pytest.mark.parametrize("name", ["config.yaml", "meta.json"])
@pytest.mark.parametrize("text", ['{"config": {"seed"', "\t: [", "- 1\n- 2\n", "7", "\x00\x01"])
def test_damaged_settings_are_named_with_a_remedy_that_works(recorded, tmp_path, name, text):  # noqa: F811
    run = recorded()
    (tmp_path / name).write_text(text)
    with pytest.raises(DamagedFileError, match=rf"{name}' is damaged.* delete it"):
        _ = run.config if name == "config.yaml" else run.meta
    assert shown(run, tmp_path)["status"]["state"] == "finished"  # the rest without it
    (tmp_path / name).unlink()
    assert (run.config if name == "config.yaml" else run.meta) == {}


def test_a_line_without_end_is_skipped_and_not_kept(recorded, tmp_path):  # noqa: F811
    run = recorded()
    whole = (tmp_path / "events.jsonl").read_bytes()
    first, rest = whole.split(b"\n", 1)
    with (tmp_path / "events.jsonl").open("wb") as file:
        file.write(first + b"\n")
        file.seek(200_000_000, os.SEEK_CUR)
        file.write(b"\n" + rest)
    tracemalloc.start()
    events = run.events()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [e.type for e in events] == ["run_started", "metrics", "state"]
    assert run.damaged == 1
    assert peak < 60_000_000


def test_a_schema_that_is_newer_is_said(recorded, tmp_path):  # noqa: F811
    run = recorded()
    assert not any("newer version" in one["text"] for one in shown(run, tmp_path)["notices"])
    lines = (
        (tmp_path / "events.jsonl")
        .read_text()
        .replace('"schema_version": 1', '"schema_version": 7')
    )
    (tmp_path / "events.jsonl").write_text(lines)
    notice = shown(run, tmp_path)["notices"][-1]["text"]
    assert "schema 7; this version knows 1" in notice
    assert run.newer == 7


# --- making a folder ------------------------------------------------------------------------


def _make_many(run_dir, ready):
    ready.set()
    while True:
        make_run_folder(Path(run_dir))


@pytest.mark.slow
def test_a_kill_while_a_folder_is_made_leaves_one_that_opens_or_none(tmp_path):
    context = multiprocessing.get_context("spawn")
    for wait in (0.001, 0.004, 0.009, 0.02):
        ready = context.Event()
        process = context.Process(target=_make_many, args=(str(tmp_path), ready), daemon=True)
        process.start()
        assert ready.wait(60)
        time.sleep(wait)
        os.kill(process.pid, signal.SIGKILL)
        process.join()
    made = [path for path in tmp_path.iterdir() if path.name.startswith("run_")]
    assert made
    assert len({path.name[:7] for path in made}) == len(made)
    for path in made:
        assert (path / "overlays").is_dir()
        assert coflect.open_run(path).state == "idle"


@pytest.mark.slow
def test_a_process_killed_in_session_leaves_a_folder_that_opens(tmp_path):
    # The folder is there, its facts are not yet.
    script = (
        "import os, signal, sys\n"
        "from coflect_widget.records import folder\n"
        "import coflect_widget.session.session as session\n"
        "session.write_facts = lambda *a, **k: os.kill(os.getpid(), signal.SIGKILL)\n"
        "import coflect_widget as coflect\n"
        "from tests.conftest import tiny_cnn\n"
        "coflect.Session(tiny_cnn(), coflect.data.synthetic(n=64), run_dir=sys.argv[1])\n"
    )
    ended = subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False)
    assert ended.returncode == -signal.SIGKILL
    (path,) = tmp_path.glob("run_*")
    run = coflect.open_run(path)
    assert (run.state, run.config) == ("idle", {})
    assert run._repr_mimebundle_() is not None


def test_what_a_killed_process_began_long_ago_is_removed(tmp_path):
    old = tmp_path / ".run_being_made_0123"
    (old / "overlays").mkdir(parents=True)
    new = tmp_path / ".run_being_made_4567"
    new.mkdir()
    os.utime(old, (time.time() - 7200,) * 2)
    make_run_folder(tmp_path)
    assert not old.exists()
    assert new.exists()


def test_a_tilde_is_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    path = make_run_folder(Path("~/runs"))
    assert path.parent == tmp_path / "runs"
    assert Run("~/runs/" + path.name).path == path
    assert not (tmp_path / "~").exists()
