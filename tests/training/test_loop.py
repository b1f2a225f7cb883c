"""The loop tells of every step once, in order and soon, though of several at once."""

import threading
import time

import pytest
from torch import nn
from torch.nn.utils import prune

from coflect_widget.attribution.snapshots import Snapshots
from coflect_widget.backends.torch.backend import TorchBackend
from coflect_widget.config import Config
from coflect_widget.data import synthetic
from coflect_widget.training.controls import Controls
from coflect_widget.training.loop import LATE, TOGETHER, TrainingLoop
from tests.conftest import eventually, tiny_cnn


class Notes:
    """An observer that writes everything down."""

    due = float("inf")

    def __init__(self):
        self.steps = []  # (step, epoch, the loop's step at that moment)
        self.told = []

    def observe(self, step, epoch, *outputs):
        for number, output in enumerate(outputs, step - len(outputs) + 1):
            self.steps.append((number, epoch, self.loop.step))
            assert output.loss > 0

    def state_changed(self, state, by):
        self.told.append((state, len(self.steps)))

    def epoch_ended(self, step, epoch, validation):
        self.told.append((f"epoch {epoch}", len(self.steps)))

    def epoch_counted(self, validation):
        self.told.append((f"counted {validation}", len(self.steps)))

    def non_finite(self, step, error):
        raise AssertionError(error)

    def notice(self, level, text):
        self.told.append((level, text))

    def ended(self, state):
        self.told.append((f"ended {state}", len(self.steps)))

    def failed(self, error, text):
        self.told.append(("failed", len(self.steps)))


class Slow(nn.Module):
    """A model whose steps take as long as it is told; it fails once that is None."""

    def __init__(self):
        super().__init__()
        self.inner = tiny_cnn()
        self.seconds = 0.0

    def forward(self, x):
        if self.training:
            time.sleep(self.seconds)
        return self.inner(x)


@pytest.fixture
def made():
    model, notes = Slow(), Notes()
    backend = TorchBackend(
        model, synthetic(n=110), None, num_classes=4, loss=None, optimizer=None, scheduler=None,
        batch_size=4, config=Config(),
    )  # fmt: skip
    snapshots = Snapshots(backend.weight_specs())
    notes.loop = TrainingLoop(backend, Controls(), snapshots, notes)
    yield notes.loop, model, notes
    snapshots.close()


def test_every_step_is_told_of_once_before_its_epoch_ends(made, monkeypatch):
    loop, _, notes = made
    monkeypatch.setattr("coflect_widget.training.loop.TOGETHER", 12)
    loop.start(70)
    assert loop.wait(60)
    per_epoch = loop.backend.steps_per_epoch
    assert per_epoch == 28
    assert [s[:2] for s in notes.steps] == [(i + 1, i // per_epoch) for i in range(70)]
    assert notes.told == [
        ("training", 0), ("epoch 1", 28), ("counted {}", 28), ("epoch 2", 56), ("counted {}", 56),
        ("ended finished", 70), ("finished", 70),
    ]  # fmt: skip
    groups = {at for _, _, at in notes.steps}
    assert len(groups) < 70  # of several at once
    assert max(at - step for step, _, at in notes.steps) == 12 - 1


def test_a_step_that_is_due_is_told_of_before_the_next(made):
    loop, _, notes = made
    notes.due = 41
    loop.start(10**6)
    eventually(lambda: loop.step > 100)

    def ask():
        notes.due = loop.step + 7

    loop.controls.submit(ask).result(30)
    asked = notes.due
    eventually(lambda: loop.step > asked + 20)
    loop.controls.stop()
    assert loop.wait(30)
    told_at = {step: at for step, _, at in notes.steps}
    assert told_at[41] == 41
    assert told_at[asked] == asked


def test_after_a_command_as_many_are_told_of_at_once_as_before(made):
    loop, _, notes = made
    loop.start(10**6)
    eventually(lambda: loop.step > 50)
    asked = loop.controls.submit(lambda: loop.step).result(30)
    eventually(lambda: loop.step > asked + 40)
    loop.controls.stop()
    assert loop.wait(30)
    told_at = {step: at for step, _, at in notes.steps}
    assert told_at[asked] == asked  # what was done before it is told of first
    epoch_end = -(-(asked + 1) // loop.backend.steps_per_epoch) * loop.backend.steps_per_epoch
    assert told_at[asked + 1] == min(asked + TOGETHER, epoch_end)


def test_slow_steps_are_told_of_one_by_one(made):
    loop, model, notes = made
    model.seconds = LATE + 0.05
    loop.start(5)
    assert loop.wait(60)
    assert all(step == at for step, _, at in notes.steps)


def test_a_hold_and_an_end_find_everything_told(made):
    loop, model, notes = made
    loop.start(10**6)
    eventually(lambda: loop.step > 50)
    loop.controls.pause()
    eventually(lambda: loop.state == "paused")
    assert notes.told[-1] == ("paused", loop.step)
    model.seconds = None  # the next step raises
    loop.controls.resume()
    assert loop.wait(30)
    assert loop.state == "failed"
    assert notes.told[-1] == ("failed", loop.step)
    assert [s[0] for s in notes.steps] == list(range(1, loop.step + 1))


def test_a_snapshot_of_a_model_that_was_changed_does_not_end_the_training(made):
    loop, model, notes = made
    prune.l1_unstructured(model.inner[-1], "weight", 0.5)
    loop.start(10**6)
    for _ in range(2):
        loop.snapshots.wanted = True
        eventually(lambda: not loop.snapshots.wanted)
    loop.controls.stop()
    assert loop.wait(30)
    assert loop.state == "stopped"
    told = [text for level, text in notes.told if level == "warning"]
    assert len(told) == 1
    assert "make a new Session" in told[0]


def test_an_observer_that_fails_at_the_end_keeps_nobody_waiting(made, monkeypatch):
    loop, _, notes = made

    def ended(state):
        raise MemoryError("no room for the weights")

    monkeypatch.setattr(notes, "ended", ended)
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    loop.start(3)
    assert loop.wait(20)
    assert loop.state == "finished"
    assert loop.controls.owner is None
    eventually(lambda: not loop.running)
