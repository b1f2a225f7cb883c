"""How long whole scripts take: the loop that people write, and the same with something added.

Each run is a process of its own, in the environment as it is: the plain loop on the main thread,
a session (everything on) as it trains by itself, a peer in the loop. Runs of all arms come by
turns; each is compared with the plain one of its round. `overhead_woven.py` tells what the tool's
own work costs; here is also what a session saves.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from machine import describe
from overhead import STILL, interval
from overhead_workloads import WORKLOADS

PLAIN = "nothing"
WARM_UP = 12.0  # seconds of training before what is measured: a session's workers start meanwhile


def one(arm_name: str, workload: str, steps: int) -> dict[str, Any]:
    """Milliseconds of a step, page faults of one, and the most memory, of one arm."""
    from overhead_arms import make

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        arm = make(arm_name, WORKLOADS[workload], folder)
        train = arm.train_plain if arm_name == PLAIN else arm.train
        until = time.perf_counter() + WARM_UP
        while time.perf_counter() < until:
            train(max(4, steps // 10))
        before, first = resource.getrusage(resource.RUSAGE_SELF), len(arm.ends)
        train(steps + 1)
        after = resource.getrusage(resource.RUSAGE_SELF)
        times = [b - a for a, b in pairwise(arm.ends[first : first + steps + 1])]
        if hasattr(arm, "session"):
            arm.session.close()
    return {
        "ms": sum(times) / len(times) / 1e6,
        "faults": (after.ru_minflt - before.ru_minflt) / (len(arm.ends) - first),
        "peak_mb": after.ru_maxrss / 1024,
    }


def run(arm: str, workload: str, steps: int) -> dict[str, Any]:
    """`one` in a process of its own."""
    given = {name: value for name, value in os.environ.items() if name not in STILL}
    done = subprocess.run(
        [sys.executable, __file__, "--one", arm, "--workloads", workload, "--steps", str(steps)],
        env=given, stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workloads", nargs="+", default=["a", "b", "c", "d"], choices=WORKLOADS)
    parser.add_argument("--arms", nargs="+", default=["session"])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--steps", type=int, help="measured in each run")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        print(json.dumps(one(args.one, args.workloads[0], args.steps)))
        return
    print(f"whole scripts by turns, against the plain loop's: {describe()}")
    print(f"{'':24s}{'a step':>12s}{'slower by':>13s}{'95 % interval':>20s}", end="")
    print(f"{'faults':>10s}{'peak':>10s}")
    results: dict[str, Any] = {}
    for workload in args.workloads:
        steps = args.steps or WORKLOADS[workload].steps
        arms = [PLAIN, *args.arms]
        found: dict[str, list[dict[str, Any]]] = {arm: [] for arm in arms}
        for turn in range(args.rounds):
            for arm in arms[turn % len(arms) :] + arms[: turn % len(arms)]:
                found[arm].append(run(arm, workload, steps))
        results[workload] = found
        print(f"{workload}  {WORKLOADS[workload].title}, {args.rounds} rounds of {steps} steps")
        plain = np.array([each["ms"] for each in found[PLAIN]])
        for arm in arms:
            mean = {key: np.median([each[key] for each in found[arm]]) for key in found[arm][0]}
            ratios = np.array([each["ms"] for each in found[arm]]) / plain - 1
            low, high = interval(ratios)
            slower = f"{np.median(ratios):>+11.1%} {f'{low:+.1%} to {high:+.1%}':>20s}"
            print(
                f"  {'plain loop' if arm == PLAIN else arm:22s}{mean['ms']:>9.2f} ms"
                f"{'' if arm == PLAIN else slower:>33s}{mean['faults']:>10.0f}"
                f"{mean['peak_mb']:>7.0f} MB",
                flush=True,
            )
    if args.json:
        args.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
