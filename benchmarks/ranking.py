"""Time of ranking a million samples, and what it does to a training step beside it.

    python benchmarks/ranking.py [--samples 1000000] [--seconds 5]

The store is filled with random histories. A thread then ranks it five times a second, as the
forecaster at its fastest does, while the main thread runs steps of about one millisecond of
numpy (matrix products that release the GIL, with Python in between).
"""

from __future__ import annotations

import argparse
import datetime as dt
import platform
import threading
import time

import numpy as np

from coflect_widget.forecast.forecaster import RANKING_PERIOD
from coflect_widget.forecast.risk import bounded, rank, reasons, severity
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


def ranking(store: SampleStore, top: int = 10) -> None:
    scores = severity(store)
    chosen = rank(store, top, scores)
    bounded(scores[chosen])
    reasons(store, chosen)


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
    parser.add_argument("--seconds", type=float, default=5.0)
    options = parser.parse_args()

    print(f"{dt.datetime.now(dt.UTC):%Y-%m-%d} {platform.machine()}", end=" ")
    print(f"Python {platform.python_version()}, numpy {np.__version__}")
    store = fill(options.samples)
    print(
        f"{options.samples:,} samples, {store.nbytes / options.samples:.0f} bytes each, "
        f"{store.nbytes / 2**20:.0f} MiB"
    )
    times = []
    for _ in range(20):
        before = time.perf_counter()
        ranking(store)
        times.append(time.perf_counter() - before)
    percentiles("one ranking", np.array(times))

    rows = np.random.default_rng(2).integers(0, options.samples, (200, 64))
    logits = np.random.default_rng(3).standard_normal((64, 10), dtype=np.float32)
    wide, targets = SampleStore(options.samples, 10), np.arange(64) % 10
    times = []
    for step, row in enumerate(rows):
        before = time.perf_counter()
        wide.update(row, logits, targets, step)
        times.append(time.perf_counter() - before)
    percentiles("one batch of 64 into the store", np.array(times))

    percentiles("a step, alone", step_times(options.seconds))
    stop = threading.Event()

    def rank_again_and_again() -> None:
        while not stop.wait(RANKING_PERIOD):
            ranking(store)

    thread = threading.Thread(target=rank_again_and_again)
    thread.start()
    percentiles("a step, beside five rankings/s", step_times(options.seconds))
    stop.set()
    thread.join()


if __name__ == "__main__":
    main()
