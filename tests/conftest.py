"""What several tests need: a small model on a small data set, and patience with a limit."""

import os
import time
from pathlib import Path

import pytest
import torch
from torch import nn

import coflect_widget as coflect
from tests.one_worker import OneWorker

# Kernels and other processes import `tests` too; a library (tf2onnx) installs a package so named.
os.environ["PYTHONPATH"] = os.pathsep.join(
    filter(None, [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH")])
)


def tiny_cnn(outputs=4, seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(),
            nn.Conv2d(8, 16, 3, stride=2, padding=1), nn.ReLU(),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, outputs),
        )  # fmt: skip


def eventually(condition, seconds=90.0, what="it"):
    """Wait until `condition()` is true; its value."""
    until = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < until, f"{what} did not happen within {seconds:g} s"
        time.sleep(0.01)


def to_step(session, step):
    """Have a training that is held make single steps until it has made so many."""
    while session.metrics["step"] < step:
        session.step()


@pytest.fixture(scope="session")
def shapes():
    return coflect.data.synthetic(n=256)


@pytest.fixture(scope="session")
def executor():
    """One worker process for many sessions: it imports the libraries once, when it is needed."""
    with OneWorker() as made:
        yield made


@pytest.fixture
def make_session(shapes, tmp_path):
    """Makes sessions on the synthetic shapes and closes them."""
    made = []

    def make(model=None, data=None, val=None, **arguments):
        arguments.setdefault("run_dir", tmp_path / "runs")
        session = coflect.Session(model or tiny_cnn(), data or shapes, val, **arguments)
        made.append(session)
        return session

    yield make
    for session in made:
        session.close()


@pytest.fixture
def one_thread():
    """Sums on one thread: a small net that has just learned something else with two is another."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
