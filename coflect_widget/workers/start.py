"""How a worker process starts, and how it ends with its kernel."""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from coflect_widget.workers.errors import WorkRefusedError
from coflect_widget.workers.lifeline import hold_on

#: Seconds between two looks at whether the kernel is still there.
_WATCH_SECONDS = 0.25
#: Added to the worker's share of blame when memory runs out: it goes before the training does.
_OOM_SCORE = "500"
#: Libraries that would otherwise start a thread for each core.
ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS"), "1"
)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why this worker cannot do its work."""

    reason: str


def initialise(kernel_pid: int, reading_end: int | None = None, parent: int | None = None) -> None:
    """First call in a new worker: ignore Ctrl-C, and end when the kernel ends.

    `parent` is the process that forked this one, if that is not the kernel.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    hold_on(kernel_pid, reading_end)
    # Before the worker becomes idle: threads keep the class they were started with.
    threading.Thread(
        target=_watch, args=(kernel_pid, parent or kernel_pid), daemon=True, name="watch-kernel"
    ).start()
    come_last()


def come_last() -> None:
    """Where memory runs out, go before the training does."""
    if sys.platform == "linux":
        try:
            with open("/proc/self/oom_score_adj", "w") as file:  # noqa: PTH123 - not a path of ours
                file.write(_OOM_SCORE)
        except OSError:
            pass  # a courtesy; some sandboxes forbid it


def _watch(kernel_pid: int, parent: int) -> None:
    # prctl's PR_SET_PDEATHSIG would fire when the thread that started this process ends.
    while _kernel_lives(kernel_pid, parent):
        time.sleep(_WATCH_SECONDS)
    os._exit(1)


def _kernel_lives(kernel_pid: int, parent: int) -> bool:
    if sys.platform == "win32":  # a parent's number is never taken back there
        import psutil

        return psutil.pid_exists(kernel_pid)
    return os.getppid() == parent and (parent == kernel_pid or Path(f"/proc/{kernel_pid}").exists())


def import_ahead(module: str) -> None:
    """Import what workers will need; a missing library is named when the work needs it."""
    with contextlib.suppress(Exception):
        importlib.import_module(module)


def warm_up(prepare: Callable[[], object], *, idle: bool, imported: bool = False) -> int | Refusal:
    """Make ready for the work, and become idle.

    On a busy machine an idle process would need minutes for its imports. So it becomes idle
    after them, or at once where it was forked with everything `imported`.

    Returns
    -------
    int or Refusal
        The number of this process, or why it cannot do the work.
    """
    if idle and imported:
        become_idle()
    try:
        prepare()
    except WorkRefusedError as error:
        return Refusal(str(error))
    except Exception as error:  # noqa: BLE001 - the reason goes to the kernel
        return Refusal(f"a worker could not be made ready: {describe(error)}")
    if idle and not imported:
        become_idle()
    return os.getpid()


def become_idle() -> None:
    """Run from now on only on processor time that nobody else wants."""
    if sys.platform == "linux":
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    elif sys.platform == "win32":
        import psutil

        psutil.Process().nice(psutil.IDLE_PRIORITY_CLASS)
    else:
        os.nice(19)


def describe(error: Exception) -> str:
    """An error's kind and text, for a process that may not know its class."""
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
