"""How long a pause takes to hold, without a browser, while another thread computes in Python.

    python benchmarks/dashboard/pause.py [--tries 50] [--beside computes|sleeps] [--turn 0.5]

The demo trains; `--turn` is for how many ms a thread may keep the interpreter (Python's own
choice is 5; a session that trains sets 0.5). A pause holds as soon as the step under way has
ended, so that the steps' duration is printed beside it. The number of OpenMP threads is
OMP_NUM_THREADS, as always.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # measures this checkout

import coflect_widget as coflect
from benchmarks.machine import describe
from coflect_widget.process import turns


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tries", type=int, default=50)
    parser.add_argument("--beside", choices=("computes", "sleeps"), default="computes")
    parser.add_argument("--turn", type=float, default=1e3 * turns.TURN, help="ms")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, coflect.demo(run_dir=folder) as session:
        steps: list[float] = []
        held, amount = measured(session, steps, args)
    print(f"pause: {describe()}, {torch.get_num_threads()} OpenMP threads")
    print(f"turns of {args.turn:g} ms, another thread {args.beside}")
    for what, values in (("until it holds", held), ("a step", steps)):
        p50, p95, slowest = 1e3 * np.percentile(values, (50, 95, 100))
        print(f"{what:<16}p50 {p50:5.0f} ms  p95 {p95:5.0f} ms  slowest {slowest:5.0f} ms")
    print(f"{'other thread':<16}{amount:.0f} rounds a second")


def measured(
    session: coflect.Session, steps: list[float], args: argparse.Namespace
) -> tuple[list[float], float]:
    """Seconds from the asking to the hold; fills `steps`; rounds a second of the other thread."""
    backend = session._made().backend
    step = backend.train_step
    session.train(epochs=100_000)
    sys.setswitchinterval(args.turn / 1e3)
    time.sleep(3)

    def timed(batch: object) -> object:
        began = time.perf_counter()
        output = step(batch)
        steps.append(time.perf_counter() - began)
        return output

    backend.train_step = timed
    other = Other(args.beside)
    other.start()
    held = []
    draw = np.random.default_rng(0)
    began = time.perf_counter()
    for _ in range(args.tries):
        time.sleep(draw.uniform(0.1, 0.3))
        asked = time.perf_counter()
        session.pause()
        while session.state != "paused":
            time.sleep(0.001)
        held.append(time.perf_counter() - asked)
        session.resume()
    spent = time.perf_counter() - began
    other.ends = True
    other.join()
    return held, other.rounds / spent


class Other(threading.Thread):
    """What a busy cell does."""

    def __init__(self, does: str) -> None:
        super().__init__()
        self.does = does
        self.rounds = 0
        self.ends = False

    def run(self) -> None:
        while not self.ends:
            if self.does == "sleeps":
                time.sleep(0.05)
            else:
                sum(i * i for i in range(10_000))
            self.rounds += 1


if __name__ == "__main__":
    main()
