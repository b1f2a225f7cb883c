"""Sessions that share one worker process, for tests that are not about workers.

Two processes for each session, rehearsed and ended, take longer than most trainings of tests. The
shared one starts when a person asks for a map; nothing is explained that nobody has asked for.
"""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor

import pytest


def quiet(config):
    """A session's configuration under which nothing is explained that nobody has asked for."""
    return {**config, "attribution": {"budget": 0.0, **config.get("attribution", {})}}


def no_workers():
    """Arguments of a session in a script of its own in which nobody asks for a map."""
    context = multiprocessing.get_context("spawn")
    return {"executor": ProcessPoolExecutor(1, context), "config": quiet({})}


@pytest.fixture
def make_session(make_session, executor):
    """Sessions with that worker; with executor=None they start their own."""

    def make(*given, **arguments):
        config = arguments.pop("config", {})
        return make_session(*given, **{"executor": executor, **arguments, "config": quiet(config)})

    return make
