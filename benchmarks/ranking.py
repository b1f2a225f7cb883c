"""Time of ranking a million samples, and what it does to a training step beside it.

    python benchmarks/ranking.py [--samples 1000000] [--seconds 5]

The store is filled with random histories. A thread then ranks it as often as the forecaster at
its fastest does, while the main thread runs steps of about one millisecond of numpy (matrix
products that release the GIL, with Python in between); stretches with and without it alternate.
Scoring everything anew, which happens once an epoch, is timed and watched in the same way.
"""

from __future__ import annotations

import argparse
import datetime as dt
import platform
import threading
import time

import numpy as np

from coflect_widget.forecast.forecaster import RANKING_PERIOD, RANKING_SHARE
from coflect_widget.forecast.foresight import Foresight
from coflect_widget.forecast.ranking import rank, reasons
from coflect_widget.forecast.store import SampleStore


def fill(samples: int, classes: int = 2, sightings: int = 3) -> SampleStore:
    store = SampleStore(samples, classes)
    rng = np.random.default_rng(0)
    for step in range(sightings):
        for start in range(0, samples, 65_536):
            rows = np.arange(start, min(samples, start + 65_536))
            logits = 3 * rng.standard_normal((len(rows), classes), dtype=np.float32)
            store.update(rows, logits, rng.integers(0, classes, len(rows)), step)
    return store


def ranking(model: Foresight, top: int = 10) -> float:
    """Make one as the forecaster does; returns seconds."""
    began = time.perf_counter()
    chosen = rank(model.store, top)
    model.probability(chosen)
    reasons(model.store, chosen)
    return time.perf_counter() - began


def step_times(seconds: float) -> np.ndarray:
    """Seconds of each of many steps of about a millisecond."""
    rng = np.random.default_rng(1)
    a, b = rng.standard_normal((2, 192, 192), dtype=np.float32)
    products = []
    for _ in range(500):
        before = time.perf_counter()
        a @ b
        products.append(time.perf_counter() - before)
    repeats = max(1, round(1e-3 / float(np.median(products))))  # as many as make a millisecond
    times = []
    until = time.perf_counter() + seconds
    while (before := time.perf_counter()) < until:
        for _ in range(repeats):
            a @ b
        times.append(time.perf_counter() - before)
    return np.array(times)


def percentiles(name: str, seconds: np.ndarray) -> None:
    p50, p95, p99 = 1e3 * np.percentile(seconds, [50, 95, 99])
    print(f"{name:32s} p50 {p50:8.2f} ms   p95 {p95:8.2f} ms   p99 {p99:8.2f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()

    print(f"{dt.datetime.now(dt.UTC):%Y-%m-%d} {platform.machine()}", end=" ")
    print(f"Python {platform.python_version()}, numpy {np.__version__}")
    store = fill(options.samples)
    model = Foresight(store, 4)
    began = time.perf_counter()
    model.update_all()
    took = time.perf_counter() - began
    print(
        f"{options.samples:,} samples, {store.nbytes / options.samples:.0f} bytes each, "
        f"{store.nbytes / 2**20:.0f} MiB; scoring all anew, once an epoch: {took:.2f} s"
    )
    percentiles("one ranking", np.array([ranking(model) for _ in range(30)]))

    rows = np.random.default_rng(2).integers(0, options.samples, (200, 64))
    logits = np.random.default_rng(3).standard_normal((64, 10), dtype=np.float32)
    wide, targets = SampleStore(options.samples, 10), np.arange(64) % 10
    scorer = Foresight(wide, 4)
    times = []
    for step, row in enumerate(rows):
        before = time.perf_counter()
        wide.update(row, logits, targets, step)
        scorer.update(row)
        times.append(time.perf_counter() - before)
    percentiles("one batch of 64 taken in", np.array(times))

    def rank_again_and_again() -> None:
        pause = RANKING_PERIOD
        while not stop.wait(pause):
            pause = max(RANKING_PERIOD, ranking(model) / RANKING_SHARE)

    def score_again_and_again() -> None:
        while not stop.wait(0.2):
            model.update_all()

    stretches: dict[str, list[np.ndarray]] = {}
    for _ in range(options.repeats):
        for name, beside in (
            ("a step, alone", None),
            ("a step, beside rankings", rank_again_and_again),
            ("a step, alone again", None),
            ("a step, beside scoring of all", score_again_and_again),
        ):
            stop = threading.Event()
            thread = threading.Thread(target=beside)
            if beside is not None:
                thread.start()
            stretches.setdefault(name, []).append(step_times(options.seconds))
            stop.set()
            if beside is not None:
                thread.join()
    for name, parts in stretches.items():
        percentiles(name, np.concatenate(parts))
    p99 = {name: [np.percentile(part, 99) for part in parts] for name, parts in stretches.items()}
    alone, beside_it, again, scoring = p99.values()
    ratios = np.array(beside_it) / np.array(alone)
    print(f"p99 beside rankings / alone, median of pairs: {np.median(ratios):.2f}")
    print(f"p99 beside scoring / alone, median of pairs: "
          f"{np.median(np.array(scoring) / np.array(again)):.2f}")  # fmt: skip


if __name__ == "__main__":
    main()
