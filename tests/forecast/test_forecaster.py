"""The forecaster's thread: order, completeness, exact points, and that nothing ends it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from coflect_widget.backends.base import StepOutput
from coflect_widget.forecast.forecaster import RANKING_PERIOD, Forecaster
from coflect_widget.forecast.foresight import Foresight
from coflect_widget.tasks import Classification
from coflect_widget.telemetry.store import SampleStore

N, C, B = 256, 4, 16


class NumpyBackend:
    """What the forecaster needs of a backend; `gate` can hold the conversion up."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.converting = threading.Event()
        self.fail_on: set[int] = set()  # rows whose conversion fails

    def telemetry_arrays(self, outputs: Sequence[StepOutput]) -> tuple[np.ndarray, np.ndarray]:
        self.converting.set()
        assert self.gate.wait(10)
        if any(int(o.indices[0]) in self.fail_on for o in outputs):
            raise RuntimeError("device lost")
        logits = np.concatenate([o.logits for o in outputs])
        return logits, np.concatenate([o.targets for o in outputs])

    def scalars(self, values: Sequence[Any]) -> list[float]:
        return [float(value) for value in values]


class Log:
    """Keeps what the callbacks were called with."""

    def __init__(self) -> None:
        self.metrics: list[tuple[dict[str, float], int, int]] = []
        self.rankings: list[dict[str, Any]] = []
        self.ranked_at: list[float] = []
        self.non_finite: list[int] = []
        self.errors: list[BaseException] = []

    def on_metrics(self, values: dict[str, float], step: int, epoch: int) -> None:
        self.metrics.append((values, step, epoch))

    def on_ranking(self, *args: Any) -> None:
        names = ("indices", "risk", "target", "predicted", "reasons", "step", "epoch")
        self.rankings.append(dict(zip(names, args, strict=True)))
        self.ranked_at.append(time.monotonic())


def output(step: int, guidance: float | None = None, n: int = N) -> StepOutput:
    rng = np.random.default_rng(step)
    return StepOutput(
        indices=rng.permutation(n)[:B],
        targets=rng.integers(0, C, B),
        logits=rng.normal(size=(B, C)).astype(np.float32),
        loss=np.float32(step),
        guidance_loss=None if guidance is None else np.float32(guidance),
    )


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def backend() -> NumpyBackend:
    return NumpyBackend()


@pytest.fixture
def make(log: Log, backend: NumpyBackend) -> Iterator[Callable[..., Forecaster]]:
    made: list[Forecaster] = []

    def build(**settings: Any) -> Forecaster:
        given: dict[str, Any] = {
            "top": 10,
            "log_every": 10,
            "forecast_every": 20,
            "on_metrics": log.on_metrics,
            "on_ranking": log.on_ranking,
            "on_non_finite": lambda step, _: log.non_finite.append(step),
            "on_error": log.errors.append,
        }
        made.append(
            Forecaster(Foresight(SampleStore(N, Classification(C)), 4), backend, **given | settings)
        )
        return made[-1]

    yield build
    backend.gate.set()
    for forecaster in made:
        assert forecaster.close(60.0)


def feed(forecaster: Forecaster, steps: range, epoch: int = 1, **more: Any) -> None:
    for step in steps:
        forecaster.observe(step, epoch, output(step, **more))


def test_every_sample_of_every_batch_reaches_the_store(make: Callable[..., Forecaster]) -> None:
    forecaster = make()
    feed(forecaster, range(1, 201))
    assert forecaster.drain(10)
    expected = SampleStore(N, Classification(C))
    for step in range(1, 201):
        o = output(step)
        expected.update(o.indices, o.logits, o.targets, step)
    for name, values in vars(expected).items():
        if isinstance(values, np.ndarray) and name not in ("score", "doubt", "flags"):
            assert np.array_equal(values, getattr(forecaster.store, name)), name
    assert np.isfinite(forecaster.store.score[expected.seen]).all()
    assert (forecaster.dropped, forecaster.failures) == (0, 0)


def test_metrics_come_at_multiples_whatever_the_timing(
    make: Callable[..., Forecaster], log: Log
) -> None:
    forecaster = make()
    feed(forecaster, range(1, 34))
    forecaster.drain(10)
    feed(forecaster, range(34, 58))
    forecaster.drain(10)
    assert [(step, epoch) for _, step, epoch in log.metrics] == [(k, 1) for k in range(10, 51, 10)]
    assert log.metrics[1][0]["loss"] == pytest.approx(np.mean(range(11, 21)))
    right = np.mean([output(s).logits.argmax(1) == output(s).targets for s in range(11, 21)])
    assert log.metrics[1][0]["accuracy"] == pytest.approx(right)
    assert "guidance_loss" not in log.metrics[0][0]


def test_guidance_loss_is_the_mean_over_guided_steps(
    make: Callable[..., Forecaster], log: Log
) -> None:
    forecaster = make()
    feed(forecaster, range(1, 6))
    feed(forecaster, range(6, 11), guidance=0.5)
    forecaster.drain(10)
    assert log.metrics[0][0]["guidance_loss"] == pytest.approx(0.5)


