"""Checkpoints where the disk refuses: said, tried again, and never half there."""

import os
import shutil
import signal
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
from coflect_widget.training.checkpoint_jobs import Job
from coflect_widget.training.checkpoints import COPIES, CheckpointKeeper
from tests.conftest import eventually, tiny_cnn

#: None is taken while it trains, however long that takes.
AT_ENDS = {"checkpoint_minutes": 0}

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


def writers():
    return [t for t in threading.enumerate() if t.name == "coflect-checkpoints"]


def trained(disk):
    model = tiny_cnn()
    data = coflect.data.synthetic(n=96)
    session = coflect.Session(model, data, run_dir=disk, config=AT_ENDS)
    session.train(steps=10**7)
    eventually(lambda: session.metrics["step"] > 3)
    session.pause()
    return session, model


def weights_on_disk(session, model):
    one = session.run.checkpoints.last
    announced = session.events("checkpoint")[-1]
    assert announced.data.path == f"checkpoints/{one.path.name}"
    loaded = load_file(one.weights)
    return all(torch.equal(loaded[name], value) for name, value in model.state_dict().items())


def alarms(session):
    """Alarms about checkpoints: True where one is over."""
    return [e.data.over for e in session.events("notice") if e.data.alarm == "checkpoint"]


@needs_root
def test_a_full_disk_is_said_by_stop_and_wait_and_stop_tries_again(disk, full):
    session, model = trained(disk)
    with session:
        make_room = full()
        with pytest.warns(RuntimeWarning, match="checkpoint of step .* No space left"):
            session.stop()
        with pytest.warns(RuntimeWarning, match=r"session\.stop\(\)"):
            assert session.wait()
        assert session.events("checkpoint") == []
        names = {path.name for path in (session.run.path / "checkpoints").iterdir()}
        assert names == set()  # nothing half written takes the last room
        # A full disk may lack the room for the record, too.
        eventually(lambda: alarms(session) == [False] or alarms_in_memory(session))
        make_room()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            session.stop()
            session.wait()
        assert weights_on_disk(session, model)
        eventually(lambda: alarms(session) == [False, True])
        assert any("could not be written" in e.data.text for e in session.events("notice"))


@needs_root
def test_training_goes_on_beside_a_full_disk_and_its_checkpoints_when_there_is_room(
    disk, full, monkeypatch
):
    monkeypatch.setattr("coflect_widget.training.checkpoints.LONGEST", 0.2)
    model, data = tiny_cnn(), coflect.data.synthetic(n=96)
    with coflect.Session(
        model, data, run_dir=disk, config={"checkpoint_minutes": 0.002}
    ) as session:
        session.train(steps=10**7)
        eventually(lambda: session.run.checkpoints)
        make_room = full()
        eventually(lambda: alarms(session) or alarms_in_memory(session))
        held = session.metrics["step"]
        eventually(lambda: session.metrics["step"] > held + 3)
        before = {one.path.name for one in session.run.checkpoints}
        make_room()
        eventually(lambda: {one.path.name for one in session.run.checkpoints} - before)
        eventually(lambda: alarms(session)[-1:] == [True])
        assert session.run.checkpoints.last.step > held
        assert session.state == "training"


def alarms_in_memory(session):
    return session._parts.checkpoints.unsaved


@needs_root
def test_it_is_tried_again_by_itself(disk, full, monkeypatch):
    monkeypatch.setattr("coflect_widget.training.checkpoints.SOON", 0.2)
    session, model = trained(disk)
    with session:
        make_room = full()
        with pytest.warns(RuntimeWarning, match="could not be written"):
            session.stop()
        make_room()
        eventually(lambda: session.events("checkpoint"))
        assert weights_on_disk(session, model)
        eventually(lambda: not writers())


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
    assert not writers()


