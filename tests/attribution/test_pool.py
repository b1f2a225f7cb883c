"""Real workers that die, hang, are interrupted or lose their kernel."""

import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil
import pytest
from attribution_models import PlainCNN, copier, snapshots_of
from faulty_explainer import forget

from coflect_widget.attribution.work import explaining
from coflect_widget.attribution.worker import Job, JobError, JobResult, Model
from coflect_widget.backends.torch.methods import structure
from coflect_widget.tasks import Classification
from coflect_widget.workers.errors import PoolClosedError, WorkerLostError, WorkRefusedError
from coflect_widget.workers.pool import WorkerPool

HERE = str(Path(__file__).parent)


FAULTY = Model("faulty", "faulty_explainer:make", b"")


def job(what, explained=FAULTY, **more):
    fields = {
        "model_id": explained.id,
        "model": None,
        "weights": {"w": np.ones(1, np.float32)},
        "step": 0,
        "task": Classification(4),
        "input": np.full((3, 8, 8), what, np.float32),
        "target": None,
        "method": "consensus",
        "samples": 4,
        "sigma": 0.1,
        "layer": None,
        "seed": 0,
        "checks": False,
    }
    return Job(**{**fields, **more})


def gone(pids, within=2.0):
    end = time.monotonic() + within
    while alive := [p for p in pids if _alive(p)]:
        if time.monotonic() > end:
            return [psutil.Process(p).cmdline() for p in alive]
        time.sleep(0.02)
    return []


def _alive(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.fixture(scope="module")
def pool():
    with WorkerPool(explaining(FAULTY)) as pool:
        yield pool


TORCH = "coflect_widget.backends.torch.methods:load"
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="workers are forked on Linux only")


def plain_job(lease):
    x = np.ones((3, 32, 32), np.float32)
    return job(0, Model("plain", TORCH, b""), weights=lease.ref, input=x)


@pytest.fixture
def torch_pool():
    """A pool whose workers can be forked, and a snapshot for them."""
    model = PlainCNN()
    snapshots = snapshots_of(model)
    with (
        WorkerPool(explaining(Model("plain", TORCH, structure(model)))) as pool,
        snapshots.lease() as lease,
    ):
        yield pool, plain_job(lease)
    snapshots.close()


@LINUX
def test_workers_of_a_kernel_are_forked_from_one_process(torch_pool):
    pool, request = torch_pool
    for slot in (pool.background, pool.interactive):
        assert isinstance(slot.run(request, 60), JobResult)
    parents = {psutil.Process(slot.pid).ppid() for slot in (pool.background, pool.interactive)}
    assert len(parents) == 1
    server = psutil.Process(parents.pop())
    assert server.ppid() == os.getpid()
    assert server.num_threads() == 1  # or a fork could copy a lock that nobody will open
    assert os.sched_getscheduler(pool.background.pid) == os.SCHED_IDLE
    assert os.sched_getscheduler(pool.interactive.pid) == os.SCHED_OTHER
    assert os.sched_getscheduler(server.pid) == os.SCHED_OTHER


@LINUX
def test_forked_workers_are_replaced_and_so_is_the_process_that_forks_them(torch_pool):
    pool, request = torch_pool
    slot = pool.interactive
    assert isinstance(slot.run(request, 60), JobResult)
    lost, server = slot.pid, psutil.Process(slot.pid).ppid()
    os.kill(lost, signal.SIGKILL)
    assert isinstance(slot.run(request, 60), JobResult)
    assert (slot.replaced, psutil.Process(slot.pid).ppid()) == (1, server)
    os.kill(server, signal.SIGKILL)
    assert gone([server, slot.pid]) == []  # the worker looks for the process it came from
    assert isinstance(slot.run(request, 60), JobResult)
    assert psutil.Process(slot.pid).ppid() not in (server, 1)


