"""Keeps other threads' idle OpenMP helpers from slowing the training thread down.

GNU's OpenMP, which PyTorch brings along on Linux, keeps a pool of helper threads for each thread
that ever computed in parallel. As soon as there are more of them than processors, sleeping ones
included, it no longer spins at barriers, and every operation of a training waits for the system
to wake its helpers: a step of 0.4 ms becomes one of 1.6 ms (`benchmarks/overhead/openmp.py`). A
notebook's main thread has such a pool as soon as one cell has used the model. To give it back
costs nothing: it is made anew when it is needed.
"""

from __future__ import annotations

from typing import Any

from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]  # ships no types

from coflect_widget.process.shell import shell_here

_HARD = 2  # omp_pause_hard: give up the threads too

_runtimes: list[Any] = []


def find_runtimes() -> None:
    """Look which OpenMP libraries the process has loaded by now; takes some 20 ms.

    Only GNU's are kept: the others do not slow down, and would stop every thread's helpers.
    """
    found = ThreadpoolController().select(user_api="openmp").lib_controllers
    _runtimes[:] = [
        each.dynlib
        for each in found
        if each.prefix == "libgomp" and hasattr(each.dynlib, "omp_pause_resource_all")
    ]


def release_helpers(*_: object) -> None:
    """Give back the OpenMP helpers of the calling thread; any thread, at any time."""
    for runtime in _runtimes:
        runtime.omp_pause_resource_all(_HARD)


def release_after_each_cell() -> None:
    """In a notebook, give back what a cell has used when it ends; harmless the second time."""
    shell = shell_here()
    if shell is not None:
        shell.events.register("post_run_cell", release_helpers)