@needs_root
def test_what_is_written_late_is_what_it_was(disk, full):
    session, model = trained(disk)
    with session:
        make_room = full()
        with pytest.warns(RuntimeWarning, match="could not be written"):
            session.stop()
        bias = model[-1].bias.detach().clone()
        with torch.no_grad():
            model[-1].bias.add_(1)
        make_room()
        session.stop()
        saved = load_file(session.run.checkpoints.last.weights)
        assert torch.equal(saved["7.bias"], bias)


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


@pytest.mark.slow
def test_a_limit_on_file_sizes_is_a_full_disk_too(tmp_path):
    code = textwrap.dedent(f"""
        import resource, warnings
        import coflect_widget as coflect
        from tests.conftest import tiny_cnn
        from tests.one_worker import no_workers
        data = coflect.data.synthetic(n=96)
        more = no_workers()
        more["config"] |= {AT_ENDS}
        session = coflect.Session(tiny_cnn(), data, run_dir={str(tmp_path)!r}, **more)
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
        print([one.step for one in session.run.checkpoints])
    """)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[3, 6]"


def test_checkpoints_have_the_modes_of_other_files(make_session):
    session = make_session(config=AT_ENDS)
    before = os.umask(0o027)
    try:
        session.train(steps=2)
        session.wait()
        session.close()
    finally:
        os.umask(before)
    [folder] = (session.run.path / "checkpoints").iterdir()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o750
    files = list(folder.iterdir())
    assert len(files) == 5
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o640}


def test_a_checkpoint_is_announced_once_files_and_folders_are_on_disk(make_session, monkeypatch):
    session = make_session(config=AT_ENDS)
    session.train(steps=2)
    session.wait()
    done = []
    fsync, at = os.fsync, session._parts.tell.at

    def synced(handle):
        done.append(Path(f"/proc/self/fd/{handle}").readlink().name)
        fsync(handle)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", synced)
        patch.setattr(
            session._parts.tell, "at", lambda *what: (done.append("announced"), at(*what))
        )
        folder = session.checkpoint("test")
    before = done[: done.index("announced")]
    assert before[-1] == "checkpoints"
    assert {"weights.safetensors", "state.safetensors", "state.json", "ledger.json",
            "checkpoint.json"} < set(before)  # fmt: skip
    assert before[-2].endswith(".part")  # the folder itself, under its first name
    assert session.run.checkpoints["test"].path == folder


def test_a_folder_that_comes_back_gets_its_checkpoint(make_session):
    session = make_session(config=AT_ENDS)
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
    assert len(session.run.checkpoints) == 1


def test_words_that_the_disk_cannot_take_leave_room_for_the_end(make_session):
    session = make_session(config=AT_ENDS)
    session.train(steps=10**7)
    eventually(lambda: session.metrics["step"] > 3)
    session.pause()
    away = session.run.path.with_name("away")
    session.run.path.rename(away)
    keeper, steps = session._parts.checkpoints, []
    for _ in range(4):  # more than there is memory for
        session._parts.controls.submit(keeper.before).result(60)
        steps.append(session.metrics["step"])
        session._parts.desk.advance("step")
        eventually(lambda: session.metrics["step"] > steps[-1])
    eventually(lambda: keeper.unsaved)
    with pytest.warns(RuntimeWarning, match="could not be written"):
        session.stop()
    away.rename(session.run.path)
    session.stop()
    found = session.run.checkpoints
    assert found.last.reason == "stopped"
    assert found.last.step == session.metrics["step"]
    assert [one.step for one in found if one.reason == "said"] == steps[:2]


def test_an_end_that_cannot_be_kept_is_said(tmp_path):
    said = []
    keeper = CheckpointKeeper(
        tmp_path,
        None,
        None,
        step=lambda: 7,
        minutes=0,
        announce=None,
        alarm=lambda text, over: said.append((text, over)),
        settle=None,
    )
    keeper._alarmed = True  # of another one, which waits
    keeper._copies = COPIES
    keeper._jobs = [Job("asked", name, None) for name in "abc"]
    with pytest.raises(OSError, match="still being written"):
        keeper.ended("stopped").result()
    ((text, over),) = said
    assert "step 7" in text
    assert not over


