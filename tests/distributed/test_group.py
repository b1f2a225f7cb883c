"""Trainings of one group hold and end at the same step, whoever asks; one alone pays nothing."""

import threading

import pytest

from coflect_widget.attribution.snapshots import Snapshots
from coflect_widget.backends.torch.backend import TorchBackend
from coflect_widget.config import Config
from coflect_widget.data import synthetic
from coflect_widget.distributed.alone import Alone
from coflect_widget.training.controls import Controls
from coflect_widget.training.loop import TrainingLoop
from tests.conftest import eventually, tiny_cnn


class Place:
    """One of two threads that meet for each question."""

    size = 2

    def __init__(self, rank, meeting, given):
        self.rank, self._meeting, self._given = rank, meeting, given

    def _all(self, value):
        self._given[self.rank] = value
        self._meeting.wait(60)
        given = list(self._given)
        self._meeting.wait(60)
        return given

    def agree(self, wish):
        return any(self._all(wish))

    def broadcast(self, value):
        return self._all(value)[0]

    def gather(self, value):
        given = self._all(value)
        return given if self.rank == 0 else []


class Nobody:
    """An observer that does nothing."""

    due = float("inf")

    def __getattr__(self, name):
        return lambda *_: None


@pytest.fixture
def pair():
    meeting, given, loops = threading.Barrier(2), [None, None], []
    for rank in range(2):
        backend = TorchBackend(
            tiny_cnn(), synthetic(n=110), None, num_classes=4, loss=None, optimizer=None,
            scheduler=None, batch_size=4, config=Config(),
        )  # fmt: skip
        loops.append(
            TrainingLoop(
                backend, Controls(), Snapshots(backend.weight_specs()), Nobody(),
                group=Place(rank, meeting, given),
            )
        )  # fmt: skip
    yield loops
    for loop in loops:
        loop.controls.stop()
    for loop in loops:
        assert loop.wait(60)
        loop.snapshots.close()


def begin(loops):
    starting = [threading.Thread(target=loop.start, args=(10**6,)) for loop in loops]
    for thread in starting:
        thread.start()
    for thread in starting:
        thread.join(60)


@pytest.mark.parametrize("asks", [0, 1])
def test_a_pause_and_a_stop_of_one_are_of_all(pair, asks):
    begin(pair)
    mine = pair[asks]
    eventually(lambda: mine.step > 20)
    mine.controls.pause()
    eventually(lambda: mine.state == "paused")
    held = [loop.step for loop in pair]
    assert held[0] == held[1]
    mine.controls.submit(lambda: None).result(30)
    assert [loop.step for loop in pair] == held
    mine.controls.resume()
    eventually(lambda: min(loop.step for loop in pair) > held[0] + 20)
    mine.controls.stop()
    assert all(loop.wait(60) for loop in pair)
    assert [loop.state for loop in pair] == ["stopped", "stopped"]
    assert pair[0].step == pair[1].step


def test_one_alone_agrees_with_itself_and_is_not_asked_at_each_step(monkeypatch):
    alone = Alone()
    assert [alone.agree(True), alone.agree(False)] == [True, False]
    assert (alone.broadcast("x"), alone.gather("x"), alone.rank, alone.size) == ("x", ["x"], 0, 1)
    backend = TorchBackend(
        tiny_cnn(), synthetic(n=40), None, num_classes=4, loss=None, optimizer=None,
        scheduler=None, batch_size=4, config=Config(),
    )  # fmt: skip
    asked = []
    monkeypatch.setattr(Alone, "agree", lambda _, wish: (asked.append(wish), wish)[1])
    snapshots = Snapshots(backend.weight_specs())
    loop = TrainingLoop(backend, Controls(), snapshots, Nobody())
    loop.start(500)
    assert loop.wait(60)
    snapshots.close()
    assert loop.step == 500
    assert len(asked) < 10
