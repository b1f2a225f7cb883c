"""What steps left behind becomes arrays, each step's its own, whatever stands beside it."""

import numpy as np
import pytest
import torch

from coflect_widget.backends.base import StepOutput
from coflect_widget.backends.torch import SMALL, TorchBackend
from coflect_widget.config import Config
from coflect_widget.data import synthetic


@pytest.fixture
def backend():
    return TorchBackend(
        torch.nn.Sequential(torch.nn.Flatten(), torch.nn.LazyLinear(4)), synthetic(n=8), None,
        num_classes=4, loss=None, optimizer=None, scheduler=None, batch_size=4, config=Config(),
    )  # fmt: skip


def made(step, logits, targets):
    return StepOutput(np.arange(len(targets)), targets, logits, step / 2, None)


def usual(step, rows=4):
    return made(step, torch.full((rows, 3), float(step)), torch.full((rows,), step % 3))


def assert_usual(arrays, step, rows=4):
    logits, targets = arrays
    assert logits.dtype == np.float32
    assert targets.dtype == np.int64
    assert np.array_equal(logits, np.full((rows, 3), step))
    assert np.array_equal(targets, np.full(rows, step % 3))


def test_steps_of_many_lengths(backend):
    sizes = [8, 8, 5, 0, 12, 700, 8]
    found = backend.telemetry_arrays([usual(step, rows) for step, rows in enumerate(sizes)])
    for step, (rows, arrays) in enumerate(zip(sizes, found, strict=True)):
        assert_usual(arrays, step, rows)
    assert len({id(logits.base) for logits, _ in found}) == 1  # of one copy


ODD = {
    "more targets than logits": (torch.zeros(4, 3), torch.zeros(9, dtype=torch.long)),
    "other classes": (torch.zeros(4, 5), torch.zeros(4, dtype=torch.long)),
    "a scalar": (torch.tensor(0.0), torch.zeros(4, dtype=torch.long)),
    "half precision": (torch.zeros(4, 3, dtype=torch.bfloat16), torch.zeros(4, dtype=torch.long)),
    "large": (torch.zeros(SMALL // 3 + 1, 3), torch.zeros(SMALL // 3 + 1, dtype=torch.long)),
}


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("place", [0, 2, 4])
def test_an_odd_step_leaves_its_neighbours_theirs(backend, odd, place):
    logits, targets = ODD[odd]
    outputs = [usual(step) for step in range(4)]
    outputs.insert(place, made(9, logits, targets))
    found = backend.telemetry_arrays(outputs)
    x, y = found.pop(place)
    assert x.shape == tuple(logits.shape)
    assert x.dtype == np.float32
    assert y.shape == tuple(targets.shape)
    for step, arrays in enumerate(found):
        assert_usual(arrays, step)
