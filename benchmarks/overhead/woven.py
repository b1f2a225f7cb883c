"""What everything together costs a training, on a machine whose speed drifts.

    python benchmarks/overhead/woven.py [--workloads a b c d] [--arms session kernel] [--pairs 60]

By default (`make bench`) that is the session in a script and in a kernel, and for workload a the
peers of `peers.py` beside them. The workloads "text" and "table" are no pictures. Other arms are
"browser", the kernel's with its dashboard in a real JupyterLab and Chromium beside it, and "page
only", without the dashboard; "nothing", a plain loop in the place of the session, which shows what
the method itself finds where nothing is; and "loop alone", the session's loop without its other
threads.

As `pairs.py`, but in blocks of about a second, and without a pause between them: at the end of
every so many steps of the session its training thread trains a third as many of the plain loop,
while the workers and the browser are stopped by a signal. The speed of a shared machine walks by a
tenth within some seconds, so that short neighbours tell far more in the same time than long ones
do. The session knows nothing of it; a rest that it wants begins when its own steps go on, and what
its threads use of the processors in the plain blocks is taken from those and added to its own. What
the tool does by the clock it does a third too often for the steps that it watches: the figures are
rather too high than too low.

The slowdown is the sum of the session's blocks over that of their plain neighbours (a mean, so
that what comes rarely counts), its interval a bootstrap over runs of ten pairs; beside it stands
the median of those runs.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # measures this checkout

from benchmarks.machine import describe
from benchmarks.overhead import arms
from benchmarks.overhead.pairs import STILL, started
from benchmarks.overhead.peers import PEERS
from benchmarks.overhead.workloads import PICTURES, WORKLOADS

#: Steps of a plain block, and how many times as many the session's has.
STEPS = {"a": 6, "b": 1, "c": 150, "d": 20, "text": 75, "table": 75}
TIMES = 3
#: Pairs by default: three to five minutes each.
PAIRS = {"a": 120, "b": 50, "c": 130, "d": 50, "text": 130, "table": 130}
#: Pairs of a run that the bootstrap draws as one.
RUN = 10
#: Seconds of training before anything is measured: workers start meanwhile.
WARM_UP = 25.0


class Weaver:
    """Trains a plain block after each block of the session's steps, on the same thread."""

    def __init__(self, arm: Any, steps: int, blocks: int, roots: list[int]) -> None:
        self.loop = arm.loop
        self.pairs: list[tuple[int, int, int]] = []
        self.done = threading.Event()
        self._arm, self._steps, self._blocks, self._roots = arm, steps, blocks, roots
        self._began = 0
        self._warm = time.monotonic() + WARM_UP
        arm.ends.turn = self._turn
        arm.ends.turn_at = len(arm.ends) + TIMES * steps

    def _turn(self) -> None:
        ends = self._arm.ends
        watched = time.perf_counter_ns() - self._began
        self.loop.time.turn("held")
        ends.turn_at = -1
        plain, spilt = self._plain()
        if self._began and time.monotonic() > self._warm:
            self.pairs.append((plain, watched, spilt))
        if len(self.pairs) >= self._blocks:
            self.done.set()
        else:
            ends.turn_at = len(ends) + TIMES * self._steps
        self.loop.time.turn("training")
        self._began = time.perf_counter_ns()

    def _plain(self) -> tuple[int, int]:
        """Nanoseconds of a plain block, and what the session's threads used meanwhile."""
        ends = self._arm.ends
        with arms.others_stopped(self._roots):
            used, first, began = others(), len(ends), time.perf_counter_ns()
            self._arm.plain.train(self._steps)
            took = time.perf_counter_ns() - began
            spilt = others() - used
        if hasattr(self._arm.plain, "ends"):  # `fit` begins and ends with more than steps
            inner = ends[-1] - ends[first]
            took = inner * self._steps // max(1, self._steps - 1)
        return took, spilt


def others() -> int:
    """Nanoseconds of processor that Python's other threads have used."""
    used = 0
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and thread.native_id:
            with suppress(OSError):
                file = Path(f"/proc/self/task/{thread.native_id}/schedstat")
                used += int(file.read_text().split()[0])
    return used


def weave(arm: Any, workload: str, blocks: int, roots: list[int]) -> list[tuple[int, int, int]]:
    """Nanoseconds of each plain block, its neighbour, and what the session used in the first."""
    if not hasattr(arm, "plain"):  # a peer
        return _in_turn(arm, STEPS[workload], blocks)
    weaver = Weaver(arm, STEPS[workload], blocks, roots)
    weaver.loop.controls.resume()
    while not weaver.done.wait(1):
        if weaver.loop.error is not None:
            raise weaver.loop.error
    weaver.loop.controls.pause()
    return weaver.pairs


