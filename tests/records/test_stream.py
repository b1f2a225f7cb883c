"""The run's stream: order, durability, torn ends, full disks."""

import json
import os
import resource
import signal
import subprocess
import sys
import textwrap
import threading
import time

import pytest

from coflect_widget import events
from coflect_widget.config import Config
from coflect_widget.native import kernels
from coflect_widget.records.folder import make_run_folder, write_facts
from coflect_widget.records.run import Run
from coflect_widget.records.scalars import ScalarsFile
from coflect_widget.records.stream import EventStream


@pytest.fixture
def folder(tmp_path):
    return make_run_folder(tmp_path)


def test_events_of_many_threads_come_out_numbered_without_gaps(folder):
    stream = EventStream(folder)

    def emit():
        for step in range(200):
            stream.emit(events.Metrics(values={"loss": 1.0}), step, 0, "train")

    threads = [threading.Thread(target=emit) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stream.close()
    assert [event.seq for event in Run(folder).events()] == list(range(1000))


def test_an_intervention_is_synced_before_a_listener_hears_of_it(folder, monkeypatch):
    order = []
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: (order.append("sync"), real(fd))[1])
    stream = EventStream(folder)
    order.clear()  # that of the new file's name
    stream.subscribe(lambda event: order.append(event.type))
    heard = threading.Event()
    stream.emit(
        events.InterventionRecord(id="i1", understood="ignore a corner"),
        7,
        1,
        on_recorded=lambda event, error: (
            order.append(Run(folder).events("intervention")[0].data["id"]),
            heard.set(),
        ),
    )
    assert heard.wait(5)
    stream.close()
    assert order[:3] == ["sync", "intervention", "i1"]


def test_nan_and_infinity_become_null(folder):
    stream = EventStream(folder)
    stream.emit(events.Metrics(values={"loss": float("nan"), "x": float("inf")}), 1, 0, "train")
    stream.close()
    line = (folder / "events.jsonl").read_text().splitlines()[0]
    assert json.loads(line)["data"]["values"] == {"loss": None, "x": None}


def test_text_of_another_encoding_does_not_end_the_record(folder):
    stream = EventStream(folder)
    stream.emit(events.Notice(level="info", text="caf\udce9.png"), 0, 0)
    stream.emit(events.Notice(level="info", text="after"), 0, 0)
    assert stream.flush(5)
    stream.close()
    assert [event.data["text"] for event in Run(folder).events()] == ["caf?.png", "after"]


def test_scalars_header_grows_when_a_metric_appears(folder):
    stream = EventStream(folder)
    stream.emit(events.Metrics(values={"loss": 0.5}), 10, 0, "train")
    stream.flush()
    time.sleep(1.1)  # a flush of the csv of its own
    stream.emit(events.Metrics(values={"loss": 0.25, "guidance_loss": 2.0}), 20, 0, "train")
    stream.emit(events.Metrics(values={"accuracy": 0.75}), 20, 1, "val")
    stream.close()
    columns = Run(folder).scalars()
    assert list(columns) == ["step", "epoch", "split", "loss", "guidance_loss", "accuracy"]
    assert columns["step"].tolist() == [10, 20, 20]
    assert columns["loss"][:2].tolist() == [0.5, 0.25]
    assert columns["split"].tolist() == ["train", "train", "val"]
    assert columns["accuracy"][2] == 0.75


def test_a_torn_last_line_is_cut_and_every_whole_record_survives(folder):
    stream = EventStream(folder)
    for step in range(5):
        stream.emit(events.Notice(level="info", text=f"n{step}"), step, 0)
    stream.close()
    with (folder / "events.jsonl").open("ab") as file:
        file.write(b'{"schema_version":1,"seq":5,"ts":"2026-')
    run = Run(folder)
    assert len(run.events()) == 5
    assert run.repair() == 39
    assert (folder / "events.jsonl").read_bytes().endswith(b"}\n")
    assert [event.data["text"] for event in run.events()] == [f"n{i}" for i in range(5)]


def test_a_run_that_is_being_written_is_not_repaired(folder):
    stream = EventStream(folder)
    stream.emit(events.Notice(level="info", text="a"), 0, 0)
    stream.flush()
    with (folder / "events.jsonl").open("ab") as file:
        file.write(b'{"half')
    assert Run(folder).repair() == 0
    stream.close()


