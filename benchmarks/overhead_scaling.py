"""What grows with the size of a training, and how: one thing ten times larger at a time.

    python benchmarks/overhead_scaling.py [--only samples ...] [--pairs 12] [--json FILE]

Each line is `overhead.py`'s comparison, a session with everything on against a plain loop in the
same process, of one variant of its workload c (a perceptron, of which a step takes about a
millisecond) or of a (the small residual network). "Two sessions" are two processes that train at
the same time, against two plain loops at the same time; each has as many OpenMP threads as it is
given a processor. The processor's time of the forecaster's thread is by step, what the session's
process holds in memory is without its workers. For a run ten times longer, see `memory.py`.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from machine import describe
from overhead import STILL, WARM_UP, Remote, compare, interval, started
from overhead_workloads import SCALED

TWO = "two sessions"


def of_two(workload: str, pairs: int, steps: int) -> dict[str, Any]:
    """Slowdown of two sessions at once against two plain loops at once; the longer one counts."""
    with contextlib.ExitStack() as stack:
        threads = max(1, (os.cpu_count() or 2) // 2)
        os.environ["OMP_NUM_THREADS"] = str(threads)
        remotes = [stack.enter_context(started("session", workload)) for _ in range(2)]
        both = stack.enter_context(ThreadPoolExecutor(2))

        def at_once(train: Callable[[Remote], float]) -> float:
            return max(both.map(train, remotes))

        warm = 0.0
        while warm < WARM_UP:
            warm += at_once(lambda remote: remote.train(max(10, steps // 4)))
        before = [remote.facts for remote in remotes]
        times = np.array(
            [
                (
                    at_once(lambda remote: remote.train_plain(steps)),
                    at_once(lambda remote: remote.train(steps)),
                )
                for _ in range(pairs)
            ]
        )
        ratios = times[:, 1] / times[:, 0] - 1
        low, high = interval(ratios)
        return {
            "workload": workload,
            "plain_ms": float(np.median(times[:, 0])) / steps * 1e3,
            "slowdown": float(np.median(ratios)),
            "low": low,
            "high": high,
            "before": before[0],
            "after": remotes[0].facts,
        }


def grown(found: dict[str, Any]) -> tuple[float, float, float]:
    """Microseconds of the forecaster and bytes of events a step, and megabytes in the end."""
    before, after = found["before"], found["after"]
    steps = max(1, after["step"] - before["step"])
    name = "coflect-forecaster"
    used = after["threads"].get(name, 0.0) - before["threads"].get(name, 0.0)
    written = after["events_bytes"] - before["events_bytes"]
    return 1e6 * used / steps, written / steps, after["rss_mb"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", default=[*SCALED, TWO], choices=[*SCALED, TWO])
    parser.add_argument("--pairs", type=int, default=12)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    os.environ.update(STILL)
    print(f"slowdown against a plain loop: {describe()}", flush=True)
    print(
        f"{'':<32}{'plain step':>12}{'slowdown':>10}{'95 % interval':>20}{'forecaster':>14}"
        f"{'events':>14}{'memory':>10}"
    )
    results = []
    for name in args.only:
        os.environ["OMP_NUM_THREADS"] = str(os.cpu_count())
        if name == TWO:
            found, title = of_two("c", args.pairs, 1000), "c, two sessions at once"
        else:
            workload = SCALED[name]
            found, title = compare(name, "session", args.pairs, workload.steps), workload.title
        results.append({"name": name, **found})
        used, written, memory = grown(found)
        span = f"{found['low']:+.1%} to {found['high']:+.1%}"
        print(
            f"{title:<32}{found['plain_ms']:>9.2f} ms{found['slowdown']:>+10.1%}{span:>20}"
            f"{used:>8.0f} us/step{written:>7.0f} B/step{memory:>7.0f} MB",
            flush=True,
        )
    if args.json:
        args.json.write_text(json.dumps({"machine": describe(), "results": results}, indent=1))


if __name__ == "__main__":
    main()
