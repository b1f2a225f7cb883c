"""What steps left behind gets to the store, each step's its own, whatever stands beside it."""

import numpy as np
import pytest
import torch

from coflect_widget.backends.base import StepOutput
from coflect_widget.backends.torch.backend import TorchBackend
from coflect_widget.config import Config
from coflect_widget.data import synthetic
from coflect_widget.forecast.forecaster import Forecaster
from coflect_widget.forecast.foresight import Foresight
from coflect_widget.tasks import Classification
from coflect_widget.telemetry.store import SampleStore

CLASSES, EACH = 4, 4


@pytest.fixture
def backend():
    return TorchBackend(
        torch.nn.Sequential(torch.nn.Flatten(), torch.nn.LazyLinear(4)), synthetic(n=8), None,
        num_classes=4, loss=None, optimizer=None, scheduler=None, batch_size=4, config=Config(),
    )  # fmt: skip


@pytest.fixture
def forecaster(backend):
    made = Forecaster(
        Foresight(SampleStore(64, Classification(CLASSES)), 4), backend,
        top=10, log_every=10, forecast_every=20,
        on_metrics=lambda *_: None, on_ranking=lambda *_: None,
    )  # fmt: skip
    yield made
    assert made.close()


def usual(step, rows=EACH):
    """Of the samples of its own place: sure of class `step` of 4, with the same label."""
    logits = torch.zeros(rows, CLASSES)
    logits[:, step % CLASSES] = 3
    indices = np.arange(EACH * step, EACH * step + rows)
    return StepOutput(indices, torch.full((rows,), step % CLASSES), logits, step / 2, None)


def feed(forecaster, outputs):
    for step, output in enumerate(outputs, start=1):
        forecaster.observe(step, 1, output)
    assert forecaster.drain(10)


def assert_taken_in(forecaster, output):
    store, rows = forecaster.store, output.indices
    assert (store.predicted[rows] == output.targets[0].item()).all()
    assert (store.target[rows] == output.targets[0].item()).all()
    assert store.margin[rows] == pytest.approx(np.full(len(rows), 3))
    assert (store.times_seen[rows] == 1).all()


def test_outputs_of_many_lengths_become_one(backend):
    outputs = [usual(step, rows) for step, rows in enumerate([4, 4, 3, 0, 4])]
    logits, targets = backend.telemetry_arrays(outputs)
    assert logits.dtype == np.float32
    assert targets.dtype == np.int64
    assert np.array_equal(targets, [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 0, 0, 0, 0])
    assert np.array_equal(logits.argmax(axis=1), targets)


def test_steps_of_many_lengths(forecaster):
    outputs = [usual(step, rows) for step, rows in enumerate([4, 4, 3, 0, 4, 1, 2])]
    feed(forecaster, outputs)
    assert forecaster.failures == 0
    for output in outputs:
        if len(output.indices):
            assert_taken_in(forecaster, output)
    assert forecaster.store.seen.sum() == 18


ODD = {
    "more targets than logits": (torch.zeros(4, 4), torch.zeros(9, dtype=torch.long), 1),
    "fewer of both": (torch.zeros(2, 4), torch.zeros(2, dtype=torch.long), 1),
    "other classes": (torch.zeros(4, 5), torch.zeros(4, dtype=torch.long), 1),
    "a scalar": (torch.tensor(0.0), torch.zeros(4, dtype=torch.long), 1),
    "half precision": (torch.zeros(4, 4).bfloat16(), torch.zeros(4, dtype=torch.long), 0),
}


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("place", [0, 2, 4])
def test_an_odd_step_leaves_its_neighbours_theirs(forecaster, odd, place):
    logits, targets, failures = ODD[odd]
    outputs = [usual(step) for step in range(4)]
    odd_one = StepOutput(np.arange(60, 64), targets, logits, 4.5, None)
    feed(forecaster, [*outputs[:place], odd_one, *outputs[place:]])
    for output in outputs:
        assert_taken_in(forecaster, output)
    assert forecaster.failures == failures
    assert forecaster.store.seen[60:].all() == (not failures)
