"""One arm of the overhead benchmark, in a process of its own that trains when it is told to.

The benchmark starts it with a port; over that connection come lines "watched STEPS",
"plain STEPS" or "woven:WORKLOAD PAIRS PID ..." and go lines of JSON: how long the steps took, and
what the arm can say of itself.
Both train the same model on the same data in the same thread.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import sys
import tempfile
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Protocol

import psutil
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # measures this checkout

import coflect_widget as coflect
from benchmarks.overhead.pairs import family, send
from benchmarks.overhead.workloads import SCALED, WORKLOADS, Ends, PlainLoop, Workload
from coflect_widget.backends.torch.backend import TorchBackend
from coflect_widget.config import Config
from coflect_widget.session.cost import cost
from coflect_widget.training.controls import Controls
from coflect_widget.training.loop import TrainingLoop


class Trains(Protocol):
    """A plain loop."""

    def train(self, steps: int) -> None:
        """Do `steps` steps."""


class Arm(Protocol):
    """Something that trains."""

    ends: Ends

    def train(self, steps: int) -> None:
        """Do at least `steps` steps, one after the other."""

    def train_plain(self, steps: int) -> None:
        """The same with nothing round it."""

    def facts(self) -> dict[str, Any]:
        """What else the table needs, all since the start."""


class Hooked:
    """A peer that hooks into the loop with `after`."""

    def __init__(
        self, workload: Workload, after: Callable[[PlainLoop, torch.Tensor], None]
    ) -> None:
        self.loop = PlainLoop.of(workload)
        self.ends = self.loop.optimizer.ends
        self.seconds = 0.0  # in the hook
        self._after = after

    def _timed(self, loop: PlainLoop, logits: torch.Tensor) -> None:
        began = time.perf_counter()
        self._after(loop, logits)
        self.seconds += time.perf_counter() - began

    def train(self, steps: int) -> None:
        self.loop.train(steps, self._timed)

    def train_plain(self, steps: int) -> None:
        self.loop.train(steps, None)

    def facts(self) -> dict[str, Any]:
        return {"on_thread_seconds": self.seconds}


class LoopAlone:
    """The session's loop and backend, and nobody who watches: what the lines themselves cost."""

    def __init__(self, workload: Workload) -> None:
        self.plain = plain = PlainLoop.of(workload)
        self.ends = plain.optimizer.ends
        backend = TorchBackend(
            plain.model, (plain.x, plain.y), None, num_classes=None, loss=None,
            optimizer=plain.optimizer, scheduler=None, batch_size=workload.batch, config=Config(),
        )  # fmt: skip
        self.loop = TrainingLoop(backend, Controls(), SimpleNamespace(wanted=False), Nobody())
        self.loop.start(10**9)
        self.loop.controls.pause()

    def facts(self) -> dict[str, Any]:
        return {}


class Nobody:
    """An observer that keeps the newest outputs, as a forecaster that is late does."""

    due = float("inf")

    def __init__(self) -> None:
        self._waiting: deque[Any] = deque(maxlen=1024)

    def observe(self, step: int, epoch: int, *outputs: Any) -> None:
        self._waiting.extend(outputs)

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_, **__: None


