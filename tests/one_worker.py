"""Sessions that share one worker process, for tests that are not about workers.

Two processes for each session, rehearsed and ended, take longer than most trainings of tests. The
shared one starts when a person asks for a map; nothing is explained nor probed that nobody has
asked for.
"""

import multiprocessing
import threading
from concurrent.futures import Executor, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

import pytest

#: Of a session that explains and probes in the background, also in a training of few steps.
BUSY = {"attribution": {"budget": 6.0}, "xai_every": 2}


class OneWorker(Executor):
    """One worker process, made anew once it has died: only the test that lost it fails."""

    def __init__(self):
        self._lock = threading.Lock()
        self._made = self._new()

    @staticmethod
    def _new():
        return ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))

    def submit(self, *call, **named):
        with self._lock:
            try:
                return self._made.submit(*call, **named)
            except BrokenProcessPool:
                self._made.shutdown()
                self._made = self._new()
                return self._made.submit(*call, **named)

    def shutdown(self, wait=True, *, cancel_futures=False):
        self._made.shutdown(wait, cancel_futures=cancel_futures)


def quiet(config):
    """A configuration under which nothing is explained nor probed that nobody has asked for."""
    return {**config, "attribution": {"budget": 0.0, **config.get("attribution", {})}}


def no_workers():
    """Arguments of a session in a script of its own in which nobody asks for a map."""
    return {"executor": OneWorker(), "config": quiet({})}


@pytest.fixture
def make_session(make_session, executor):
    """Sessions with that worker; with executor=None they start their own.

    One that goes on with a run has the run's own configuration, unless the test gives another. A
    configuration that is no mapping goes to the session as it is.
    """

    def make(*given, **arguments):
        if arguments.get("resume") is None:
            arguments.setdefault("config", {})
        if isinstance(arguments.get("config"), dict):
            arguments["config"] = quiet(arguments["config"])
        return make_session(*given, **{"executor": executor, **arguments})

    return make
