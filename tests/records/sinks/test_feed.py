"""Sinks of a session: told everything off the training thread, ended in time, left out when bad."""

import io
import json
import shutil
import threading
import time

import pytest

import coflect_widget as coflect
from coflect_widget.events import Notice
from coflect_widget.records.run import Run
from coflect_widget.records.sinks.feed import Sinks
from coflect_widget.records.sinks.follow import Follower
from coflect_widget.records.stream import EventStream
from tests.conftest import eventually
from tests.records.test_runs_table import event, metrics, write_run


class Kept:
    """Keeps what it is told, and on which thread."""

    def __init__(self):
        self.events, self.threads = [], set()

    def on_event(self, event):
        self.events.append(event)
        self.threads.add(threading.current_thread().name)


class Spoilt(Kept):
    """Cannot stand metrics."""

    def on_event(self, event):
        super().on_event(event)
        if event.type == "metrics":
            raise ConnectionError("no route to\nhost")


class Whole(coflect.sinks.Sink):
    """With a beginning and an end."""

    types = frozenset({"metrics", "resumed"})
    whole = True

    def __init__(self):
        self.told = []

    def open(self, run):
        self.told.append(run.id)

    def on_event(self, event):
        self.told.append((event.type, event.step, event.split))

    def close(self):
        self.told.append("closed")


def test_a_training_tells_its_sinks_everything_and_a_bad_one_is_left_out(make_session):
    good, bad, lines, whole = Kept(), Spoilt(), io.StringIO(), Whole()
    session = make_session(
        val=coflect.data.synthetic(n=32), sinks=[good, bad, coflect.sinks.Progress(lines), whole]
    )
    session.train(epochs=1)
    assert session.wait(240)
    # Else what is said of a sink as all of them end may come too late for the others.
    eventually(lambda: [n for n in session.events("notice") if "sink" in n.data.text], 200)
    session.train(epochs=1)
    assert session.wait(240)
    session.close()
    assert good.events == session.events()
    assert good.threads == {"coflect-sink-Kept"}
    assert bad.events[-1].type == "metrics"
    assert [one.type for one in bad.events].count("metrics") == 1, "told no more"
    (said,) = [n for n in session.events("notice") if "sink" in n.data.text]
    assert said.data.level == "error"
    assert "Spoilt met an error" in said.data.text
    assert "no route to host" in said.data.text
    assert "session.run.replay(it)" in said.data.text
    shown = lines.getvalue()
    assert "epoch 2  loss" in shown
    assert f"finished at step {session.metrics['step']}" in shown
    assert f"{session.run.id}  error: The sink Spoilt" in shown
    assert whole.told[0] == session.run.id
    assert whole.told[-1] == "closed"
    # Told again from the record, it is told the same.
    again = session.run.replay(Whole())
    assert again.told == whole.told
    assert ("metrics", session.metrics["step"], "val") in again.told


def stream_of(tmp_path):
    folder = write_run(tmp_path / "run_001")
    stream = EventStream(folder)

    def say(notice, step, epoch):
        stream.emit(notice, step, epoch)

    return stream, Run(folder), say


def test_a_sink_that_hangs_holds_up_nobody_for_long_and_is_named(tmp_path):
    stream, run, say = stream_of(tmp_path)
    free, inside = threading.Event(), threading.Event()

    class Hangs:
        name = "mlflow"

        def on_event(self, event):
            inside.set()
            free.wait(60)

    good = Kept()
    sinks = Sinks([Hangs(), good], run, say, stream.flush, lambda: None)
    sinks.start()
    stream.emit(metrics_payload(), 1, 0)
    assert inside.wait(60)
    eventually(lambda: good.events, 60)
    began = time.monotonic()
    sinks.close(patience=1.0)
    assert time.monotonic() - began < 20
    stream.close()
    free.set()
    (said,) = run.events("notice")
    assert "mlflow did not end within 1 s" in said.data.text
    assert "session.run.replay('mlflow')" in said.data.text


def metrics_payload(**values):
    from coflect_widget.events import Metrics

    return Metrics(values=values or {"loss": 1.0})


def test_many_events_and_a_slow_sink_lose_nothing_and_keep_nobody_waiting(tmp_path):
    stream, run, say = stream_of(tmp_path)

    class Slow(Kept):
        def on_event(self, event):
            super().on_event(event)
            time.sleep(0.0005)

    slow = Slow()
    sinks = Sinks([slow], run, say, stream.flush, lambda: None)
    sinks.start()
    for step in range(2000):
        stream.emit(metrics_payload(loss=step), step, 0)
    assert len(slow.events) < 2000, "emitting did not wait for the sink"
    sinks.close()
    stream.close()
    assert [one.seq for one in slow.events] == list(range(2000))


def test_a_file_that_cannot_be_read_for_a_while_loses_nothing(tmp_path, monkeypatch):
    folder = write_run(tmp_path / "run_001", event(0, "notice", level="info", text="begun"))
    stream, kept, down = EventStream(folder, 1), Kept(), []
    real = Follower.read

    def read(self):
        for one in real(self):
            yield one
            if not down:
                down.append(1)
                raise OSError(116, "Stale file handle")

    monkeypatch.setattr(Follower, "read", read)
    sinks = Sinks([kept], Run(folder), None, stream.flush, lambda: None)
    for step in range(3):
        stream.emit(Notice(level="info", text="on"), step, 0)
    sinks.start()
    eventually(lambda: len(kept.events) == 3, 60)
    sinks.close()
    stream.close()
    assert [one.step for one in kept.events] == [0, 1, 2]
    assert down


