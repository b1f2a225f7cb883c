"""The whole of a session without a browser: real threads, real workers, a real run folder."""

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
from tests.conftest import eventually, tiny_cnn

# --- training ----------------------------------------------------------------------------------


def test_train_returns_at_once_and_wait_sees_the_end(make_session, shapes):
    session = make_session(val=shapes, classes=["circle", "square", "triangle", "cross"])
    assert session.state == "idle"
    session.train(epochs=3)
    assert session.state == "training"
    assert session.wait(60)
    assert session.state == "finished"
    assert session.metrics["step"] == 12
    assert session.metrics["epoch"] == 3
    assert 0 <= session.metrics["val_accuracy"] <= 1
    assert session.metrics["loss"] > 0


def test_a_second_train_goes_on_where_the_first_ended(make_session):
    session = make_session()
    session.train(steps=6)
    session.wait(60)
    assert session.metrics["step"] == 6
    session.train(epochs=1)  # the begun epoch to its end
    session.wait(60)
    assert (session.metrics["step"], session.metrics["epoch"]) == (8, 2)
    assert [e.data["total_steps"] for e in session.events("train_started")] == [6, 8]


def test_a_begun_epoch_says_so_when_it_goes_on(make_session):
    session = make_session()
    for steps in (5, 4):
        session.train(steps=steps)
        assert session.wait()
    each = session.events("train_started")[0].data.steps_per_epoch
    assert [e.data.begun for e in session.events("train_started")] == [0, 5 % each]


def test_pause_holds_resume_goes_on_and_stop_leaves_a_checkpoint(make_session):
    session = make_session()
    session.train(steps=100_000)
    eventually(lambda: session.metrics["step"] > 3)
    session.pause()
    assert session.state == "paused"
    held = session.metrics["step"]
    time.sleep(0.3)
    assert session.metrics["step"] == held
    session.resume()
    eventually(lambda: session.metrics["step"] > held)
    session.stop()
    assert session.state == "stopped"
    saved = session.events("checkpoint")[-1]
    assert (session.run.path / saved.data["path"]).is_file()
    assert session.wait(1)


def test_an_exception_is_recorded_and_raised_by_wait(make_session):
    calls = []

    def loss(logits, targets):
        calls.append(1)
        if len(calls) == 5:
            raise RuntimeError("the disk of the data is gone")
        return nn.functional.cross_entropy(logits, targets)

    session = make_session(loss=loss)
    session.train(epochs=10)
    with pytest.raises(RuntimeError, match="disk of the data"):
        session.wait(60)
    assert session.state == "failed"
    failure = session.events("failure")[-1].data
    assert failure["error"] == "RuntimeError: the disk of the data is gone"
    assert "in loss" in failure["traceback"]


def test_a_nan_loss_pauses_with_a_notice_and_spoils_no_weight(make_session):
    poison = threading.Event()

    def loss(logits, targets):
        value = nn.functional.cross_entropy(logits, targets)
        return value * float("nan") if poison.is_set() else value

    session = make_session(loss=loss)
    session.train(steps=100_000)
    eventually(lambda: session.metrics["step"] > 2)
    poison.set()
    eventually(lambda: session.state == "paused")
    assert "not finite" in "".join(e.data["text"] for e in session.events("notice")) or any(
        "nan" in e.data["text"] for e in session.events("notice")
    )
    weights = torch.cat([p.detach().flatten() for p in session._backend.model.parameters()])
    assert torch.isfinite(weights).all()
    poison.clear()
    before = session.metrics["step"]
    session.resume()
    eventually(lambda: session.metrics["step"] > before)