class Watched:
    """A Session with everything on."""

    def __init__(
        self, workload: Workload, folder: str, *, bank: int = 0, overlays: bool = True
    ) -> None:
        plain = PlainLoop.of(workload)
        self.plain: Trains = plain
        self.ends = plain.optimizer.ends
        self.session = coflect.Session(
            plain.model,
            (plain.x, plain.y),
            optimizer=plain.optimizer,
            batch_size=workload.batch,
            run_dir=folder,
            config=settings(workload, overlays=overlays),
        )
        self.begin(bank)

    def begin(self, bank: int) -> None:
        """Annotate `bank` samples and start, held."""
        for index in range(bank):
            self.session.feedback(sample=index, ignore=(0.7, 0.7, 0.95, 0.95))
        self.session.train(steps=10**9)
        self.session.pause()
        self.loop = self.session._made().loop

    def train(self, steps: int) -> None:
        wanted = len(self.ends) + steps + 2
        self.session.resume()
        while len(self.ends) < wanted:
            if self.session.state == "failed":
                self.session.wait()
            time.sleep(0.2)
        self.session.pause()

    def train_plain(self, steps: int) -> None:
        """By the training thread, while the session is held."""
        parts = self.session._parts
        assert parts is not None
        parts.controls.submit(lambda: self.plain.train(steps)).result()

    def facts(self) -> dict[str, Any]:
        parts = self.session._parts
        assert parts is not None
        path = self.session.run.path
        names = {t.native_id: t.name for t in threading.enumerate()}
        me = psutil.Process()
        seconds: dict[str, float] = defaultdict(float)
        for thread in me.threads():
            seconds[names.get(thread.id, "other")] += thread.user_time + thread.system_time
        return {
            "cost": cost(
                parts.loop.time, parts.scheduler.counts, parts.controls, parts.forecaster.dropped
            ).model_dump(),
            "on_thread_seconds": parts.loop.time.seconds["tool"],
            "trained": sum(parts.loop.time.seconds[use] for use in ("tool", "training")),
            "step": parts.loop.step,
            "events_bytes": (path / "events.jsonl").stat().st_size,
            "rss_mb": me.memory_info().rss / 2**20,
            "workers_rss_mb": [p.memory_info().rss / 2**20 for p in me.children(recursive=True)],
            "threads": {name: round(used, 2) for name, used in seconds.items()},
            "workers_seconds": [
                round(sum(p.cpu_times()[:2]), 2) for p in me.children(recursive=True)
            ],
        }


def settings(workload: Workload, *, overlays: bool) -> dict[str, Any]:
    """The session's configuration: the default, with or without the background's work."""
    attribution: dict[str, Any] = {"method": workload.method}
    if not overlays:
        attribution["budget"] = 0
    return {"attribution": attribution, "forecast": {"top": workload.top}}


@contextmanager
def others_stopped(roots: Iterable[int] = ()) -> Iterator[None]:
    """Have this process's workers, and what began as `roots`, stand still meanwhile."""
    others = family([os.getpid(), *roots]) - {os.getpid()}
    send(signal.SIGSTOP, others)
    try:
        yield
    finally:
        send(signal.SIGCONT, others)


def make(name: str, workload: Workload, folder: str) -> Arm:
    """The arm called `name`."""
    watched = Watched
    if workload.keras:
        from benchmarks.overhead.keras_arms import WatchedKeras

        watched = WatchedKeras
    if name in ("session", "kernel", "browser"):
        return watched(workload, folder)
    if name == "session with a bank":
        return watched(workload, folder, bank=1)
    if name == "session without overlays":
        return watched(workload, folder, overlays=False)
    if name == "loop alone":
        return LoopAlone(workload)
    if name == "nothing":
        return Hooked(workload, lambda loop, logits: None)
    from benchmarks.overhead.peers import PEERS

    return Hooked(workload, PEERS[name](workload, Path(folder)))


def page_faults() -> float:
    """Pages that this process had to ask the system for so far."""
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)


def serve(arm: Arm, port: int) -> None:
    """Train when told to, until the connection ends."""
    with (
        socket.create_connection(("127.0.0.1", port)) as connection,
        connection.makefile("rw") as line,
    ):
        line.write(json.dumps({"pid": os.getpid()}) + "\n")
        line.flush()
        for request in line:
            how, number, *roots = request.split()
            steps = int(number)
            if how.startswith("woven:"):
                from benchmarks.overhead.woven import weave

                pairs = weave(arm, how.removeprefix("woven:"), steps, [int(r) for r in roots])
                line.write(json.dumps({"pairs": pairs, **arm.facts()}) + "\n")
                line.flush()
                continue
            first, faults = len(arm.ends), page_faults()
            (arm.train if how == "watched" else arm.train_plain)(steps + 1)
            faults = (page_faults() - faults) / (len(arm.ends) - first)  # of a step
            ends = arm.ends[first : first + steps + 1]
            answer = {"ns": [b - a for a, b in pairwise(ends)], **arm.facts(), "faults": faults}
            line.write(json.dumps(answer) + "\n")
            line.flush()


def serve_beside(arm: Arm, port: int) -> None:
    """As `serve`, on a thread: for a notebook cell."""
    threading.Thread(target=serve, args=(arm, port), daemon=True).start()


if __name__ == "__main__":
    _, arm_name, workload_name, port_text = sys.argv
    with tempfile.TemporaryDirectory() as run_dir:
        chosen = {**SCALED, **WORKLOADS}[workload_name]
        serve(make(arm_name, chosen, run_dir), int(port_text))
        os._exit(0)  # the folder is the benchmark's to remove