def test_a_window_ends_even_where_its_last_step_was_dropped(
    make: Callable[..., Forecaster], log: Log
) -> None:
    forecaster = make()
    feed(forecaster, range(1, 10))
    feed(forecaster, range(11, 21))
    forecaster.drain(10)
    assert [(step, values["loss"]) for values, step, _ in log.metrics] == [(10, 5.0), (20, 15.5)]


def test_ranking_has_its_fields_and_is_of_the_step_it_names(
    make: Callable[..., Forecaster], log: Log
) -> None:
    forecaster = make()
    feed(forecaster, range(1, 30), epoch=3)
    forecaster.drain(10)
    (ranking,) = log.rankings
    assert (ranking["step"], ranking["epoch"]) == (29, 3)
    assert all(len(ranking[k]) == 20 for k in ("indices", "risk", "target", "predicted", "reasons"))
    right = ranking["target"] == ranking["predicted"]
    assert right.sum() == (~right).sum() == 10  # as many of each list
    assert (np.diff(ranking["risk"]) <= 0).all()
    assert (np.diff(ranking["risk"]) <= 0).all()
    then = SampleStore(N, Classification(C))
    for step in range(1, 30):
        o = output(step)
        then.update(o.indices, o.logits, o.targets, step)
    assert np.array_equal(ranking["target"], then.target[ranking["indices"]])
    assert np.array_equal(ranking["predicted"], then.predicted[ranking["indices"]])


def test_rankings_due_at_once_are_made_once_and_five_a_second_at_most(
    make: Callable[..., Forecaster], log: Log, backend: NumpyBackend
) -> None:
    forecaster = make(forecast_every=1)
    end = time.monotonic() + 1.1
    step = 0
    while time.monotonic() < end:
        step += 1
        forecaster.observe(step, 1, output(step))
        forecaster.watch_again()  # it would let them gather
        time.sleep(0.002)
    forecaster.drain(10)
    assert 1 <= len(log.rankings) <= 7
    assert (np.diff(log.ranked_at) >= RANKING_PERIOD * 0.95).all()


def test_a_loss_that_is_no_number_costs_its_own_step_alone(
    make: Callable[..., Forecaster], log: Log, backend: NumpyBackend
) -> None:
    forecaster = make()
    backend.gate.clear()  # so that all come at once
    for step in range(1, 21):
        made = output(step)
        forecaster.observe(step, 1, replace(made, loss="seven") if step == 7 else made)
    backend.gate.set()
    forecaster.drain(10)
    assert [step for _, step, _ in log.metrics] == [10, 20]
    assert log.metrics[0][0]["loss"] == pytest.approx((55 - 7) / 9)
    assert forecaster.failures == 1
    assert forecaster.store.times_seen.sum() == 20 * B


def test_a_ranking_held_back_is_late_not_lost(make: Callable[..., Forecaster], log: Log) -> None:
    forecaster = make()
    feed(forecaster, range(1, 21))
    assert forecaster.drain(10)
    feed(forecaster, range(21, 41))  # due too soon after the first
    assert forecaster.drain(10)
    end = time.monotonic() + 5
    while len(log.rankings) < 2 and time.monotonic() < end:
        time.sleep(0.02)  # training observes nothing any more, as in a pause
    assert [ranking["step"] for ranking in log.rankings] == [20, 40]


def test_a_ranking_held_back_comes_at_once_where_training_holds(
    make: Callable[..., Forecaster], log: Log
) -> None:
    forecaster = make()
    feed(forecaster, range(1, 21))
    assert forecaster.drain(10)
    forecaster._rank_from = time.monotonic() + 3600
    feed(forecaster, range(21, 41))
    forecaster.catch_up()
    forecaster.catch_up()
    assert forecaster.drain(10)
    assert [ranking["step"] for ranking in log.rankings] == [20, 40]


def test_marks_come_in_their_place(make: Callable[..., Forecaster], backend: NumpyBackend) -> None:
    forecaster = make()
    seen: list[tuple[str, int]] = []

    def newest(name: str) -> Callable[[], None]:
        return lambda: seen.append((name, int(forecaster.store.last_seen.max())))

    forecaster.mark(newest("before all"))
    backend.gate.clear()  # so that much waits when the thread goes on
    feed(forecaster, range(1, 101))
    forecaster.mark(newest("a"))
    forecaster.mark(newest("b"))
    feed(forecaster, range(101, 131))
    forecaster.mark(newest("c"))
    feed(forecaster, range(131, 141))
    backend.gate.set()
    assert forecaster.drain(10)
    assert seen == [("before all", -1), ("a", 100), ("b", 100), ("c", 130)]