def test_interrupt_while_waiting_stops_cleanly(tmp_path):
    code = f"""
import _thread, signal, threading, coflect_widget as coflect
from tests.conftest import tiny_cnn
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job has it ignored
session = coflect.Session(tiny_cnn(), coflect.data.synthetic(n=256), run_dir={str(tmp_path)!r})
session.train(steps=10**6)
threading.Timer(1.5, _thread.interrupt_main).start()
try:
    session.wait()
except KeyboardInterrupt:
    print(session.state, len(session.events("checkpoint")))
session.close()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "stopped 1", done.stderr


def test_equal_seeds_log_equal_metrics(make_session):
    def losses(seed):
        session = make_session(config={"seed": seed, "log_every": 2})
        session.train(epochs=3)
        session.wait(60)
        return [(e.step, e.data["values"]["loss"]) for e in session.events("metrics")]

    first = losses(0)
    assert first == losses(0)
    assert first != losses(1)
    assert [step for step, _ in first] == [2, 4, 6, 8, 10, 12]


def test_a_short_training_has_metrics_too(make_session):
    session = make_session()
    session.train(steps=3)
    session.wait(60)
    assert [e.step for e in session.events("metrics")] == [3]


def test_an_epoch_number_never_comes_before_its_validation(make_session, shapes):
    session = make_session(val=shapes)
    session.train(epochs=4)
    while not session.wait(0.001):
        metrics = session.metrics
        assert metrics["epoch"] == 0 or "val_accuracy" in metrics
    assert session.metrics["epoch"] == 4


def test_explaining_in_a_long_validation_does_not_wait_for_its_end(make_session, shapes):
    model = tiny_cnn()
    slow = lambda module, inputs: None if module.training else time.sleep(0.5)  # noqa: E731
    model[0].register_forward_pre_hook(slow)
    big = (np.repeat(shapes.images, 10, axis=0), np.repeat(shapes.labels, 10))
    session = make_session(model=model, val=big)
    session.explain(0)  # the worker is up: what follows measures the wait for a snapshot alone
    session.train(epochs=1)
    eventually(lambda: session.metrics["step"] == 4)
    assert session.explain(0).model_step == 4
    assert session.state == "training", "the validation was over already"


def test_a_skipped_batch_does_not_lengthen_the_epochs(make_session):
    calls = []

    def loss(logits, targets):
        calls.append(1)
        value = nn.functional.cross_entropy(logits, targets)
        return value * float("nan") if len(calls) == 2 else value

    session = make_session(loss=loss)
    session.train(epochs=2)
    eventually(lambda: session.state == "paused")
    session.resume()
    assert session.wait(60)
    assert (session.metrics["step"], session.metrics["epoch"]) == (7, 2)


def test_equal_seeds_are_equal_with_a_data_set_that_draws(make_session, shapes):
    class Drawing:
        def __len__(self):
            return 128

        def __getitem__(self, index):
            noise = 0.1 * torch.randn(3, 32, 32)
            return torch.from_numpy(shapes.images[index]) + noise, int(shapes.labels[index])

    def weights():
        config = {"xai_every": 2, "log_every": 1, "forecast_every": 1}
        session = make_session(data=Drawing(), config=config)
        session.train(epochs=6)
        assert session.wait(60)
        session.close()  # an open session reads on, and would draw while the next model is made
        return torch.cat([p.detach().flatten() for p in session._backend.model.parameters()])

    assert torch.equal(weights(), weights())


# --- forecast ----------------------------------------------------------------------------------


def test_every_sample_is_seen_and_wrong_labels_are_suspected_and_queued(make_session):
    rng = np.random.default_rng(0)
    labels = np.arange(200) % 3
    images = rng.normal(0, 0.1, (200, 3, 16, 16)).astype(np.float32)
    images[np.arange(200), labels] += 0.5  # the colour is the class
    flipped = [3, 40, 77, 100, 150]
    labels[flipped] = (labels[flipped] + 1) % 3
    session = make_session(
        model=tiny_cnn(3),
        data=(images, labels),
        batch_size=20,
        optimizer=lambda parameters: torch.optim.AdamW(parameters, lr=5e-3),
        config={"forecast_every": 4},
    )
    session.train(epochs=12)
    session.wait(120)
    queue = session.candidates
    assert 5 <= len(queue) <= 10  # all others are learned: few of them are at risk, or none
    assert [c.risk for c in queue] == sorted((c.risk for c in queue), reverse=True)
    assert set(flipped) == {s.index for s in session.suspects}
    assert set(flipped) == {c.index for c in queue if c.doubtful}
    assert set(flipped) <= {c.index for c in session.wrong_now}
    assert queue[0].thumbnail.startswith(b"\x89PNG")
    assert session._parts.forecaster.store.seen.all()
    assert len(session.events("forecast_scored")) > 5
    gates = session.events("window")[-1].data["gates"]
    assert gates[0].name == "warm-up"
    assert all(gate.sentence for gate in gates)


# --- attribution -------------------------------------------------------------------------------


def test_explain_before_during_and_after_training(make_session):
    session = make_session(classes=["a", "b", "c", "d"])
    first = session.explain(7)
    assert first.model_step == 0
    session.train(steps=100_000)
    eventually(lambda: session.metrics["step"] > 5)
    during = session.explain(np.int64(7))
    assert during.model_step > 0
    session.stop()
    after = session.explain(7)
    assert after.model_step == session.metrics["step"]
    for explanation in (first, during, after):
        assert explanation.map.shape == (32, 32)
        assert explanation.map.dtype == np.float32
        assert 0 <= explanation.map.min() <= explanation.map.max() <= 1
        assert sum(explanation.modality_focus.values()) == pytest.approx(1)
    overlays = session.events("overlay")
    assert {7} <= {e.data["index"] for e in overlays}
    assert (session.run.path / overlays[0].data["picture"]).is_file()


def test_explaining_gives_the_models_own_probabilities(make_session, shapes):
    session = make_session()
    session.train(epochs=1)
    session.wait(60)
    explanation = session.explain(11)
    model = session._backend.model.eval()
    with torch.no_grad():
        probabilities = model(torch.from_numpy(shapes.images[11:12])).softmax(1)[0].numpy()
    assert explanation.predicted == probabilities.argmax()
    assert explanation.top_probs[0] == pytest.approx(probabilities.max(), abs=1e-5)


def test_explaining_changes_nothing_in_the_kernel(make_session):
    session = make_session()
    model = session._backend.model
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    random = torch.random.get_rng_state()
    session.explain(0)
    assert all(torch.equal(state[name], tensor) for name, tensor in model.state_dict().items())
    assert modes == [module.training for module in model.modules()]
    assert torch.equal(random, torch.random.get_rng_state())
    assert all(p.grad is None for p in model.parameters())
    assert not any(module._forward_hooks for module in model.modules())


def test_a_model_that_cannot_be_sent_trains_without_overlays(make_session):
    model = tiny_cnn()
    model.lock = threading.Lock()  # no process can be sent this
    session = make_session(model=model)
    session.train(epochs=1)
    assert session.wait(60)
    assert "overlays do not" in session.events("notice")[0].data["text"]
    with pytest.raises(RuntimeError, match="cannot be sent"):
        session.explain(0)


# --- guidance ----------------------------------------------------------------------------------


def test_feedback_changes_the_loss_and_undo_takes_it_back(make_session):
    session = make_session(config={"log_every": 1})
    session.train(steps=100_000)
    eventually(lambda: session.metrics["step"] > 3)
    session.pause()
    entry = session.feedback(sample=5, ignore=(0.0, 0.0, 0.3, 0.3), strength=0.8)
    assert entry.step == session.metrics["step"]
    record = session.events("intervention")[0]
    assert record.step == entry.step
    assert record.data["strokes"][0].kind == "ignore"
    assert "sample 5" in record.data["understood"]
    assert record.data["loss"]
    session.resume()
    eventually(lambda: session.metrics.get("guidance_loss"))
    session.pause()
    session.undo(entry)
    undone_at = session.metrics["step"]
    assert session.interventions[0].undone
    session.resume()
    eventually(lambda: session.metrics["step"] > undone_at + 3)
    session.stop()
    guided = [e.step for e in session.events("metrics") if "guidance_loss" in e.data["values"]]
    assert entry.step < min(guided)
    assert max(guided) <= undone_at


def test_guided_and_unguided_runs_end_in_different_weights(make_session):
    def weights(guide):
        session = make_session()
        if guide:
            session.feedback(sample=5, ignore=[(0, 0, 0.4, 0.4), (0.6, 0.6, 1, 1)])
        session.train(epochs=2)
        session.wait(60)
        return torch.cat([p.detach().flatten() for p in session._backend.model.parameters()])

    plain = weights(guide=False)
    assert torch.equal(plain, weights(guide=False))
    assert not torch.equal(plain, weights(guide=True))


def test_an_instruction_is_echoed_and_anything_else_changes_nothing(make_session):
    session = make_session()
    entry = session.feedback(instruction="increase focus by 10%")
    assert "0.30 -> 0.40" in entry.understood
    with pytest.raises(ValueError, match="increase focus"):
        session.feedback(instruction="make it better")
    assert len(session.interventions) == 1
    assert len(session.events("intervention")) == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"sample": 256, "look": (0, 0, 1, 0.5)}, "indices go from 0 to 255"),
        ({"sample": 1, "look": (0, 0, 1.2, 1)}, "look"),
        ({"sample": 1, "ignore": (0.5, 0.5, 0.5, 0.9)}, "ignore"),
        ({"sample": 1, "look": (0, 0, 1, 0.5), "strength": 2}, "strength=2"),
        ({}, "feedback is empty"),
    ],
)
def test_bad_feedback_is_refused_and_leaves_no_trace(make_session, arguments, words):
    session = make_session()
    with pytest.raises(ValueError, match=words):
        session.feedback(**arguments)
    assert session.interventions == []
    assert session.events("intervention") == []


def test_a_failed_undo_changes_nothing(make_session, monkeypatch):
    session = make_session()
    entry = session.feedback(sample=5, ignore=(0, 0, 0.3, 0.3))

    def broken(state):
        raise OSError("the disk of the data is gone")

    with monkeypatch.context() as patch:
        patch.setattr(session._backend, "set_guidance", broken)
        with pytest.raises(OSError, match="disk of the data"):
            session.undo(entry)
    assert not session.interventions[0].undone
    session.undo(entry)
    assert session.interventions[0].undone


# --- bad input, before any thread starts ---------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"clases": ["a", "b"]}, TypeError, "did you mean 'classes'"),
        ({"config": {"xai_evry": 5}}, ValueError, "did you mean 'xai_every'"),
        ({"classes": ["a", "b"]}, ValueError, "4 outputs but classes= names 2"),
        ({"classes": "abcd"}, TypeError, "list of names"),
        ({"classes": 4}, TypeError, "list of names"),
        ({"config": {"display": {"mean": [0.5, 0.5]}}}, ValueError, "3 channels"),
        ({"config": {"attribution": {"layer": "stem.cnv"}}}, ValueError, "stem.cnv"),
        ({"classes": ["a", "a", "b", "c"]}, ValueError, "all different"),
        ({"batch_size": 0}, ValueError, "batch_size=0"),
        ({"backend": "tensorflo"}, ValueError, "tensorflo"),
    ],
)
def test_a_bad_argument_is_named_and_nothing_is_left_behind(
    shapes, tmp_path, arguments, error, words
):
    threads = threading.active_count()
    with pytest.raises(error, match=words):
        coflect.Session(tiny_cnn(), shapes, run_dir=tmp_path / "runs", **arguments)
    assert threading.active_count() == threads
    assert not (tmp_path / "runs").exists()


def test_a_model_of_no_framework_is_refused(shapes, tmp_path):
    with pytest.raises(ValueError, match=r"torch\.nn\.Module"):
        coflect.Session(lambda x: x, shapes, run_dir=tmp_path)


def test_a_missing_framework_gives_the_pip_command(tmp_path):
    code = f"""
