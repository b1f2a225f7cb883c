"""How a session ends, and what is left of it."""

import contextlib
import gc
import multiprocessing
import os
import shutil
import subprocess
import sys
import threading
import time
import weakref

import numpy as np
import psutil
import pytest
import torch
from torch import nn

import coflect_widget as coflect
from tests.conftest import eventually, make_session, tiny_cnn

__all__ = ["make_session"]  # of sessions with workers of their own


def ended(process):
    # A zombie has ended; when its entry goes is the business of the system's first process.
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def of_the_kernel(process):
    with contextlib.suppress(psutil.NoSuchProcess):
        line = " ".join(process.cmdline())
        forks = "fork_server" in line and process.ppid() == os.getpid()  # not those it forked
        return forks or "resource_tracker" in line
    return False


def test_close_ends_every_thread_and_process(make_session):
    threads = set(threading.enumerate())
    # what other tests in this process have begun, and keep
    before, active = (
        set(psutil.Process().children(recursive=True)),
        set(multiprocessing.active_children()),
    )
    session = make_session()
    session.train(steps=100_000)
    session.explain(0)
    children = set(psutil.Process().children(recursive=True)) - before
    assert children
    session.close()
    ours = {t.name for t in set(threading.enumerate()) - threads if t.name.startswith("coflect")}
    assert ours == set()
    # what trackers and the process that forks workers are there for is the kernel: they end with it
    workers = [c for c in children if not ended(c) and not of_the_kernel(c)]
    eventually(lambda: all(ended(worker) for worker in workers))
    with pytest.raises(RuntimeError, match="closed"):
        session.train(epochs=1)
    assert session.events("state")[-1].data["state"] == "stopped"
    assert set(multiprocessing.active_children()) <= active


def test_a_cell_run_twice_is_told_of_the_first_training(shapes, tmp_path):
    session = coflect.Session(tiny_cnn(), shapes, run_dir=tmp_path)
    session.train(steps=10**7)
    first = session._parts
    session = coflect.Session(tiny_cnn(), shapes, run_dir=tmp_path)  # the variable is gone
    gc.collect()
    session.train(steps=10**7)
    assert first.path.name in session.events("notice")[-1].data["text"]
    coflect.close_all(keep=session)
    assert (first.loop.state, session.state) == ("stopped", "training")
    coflect.close_all()
    assert (first.loop.state, session.state) == ("stopped", "stopped")


@pytest.mark.slow
def test_a_script_that_never_closes_leaves_a_complete_run(tmp_path):
    code = f"""
import coflect_widget as coflect
from tests.conftest import tiny_cnn
session = coflect.Session(tiny_cnn(), coflect.data.synthetic(n=256), run_dir={str(tmp_path)!r})
session.train(steps=10**7)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    run = coflect.open_run(next(tmp_path.iterdir()))
    assert run.state == "stopped"
    assert run.checkpoints.last.reason == "stopped"


def test_a_run_opens_again_with_all_it_had(make_session, shapes):
    with make_session(val=shapes, classes=["circle", "square", "triangle", "cross"]) as session:
        session.train(epochs=2)
        session.wait(240)
        session.explain(3)
        session.feedback(sample=3, look=(0.2, 0.2, 0.8, 0.8))
    run = coflect.open_run(session.run.path)
    assert run.state == "finished"
    assert [e.seq for e in run.events()] == list(range(len(run.events())))
    assert run.config["data"]["classes"][0] == "circle"
    assert run.config["data"]["fingerprint"].startswith("sha256:")
    assert np.nanmax(run.scalars()["accuracy"]) > 0
    assert run.events("intervention")[0].data["sample"] == 3


def test_a_killed_kernel_leaves_no_worker_and_a_run_that_opens(tmp_path):
    code = f"""
