"""When training rests so that what it tells can be taken in."""

from __future__ import annotations

import threading
import time
from functools import partial
from typing import Self

import numpy as np
import pytest

from coflect_widget.forecast.forecaster import Forecaster
from coflect_widget.training.controls import Controls
from tests.conftest import eventually
from tests.forecast.test_forecaster import (  # noqa: F401 - fixtures
    N,
    backend,
    feed,
    log,
    make,
    output,
)

# ruff: noqa: F811


class Training:
    """A thread that observes an output at each of its boundaries and rests when asked to."""

    def __init__(
        self, controls: Controls, forecaster: Forecaster, *, observes: bool = True
    ) -> None:
        self.controls, self.forecaster, self.observes = controls, forecaster, observes
        self.step = 0
        self.thread = threading.Thread(target=self.run)

    def run(self) -> None:
        self.controls.attach()
        while self.controls.boundary(lambda _held: None):
            self.step += 1
            if self.observes:
                self.forecaster.observe(self.step, 1, output(self.step))
            time.sleep(0.001)
        self.controls.detach()

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.controls.stop()
        self.thread.join(5)
        assert not self.thread.is_alive()


def test_training_rests_while_outputs_are_taken_in(make, backend, monkeypatch):
    controls = Controls()
    forecaster = make(rest=controls.rest)
    moved: list[int] = []
    convert = backend.telemetry_arrays

    def slow(outputs):
        before = training.step
        time.sleep(0.01)
        moved.append(training.step - before)
        return convert(outputs)

    monkeypatch.setattr(backend, "telemetry_arrays", slow)
    with Training(controls, forecaster) as training:
        until = time.monotonic() + 20
        while moved.count(0) < 4:
            assert time.monotonic() < until, moved
            time.sleep(0.01)
        # Nobody rests for long: the training gets on, and may wait for the forecaster itself.
        for _ in range(4):
            assert controls.submit(partial(forecaster.drain, 10)).result(10)
        controls.pause()
        assert forecaster.drain(10)
        controls.resume()
        assert forecaster.drain(10)
        at = training.step
        while training.step < at + 50:
            time.sleep(0.001)
        assert forecaster.close()
    assert controls.rests > 0
    assert forecaster.failures == 0


def test_training_rests_for_a_mark_that_nobody_waits_for_unless_they_are_many(make, monkeypatch):
    monkeypatch.setattr("coflect_widget.forecast.forecaster.MOST_REST", 1.0)
    monkeypatch.setattr("coflect_widget.forecast.forecaster.MARK_SHARE", 1.0)
    controls = Controls()
    forecaster = make(rest=controls.rest)
    moved: list[int] = []

    def slow(training: Training) -> None:
        before = training.step
        time.sleep(0.02)
        moved.append(training.step - before)

    with Training(controls, forecaster, observes=False) as training:
        for count in range(1, 7):
            forecaster.mark(partial(slow, training), rest=True)
            eventually(lambda count=count: len(moved) == count)
            time.sleep(0.1)  # after a rest training goes on for a while
        assert moved.count(0) >= 4, moved
        monkeypatch.setattr("coflect_widget.forecast.forecaster.MARK_SHARE", 1e-6)
        for count in range(7, 13):
            forecaster.mark(partial(slow, training), rest=True)
            eventually(lambda count=count: len(moved) == count)
            time.sleep(0.1)
    assert moved[6:].count(0) <= 1, moved


@pytest.mark.parametrize("busy", [False, True])
def test_bursts_are_rarer_where_training_uses_all_processors(make, backend, monkeypatch, busy):
    monkeypatch.setattr("coflect_widget.forecast.forecaster.LONG_PERIOD", 0.05)
    monkeypatch.setattr("coflect_widget.forecast.forecaster.BUSY_PERIOD", 0.5)
    controls = Controls()
    forecaster = make(rest=controls.rest if busy else None)
    bursts: list[float] = []
    convert = backend.telemetry_arrays

    def counted(outputs):
        bursts.append(time.monotonic())
        return convert(outputs)

    monkeypatch.setattr(backend, "telemetry_arrays", counted)
    with Training(controls, forecaster):
        until = time.monotonic() + 20
        while len(bursts) < 8:
            assert time.monotonic() < until, bursts
            time.sleep(0.01)
    assert (np.median(np.diff(bursts[3:])) > 0.15) == busy, np.diff(bursts)