import sys
sys.modules["torch"] = None  # as if it were not installed
import coflect_widget as coflect, numpy as np
try:
    coflect.Session(object(), (np.zeros((1, 3, 8, 8)), np.zeros(1, int)), backend="torch",
                    run_dir={str(tmp_path)!r})
except ImportError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert "pip install 'coflect-widget[torch]'" in done.stdout, done.stderr


def test_importing_the_package_imports_no_framework():
    code = "import sys, coflect_widget; print({'torch', 'tensorflow', 'captum'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "set()", done.stderr


@pytest.mark.parametrize(
    "arguments", [{}, {"epochs": 1, "steps": 1}, {"epochs": 0}, {"epochs": 1.5}, {"epochs": True}]
)
def test_train_says_what_it_needs(make_session, arguments):
    with pytest.raises(ValueError, match="epochs"):
        make_session().train(**arguments)


def test_training_twice_at_once_is_refused(make_session):
    session = make_session()
    session.train(steps=100_000)
    with pytest.raises(RuntimeError, match="already running"):
        session.train(epochs=1)


def test_no_such_sample(make_session):
    session = make_session()
    with pytest.raises(IndexError, match="indices go from 0 to 255"):
        session.explain(256)
    with pytest.raises(TypeError, match="whole number"):
        session.explain("7")
    with pytest.raises(TypeError, match="must be text"):
        session.feedback(instruction=5)
    assert session.feedback(sample=np.int32(3), look=(0, 0, 0.5, 0.5), strength=np.float32(0.5))


# --- life --------------------------------------------------------------------------------------


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
    session = make_session()
    session.train(steps=100_000)
    session.explain(0)
    children = psutil.Process().children(recursive=True)
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
    assert not multiprocessing.active_children()


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
    assert len(run.events("checkpoint")) == 1


def test_a_run_opens_again_with_all_it_had(make_session, shapes):
    with make_session(val=shapes, classes=["circle", "square", "triangle", "cross"]) as session:
        session.train(epochs=2)
        session.wait(60)
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
    assert session.wait(60)
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