def test_which_are_taken_and_which_stay(make_session, shapes):
    """Two last ones, the best, and those with a name; each says why it is there."""
    session = make_session(val=shapes, config={"checkpoint_minutes": 0.0005})
    session.train(steps=10**7)
    session.pause()
    named = session.checkpoint("a-name")
    session.resume()
    eventually(lambda: sum(e.data.reason == "time" for e in session.events("checkpoint")) > 3)
    eventually(lambda: session.run.checkpoints.best)
    session.stop()
    found = session.run.checkpoints
    assert found["a-name"].path == named
    assert found.last.reason == "stopped"
    assert found.last.step == session.metrics["step"]
    best = found.best
    assert (best.score.metric, best.score.direction) == ("accuracy", "higher")
    validated = [
        e.data["values"]["accuracy"] for e in session.events("metrics") if e.split == "val"
    ]
    assert best.score.value == max(validated)
    plain = [one for one in found if not one.name and one.path != best.path]
    assert 1 <= len({one.step for one in plain}) <= 2
    announced = [e for e in session.events("checkpoint") if e.data.path.endswith(best.path.name)]
    assert announced[-1].data.metric == "accuracy"
    assert announced[-1].data.megabytes > 0
    with pytest.raises(ValueError, match="has a checkpoint of that name"):
        session.checkpoint("a-name")
    with pytest.raises(ValueError, match="1 to 64 letters"):
        session.checkpoint("../a")
    with pytest.raises(KeyError, match="named are: a-name"):
        found["b"]


def test_a_failure_leaves_a_checkpoint_that_loads(make_session, shapes):
    class Odd(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner, self.calls = tiny_cnn(), 0

        def forward(self, x):
            self.calls += self.training
            if self.calls > 20:
                raise OSError("no more")
            return self.inner(x)

    model = Odd()
    session = make_session(model)
    session.train(epochs=10)
    with pytest.raises(OSError, match="no more"):
        session.wait()
    one = session.run.checkpoints.last
    assert (one.reason, one.step) == ("failed", session.metrics["step"])
    loaded = load_file(one.weights)
    assert all(torch.equal(loaded[name], value) for name, value in model.state_dict().items())


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such signal")
@pytest.mark.parametrize(
    "own", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["train", "loop"]
)
def test_sigterm_leaves_a_checkpoint_and_ends_the_process(tmp_path, own):
    loop = """
        for x, y in session.loop(torch.utils.data.DataLoader(data, 16), epochs=10**6):
            session.observe(None, model(x), y)
    """
    code = textwrap.dedent(f"""
        import sys, time, threading, torch
        import coflect_widget as coflect
        from tests.conftest import tiny_cnn
        from torch.utils.data import TensorDataset
        given = coflect.data.synthetic(n=96)
        data = TensorDataset(torch.as_tensor(given.images), torch.as_tensor(given.labels))
        model = tiny_cnn()
        session = coflect.Session(model, data, run_dir={str(tmp_path)!r})
        def tell():
            while session.metrics["step"] < 5:
                time.sleep(0.01)
            print("ready", flush=True)
        threading.Thread(target=tell, daemon=True).start()
    """) + textwrap.dedent(loop if own else "session.train(steps=10**7)\nsession.wait()\n")
    child = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert child.stdout.readline() == "ready\n", child.stderr.read()
        child.send_signal(signal.SIGTERM)
        _, errors = child.communicate(timeout=60)
    finally:
        child.kill()
    assert child.returncode == -signal.SIGTERM, errors
    [folder] = tmp_path.iterdir()
    run = coflect.open_run(folder)
    assert run.state == "stopped"
    assert run.checkpoints.last.reason == "stopped"
    assert run.checkpoints.last.step >= 5
