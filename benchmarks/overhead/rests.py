"""What it is worth that training rests while the forecaster takes in its bursts.

    python benchmarks/overhead/rests.py [--workloads a c] [--triples 45]

One process, three ways in turn and in every order: the plain loop (workers stand still), a session
with everything on whose training rests for the telemetry, and the same that goes on beside it.
Slowdowns are medians over triples against the plain block, with a bootstrap's 95 % interval; the
last column is the resting session against the other one.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import cycle, permutations
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # measures this checkout

from benchmarks.machine import describe
from benchmarks.overhead import arms
from benchmarks.overhead.pairs import STILL, WARM_UP, interval
from benchmarks.overhead.workloads import WORKLOADS

#: Steps of a block.
STEPS = {"a": 60, "b": 8, "c": 500, "d": 40}
WAYS = ("plain", "rests", "goes on")


def measure(name: str, triples: int) -> list[list[float]]:
    """Seconds of each triple's blocks, in the order of `WAYS`."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        arm = arms.make("session", WORKLOADS[name], folder)
        assert isinstance(arm, arms.Watched)
        parts = arm.session._parts
        assert parts is not None
        forecaster, steps = parts.forecaster, STEPS[name]
        rest = forecaster._rest

        def seconds(train: Callable[[int], None]) -> float:
            first = len(arm.ends)
            train(steps)
            ends = arm.ends[first : first + steps]
            return (ends[-1] - ends[0]) / 1e9

        def block(way: str) -> float:
            if way != "plain":
                forecaster._rest = rest if way == "rests" else None
                return seconds(arm.train)
            with arms.others_stopped():
                return seconds(arm.train_plain)

        warm = time.monotonic() + WARM_UP
        while time.monotonic() < warm:
            arm.train(max(10, steps // 2))
        found = []
        for order, _ in zip(cycle(permutations(WAYS)), range(triples), strict=False):
            took = {way: block(way) for way in order}
            found.append([took[way] for way in WAYS])
        return found


def told(ratios: np.ndarray) -> str:
    low, high = interval(ratios)
    return f"{np.median(ratios):+.1%} ({low:+.1%} to {high:+.1%})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workloads", nargs="+", default=["a", "c"], choices=list(STEPS))
    parser.add_argument("--triples", type=int, default=45)
    parser.add_argument("--measure", choices=list(STEPS), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        print(json.dumps(measure(args.measure, args.triples)), flush=True)
        os._exit(0)  # the session need not end in order
    os.environ.setdefault("OMP_NUM_THREADS", str(os.cpu_count()))
    os.environ.update(STILL)
    print(describe(), flush=True)
    print(f"{'':<3}{'plain step':>12}{'rests':>28}{'goes on':>28}{'the one by the other':>28}")
    for name in args.workloads:
        command = [sys.executable, __file__, "--measure", name, "--triples", str(args.triples)]
        made = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        plain, rests, goes_on = np.array(json.loads(made.stdout.splitlines()[-1])).T
        print(
            f"{name:<3}{1e3 * np.median(plain) / STEPS[name]:>9.2f} ms{told(rests / plain - 1):>28}"
            f"{told(goes_on / plain - 1):>28}{told(rests / goes_on - 1):>28}",
            flush=True,
        )


if __name__ == "__main__":
    main()