def _in_turn(arm: Any, steps: int, blocks: int) -> list[tuple[int, int, int]]:
    """The same of an arm that is a loop with a hook."""
    pairs = []
    warm = time.monotonic() + WARM_UP
    while len(pairs) < blocks:
        began = time.perf_counter_ns()
        arm.train_plain(steps)
        between = time.perf_counter_ns()
        arm.train(TIMES * steps)
        if time.monotonic() > warm:
            pairs.append((between - began, time.perf_counter_ns() - between, 0))
    return pairs


def compare(pairs: np.ndarray) -> tuple[float, float, float, float]:
    """Slowdown, its interval, and the median over runs; of (plain, watched, spilt) rows."""
    plain, watched, spilt = pairs.T.astype(np.float64)
    # Each block of the session stands between two plain ones.
    plain = np.concatenate([plain[:1], (plain[1:] + plain[:-1]) / 2])
    both = np.stack([TIMES * (plain - spilt), watched + spilt])
    runs = both[:, : both.shape[1] // RUN * RUN].reshape(2, -1, RUN).sum(axis=2)
    drawn = np.random.default_rng(0).integers(0, runs.shape[1], (4000, runs.shape[1]))
    a, b = runs[:, drawn].sum(axis=2)
    low, high = np.percentile(b / a - 1, [2.5, 97.5])
    whole = runs.sum(axis=1)
    return (
        float(whole[1] / whole[0] - 1), float(low), float(high),
        float(np.median(runs[1] / runs[0]) - 1),
    )  # fmt: skip


def told(facts: dict[str, Any]) -> str:
    """What a session says of itself."""
    if "cost" not in facts:
        return ""
    names = ("forecaster", "run-writer", "explain-background", "publisher")
    used = {n: 1e6 * facts["threads"].get(f"coflect-{n}", 0) / facts["step"] for n in names}
    parts = ", ".join(f"{n} {us:.0f} us" for n, us in used.items() if us)
    workers = 1e6 * sum(facts["workers_seconds"]) / facts["step"]
    return (
        f"{facts['on_thread_seconds'] / facts['trained']:>14.2%}\n"
        f"  {'':<26}{facts['cost']['overlays_made']} overlays in {facts['trained']:.0f} s of "
        f"training; processor time a step since the start: {parts}, workers {workers:.0f} us"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workloads", nargs="+", default=PICTURES, choices=STEPS)
    parser.add_argument("--arms", nargs="+")
    parser.add_argument("--pairs", type=int, help="of each workload; " + str(PAIRS))
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    if args.pairs is not None and args.pairs < 2 * RUN:
        parser.error(f"--pairs {args.pairs}: at least {2 * RUN}, which are two runs")
    os.environ.setdefault("OMP_NUM_THREADS", str(os.cpu_count()))
    os.environ.update(STILL)
    print(f"slowdown against a plain loop, woven: {describe()}", flush=True)
    print(
        f"{'':<2}{'arm':<26}{'plain step':>12}{'slowdown':>10}{'95 % interval':>20}"
        f"{'of runs':>10}{'on the thread':>15}"
    )
    results = []
    for workload in args.workloads:
        count = args.pairs or PAIRS[workload]
        print(f"{workload} {WORKLOADS[workload].title}", flush=True)
        for arm in args.arms or ["session", "kernel", *(PEERS if workload == "a" else [])]:
            with started(arm, workload) as remote:
                remote.line.write(f"woven:{workload} {count} {' '.join(map(str, remote.roots))}\n")
                remote.line.flush()
                facts = json.loads(remote.line.readline())
            pairs = np.array(facts.pop("pairs"))
            slowdown, low, high, median = compare(pairs)
            plain = float(np.median(pairs[:, 0])) / STEPS[workload] / 1e6
            print(
                f"  {arm:<26}{plain:>9.2f} ms{slowdown:>+10.2%}{f'{low:+.1%} to {high:+.1%}':>20}"
                f"{median:>+10.2%}{told(facts)}",
                flush=True,
            )
            results.append(
                {"workload": workload, "arm": arm, "slowdown": slowdown, "low": low, "high": high,
                 "median": median, "plain_ms": plain, "pairs": pairs.tolist(), "facts": facts}
            )  # fmt: skip
    if args.json:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps({"machine": describe(), "results": results}, indent=1))


if __name__ == "__main__":
    main()
