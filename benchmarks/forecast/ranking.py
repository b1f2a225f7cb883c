"""Time of ranking a million samples, and what it does to a training step beside it.

    python benchmarks/forecast/ranking.py [--samples 1000000] [--pairs 16] [--into FILE]

The store is filled with random histories. A thread then ranks it as often as the forecaster at
its fastest does, while the main thread runs steps of about one millisecond of numpy (matrix
products that release the GIL, with Python in between). Short blocks with and without it come in
pairs, in random order; the ratio of the 99th percentiles of all their steps has an interval from
drawing pairs anew. ``--into`` keeps the blocks, so that several short runs on a quiet machine make
one measurement. Scoring everything anew, which happens once an epoch, is watched in the same way.
"""

from __future__ import annotations

import argparse
import datetime as dt
import platform
import sys
import threading
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # measures this checkout

from coflect_widget.forecast.forecaster import RANKING_PERIOD, RANKING_SHARE
from coflect_widget.forecast.foresight import Foresight
from coflect_widget.forecast.queue import Queue
from coflect_widget.forecast.ranking import reasons
from coflect_widget.process import turns
from coflect_widget.tasks import Classification
from coflect_widget.telemetry.store import SampleStore


def fill(samples: int, classes: int = 2, sightings: int = 3) -> SampleStore:
    store = SampleStore(samples, Classification(classes))
    rng = np.random.default_rng(0)
    for step in range(sightings):
        for start in range(0, samples, 65_536):
            rows = np.arange(start, min(samples, start + 65_536))
            logits = 3 * rng.standard_normal((len(rows), classes), dtype=np.float32)
            store.update(rows, logits, rng.integers(0, classes, len(rows)), step)
    return store


def ranking(queue: Queue) -> tuple[float, float]:
    """Make one as the forecaster does; returns seconds that passed and the processor's."""
    began, used = time.perf_counter(), time.thread_time()
    chosen, _ = queue.listed(True, False)
    reasons(queue.foresight.store, chosen)
    return time.perf_counter() - began, time.thread_time() - used


def pause_after(ranking: tuple[float, float]) -> float:
    """Seconds until the forecaster makes the next one, at its fastest, from that one's start."""
    passed, used = ranking
    return max(RANKING_PERIOD, used / RANKING_SHARE) - passed


def products_a_step() -> int:
    """Matrix products that make a millisecond."""
    a, b = _matrices()
    times = []
    for _ in range(1000):
        before = time.perf_counter()
        a @ b
        times.append(time.perf_counter() - before)
    return max(1, round(1e-3 / float(np.median(times))))


def step_times(seconds: float, products: int) -> np.ndarray:
    """Seconds of each of many steps of about a millisecond."""
    a, b = _matrices()
    times = []
    until = time.perf_counter() + seconds
    while (before := time.perf_counter()) < until:
        for _ in range(products):
            a @ b
        times.append(time.perf_counter() - before)
    return np.array(times)


def _matrices() -> np.ndarray:
    return np.random.default_rng(1).standard_normal((2, 192, 192), dtype=np.float32)


def percentiles(name: str, seconds: np.ndarray) -> None:
    p50, p95, p99 = 1e3 * np.percentile(seconds, [50, 95, 99])
    print(f"{name:32s} p50 {p50:8.2f} ms   p95 {p95:8.2f} ms   p99 {p99:8.2f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=1.0, help="of one block")
    parser.add_argument("--pairs", type=int, default=16)
    parser.add_argument("--into", type=Path, help="file of blocks, gone on with if it is there")
    options = parser.parse_args()

    print(f"{dt.datetime.now(dt.UTC):%Y-%m-%d} {platform.machine()}", end=" ")
    print(f"Python {platform.python_version()}, numpy {np.__version__}")
    store = fill(options.samples)
    model = Foresight(store, 4)
    queue = Queue(model, top=10)
    began = time.perf_counter()
    model.update_all()
    took = time.perf_counter() - began
    print(
        f"{options.samples:,} samples, {store.nbytes / options.samples:.0f} bytes each, "
        f"{store.nbytes / 2**20:.0f} MiB; scoring all anew, once an epoch: {took:.2f} s"
    )
    passed, used = np.array([ranking(queue) for _ in range(30)]).T
    percentiles("one ranking", passed)
    percentiles("one ranking, processor time", used)

    rows = np.random.default_rng(2).integers(0, options.samples, (200, 64))
    logits = np.random.default_rng(3).standard_normal((64, 10), dtype=np.float32)
    wide, targets = SampleStore(options.samples, Classification(10)), np.arange(64) % 10
    scorer = Foresight(wide, 4)
    times = []
    for step, row in enumerate(rows):
        before = time.perf_counter()
        wide.update(row, logits, targets, step)
        scorer.update(row)
        times.append(time.perf_counter() - before)
    percentiles("one batch of 64 taken in", np.array(times))

    def rank_again_and_again(stop: threading.Event) -> None:
        # A block begins anywhere between two rankings.
        pause = float(offsets.random()) * pause_after(ranking(queue))
        while not stop.wait(pause):
            pause = pause_after(ranking(queue))

    def score_once(stop: threading.Event) -> None:
        stop.wait(0.2)
        model.update_all()

    turns.shorten()  # as any training of a session does
    offsets = np.random.default_rng()
    products = products_a_step()
    blocks: dict[str, list[np.ndarray]] = {}
    if options.into and options.into.exists():
        with np.load(options.into, allow_pickle=False) as kept:
            for name in kept.files:
                blocks.setdefault(name.split("/")[0], []).append(kept[name])
    for _ in range(options.pairs):
        for kind, beside in (("rankings", rank_again_and_again), ("scoring of all", score_once)):
            if kind == "scoring of all" and offsets.random() > 0.25:
                continue
            order = [f"alone, {kind}", f"beside {kind}"]
            for name in order if offsets.random() < 0.5 else order[::-1]:
                stop = threading.Event()
                thread = threading.Thread(target=beside, args=(stop,))
                if name.startswith("beside"):
                    thread.start()
                blocks.setdefault(name, []).append(step_times(options.seconds, products))
                stop.set()
                if name.startswith("beside"):
                    thread.join()
    if options.into:
        np.savez(options.into, **{
            f"{name}/{i}": block for name, parts in blocks.items() for i, block in enumerate(parts)
        })  # fmt: skip
    for kind in ("rankings", "scoring of all"):
        alone, beside_it = (blocks.get(f"{name} {kind}", []) for name in ("alone,", "beside"))
        if not alone:
            continue
        percentiles("a step, alone", np.concatenate(alone))
        percentiles(f"a step, beside {kind}", np.concatenate(beside_it))
        ratio, low, high = p99_ratio(alone, beside_it)
        print(f"p99 beside {kind} / alone: {ratio:.3f} [{low:.3f}, {high:.3f}], "
              f"{len(alone)} pairs of {options.seconds:g} s")  # fmt: skip


def p99_ratio(
    alone: list[np.ndarray], beside: list[np.ndarray], draws: int = 500
) -> tuple[float, float, float]:
    """Of all steps together, and its 95 % interval from drawing pairs of blocks anew."""
    rng = np.random.default_rng(0)

    def ratio(pairs: np.ndarray) -> float:
        of = [np.percentile(np.concatenate([arm[i] for i in pairs]), 99) for arm in (beside, alone)]
        return float(of[0] / of[1])

    pairs = len(alone)
    low, high = np.quantile(
        [ratio(rng.integers(0, pairs, pairs)) for _ in range(draws)], [0.025, 0.975]
    )
    return ratio(np.arange(pairs)), float(low), float(high)


if __name__ == "__main__":
    main()
