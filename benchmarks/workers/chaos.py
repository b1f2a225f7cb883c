"""Workers killed while a training runs, and the kernel killed: what is lost, and what is left.

    python benchmarks/workers/chaos.py [--seconds 60] [--kernels 10] [--workload a]

First one worker is killed every second, in blocks that alternate with blocks of the same
requests without kills. Each request must be answered or fail with a reason, and steps must
take as long as without kills. Then kernels are killed while both of their workers compute, and
after two seconds no process of theirs may be left.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import Future, wait
from pathlib import Path

import numpy as np
import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # measures this checkout

from benchmarks.machine import describe
from benchmarks.overhead.workloads import WORKLOADS, Workload, watched
from coflect_widget.attribution.errors import ExplanationError

BLOCK = 6.0  # seconds

KERNEL = """
import sys, time, numpy as np, torch
from torch import nn
import coflect_widget as coflect
data = np.random.rand(256, 3, 32, 32).astype("float32"), np.random.randint(0, 4, 256)
model = nn.Sequential(nn.Conv2d(3, 16, 3), nn.ReLU(), nn.Conv2d(16, 32, 3), nn.ReLU(),
                      nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 4))
session = coflect.Session(model, data, run_dir=sys.argv[1],
    config={"attribution": {"smoothgrad_samples": 1024, "budget": 60}})
session.explain(0)
session.train(epochs=10_000)
scheduler = session._made().scheduler
for index in range(100):
    scheduler.request(index, "candidate")
    scheduler.request(index, "person")
while scheduler.pool.background.pid is None:
    time.sleep(0.01)
print("ready", flush=True)
time.sleep(600)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60.0, help="with kills")
    parser.add_argument("--kernels", type=int, default=10)
    parser.add_argument("--workload", default="a", choices=WORKLOADS)
    args = parser.parse_args()
    print(f"{WORKLOADS[args.workload].title}: {describe()}", flush=True)
    if args.seconds > 0:
        workers(WORKLOADS[args.workload], args.seconds)
    if args.kernels > 0:
        kernels(args.kernels)


def workers(workload: Workload, seconds: float) -> None:
    """Kill workers under a training."""
    draw = random.Random(0)
    requests: list[Future[object]] = []
    killed = 0
    pairs: list[dict[bool, float]] = []
    ours = psutil.Process()
    config = {"xai_every": 10**9, "forecast_every": 10**9, "attribution": {"budget": 60}}
    with watched(workload, **config) as (session, ends):
        session.explain(0)
        session.train(epochs=10_000)
        time.sleep(5)
        scheduler = session._made().scheduler
        indices = itertools.cycle(range(workload.samples))
        slots = itertools.cycle([scheduler.pool.background, scheduler.pool.interactive])

        def block(*, kills: bool) -> float:
            """Mean milliseconds of a step; a request every half second, one in six a click."""
            nonlocal killed
            first = len(ends)
            for tick in range(int(BLOCK * 2)):
                purpose = "person" if tick % 6 == 0 else "candidate"
                requests.append(scheduler.request(next(indices), purpose))
                time.sleep(0.25)
                if kills and tick % 2 == 0:
                    slot = next(slots)
                    pid = slot.pid
                    # None, or one that is dead and not missed yet, is replaced at its next job.
                    with contextlib.suppress(ProcessLookupError):
                        if pid is not None:
                            os.kill(pid, signal.SIGKILL)
                            killed += 1
                time.sleep(0.25)
            return (ends[-1] - ends[first]) / (len(ends) - 1 - first) / 1e6

        while len(pairs) * BLOCK < seconds:
            order = [True, False]
            draw.shuffle(order)
            pairs.append({kills: block(kills=kills) for kills in order})
        wait(requests, 10)  # the others fail when the session is closed, and say so
        replaced = scheduler.pool.background.replaced + scheduler.pool.interactive.replaced
        session.stop()
    errors = [f.exception() for f in requests if f.done() and f.exception() is not None]
    named = sum(isinstance(error, ExplanationError) and bool(str(error)) for error in errors)
    silent = sum(not future.done() for future in requests) + len(errors) - named
    ratios = np.array([pair[True] / pair[False] for pair in pairs])
    resampled = np.random.default_rng(0).choice(ratios, (10_000, len(ratios)))
    low, high = np.quantile(np.median(resampled, axis=1), [0.025, 0.975])
    left = [p for p in ours.children(recursive=True) if p.status() != psutil.STATUS_ZOMBIE]
    # The process that forks workers stays for the kernel's next session; workers are its children.
    servers = [
        p
        for p in left
        if p.ppid() == ours.pid and any("fork_server" in part for part in p.cmdline())
    ]
    print(
        f"{killed} workers killed in {len(pairs) * BLOCK:.0f} s, {replaced} replaced; "
        f"{len(requests)} requests: {len(requests) - len(errors) - silent} answered, {named} "
        f"failed with a reason, {silent} without"
    )
    print(
        f"step {np.median([pair[False] for pair in pairs]):.1f} ms without kills; median change "
        f"{(np.median(ratios) - 1) * 100:+.1f} % (95 % bootstrap interval "
        f"{(low - 1) * 100:+.1f} to {(high - 1) * 100:+.1f} %)"
    )
    print(f"{len(left) - len(servers)} workers left after close()", flush=True)


def kernels(count: int) -> None:
    """Kill kernels and count what outlives them."""
    left = []
    for _ in range(count):
        with tempfile.TemporaryDirectory() as folder:
            kernel = subprocess.Popen(
                [sys.executable, "-c", KERNEL, folder], stdout=subprocess.PIPE, text=True
            )
            assert kernel.stdout is not None
            assert kernel.stdout.readline() == "ready\n"
            children = psutil.Process(kernel.pid).children(recursive=True)
            kernel.kill()
            kernel.wait()
            kernel.stdout.close()
            time.sleep(2)
            left.append((sum(alive(child) for child in children), len(children)))
    clean = sum(found == 0 for found, _ in left)
    print(
        f"kernel killed: 0 orphans after 2 s in {clean} of {count} "
        f"({sum(n for _, n in left) / count:.0f} processes each before)"
    )


def alive(process: psutil.Process) -> bool:
    """Whether it runs; a zombie only waits to be noticed."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


if __name__ == "__main__":
    main()