def test_a_killed_process_leaves_a_run_that_opens(tmp_path):
    code = textwrap.dedent(f"""
        from pathlib import Path
        from coflect_widget import events
        from coflect_widget.records.folder import make_run_folder
        from coflect_widget.records.stream import EventStream
        folder = make_run_folder(Path({str(tmp_path)!r}))
        stream = EventStream(folder)
        step = 0
        while True:
            step += 1
            stream.emit(events.Metrics(values={{"loss": 1 / step}}), step, 0, "train")
            if step == 50:
                stream.flush()
                print("going", flush=True)
    """)
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "going\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    run = Run(next(tmp_path.iterdir()))
    run.repair()
    recorded = run.events()
    assert len(recorded) >= 50
    assert run.damaged == 0
    assert [event.seq for event in recorded] == list(range(len(recorded)))


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on file sizes")
def test_a_full_disk_is_said_aloud_and_nothing_is_lost_when_there_is_room_again(tmp_path):
    # In a process of its own: the limit on file sizes stands for the full disk.
    code = textwrap.dedent(f"""
        import resource, signal, time
        from pathlib import Path
        from coflect_widget import events
        from coflect_widget.records.folder import make_run_folder
        from coflect_widget.records.stream import EventStream
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        folder = make_run_folder(Path({str(tmp_path)!r}))
        stream = EventStream(folder)
        heard, answers = [], []
        stream.subscribe(heard.append)
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1500, hard))
        for step in range(20):
            stream.emit(events.Notice(level="info", text="x" * 50), step, 0)
            stream.flush()
        stream.emit(events.InterventionRecord(id="i1"), 20, 0,
                    on_recorded=lambda event, error: answers.append(error))
        stream.flush()
        assert answers[0] is not None, "the person was told that it is on disk"
        assert any(e.type == "notice" and e.data.level == "error" for e in heard), "no notice"
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        stream.close()
        print(folder)
    """)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    run = Run(done.stdout.strip())
    seqs = [event.seq for event in run.events()]
    assert seqs == list(range(len(seqs)))
    assert run.events("intervention")[0].data["id"] == "i1"
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 1500


def test_two_sessions_at_once_get_folders_of_their_own(tmp_path):
    made = []
    threads = [
        threading.Thread(target=lambda: made.append(make_run_folder(tmp_path))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({path.name for path in made}) == 8


def test_config_yaml_has_every_default(folder):
    EventStream(folder).close()
    write_facts(folder, Config.from_mapping({"seed": 5}), {"num_train": 3})
    config = Run(folder).config
    assert config["seed"] == 5
    assert config["config"]["forecast"]["gates"]["warmup_epochs"] == 5
    assert config["data"] == {"num_train": 3}
    assert config["versions"]["numpy"]
    assert config["versions"]["kernels"] == kernels().used
    assert Run(folder).meta["run_id"] == folder.name


def test_a_folder_that_is_no_run_says_so(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no events\.jsonl"):
        Run(tmp_path)


def test_a_run_folder_that_cannot_be_made_says_what_to_do(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="run_dir="):
        make_run_folder(tmp_path / "file" / "runs")


def test_a_row_that_finds_no_room_leaves_no_half_line(folder):
    scalars = ScalarsFile(folder / "scalars.csv")
    scalars.add(1, 0, "train", {"loss": 0.5})
    scalars.flush()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    size = (folder / "scalars.csv").stat().st_size
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 5, hard))
        scalars.add(2, 0, "train", {"loss": 0.25})
        with pytest.raises(OSError, match="too large"):
            scalars.flush()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, ignored)
    scalars.flush()
    lines = (folder / "scalars.csv").read_text(encoding="utf-8").splitlines()
    assert lines == ["step,epoch,split,loss", "1,0,train,0.5", "2,0,train,0.25"]


def test_flush_writes_the_spreadsheet_too(folder):
    stream = EventStream(folder)
    for step in (1, 2, 3):
        stream.emit(events.Metrics(values={"loss": 1 / step}), step, 0, "train")
        stream.flush()
        assert Run(folder).scalars()["step"].tolist() == list(range(1, step + 1))
    stream.close()
    assert stream.flush(0)


def test_a_stream_that_goes_on_from_a_number_is_flushed_at_once(tmp_path):
    stream = EventStream(tmp_path, 40)
    stream.emit(events.Notice(level="info", text="here"), 1, 1)
    assert stream.flush(10)
    stream.close()
