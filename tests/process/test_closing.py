"""What is left when a session, a view or a process ends: nothing that anybody would wait for."""

import os
import subprocess
import sys
import textwrap
import threading
import time

import psutil
import pytest

import coflect_widget as coflect
from tests.conftest import eventually, tiny_cnn


def ours():
    return {t.name for t in threading.enumerate() if t.name.startswith("coflect")}


def workers(session):
    pool = session._parts.scheduler.pool
    return [pid for slot in (pool.background, pool.interactive) if (pid := slot.pid) is not None]


# --- threads --------------------------------------------------------------------------------------


def test_no_thread_is_left_by_dashboards_of_sessions_and_of_recorded_runs(make_session):
    before = ours()
    session = make_session()
    session.dashboard()
    controls = session._dashboard.inbox
    controls._receive(None, {"kind": "hello", "id": "page"}, [])
    session.train(steps=5)
    session.wait()
    session.explain(3)
    session.close()
    run = coflect.open_run(session.run.path)
    run._repr_mimebundle_()
    session._dashboard = None
    replayed = session.dashboard()  # of a closed session
    eventually(lambda: ours() == before)
    # a page that still shows them is answered all the same, and leaves none either
    sent = []
    replayed.send = lambda content, buffers=None: sent.append(content)
    for widget in (controls, replayed.inbox, run._dashboard.inbox):
        widget._receive(None, {"kind": "hello", "id": "page"}, [])
    eventually(lambda: sent and sent[0]["full"])
    eventually(lambda: ours() == before)


def test_a_dashboard_with_nothing_to_show_needs_no_thread(make_session, monkeypatch):
    monkeypatch.setattr("coflect_widget.ui.publisher.LINGER", 0.2)
    session = make_session()
    session.dashboard()
    eventually(lambda: "coflect-publisher" not in ours())
    session._dashboard.inbox._receive(None, {"kind": "hello", "id": "page"}, [])
    sent = []
    session._dashboard.widget.send = lambda content, buffers=None: sent.append(content)
    session.train(steps=10**7)
    eventually(lambda: any("metrics" in content for content in sent))


# --- a forked child -------------------------------------------------------------------------------