@pytest.mark.slow
@LINUX
def test_a_library_with_threads_is_not_forked_but_spawned(tmp_path):
    (tmp_path / "threaded_library.py").write_text(
        "import threading, time\n"
        "threading.Thread(target=time.sleep, args=(600,), daemon=True).start()\n"
        "class Layer(__import__('torch').nn.Identity): pass\n"
    )
    code = f"""
import sys; sys.path[:0] = [{HERE!r}, {str(tmp_path)!r}]
from attribution_models import PlainCNN, snapshots_of
import threaded_library
from test_pool import *
model = PlainCNN()
model.more = threaded_library.Layer()
snapshots = snapshots_of(model)
work = explaining(Model("plain", TORCH, structure(model)))
with WorkerPool(work) as pool, snapshots.lease() as lease:
    answer = pool.interactive.run(plain_job(lease), 60)
    print(type(answer).__name__, psutil.Process(pool.interactive.pid).ppid() == os.getpid())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout == "JobResult True\n", done.stderr


def test_the_background_worker_is_idle_and_the_other_is_not(pool):
    pool.background.start()
    assert isinstance(pool.background.run(job(0), 20), JobResult)
    assert isinstance(pool.interactive.run(job(0), 20), JobResult)
    if sys.platform == "linux":
        assert os.sched_getscheduler(pool.background.pid) == os.SCHED_IDLE
        assert os.sched_getscheduler(pool.interactive.pid) == os.SCHED_OTHER


def test_a_worker_killed_in_mid_job_is_replaced_and_the_job_answered(pool):
    slot = pool.interactive
    slot.start()
    before = slot.pid

    def kill():
        time.sleep(0.4)
        os.kill(before, signal.SIGKILL)

    threading.Thread(target=kill).start()
    answer = slot.run(job(5), 20)
    assert isinstance(answer, JobResult)
    assert slot.pid != before
    assert gone([before]) == []


def test_a_job_that_kills_two_workers_is_given_up_and_the_next_works(pool):
    replaced = pool.interactive.replaced
    with pytest.raises(WorkerLostError, match=r"ended unexpectedly.*twice"):
        pool.interactive.run(job(1), 20)
    assert pool.interactive.replaced == replaced + 2
    assert isinstance(pool.interactive.run(job(0), 20), JobResult)


def test_a_worker_that_hangs_is_killed_at_the_deadline(pool):
    slot = pool.interactive
    slot.start()
    hung = slot.pid
    began = time.monotonic()
    with pytest.raises(WorkerLostError, match=r"no answer within 0.5 s"):
        slot.run(job(2), 0.5)  # stopped, so only SIGKILL ends it
    assert time.monotonic() - began < 20
    assert gone([hung]) == []


def test_out_of_memory_gets_a_new_worker_and_then_is_named(pool):
    with pytest.raises(WorkerLostError, match=r"out of memory.*no room"):
        pool.interactive.run(job(3), 20)


def test_a_worker_that_was_restarted_by_others_is_replaced_and_the_job_answered(pool):
    slot = pool.background
    slot.start()
    before = slot.pid
    slot._worker.call(forget, timeout=20)
    assert isinstance(slot.run(job(0), deadline=20), JobResult)
    assert slot.pid != before


def test_an_exception_is_reported_and_costs_no_worker(pool):
    slot = pool.interactive
    slot.start()
    before = slot.pid
    answer = slot.run(job(4), 20)
    assert isinstance(answer, JobError)
    assert answer.reason == "ValueError: cannot do this one"
    answer = slot.run(job(7), 20)
    assert "NaN or infinite" in answer.reason
    assert slot.pid == before


def test_close_ends_a_running_job_at_once():
    pool = WorkerPool(explaining(FAULTY))
    pool.interactive.start()
    pid = pool.interactive.pid
    errors = []

    def run():
        try:
            pool.interactive.run(job(2), 30)
        except PoolClosedError as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    time.sleep(0.3)
    pool.close()
    thread.join(3)
    assert not thread.is_alive()
    assert len(errors) == 1
    assert gone([pid]) == []
    with pytest.raises(PoolClosedError):
        pool.interactive.run(job(0), 5)


def test_a_model_that_no_worker_can_rebuild_is_said_once():
    broken = Model("broken", "coflect_widget.backends.torch.methods:load", b"not a pickle")
    with WorkerPool(explaining(broken)) as pool:
        for _ in range(2):
            with pytest.raises(WorkRefusedError, match="cannot be rebuilt"):
                pool.background.start()


def test_another_executor_gets_everything_with_the_job():
    model = PlainCNN()
    snapshots = snapshots_of(model)
    sent = Model("plain", "coflect_widget.backends.torch.methods:load", structure(model))
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as executor:
        with WorkerPool(explaining(sent), executor=executor) as pool, snapshots.lease() as lease:
            assert pool.background.inline
            weights = lease.copies()
            x = np.ones((3, 32, 32), np.float32)
            request = job(0, sent, model=sent, weights=weights, input=x)
            answer = pool.background.run(request, 60)
            assert isinstance(answer, JobResult), answer
        assert executor.submit(int, "1").result() == 1  # still its owner's
    snapshots.close()
    with ThreadPoolExecutor() as threads, pytest.raises(TypeError, match="of processes"):
        WorkerPool(explaining(sent), executor=threads)


def test_shared_weights_reach_the_worker():
    model = PlainCNN()
    snapshots = snapshots_of(model)
    sent = Model("plain", "coflect_widget.backends.torch.methods:load", structure(model))
    with WorkerPool(explaining(sent)) as pool:
        request = {"input": np.ones((3, 32, 32), np.float32)}
        with snapshots.lease() as lease:
            answer = pool.interactive.run(job(0, sent, weights=lease.ref, **request), 60)
            assert isinstance(answer, JobResult), answer
        snapshots.write(1, copier(model))
        snapshots.write(2, copier(model))
        answer = pool.interactive.run(job(0, sent, weights=lease.ref, **request), 60)
        assert isinstance(answer, JobError)
        assert answer.kind == "stale"
    snapshots.close()


KERNEL = """
import sys, threading, time
sys.path[:0] = [{here!r}]
import numpy as np, psutil, torch
from torch import nn
from attribution_models import snapshots_of
from coflect_widget.attribution.scheduler import ExplanationScheduler
from coflect_widget.backends.torch.methods import structure
from coflect_widget.backends.base import Sample
from coflect_widget.config import AttributionConfig
from coflect_widget.modalities import IMAGE
from coflect_widget.tasks import Classification

