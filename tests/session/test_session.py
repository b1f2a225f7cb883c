"""A session's training without a browser: real threads, real workers, a real run folder."""

import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import torch
from torch import nn

from tests.conftest import eventually, tiny_cnn
from tests.one_worker import BUSY


def test_train_returns_at_once_and_wait_sees_the_end(make_session, shapes):
    session = make_session(val=shapes, classes=["circle", "square", "triangle", "cross"])
    assert session.state == "idle"
    session.train(epochs=3)
    assert session.state == "training"
    assert session.wait(240)
    assert session.state == "finished"
    assert session.metrics["step"] == 12
    assert session.metrics["epoch"] == 3
    assert 0 <= session.metrics["val_accuracy"] <= 1
    assert session.metrics["loss"] > 0


def test_a_second_train_goes_on_where_the_first_ended(make_session):
    session = make_session()
    session.train(steps=6)
    session.wait(240)
    assert session.metrics["step"] == 6
    session.train(epochs=1)  # the begun epoch to its end
    session.wait(240)
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
    assert (session.run.path / saved.data["path"] / "weights.safetensors").is_file()
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
        session.wait(240)
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
from tests.one_worker import no_workers
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job has it ignored
where = {{"run_dir": {str(tmp_path)!r}, **no_workers()}}
session = coflect.Session(tiny_cnn(), coflect.data.synthetic(n=256), **where)
session.train(steps=10**6)
threading.Timer(1.5, _thread.interrupt_main).start()
try:
    session.wait()
except KeyboardInterrupt:
    print(session.state, session.run.checkpoints.last.reason)
session.close()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "stopped stopped", done.stderr


def test_equal_seeds_log_equal_metrics(make_session):
    def losses(seed):
        session = make_session(config={"seed": seed, "log_every": 2, **BUSY})
        session.train(epochs=3)
        session.wait(240)
        return [(e.step, e.data["values"]["loss"]) for e in session.events("metrics")]

    first = losses(0)
    assert first == losses(0)
    assert first != losses(1)
    assert [step for step, _ in first] == [2, 4, 6, 8, 10, 12]


def test_a_short_training_has_metrics_too(make_session):
    session = make_session()
    session.train(steps=3)
    session.wait(240)
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
    assert session.wait(240)
    assert (session.metrics["step"], session.metrics["epoch"]) == (7, 2)


def test_equal_seeds_are_equal_with_a_data_set_that_draws(make_session, shapes):
    class Drawing:
        def __len__(self):
            return 128

        def __getitem__(self, index):
            noise = 0.1 * torch.randn(3, 32, 32)
            return torch.from_numpy(shapes.images[index]) + noise, int(shapes.labels[index])

    def weights():
        config = {"log_every": 1, "forecast_every": 1, **BUSY}
        session = make_session(data=Drawing(), config=config)
        session.train(epochs=6)
        assert session.wait(240)
        session.close()  # an open session reads on, and would draw while the next model is made
        return torch.cat([p.detach().flatten() for p in session._backend.model.parameters()])

    assert torch.equal(weights(), weights())


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
    session.wait(240)
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
