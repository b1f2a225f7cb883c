"""Two processes under torchrun train one model, and are steered from a third."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

import coflect_widget as coflect
from tests.conftest import eventually

HERE = Path(__file__).parents[2]
SCRIPT = Path(__file__).parent / "train.py"
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(HERE)}
ROI = (0, 0, 0.3, 0.3)


TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")


@contextmanager
def started(folder, *arguments, launcher=TORCHRUN, script=SCRIPT):
    """The script in two processes; ends them, whatever happened."""
    place = (str(folder),) if script is SCRIPT else ()
    with (folder / "said").open("w") as said:
        process = subprocess.Popen(
            [sys.executable, *launcher, str(script), *place, *arguments],
            stdout=said, stderr=said, env=ENVIRONMENT, cwd=HERE, start_new_session=True,
        )  # fmt: skip
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                for file in folder.glob("pid*"):  # torchrun puts each into a group of its own
                    with suppress(ProcessLookupError):
                        os.kill(int(file.read_text()), signal.SIGKILL)
            process.wait()


def served(folder, process):
    def run():
        assert process.poll() is None, (folder / "said").read_text()
        return next(iter(folder.glob("runs/*/connection.json")), None)

    return eventually(run, 240, "a served run").parent


def ended(folder, process):
    """What each rank has said, once both have ended."""
    process.wait(240)
    files = [folder / f"rank{rank}.json" for rank in range(2)]
    assert all(file.exists() for file in files), (folder / "said").read_text()
    return [json.loads(file.read_text()) for file in files]


def only_run(folder):
    (path,) = (folder / "runs").iterdir()
    return coflect.open_run(path)


def steps_of(said, kind):
    return [(name, step) for found, step, name in said["acts"] if found == kind]


def steered(folder, how, **launched):
    """Steer such a training to its end: both ranks did each thing at the same step."""
    with started(folder, how, **launched) as process:
        run = served(folder, process)
        with coflect.connect(run, by="ada") as session:
            eventually(lambda: session.metrics["step"] > 10, 240)
            session.pause()
            held = session.metrics["step"]
            stroke = session.feedback(sample=3, ignore=ROI)
            knob = session.set(lr=0.01)
            assert (stroke.step, knob.step) == (held, held)
            session.step(3)
            assert session.metrics["step"] == held + 3
            session.judge(5, "wrong", 1)
            session.resume()
            epoch = session.metrics["epoch"]
            eventually(lambda: session.metrics["epoch"] > epoch + 1, 240)
            assert session.undo(stroke).undone
            figures = session.metrics
            assert figures["guidance_loss"] >= 0
            assert 0 <= figures["val_accuracy"] <= 1
            session.stop()
        mine, other = ended(folder, process)
        assert process.returncode == 0, (folder / "said").read_text()
    assert steps_of(mine, "intervention")[:2] == [(stroke.id, held), (knob.id, held)]
    assert steps_of(mine, "judged") == [(None, held + 3)]
    for kind in ("intervention", "undo", "judged", "state"):
        assert steps_of(mine, kind) == steps_of(other, kind), kind
    paused = [step for state, step in steps_of(other, "state") if state == "paused"]
    assert paused == [held, held + 3]
    for same in ("weights", "momentum", "step", "lr"):
        assert mine[same] == other[same], same
    both = 2 * 16 * mine["step"]  # 16 samples a step in each
    assert 0.95 * both < mine["seen"] <= both  # a sample judged anew is seen anew
    assert (mine["finite"], mine["error"], other["error"]) == (True, "", "")
    if how != "transformers":  # whose own schedule sets it at each step
        assert mine["lr"] == 0.01
    return coflect.open_run(run)


def test_two_processes_are_steered_as_one(tmp_path):
    run = steered(tmp_path, "session")
    assert [path.name for path in (tmp_path / "runs").iterdir()] == [run.path.name]
    (begun,) = run.events("train_started")
    assert begun.data.steps_per_epoch == 8  # of 256 samples, 16 in each of two processes
    assert run.checkpoints.last.step == run.events("state")[-1].step
    (state,) = [one.data for one in run.events("notice") if "2 processes" in one.data.text]
    assert state.level == "info"


@pytest.mark.slow
@pytest.mark.parametrize("how", ["own", "accelerate", "lightning", "transformers"])
def test_a_loop_that_is_not_the_sessions_in_two_processes(tmp_path, how):
    steered(tmp_path, how)


@pytest.mark.slow
def test_processes_that_lightning_starts_itself(tmp_path):
    steered(tmp_path, "lightning", launcher=())


@pytest.mark.slow
@pytest.mark.parametrize("how", ["spread", "losses"])
def test_weights_that_no_process_has_all_of(tmp_path, how):
    with started(tmp_path, how) as process:
        run = served(tmp_path, process)
        with coflect.connect(run, by="ada") as session:
            eventually(lambda: session.metrics["step"] > 20 and session.candidates, 240)
            session.pause()
            held = session.metrics["step"]
            assert session.set(lr=0.01).step == held
            for refused in (
                lambda: session.feedback(sample=3, ignore=ROI), lambda: session.explain(3),
                session.checkpoint,
            ):  # fmt: skip
                with pytest.raises(Exception, match=r"spread over processes|has no maps"):
                    refused()
            session.step(3)
            session.resume()
            eventually(lambda: session.metrics["step"] > held + 20, 240)
            session.stop()
        mine, other = ended(tmp_path, process)
        assert process.returncode == 0, (tmp_path / "said").read_text()
    paused = [step for state, step in steps_of(other, "state") if state == "paused"]
    assert paused == [held, held + 3]
    for same in ("weights", "momentum", "step", "lr", "acts"):
        assert mine[same] == other[same], same
    assert (mine["lr"], mine["finite"]) == (0.01, True)
    both = 2 * 16 * mine["step"]
    assert 0.95 * both < mine["seen"] <= both
    assert not list((run / "checkpoints").iterdir())


@pytest.mark.slow
def test_what_one_process_raises_ends_all_and_is_on_record(tmp_path):
    with started(tmp_path, "session", "12") as process:
        assert process.wait(240) != 0
    run = only_run(tmp_path)
    (failure,) = run.events("failure")
    assert failure.step == 12
    assert "rank 1 has failed: OSError" in failure.data.error
    assert "the disk of rank 1 is gone" in failure.data.error
    assert "__getitem__" in failure.data.traceback
    assert run.events("state")[-1].data.state == "failed"
    said = json.loads((tmp_path / "rank1.json").read_text())
    assert said["error"].startswith("OSError")
    assert said["step"] == 12


@pytest.mark.slow
def test_a_loss_that_is_nan_in_one_process_spoils_no_weight(tmp_path):
    with started(tmp_path, "nan", "12") as process:
        assert process.wait(240) != 0
    said = json.loads((tmp_path / "rank0.json").read_text())
    assert said["error"].startswith("NonFiniteLossError")
    assert "the loss is nan" in said["error"]
    assert "in the process of rank 1" in said["error"]
    assert said["finite"]
    assert said["step"] == 12
    run = only_run(tmp_path)
    assert [one.data.state for one in run.events("state")] == ["training", "paused", "stopped"]
    (record,) = run.events("non_finite")
    assert record.data.in_data


@pytest.mark.slow
def test_a_process_that_is_killed_ends_all_in_order(tmp_path):
    with started(tmp_path, "session") as process:
        run = served(tmp_path, process)
        with coflect.connect(run) as session:
            eventually(lambda: session.metrics["step"] > 10, 240)
        os.kill(int((tmp_path / "pid1").read_text()), signal.SIGKILL)
        assert process.wait(240) != 0
    run = only_run(tmp_path)
    (failure,) = run.events("failure")
    assert "another process of this training has failed" in failure.data.error
    assert run.events("state")[-1].data.state == "failed"
    assert run.checkpoints.last.reason == "failed"


@pytest.mark.slow
def test_no_watchdog_ends_a_pause(tmp_path):
    with started(tmp_path, "short") as process:  # collectives of the script may take 20 s
        run = served(tmp_path, process)
        with coflect.connect(run) as session:
            eventually(lambda: session.metrics["step"] > 10, 240)
            session.pause()
            until = time.monotonic() + 25
            eventually(lambda: time.monotonic() > until, 60)
            held = session.metrics["step"]
            session.resume()
            eventually(lambda: session.metrics["step"] > held + 5, 240)
            session.stop()
        mine, other = ended(tmp_path, process)
    assert mine["weights"] == other["weights"]