class Cell(nn.Module):  # lives in __main__ and nowhere else, as in a notebook
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True))
        self.head = nn.Linear(4, 2)
    def forward(self, x):
        return self.head(self.body(x).mean((2, 3)))

snapshots = snapshots_of(Cell())
scheduler = ExplanationScheduler(
    structure(Cell()), snapshots, AttributionConfig({config}),
    explainer="coflect_widget.backends.torch.methods:load", task=Classification(4),
    modality=IMAGE,
    read_sample=lambda i: Sample(np.ones((3, {size}, {size}), np.float32), 0),
    request_snapshot=lambda: snapshots.write(1, lambda arrays: None),
    reuse_seconds=1e9,
)
futures = [scheduler.request(0, "person"), scheduler.request(1, "periodic")]
{then}
"""


def kernel(then, config="", size=16):
    code = textwrap.dedent(KERNEL).format(here=HERE, then=then, config=config, size=size)
    return subprocess.Popen(
        [sys.executable, "-u", "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


REPORT = """
print([f.result(60).model_step for f in futures])
print(*[p.pid for p in psutil.Process().children(recursive=True)])
print(scheduler.pool.background.pid, scheduler.pool.interactive.pid)
"""


def test_a_killed_kernel_leaves_no_process_behind():
    process = kernel(
        REPORT
        + "[scheduler.request(i, 'person') for i in range(2, 9)]\n"
        + "[scheduler.request(i, 'periodic') for i in range(2, 9)]\ntime.sleep(60)",
        config="smoothgrad_samples=1024",
        size=32,
    )
    first = process.stdout.readline()
    children = [int(pid) for pid in process.stdout.readline().split()]
    workers = process.stdout.readline().split()
    assert first, process.stderr.read()
    assert {int(w) for w in workers} <= set(children)
    process.kill()
    process.wait()
    assert gone(children) == []


@pytest.mark.slow
def test_interrupts_reach_no_worker_and_a_script_that_never_closes_ends_by_itself():
    # From the very start: a worker's imports must not be interrupted either.
    process = kernel(
        "import signal; signal.signal(signal.SIGINT, lambda *_: None)\n"
        "print('ready')" + REPORT + "while scheduler.counts.made < 2: time.sleep(0.05)\n"
        # at its end Python gives up handlers of its own, and the next interrupt would kill it
        "signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "print(scheduler.counts)",
        config="smoothgrad_samples=8, checks=False",
    )
    try:
        assert process.stdout.readline() == "ready\n"
        end = time.monotonic() + 4
        while time.monotonic() < end:
            os.killpg(process.pid, signal.SIGINT)
            time.sleep(0.05)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()  # it waits without end for a map that is never made
    assert process.returncode == 0, err
    assert "made=2, skipped=0, failed=0" in out, err
    assert err == ""
    children = [int(pid) for pid in out.splitlines()[1].split()]
    assert gone(children) == []
