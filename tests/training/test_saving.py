"""Checkpoints where the disk refuses: said, tried again, and never half there."""

import os
import shutil
import stat
import subprocess
import sys
import textwrap
import threading
import warnings
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import coflect_widget as coflect
from coflect_widget.records.durable import replacing
from tests.conftest import eventually, tiny_cnn

needs_root = pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="only root may mount a small disk"
)


@pytest.fixture
def disk(tmp_path):
    """A real disk of 3 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(place)], capture_output=True
    )
    if made.returncode:
        pytest.skip("this container mounts nothing")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.fixture
def full(disk):
    """Fills the disk; what it gives makes room again."""
    filler = disk / "filler"

    def fill():
        with filler.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(b"x" * 4096)
            except OSError:
                pass
        return filler.unlink

    return fill


def trained(disk):
    model = tiny_cnn()
    session = coflect.Session(model, coflect.data.synthetic(n=96), run_dir=disk)
    session.train(steps=10**7)
    eventually(lambda: session.metrics["step"] > 3)
    session.pause()
    return session, model


def weights_on_disk(session, model):
    files = list((session.run.path / "checkpoints").glob("*.safetensors"))
    [event] = session.events("checkpoint")
    assert [f"checkpoints/{file.name}" for file in files] == [event.data.path]
    loaded = load_file(files[0])
    return all(torch.equal(loaded[name], value) for name, value in model.state_dict().items())


@needs_root
def test_a_full_disk_is_said_by_stop_and_wait_and_stop_tries_again(disk, full):
    session, model = trained(disk)
    with session:
        make_room = full()
        with pytest.warns(RuntimeWarning, match="checkpoint of step .* No space left"):
            session.stop()
        with pytest.warns(RuntimeWarning, match=r"session\.stop\(\)"):
            assert session.wait()
        assert any("could not be written" in e.data.text for e in session.events("notice"))
        assert session.events("checkpoint") == []
        names = {path.name for path in (session.run.path / "checkpoints").iterdir()}
        assert names == set()  # nothing half written takes the last room
        make_room()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            session.stop()
            session.wait()
        assert weights_on_disk(session, model)


@needs_root
def test_it_is_tried_again_by_itself(disk, full, monkeypatch):
    monkeypatch.setattr("coflect_widget.training.saving.SOON", 0.2)
    session, model = trained(disk)
    with session:
        make_room = full()
        with pytest.warns(RuntimeWarning, match="could not be written"):
            session.stop()
        make_room()
        eventually(lambda: session.events("checkpoint"))
        assert weights_on_disk(session, model)
        eventually(lambda: not [t for t in threading.enumerate() if t.name == "coflect-saving"])


@needs_root
def test_it_is_tried_again_by_close_which_says_where_it_is_lost(disk, full):
    session, model = trained(disk)
    make_room = full()
    with pytest.warns(RuntimeWarning, match="could not be written"):
        session.stop()
    make_room()
    session.close()
    assert weights_on_disk(session, model)
    other, _ = trained(disk)
    full()
    with pytest.warns(RuntimeWarning, match="closed and tries no more"):
        other.close()
    assert not [t for t in threading.enumerate() if t.name == "coflect-saving"]


@needs_root
def test_weights_that_changed_meanwhile_are_not_written_as_those_of_the_end(disk, full):
    session, model = trained(disk)
    with session:
        make_room = full()
        with pytest.warns(RuntimeWarning, match="could not be written"):
            session.stop()
        with torch.no_grad():
            model[-1].weight.add_(1)
        make_room()
        session.stop()
        assert session.events("checkpoint") == []
        assert any("have changed since" in e.data.text for e in session.events("notice"))


@needs_root
def test_another_training_writes_its_own_and_the_lost_one_is_forgotten(disk, full):
    session, model = trained(disk)
    with session:
        make_room = full()
        with pytest.warns(RuntimeWarning, match="could not be written"):
            session.stop()
        session.train(steps=2)
        make_room()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            session.wait()
        assert weights_on_disk(session, model)


def test_a_limit_on_file_sizes_is_a_full_disk_too(tmp_path):
    code = textwrap.dedent(f"""
        import resource, signal, warnings
        import coflect_widget as coflect
        from tests.conftest import tiny_cnn
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        data = coflect.data.synthetic(n=96)
        session = coflect.Session(tiny_cnn(), data, run_dir={str(tmp_path)!r})
        session.train(steps=3)
        session.wait()
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (400, hard))
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            session.train(steps=3)
            session.wait()
        assert any("checkpoint of step 6" in str(w.message) for w in said), said
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        session.close()
        print(sorted(p.name for p in (session.run.path / "checkpoints").iterdir()))
    """)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "step_00000006.safetensors" in done.stdout
    assert "step_00000006.forecast.npz" in done.stdout


def test_a_checkpoint_has_the_mode_of_other_files(make_session):
    session = make_session()
    before = os.umask(0o027)
    try:
        session.train(steps=2)
        session.wait()
        session.close()
    finally:
        os.umask(before)
    files = list((session.run.path / "checkpoints").iterdir())
    assert len(files) == 2
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o640}


def test_a_checkpoint_is_announced_once_file_and_folder_are_on_disk(make_session, monkeypatch):
    session = make_session()
    session.train(steps=2)
    session.wait()
    done = []
    fsync, emit = os.fsync, session._parts.tell.emit

    def synced(handle):
        mode = os.fstat(handle).st_mode
        done.append(
            "folder" if stat.S_ISDIR(mode) else Path(f"/proc/self/fd/{handle}").readlink().name
        )
        fsync(handle)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", synced)
        patch.setattr(
            session._parts.tell, "emit", lambda data: (done.append("announced"), emit(data))
        )
        session._parts.saving.write("test")
        at = done.index("announced")
    assert done[at - 2 : at] == ["step_00000002.safetensors.part", "folder"]


def test_what_raises_half_way_leaves_the_old_file(tmp_path):
    file = tmp_path / "a.txt"
    file.write_text("old")

    def half():
        with replacing(file) as part:
            part.write_text("ne")
            raise OSError("full")

    with pytest.raises(OSError, match="full"):
        half()
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


def test_a_folder_that_comes_back_gets_its_checkpoint(make_session):
    session = make_session()
    session.train(steps=10**7)
    eventually(lambda: session.metrics["step"] > 3)
    away = session.run.path.with_name("away")
    session.run.path.rename(away)
    with pytest.warns(RuntimeWarning, match="could not be written"):
        session.stop()
    away.rename(session.run.path)
    session.stop()
    assert len(session.events("checkpoint")) == 1
    shutil.rmtree(session.run.path / "checkpoints")
    session.train(steps=1)
    session.wait()
    assert len(list((session.run.path / "checkpoints").glob("*.safetensors"))) == 1
