"""What is logged under coflect: events of a run, and JSON lines; training never waits for it."""

import io
import json
import logging
import os
import threading

import pytest

import coflect_widget as coflect
from coflect_widget.events import Metrics
from coflect_widget.records.logs import _INTO_RUNS, MOST, RunLog
from coflect_widget.records.run import Run
from coflect_widget.records.sinks.feed import Sinks
from coflect_widget.records.stream import EventStream
from tests.conftest import eventually
from tests.records.test_runs_table import write_run


@pytest.fixture(autouse=True)
def as_before():
    """Logging as it was."""
    logger = logging.getLogger("coflect")
    level, handlers = logger.level, logger.handlers[:]
    yield
    logger.setLevel(level)
    for handler in logger.handlers[:]:
        if handler not in handlers:
            logger.removeHandler(handler)
            handler.close()


@pytest.fixture
def log(tmp_path):
    """A run's log and stream, at step 7 of epoch 2."""
    folder = write_run(tmp_path / "run_001")
    stream = EventStream(folder)
    made = RunLog("run_001", lambda data: stream.emit(data, 7, 2), lambda: (7, 2))
    made.stream, made.run = stream, Run(folder)
    made.open()
    yield made
    made.close()
    stream.close()


def texts(log):
    log.stream.flush()
    return [(e.step, e.epoch, e.data.level, e.data.text) for e in log.run.events("log")]


def test_records_are_events_with_the_level_that_the_logger_has(log):
    logger = logging.getLogger("coflect.mine")
    logger.info("kept back: the level is that of the root, as ever")
    logger.warning("seen at %d", 3)
    logging.getLogger("coflect").setLevel("DEBUG")
    logger.debug("now this")
    logging.getLogger("other").error("not ours")
    try:
        raise ValueError("why")
    except ValueError:
        log.logger.exception("it failed")
    log.close()
    logger.error("after the run")
    first, second, third = texts(log)
    assert first == (7, 2, "warning", "seen at 3")
    assert second == (7, 2, "debug", "now this")
    assert third[2] == "error"
    assert third[3].startswith("it failed\nTraceback")
    assert [e.data.logger for e in log.run.events("log")] == ["coflect.mine"] * 2 + ["coflect.run"]


def test_a_record_goes_to_the_run_it_names_else_to_the_newest(log, tmp_path):
    kept = []
    newer = RunLog("run_002", kept.append, lambda: (1, 0))
    newer.open()
    try:
        logging.getLogger("coflect").warning("whose?")
        log.logger.warning("the first one's")
        logging.getLogger("coflect").warning("nobody's", extra={"run_id": "run_000"})
    finally:
        newer.close()
    assert [one.text for one in kept] == ["whose?"]
    assert [text for *_, text in texts(log)] == ["the first one's"]


def test_a_sink_that_logs_what_it_is_told_is_not_told_what_it_logs(log):
    told = []

    class Chatty:
        def on_event(self, event):
            told.append(event)
            logging.getLogger("coflect.chatty").warning("told of %s", event.type)

    log.stream.subscribe(lambda event: logging.getLogger("coflect").error("heard"))
    sinks = Sinks([Chatty()], log.run, None, log.stream.flush, lambda: None)
    sinks.start()
    logging.getLogger("coflect").warning("once")
    eventually(lambda: told, 60)
    log.stream.emit(Metrics(values={"loss": 1.0}), 8, 2)
    eventually(lambda: len(told) == 2, 60)
    sinks.close()
    assert [one.type for one in told] == ["log", "metrics"]
    assert [text for *_, text in texts(log)] == ["once"]


def test_a_flood_is_cut_and_says_so(log, monkeypatch):
    now = [100.0]
    monkeypatch.setattr("coflect_widget.records.logs.time.monotonic", lambda: now[0])
    for k in range(MOST + 50):
        log.logger.warning("%d", k)
    now[0] += 1
    log.logger.warning("x" * 20_000)
    monkeypatch.undo()
    log.stream.flush()
    found = log.run.events("log")
    assert len(found) == MOST + 1
    assert found[-1].data.left_out == 50
    assert len(found[-1].data.text) < 10_010


