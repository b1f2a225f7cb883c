"""What grows with the size of a training, and how: one thing ten times larger at a time.

    python benchmarks/overhead/scaling.py [--only samples ...] [--pairs 12] [--json FILE]

Each line is `pairs.py`'s comparison, a session with everything on against a plain loop in the
same process, of one variant of its workload c (a perceptron, of which a step takes about a
millisecond) or of a (the small residual network). "Two sessions" are two processes that train at
the same time, against two plain loops at the same time; each has as many OpenMP threads as it is
given a processor. The processor's time of the forecaster's thread is by step, what the session's
process holds in memory is without its workers. A run ten times
longer is measured by `dashboard/memory.py`.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # measures this checkout

from benchmarks.machine import describe
from benchmarks.overhead.pairs import STILL, Remote, compare, events_a_step, measured, started
from benchmarks.overhead.workloads import SCALED

TWO = "two sessions"


class Both:
    """Two arms that train at the same time; the longer one counts."""

    def __init__(self, arms: list[Remote], pool: ThreadPoolExecutor) -> None:
        self._arms, self._pool = arms, pool

    @property
    def facts(self) -> dict[str, Any]:
        """Of the first."""
        return self._arms[0].facts

    def train(self, steps: int) -> float:
        """Both with the tool."""
        return max(self._pool.map(lambda arm: arm.train(steps), self._arms))

    def train_plain(self, steps: int) -> float:
        """Both without."""
        return max(self._pool.map(lambda arm: arm.train_plain(steps), self._arms))


def compare_two(workload: str, pairs: int, steps: int) -> dict[str, Any]:
    """Slowdown of two sessions at once against two plain loops at once."""
    os.environ["OMP_NUM_THREADS"] = str(max(1, (os.cpu_count() or 2) // 2))
    with contextlib.ExitStack() as stack:
        arms = [stack.enter_context(started("session", workload)) for _ in range(2)]
        pool = stack.enter_context(ThreadPoolExecutor(2))
        return {"workload": workload, **measured(Both(arms, pool), pairs, steps)}


def forecaster_a_step(found: dict[str, Any]) -> float:
    """Microseconds of processor time."""
    before, after = found["before"], found["after"]
    used = [facts["threads"].get("coflect-forecaster", 0.0) for facts in (before, after)]
    return 1e6 * float(used[1] - used[0]) / max(1, after["step"] - before["step"])


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
            found, title = (
                compare_two("c", args.pairs, SCALED["c"].steps),
                "c, two sessions at once",
            )
        else:
            workload = SCALED[name]
            found, title = compare(name, "session", args.pairs, workload.steps), workload.title
        results.append({"name": name, **found})
        span = f"{found['low']:+.1%} to {found['high']:+.1%}"
        print(
            f"{title:<32}{found['plain_ms']:>9.2f} ms{found['slowdown']:>+10.1%}{span:>20}"
            f"{forecaster_a_step(found):>8.0f} us/step{events_a_step(found):>7.0f} B/step"
            f"{found['after']['rss_mb']:>7.0f} MB",
            flush=True,
        )
    if args.json:
        args.json.write_text(json.dumps({"machine": describe(), "results": results}, indent=1))


if __name__ == "__main__":
    main()