def test_a_password_in_an_error_is_not_recorded(tmp_path):
    class Guarded(Kept):
        def open(self, run):
            raise ConnectionError("no answer of postgresql://me:secret@host:5432/runs")

    folder = write_run(tmp_path / "run_001", event(0, "notice", level="info", text="begun"))
    said = []
    sinks = Sinks([Guarded()], Run(folder), lambda one, *_: said.append(one.text), list, list)
    sinks.start()
    sinks.close()
    assert "postgresql://***@host:5432/runs" in said[0]


def test_what_cannot_be_opened_or_closed_is_said(tmp_path):
    stream, run, say = stream_of(tmp_path)

    class Refuses(coflect.sinks.Sink):
        def open(self, run):
            raise SystemExit(3)  # as some clients do

    class Stays(coflect.sinks.Sink):
        def close(self):
            raise OSError("still uploading")

    sinks = Sinks([Refuses(), Stays()], run, say, stream.flush, lambda: None)
    sinks.start()
    eventually(lambda: run.events("notice"), 60)
    sinks.close()
    stream.close()
    first, second = (one.data.text for one in run.events("notice"))
    assert "Refuses met an error" in first
    assert "SystemExit: 3" in first
    assert "Stays could not be closed" in second
    assert "still uploading" in second


RESUMED = [
    metrics(0, 5, "train", loss=3.0),
    metrics(1, 10, "val", loss=2.0),
    metrics(2, 12, "train", loss=9.0),
    event(3, "resumed", 10, validated=8),
    metrics(4, 11, "train", loss=1.0),
    metrics(5, 20, "val", loss=0.5),
]


def test_metrics_that_a_resumed_run_left_behind_are_not_told(tmp_path):
    run = Run(write_run(tmp_path / "run_001", *RESUMED))
    told = run.replay(Whole()).told
    held = [("metrics", e.step, e.split) for e, _ in run.iter_metrics()]
    assert [one for one in told if one[0] == "metrics"] == held
    assert held == [("metrics", 5, "train"), ("metrics", 11, "train"), ("metrics", 20, "val")]
    # Where a session goes on with a run, only what wants the whole run hears of what was before.
    whole, new = Whole(), Kept()
    sinks = Sinks([whole, new], run, None, lambda: None, lambda: None)
    with (run.path / "events.jsonl").open("a") as file:
        file.write(json.dumps(metrics(6, 30, "train", loss=0.1)) + "\n")
    sinks.start()
    sinks.close()
    assert [one.step for one in new.events] == [30]
    assert whole.told[:-1] == [*told[:-1], ("metrics", 30, "train")]


def test_a_line_is_told_once_it_is_whole(tmp_path):
    run = Run(write_run(tmp_path / "run_001", *RESUMED[:2]))
    follower = Follower(run.path)
    assert [one.seq for one in follower.read()] == [0, 1]
    line = json.dumps(RESUMED[2]).encode() + b"\n"
    with (run.path / "events.jsonl").open("ab") as file:
        for part in (line[:20], line[20:], b"no event\n", json.dumps(RESUMED[4]).encode() + b"\n"):
            file.write(part)
            file.flush()
            seen = [one.seq for one in follower.read()]
            assert seen == {20: [], len(line) - 20: [2], 9: []}.get(len(part), [4])
    assert list(follower.read()) == []


def test_a_run_of_the_first_version_is_told(tmp_path):
    from tests.records.test_runs_table import FIRST

    copy = shutil.copytree(FIRST, tmp_path / FIRST.name)
    kept = coflect.open_run(copy).replay(Kept())
    assert kept.events == coflect.open_run(copy).events()


class Terminal(io.StringIO):
    """A stream on which lines can move."""

    def isatty(self):
        return True


def test_progress_moves_on_a_terminal_and_is_lines_elsewhere(tmp_path):
    from tests.records.test_runs_table import FIRST

    run = coflect.open_run(shutil.copytree(FIRST, tmp_path / FIRST.name))
    moving, lines = Terminal(), io.StringIO()
    for out in (moving, lines):
        run.replay(coflect.sinks.Progress(out))
    last = run.events("metrics")[-1].step
    assert "\x1b[?25l" in moving.getvalue(), "the cursor was hidden"
    assert moving.getvalue().rstrip().endswith("\x1b[?25h"), "and is shown again"
    assert f"{last}/{run.events('train_started')[-1].data.total_steps}" in moving.getvalue()
    assert "\x1b" not in lines.getvalue()
    validated = [one for one in run.events("metrics") if one.split == "val"]
    assert validated
    for out in (moving, lines):
        for one in validated:
            loss = one.data.values["loss"]
            assert f"epoch {one.epoch}  loss {loss:.4g}" in out.getvalue()


def test_sinks_that_cannot_be_are_refused_before_there_is_a_run(make_session, tmp_path):
    with pytest.raises(ValueError, match="did you mean 'tensorboard'"):
        make_session(sinks=["tensorbord"])
    with pytest.raises(TypeError, match=r"on_event\(event\)"):
        make_session(sinks=[print])
    with pytest.raises(TypeError, match="make one: it is a class"):
        make_session(sinks=[Kept])
    kept = Kept()
    with pytest.raises(ValueError, match="twice"):
        make_session(sinks=[kept, kept])
    assert not (tmp_path / "runs").exists()


def test_a_client_that_is_missing_is_named_with_its_command(monkeypatch):
    monkeypatch.setattr(coflect.sinks.MLflow, "client", "mlflow_that_is_nowhere")
    with pytest.raises(ImportError, match=r"pip install mlflow; pip install .coflect-widget.sinks"):
        coflect.sinks.MLflow()
