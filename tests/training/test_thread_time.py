"""The tool's own cost on the training thread: what is measured is what was spent."""

import threading
import time

import pytest
from torch import nn

from coflect_widget.session.cost import cost
from coflect_widget.training.thread_time import ThreadTime
from tests.conftest import eventually, tiny_cnn


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now

    def spend(self, seconds):
        self.now += seconds


def test_seconds_go_to_what_the_thread_turned_to():
    clock = Clock()
    spent = ThreadTime(clock)
    clock.spend(7)  # nothing trains yet
    assert spent.percent is None
    for use, seconds in [("training", 2), ("tool", 0.1), ("held", 30), ("training", 2)]:
        spent.turn(use)
        clock.spend(seconds)
    spent.turn("elsewhere")
    clock.spend(50)
    spent.turn("training")
    assert spent.seconds == pytest.approx({"training": 4, "tool": 0.1, "held": 30})
    assert spent.percent == pytest.approx(2.5)


def test_guidance_is_what_guided_steps_took_longer():
    clock = Clock()
    spent = ThreadTime(clock)
    spent.turn("training")
    for i in range(400):
        clock.spend(0.010 if i % 4 else 0.014)  # every fourth step is guided
        spent.steps_done(1, guided=i % 4 == 0)
        spent.turn("training")
    # the first step had nothing to be compared with
    assert spent.guidance == pytest.approx(99 * 0.004)
    assert spent.percent == pytest.approx(100 * 99 * 0.004 / (4 + 4 * 0.1 - 99 * 0.004), rel=0.01)


def test_steps_that_are_told_of_at_once_count_as_if_one_by_one():
    clock = Clock()
    spent = ThreadTime(clock)
    spent.turn("training")
    for i in range(100):
        guided = 3 if i % 2 else 0  # of eight
        clock.spend(8 * 0.010 + guided * 0.004)
        assert spent.steps_done(8, guided=guided > 0) == pytest.approx(0.08 + guided * 0.004)
        spent.turn("training")
    assert spent.guidance == pytest.approx(50 * 3 * 0.004)


def test_speed_is_of_the_newest_steps_and_validation_is_its_own():
    clock = Clock()
    spent = ThreadTime(clock)
    assert spent.speed is None
    for epoch in range(6):  # of 0.3 s, each with a pause and a validation
        spent.turn("training")
        for lot in (1, 14, 15):
            clock.spend(0.010 * lot)
            spent.steps_done(lot, guided=False)
            spent.turn("training")
        assert spent.speed == pytest.approx(100)
        clock.spend(0.2)
        spent.turn("held")
        clock.spend(20)
        spent.turn("training")
        clock.spend(0.1 * epoch)
        spent.epoch_done()
        assert spent.validation == pytest.approx(0.2 + 0.1 * epoch)
    spent.turn("training")
    for _ in range(20):
        clock.spend(0.2)
        spent.steps_done(10, guided=False)
        spent.turn("training")
    assert spent.speed == pytest.approx(50)


def test_steps_told_of_after_a_validation_do_not_count_it():
    clock = Clock()
    spent = ThreadTime(clock)
    spent.turn("training")
    clock.spend(0.1)
    ended = spent.now()
    clock.spend(3)
    assert spent.steps_done(10, guided=False, at=ended) == pytest.approx(0.1)
    spent.epoch_done()
    assert spent.speed == pytest.approx(100)
    assert spent.validation == pytest.approx(3)
    assert spent.seconds["training"] == pytest.approx(3.1)


class Sleepy(nn.Module):
    """A model whose step takes at least 10 ms."""

    def __init__(self):
        super().__init__()
        self.inner = tiny_cnn()

    def forward(self, x):
        if self.training:
            time.sleep(0.01)
        return self.inner(x)


def test_an_injected_delay_is_found_and_a_pause_is_not_counted(make_session, monkeypatch):
    session = make_session(Sleepy(), batch_size=32)
    parts = session._parts
    spent = parts.loop.time
    observe = parts.forecaster.observe

    def slow(step, epoch, *outputs):
        time.sleep(0.005 * len(outputs))
        observe(step, epoch, *outputs)

    monkeypatch.setattr(parts.forecaster, "observe", slow)
    session.train(steps=40)
    eventually(lambda: session.metrics.get("step", 0) or parts.loop.step > 10)
    session.pause()
    eventually(lambda: session.state == "paused")
    before = dict(spent.seconds)
    time.sleep(0.5)
    session.resume()
    assert session.wait(240)
    # forty times 5 ms and a little beside; a machine under load may add to any sleep
    assert 0.2 <= spent.seconds["tool"] < 0.2 + 0.5 * spent.seconds["training"]
    assert spent.seconds["training"] >= 0.4
    assert spent.seconds["held"] - before["held"] >= 0.45
    assert spent.seconds["held"] + spent.seconds["tool"] >= 0.65

    parts.forecaster.flush()
    written = cost(
        parts.loop.time, parts.scheduler.counts, parts.controls, parts.forecaster.dropped
    )
    assert written.percent == pytest.approx(
        100 * spent.seconds["tool"] / spent.seconds["training"], abs=0.01
    )


def test_a_rest_and_a_slow_command_count_as_the_tool(make_session):
    session = make_session(Sleepy(), batch_size=32)
    controls, spent = session._parts.controls, session._parts.loop.time
    session.train(steps=60)
    eventually(lambda: session._parts.loop.step > 5)
    before = spent.seconds["tool"]
    resting = threading.Event()
    with controls.rest(5, resting.set):
        assert resting.wait(20)
        time.sleep(0.3)
    controls.submit(lambda: time.sleep(0.2)).result(20)
    assert session.wait(240)
    assert 0.45 <= spent.seconds["tool"] - before < 2
    session._parts.stream.flush()
    recorded = session.events("cost")[-1].data
    assert recorded.percent is not None
    assert recorded.tool_seconds <= spent.seconds["tool"] + 1e-4  # it is rounded to that