import time, coflect_widget as coflect
from tests.conftest import tiny_cnn
session = coflect.Session(tiny_cnn(), coflect.data.synthetic(n=256), run_dir={str(tmp_path)!r})
session.train(steps=10**7)
session.explain(0)
print("going", flush=True)
time.sleep(60)
"""
    kernel = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert kernel.stdout.readline() == "going\n"
    children = psutil.Process(kernel.pid).children(recursive=True)
    assert children
    kernel.kill()
    kernel.wait()
    # An idle-class worker needs some processor time even to end, and a busy machine gives little.
    eventually(lambda: all(map(ended, children)), what="the end of all workers")
    run = coflect.open_run(next(tmp_path.iterdir()))
    assert run.state == "interrupted"
    recorded = run.events()
    assert run.damaged == 0
    assert [e.seq for e in recorded] == list(range(len(recorded)))
    assert run.events("overlay")


def test_the_speed_of_epochs_of_a_moment_is_told_and_not_with_every_record(make_session):
    session = make_session(config={"log_every": 1})
    for _ in range(2):
        session.train(epochs=3)
        session.wait()
    parts = session._parts
    parts.forecaster.drain()
    parts.stream.flush()
    told = ["steps_per_second" in e.data["values"] for e in session.events("metrics")]
    assert 1 <= sum(told) < len(told) / 2
    assert session.metrics["steps_per_second"] > 0
    assert session.metrics["validation_seconds"] >= 0


def test_an_interrupted_close_closes_all_the_same(make_session, monkeypatch):
    threads = set(threading.enumerate())
    session = make_session()
    session.train(steps=3)
    session.wait()

    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setattr(session._parts.scheduler, "close", interrupted)
    with pytest.raises(KeyboardInterrupt):
        session.close()
    monkeypatch.undo()
    session._parts.scheduler.close()
    session.close()
    left = {t.name for t in set(threading.enumerate()) - threads if t.name.startswith("coflect")}
    assert left == set()


def test_a_map_that_cannot_be_written_is_said_to_have_failed(make_session):
    session = make_session()
    session.train(steps=3)
    session.wait()
    overlays = session.run.path / "overlays"
    shutil.rmtree(overlays)
    overlays.write_text("")
    session.explain(4)
    assert "could not be written" in session.events("overlay_failed")[-1].data["reason"]


def test_a_step_onto_a_loss_that_is_not_finite_returns(make_session, shapes):
    session = make_session(data=(shapes.images * np.float32(np.nan), shapes.labels))
    session.train(epochs=1)
    eventually(lambda: session.state == "paused")
    began = time.monotonic()
    session.step()
    assert time.monotonic() - began < 30  # it used to wait for a minute
    assert session.state == "paused"


def test_a_dashboard_that_is_still_shown_keeps_no_model(make_session, shapes, tmp_path):
    session = coflect.Session(tiny_cnn(), shapes, run_dir=tmp_path)
    shown = session.dashboard()
    session.train(steps=3)
    session.wait()
    session.close()
    model = weakref.ref(session._backend.model)
    del session
    gc.collect()
    eventually(lambda: gc.collect() >= 0 and model() is None)
    assert shown.comm is not None


def test_a_forked_child_leaves_its_parents_sessions_alone(make_session):
    session = make_session()
    child = os.fork()
    if child == 0:
        coflect.close_all()
        os._exit(session._parts.closed)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert not session._parts.closed


def test_leaving_out_all_but_one_of_a_batch_does_not_end_the_training(make_session, shapes):
    data = (shapes.images[:66], shapes.labels[:66])
    model = nn.Sequential(nn.Flatten(), nn.Linear(3072, 8), nn.BatchNorm1d(8), nn.Linear(8, 4))
    config = {"attribution": {"method": "smoothgrad"}}
    session = make_session(model=model, data=data, batch_size=33, config=config)
    for sample in range(65):
        session.judge(sample, "leave out")
    session.train(epochs=3)
    assert session.wait(240)
    assert session.state == "finished"


def test_resume_returns_where_training_holds_again_at_once(make_session, shapes, monkeypatch):
    nothing = np.full_like(shapes.images[:64], np.nan)
    session = make_session(data=(nothing, shapes.labels[:64]))
    session.train(epochs=10)
    eventually(lambda: session.state == "paused")
    command, states = session._parts.desk.order, len(session.events("state"))

    def slowly(kind):
        command(kind)
        eventually(lambda: len(session.events("state")) == states + 2)  # it holds again

    monkeypatch.setattr(session._parts.desk, "order", slowly)
    began = time.monotonic()
    session.resume()
    assert time.monotonic() - began < 30  # it gave up after a minute


def test_samples_are_read_by_nobody_while_a_user_seeds_the_next_cell(make_session, shapes):
    threads = set()

    class Noisy(torch.utils.data.Dataset):
        def __len__(self):
            return 64

        def __getitem__(self, index):
            threads.add(threading.current_thread())
            return torch.from_numpy(shapes.images[index]) + torch.rand(()), int(
                shapes.labels[index]
            )

    session = make_session(data=Noisy())
    scheduler = session._parts.scheduler
    eventually(lambda: all(scheduler.pool.slot(lane).pid for lane in ("background", "interactive")))
    assert threads == {threading.main_thread()}
