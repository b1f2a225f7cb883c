"""The worker that tests share outlives a test that kills it."""

import os
from concurrent.futures.process import BrokenProcessPool

import pytest

from tests.one_worker import OneWorker


def test_a_worker_that_died_is_made_anew():
    with OneWorker() as worker:
        first = worker.submit(os.getpid).result(120)
        assert worker.submit(os.getpid).result(120) == first
        with pytest.raises(BrokenProcessPool):
            worker.submit(os._exit, 1).result(120)
        assert worker.submit(os.getpid).result(120) != first
