"""A pool runs any work: functions of an importable module, and what becomes of their answers."""

import os
import signal
import sys
from functools import partial

import psutil
import pytest

from coflect_widget.workers.errors import WorkerLostError, WorkRefusedError
from coflect_widget.workers.pool import WorkerPool
from coflect_widget.workers.work import Work

_factor = None


def learn(factor):
    global _factor
    if factor == 0:
        raise WorkRefusedError("zero is of no use; take another factor")
    if factor < 0:
        raise ValueError("negative")
    _factor = factor


def answer(job):
    if job == "end":
        os.kill(os.getpid(), signal.SIGKILL)
    return _factor * job, os.getpid()


def odd(answer):
    return "it is odd" if answer[0] % 2 else None


def work(factor, *, forkable=False):
    return Work(partial(learn, factor), answer, odd, imports=("no_such_module",), forkable=forkable)


@pytest.mark.parametrize("forkable", [False, True])
def test_a_pool_knows_only_the_functions_it_is_given(forkable):
    with WorkerPool(work(2, forkable=forkable)) as pool:
        slot = pool.interactive
        value, pid = slot.run(21, 60)
        assert (value, pid) == (42, slot.pid)
        forked = forkable and sys.platform == "linux"
        assert (psutil.Process(pid).ppid() != os.getpid()) == forked
        with pytest.raises(WorkerLostError, match=r"ended unexpectedly.*twice in a row"):
            slot.run("end", 60)
        assert slot.run(1, 60)[1] not in (pid, os.getpid())
        assert slot.replaced == 2


def test_an_answer_may_cost_the_worker():
    with WorkerPool(work(1)) as pool, pytest.raises(WorkerLostError, match="it is odd, twice"):
        pool.interactive.run(3, 60)
    assert pool.interactive.replaced == 2


@pytest.mark.parametrize(
    ("factor", "text"), [(0, "^zero is of no use"), (-1, "could not be made ready: ValueError")]
)
def test_work_that_cannot_be_done_is_refused_with_its_reason(factor, text):
    with WorkerPool(work(factor)) as pool:
        for _ in range(2):
            with pytest.raises(WorkRefusedError, match=text):
                pool.background.start()