FORKED = """
import os, sys, time
import coflect_widget as coflect
from tests.conftest import tiny_cnn
session = coflect.Session(tiny_cnn(), coflect.data.synthetic(n=256), run_dir={runs!r})
session.dashboard()
session.train(steps=10**7)
session.explain(3)
began = time.monotonic()
child = os.fork()
if child == 0:
    for call in (session.close, session.events, lambda: repr(session), lambda: session.state):
        call()
    for call in (session.wait, session.stop, lambda: session.train(epochs=1)):
        try:
            call()
        except RuntimeError as error:
            assert "forked" in str(error), error
        else:
            raise AssertionError("it worked in a child")
    coflect.close_all()
    sys.exit(7)  # and so through every hook that runs at an end
code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
print(code, time.monotonic() - began, session.state)
print(session.explain(4).index)  # the process that forks workers is still there
session.close()
print(session.state, session.run.checkpoints.last.reason)
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_in_a_forked_child_nothing_waits_and_the_parent_goes_on(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", FORKED.format(runs=str(tmp_path))],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    first, explained, last = done.stdout.splitlines()
    code, seconds, state = first.split()
    assert (code, state) == ("7", "training"), done.stderr
    assert float(seconds) < 20
    assert explained == "4"
    assert last == "stopped stopped"


IN_A_LOOP = """
import os, sys, time, torch
from torch.utils.data import DataLoader, TensorDataset
import coflect_widget as coflect
from tests.conftest import tiny_cnn
shapes = coflect.data.synthetic(n=256)
data = TensorDataset(torch.as_tensor(shapes.images), torch.as_tensor(shapes.labels))
model = tiny_cnn()
began = time.monotonic()
with coflect.Session(model, data, run_dir={runs!r}) as session:
    for number, (x, y) in enumerate(session.loop(DataLoader(data, 64))):
        session.observe(None, model(x), y)
        if number == 1:
            child = os.fork()
            if child == 0:
                sys.exit(7)  # out of the loop and the block
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            print(code, time.monotonic() - began, flush=True)
print(session.state, session.metrics["step"], session.run.checkpoints.last.reason)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.slow
def test_a_child_forked_within_a_loop_leaves_it_to_its_parent(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", IN_A_LOOP.format(runs=str(tmp_path))],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    first, last = done.stdout.splitlines()
    assert first.split()[0] == "7"
    assert last == "finished 4 finished"


# --- a cell that is run again ---------------------------------------------------------------------


def offers(session):
    return [e.data for e in session.events("notice") if e.data.offer == "close_others"]


def test_from_the_second_session_on_an_end_of_the_earlier_ones_is_offered(make_session):
    from coflect_widget.ui.commands import Commands

    first = make_session()
    assert offers(first) == []
    second = make_session()
    third = make_session()
    assert first.run.id in offers(second)[0].text
    [offer] = offers(third)
    assert first.run.id in offer.text
    assert second.run.id in offer.text
    assert "coflect.close_all(keep=session)" in offer.text
    answers = []
    began = time.monotonic()
    first.train(steps=10**7)
    Commands(third._parts).handle(
        coflect.events.CloseOthers(), lambda *answer: answers.append(answer)
    )
    assert time.monotonic() - began < 5
    [(ok, text, _)] = eventually(lambda: answers)
    assert ok
    assert first.run.id in text
    assert second.run.id in text
    assert (first._parts.closed, second._parts.closed, third._parts.closed) == (
        True,
        True,
        False,
    )
    assert first.state == "stopped"
    assert third.explain(3).index == 3


def test_a_cell_run_six_times_keeps_the_workers_of_the_last_alone(make_session, monkeypatch):
    monkeypatch.setattr("coflect_widget.attribution.scheduler.IDLE_SECONDS", 0.5)
    sessions = [make_session() for _ in range(6)]
    eventually(lambda: len(workers(sessions[-1])) == 2)
    eventually(lambda: not any(workers(session) for session in sessions[:-1]), 60)
    first = sessions[0]
    assert first.explain(3).index == 3  # the next job starts one again
    time.sleep(1.5)
    assert all(psutil.pid_exists(pid) for pid in workers(sessions[-1]))
    assert len(workers(sessions[-1])) == 2


def test_a_session_that_trains_keeps_its_workers(make_session, monkeypatch):
    monkeypatch.setattr("coflect_widget.attribution.scheduler.IDLE_SECONDS", 0.3)
    config = {"attribution": {"budget": 0.001}, "xai_every": 10**6}
    first = make_session(config=config)
    eventually(lambda: len(workers(first)) == 2)
    first.train(steps=10**7)
    kept = workers(first)
    make_session()
    time.sleep(2)
    assert workers(first) == kept


def test_close_all_names_what_it_ended(make_session):
    first, second = make_session(), make_session()
    assert coflect.close_all(keep=second) == [first.run.id]
    assert coflect.close_all() == [second.run.id]
    assert coflect.close_all() == []


def test_scripts_of_before_read_notices_without_an_offer():
    line = textwrap.dedent(
        """{"schema_version":1,"seq":0,"ts":"2026-01-01T00:00:00Z","run_id":"r","type":"notice",
        "step":0,"epoch":0,"data":{"level":"info","text":"old"}}"""
    )
    assert coflect.events.read_event(line.encode()).data.offer == ""


def test_a_model_is_not_held_by_the_offer_to_end_the_others(make_session):
    import gc
    import weakref

    session = coflect.Session(
        tiny_cnn(), coflect.data.synthetic(n=64), run_dir=make_session().run.path.parent
    )
    session.close()
    model = weakref.ref(session._backend.model)
    del session
    eventually(lambda: gc.collect() >= 0 and model() is None)
