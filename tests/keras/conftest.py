"""TensorFlow is slow to import; these tests share one process and one set of data."""

import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")


@pytest.fixture(scope="session")
def executor():
    """One worker for all, because it imports TensorFlow."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as made:
        yield made


@pytest.fixture
def make_session(make_session, executor):
    """Sessions with that worker; with executor=None they start their own."""

    def make(*given, **arguments):
        return make_session(*given, **{"executor": executor, **arguments})

    return make