def test_a_full_backlog_drops_the_oldest_counts_them_and_keeps_marks(
    make: Callable[..., Forecaster], backend: NumpyBackend, log: Log
) -> None:
    forecaster = make(backlog=32)
    backend.gate.clear()
    forecaster.observe(1, 1, output(1))
    assert backend.converting.wait(5)  # the thread is held with step 1 in its hands
    feed(forecaster, range(2, 51))
    called = threading.Event()
    forecaster.mark(called.set)
    before = time.monotonic()
    feed(forecaster, range(51, 101))
    assert time.monotonic() - before < 1  # nothing waits for the forecaster
    backend.gate.set()
    assert forecaster.drain(10)
    assert called.is_set()
    assert forecaster.dropped == 100 - 1 - 32
    assert int(forecaster.store.times_seen.sum()) == 33 * B
    assert forecaster.store.last_seen.max() == 100


def test_non_finite_is_told_once_per_streak(make: Callable[..., Forecaster], log: Log) -> None:
    forecaster = make()
    for step in range(1, 11):
        o = output(step)
        if step in (3, 4, 5, 8):
            o.logits[2, 1] = np.nan
        forecaster.observe(step, 1, o)
    forecaster.drain(10)
    assert log.non_finite == [3, 8]


def test_failing_callbacks_are_reported_once_and_end_nothing(
    make: Callable[..., Forecaster], log: Log
) -> None:
    def fail(*_: Any) -> None:
        raise KeyError("callback")

    forecaster = make(on_metrics=fail, on_ranking=fail)
    forecaster.mark(fail)
    feed(forecaster, range(1, 101))
    assert forecaster.drain(10)
    assert len(log.errors) == 3  # one for each place
    assert forecaster.failures >= 12  # ten windows, the mark, a ranking
    assert forecaster.store.last_seen.max() == 100


def test_a_failing_conversion_loses_its_outputs_only(
    make: Callable[..., Forecaster], log: Log, backend: NumpyBackend
) -> None:
    forecaster = make()
    backend.fail_on = {int(output(1).indices[0])}
    forecaster.observe(1, 1, output(1))
    assert forecaster.drain(10)
    backend.fail_on = set()
    feed(forecaster, range(2, 11))
    assert forecaster.drain(10)
    assert [str(e) for e in log.errors] == ["device lost"]
    assert int(forecaster.store.times_seen.sum()) == 9 * B


def test_a_batch_outside_the_store_is_reported(make: Callable[..., Forecaster], log: Log) -> None:
    forecaster = make()
    forecaster.observe(1, 1, output(1, n=100_000))
    feed(forecaster, range(2, 4))
    assert forecaster.drain(10)
    assert isinstance(log.errors[0], IndexError)
    assert forecaster.store.last_seen.max() == 3


def test_on_error_may_fail_too(
    make: Callable[..., Forecaster], capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: Any) -> None:
        raise OSError("no disk")

    forecaster = make(on_metrics=fail, on_error=fail)
    feed(forecaster, range(1, 21))
    assert forecaster.drain(10)
    assert "on_error failed" in capsys.readouterr().err


def test_close_consumes_what_waits_and_ends_the_thread(make: Callable[..., Forecaster]) -> None:
    with make() as forecaster:
        feed(forecaster, range(1, 100))
    assert forecaster.store.last_seen.max() == 99
    assert forecaster.close()
    assert forecaster.drain(1)
    assert not [t for t in threading.enumerate() if t.name == "coflect-forecaster"]


def test_drain_gives_up_in_time_and_refuses_its_own_thread(
    make: Callable[..., Forecaster], backend: NumpyBackend
) -> None:
    forecaster = make()
    backend.gate.clear()
    forecaster.observe(1, 1, output(1))
    before = time.monotonic()
    assert not forecaster.drain(0.1)
    assert time.monotonic() - before < 2
    answers: list[bool] = []
    forecaster.mark(lambda: answers.append(forecaster.drain(5)))
    backend.gate.set()
    assert forecaster.drain(3)
    assert answers == [False]


def test_scores_do_not_depend_on_how_many_steps_were_taken_in_at_once(
    make: Callable[..., Forecaster],
) -> None:
    slowly, at_once = make(), make()
    for step in range(1, 21):
        feed(slowly, range(step, step + 1))
        assert slowly.drain(10)
    waiting = threading.Event()
    at_once.mark(lambda: waiting.wait(10))
    feed(at_once, range(1, 21))
    waiting.set()
    assert at_once.drain(10)
    assert at_once.store.scale == slowly.store.scale
    assert np.array_equal(at_once.store.score, slowly.store.score)
    assert np.isfinite(slowly.store.score).any()


def test_observe_costs_microseconds(make: Callable[..., Forecaster]) -> None:
    forecaster = make()
    one = output(1)
    times = []
    for step in range(1, 2001):
        before = time.perf_counter()
        forecaster.observe(step, 1, one)
        times.append(time.perf_counter() - before)
        if step % 100 == 0:
            time.sleep(0.005)
    assert np.median(times) < 10e-6