def test_logging_does_not_wait_for_a_disk_that_does(log, monkeypatch):
    stuck = threading.Event()
    monkeypatch.setattr(log.stream._journal, "append", lambda *_, **__: stuck.wait(60))
    done = threading.Event()

    def train():
        for k in range(100):
            log.logger.warning("%d", k)
        done.set()

    threading.Thread(target=train, daemon=True).start()
    assert done.wait(30), "a hundred records were logged while the disk takes none"
    stuck.set()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="a system without fork")
def test_a_forked_process_writes_no_run(log):
    child = os.fork()
    if child == 0:
        logging.getLogger("coflect").warning("from a process that loads data")
        os._exit(0 if log.stream.next_seq == 0 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    logging.getLogger("coflect").warning("from the training")
    assert [text for *_, text in texts(log)] == ["from the training"]


def test_json_lines_have_run_and_step(log, tmp_path):
    out = io.StringIO()
    coflect.log_json(out)
    logging.getLogger("coflect.mine").info("naïve\nof %s", "two lines")
    logging.getLogger("coflect.mine").debug("below")
    log.logger.error("at", extra={"step": 5})
    log.close()
    logging.getLogger("coflect").warning("no run")
    first, second, third = map(json.loads, out.getvalue().splitlines())
    assert first["message"] == "naïve\nof two lines"
    assert {k: first[k] for k in ("level", "logger", "run_id", "step", "epoch")} == {
        "level": "INFO", "logger": "coflect.mine", "run_id": "run_001", "step": 7, "epoch": 2,
    }  # fmt: skip
    assert first["time"].endswith("+00:00")
    assert (second["run_id"], second["step"]) == ("run_001", 5)
    assert (third["run_id"], third["step"]) == (None, None)


def test_json_lines_of_a_file_are_written_once(tmp_path):
    file = tmp_path / "log.jsonl"
    coflect.log_json(file)
    coflect.log_json(file, level="debug")
    logging.getLogger("coflect").debug("once")
    assert [json.loads(line)["message"] for line in file.read_text().splitlines()] == ["once"]
    with pytest.raises(ValueError, match="level='loud' is no level"):
        coflect.log_json(file, level="loud")
    with pytest.raises(FileNotFoundError):
        coflect.log_json(tmp_path / "nowhere" / "log.jsonl")


def test_what_no_handler_takes_is_still_on_standard_error(log, capsys, monkeypatch):
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    logging.getLogger("coflect.mine").warning("seen")
    assert "seen" in capsys.readouterr().err
    out = io.StringIO()
    coflect.log_json(out)
    logging.getLogger("coflect.mine").warning("elsewhere")
    assert "elsewhere" not in capsys.readouterr().err
    assert _INTO_RUNS in logging.getLogger("coflect").handlers


def test_a_session_logs_into_its_run(make_session):
    seen = []

    class Handler(logging.Handler):
        def emit(self, record):
            if record.name == "coflect.run":
                seen.append((record.levelname, record.run_id, record.getMessage()))

    handler = Handler()
    logging.getLogger("coflect").addHandler(handler)
    logging.getLogger("coflect").setLevel("INFO")
    session = make_session(sinks=["logging"])
    session.train(steps=3)
    assert session.wait(300)
    session.logger.info("the learning rate was too high")
    session.close()
    (recorded,) = [e for e in session.events("log") if e.data.logger == "coflect.run"]
    assert (recorded.step, recorded.data.text) == (3, "the learning rate was too high")
    told = {(level, text) for level, run_id, text in seen if run_id == session.run.id}
    assert ("INFO", "finished at step 3") in told
    assert ("INFO", "the learning rate was too high") in told
    assert not any(level == "DEBUG" for level, _ in told)
