"""The process for what nobody waits for."""

import os
import threading
import time

import psutil
import pytest

from coflect_widget.workers import idle_worker
from coflect_widget.workers.idle_worker import IdleWorker


@pytest.fixture
def worker():
    made = IdleWorker()
    yield made
    made.close()


def spawned():
    """Workers that are alive; the trackers that come with the first one stay for good."""
    return {
        p.pid
        for p in psutil.Process().children()
        if "tracker" not in " ".join(p.cmdline()) and p.status() != psutil.STATUS_ZOMBIE
    }


def test_one_process_serves_all_calls(worker):
    first = worker.run(os.getpid)
    assert first != os.getpid()
    assert worker.run(os.getpid) == first


def test_what_a_job_raises_is_raised_here_and_the_process_stays(worker):
    first = worker.run(os.getpid)
    with pytest.raises(ZeroDivisionError):
        worker.run(divmod, 1, 0)
    assert worker.run(os.getpid) == first


def test_a_lost_process_is_replaced(worker):
    first = worker.run(os.getpid)
    psutil.Process(first).kill()
    with pytest.raises(RuntimeError, match="was lost"):
        worker.run(time.sleep, 60)
    assert worker.run(os.getpid) != first


def test_close_ends_a_job(worker):
    pid = worker.run(os.getpid)
    closing = threading.Timer(0.2, worker.close)
    closing.start()
    with pytest.raises(RuntimeError):
        worker.run(time.sleep, 60)
    closing.join()
    assert not psutil.pid_exists(pid)
    with pytest.raises(RuntimeError, match="closed"):
        worker.run(os.getpid)


def test_a_process_that_starts_while_the_session_closes_is_ended_too(worker, monkeypatch):
    class SlowlyMade(idle_worker.SpawnedWorker):
        def __init__(self):
            closing.start()
            time.sleep(0.2)
            super().__init__()

    closing = threading.Thread(target=worker.close)
    monkeypatch.setattr(idle_worker, "SpawnedWorker", SlowlyMade)
    before = spawned()
    with pytest.raises(RuntimeError):
        worker.run(os.getpid)
    closing.join()
    assert spawned() <= before
