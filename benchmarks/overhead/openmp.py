"""A step in a thread, while the main thread keeps its OpenMP helpers and after it gave them back.

python benchmarks/overhead/openmp.py [--workloads a c] [--rounds 6]
"""

from __future__ import annotations

import argparse
import sys
import threading
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # measures this checkout

from benchmarks.machine import describe
from benchmarks.overhead.workloads import WORKLOADS, PlainLoop
from coflect_widget.process.openmp import find_runtimes, release_helpers


def in_a_thread(loop: PlainLoop, steps: int) -> float:
    """Milliseconds a step, median."""
    loop.optimizer.ends.clear()
    thread = threading.Thread(target=loop.train, args=(steps, None))
    thread.start()
    thread.join()
    return float(np.median(np.diff(loop.optimizer.ends))) / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workloads", nargs="+", default=["a", "c"], choices=WORKLOADS)
    parser.add_argument("--rounds", type=int, default=6)
    args = parser.parse_args()
    print(f"OpenMP helpers of the main thread: {describe()}")
    find_runtimes()
    for name in args.workloads:
        workload = WORKLOADS[name]
        loop = PlainLoop.of(workload)
        steps = max(20, workload.steps // 10)
        loop.train(20, None)  # now the main thread has helpers
        pairs = []
        for _ in range(args.rounds):
            torch.ones(512, 512) @ torch.ones(512, 512)
            kept = in_a_thread(loop, steps)
            release_helpers()
            pairs.append((kept, in_a_thread(loop, steps)))
        kept, given = np.median(pairs, axis=0)
        ratio = float(np.median([a / b for a, b in pairs]))
        print(
            f"{workload.title}: kept {kept:.2f} ms a step, given back {given:.2f} ms; "
            f"ratio {ratio:.2f}"
        )


if __name__ == "__main__":
    main()
