"""The compiled kernels beside numpy's, and what both do to a training step beside them.

    python benchmarks/native/kernels.py [--samples 10000000] [--pairs 16] [--seconds 1]

First the processor time of what is done: a batch taken in as the forecaster's thread does it, one
alone and 32 gathered, and a ranking of ten million samples. Both kinds run by turns in one process,
on stores of their own; the ratio is the median over the turns.

Then the main thread runs steps of about a millisecond of numpy (`ranking.py`), alone or while
another thread takes in fifty batches of 64 every fifty milliseconds and ranks as often as the
forecaster may. Blocks come in random order; the ratio of the 99th percentiles has an interval from
drawing blocks anew. "nothing" is a thread that only sleeps: what the method finds where nothing is.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # measures this checkout

from benchmarks.forecast.ranking import p99_ratio, percentiles, products_a_step, step_times
from benchmarks.machine import describe
from coflect_widget.forecast.forecaster import PERIOD, RANKING_PERIOD, RANKING_SHARE
from coflect_widget.forecast.ranking import rank
from coflect_widget.native import kernels
from coflect_widget.process import turns
from coflect_widget.tasks import Classification, Regression, Task
from coflect_widget.telemetry.store import SampleStore

#: Batch, batches gathered, classes (0: regression) and samples of what is taken in.
INGEST = [
    (64, 1, 10, 50_000), (64, 1, 2, 50_000), (1024, 1, 10, 50_000), (64, 1, 1000, 50_000),
    (64, 1, 0, 50_000), (64, 32, 10, 50_000), (1024, 32, 10, 50_000), (64, 32, 1000, 50_000),
]  # fmt: skip
TURNS, TIMES = 15, 20


def by_turns(
    native: Callable[[], object], numpys: Callable[[], object], times: int
) -> tuple[float, float, float]:
    """Median processor seconds of one call of each, and the median ratio."""
    taken = np.zeros((TURNS, 2))
    for turn in range(TURNS):
        for kind, call in enumerate((native, numpys)):
            began = time.thread_time()
            for _ in range(times):
                call()
            taken[turn, kind] = (time.thread_time() - began) / times
    return *np.median(taken, axis=0).tolist(), float(np.median(taken[:, 1] / taken[:, 0]))


def stores(samples: int, classes: int) -> tuple[SampleStore, SampleStore]:
    def task() -> Task:
        return Classification(classes) if classes else Regression()

    native, numpys = SampleStore(samples, task()), SampleStore(samples, task())
    numpys.kernel = None
    return native, numpys


def batches(
    size: int, count: int, classes: int, samples: int
) -> tuple[list[np.ndarray], np.ndarray, np.ndarray, list[int]]:
    rng = np.random.default_rng(0)
    order = rng.permutation(samples)[: size * count]
    logits = 3 * rng.standard_normal((size * count, classes or 1), dtype=np.float32)
    targets = rng.integers(0, classes, size * count) if classes else np.zeros_like(logits)
    return np.array_split(order, count), logits, targets, [*range(count)]


def ingest() -> None:
    print("\ntaken in, microseconds of processor time a step\n")
    print("| batch | classes | gathered | native | numpy | times |\n|---|---|---|---|---|---|")
    for size, count, classes, samples in INGEST:
        native, numpys = stores(samples, classes)
        rows, logits, targets, steps = batches(size, count, classes, samples)
        if count == 1:
            one = (rows[0], logits, targets, 0)
            calls = (lambda s=native, o=one: s.update(*o), lambda s=numpys, o=one: s.update(*o))
        else:
            many = (rows, logits, targets, steps)
            calls = (
                lambda s=native, m=many: s.update_many(*m),
                lambda s=numpys, m=many: s.update_many(*m),
            )
        ours, theirs, ratio = by_turns(*calls, max(1, TIMES // count))
        print(
            f"| {size:,} | {f'{classes:,}' if classes else 'regression'} | {count} "
            f"| {1e6 * ours / count:.1f} | {1e6 * theirs / count:.1f} | {ratio:.1f} |"
        )


def scored(samples: int) -> tuple[SampleStore, SampleStore]:
    rng = np.random.default_rng(0)
    native, numpys = stores(samples, 2)
    native.score[:] = rng.standard_normal(samples, dtype=np.float32)
    native.correct[:] = rng.random(samples, np.float32) < 0.8
    numpys.score, numpys.correct = native.score, native.correct
    return native, numpys


def ranked(native: SampleStore, numpys: SampleStore) -> None:
    print(f"\nranking {native.num_samples:,} samples, milliseconds of processor time\n")
    print("| among | native | numpy | times |\n|---|---|---|---|")
    for among, right in (("all", None), ("those right now", True)):
        calls = (
            lambda s=native, r=right: rank(s, 10, right=r),
            lambda s=numpys, r=right: rank(s, 10, right=r),
        )
        ours, theirs, ratio = by_turns(*calls, 1)
        print(f"| {among} | {1e3 * ours:.1f} | {1e3 * theirs:.1f} | {ratio:.1f} |")


def beside(large: tuple[SampleStore, SampleStore], pairs: int, seconds: float) -> None:
    rows, logits, targets, steps = batches(64, 50, 10, 50_000)

    def work(takes: SampleStore, ranks: SampleStore, stop: threading.Event) -> None:
        again = time.monotonic()
        while not stop.wait(PERIOD):
            takes.update_many(rows, logits, targets, steps)
            if time.monotonic() >= again:
                began, used = time.monotonic(), time.thread_time()
                rank(ranks, 10)
                used = time.thread_time() - used
                again = began + max(RANKING_PERIOD, used / RANKING_SHARE)

    def nothing(stop: threading.Event) -> None:
        while not stop.wait(PERIOD):
            pass

    takes = stores(50_000, 10)
    arms: dict[str, Callable[[threading.Event], None] | None] = {
        "alone": None,
        "nothing": nothing,
        "native": lambda stop: work(takes[0], large[0], stop),
        "numpy": lambda stop: work(takes[1], large[1], stop),
    }
    turns.shorten()  # as any training of a session does
    rng, products = np.random.default_rng(), products_a_step()
    blocks: dict[str, list[np.ndarray]] = {name: [] for name in arms}
    for _ in range(pairs):
        for name in rng.permutation([*arms]):
            stop, run = threading.Event(), arms[name]
            thread = threading.Thread(target=run, args=(stop,)) if run else None
            if thread:
                thread.start()
            blocks[name].append(step_times(seconds, products))
            stop.set()
            if thread:
                thread.join()
    print(f"\na step of a millisecond, {pairs} blocks of {seconds:g} s each\n")
    for name, block in blocks.items():
        percentiles(f"beside {name}" if name != "alone" else name, np.concatenate(block))
    for name in [*arms][1:]:
        ratio, low, high = p99_ratio(blocks["alone"], blocks[name])
        print(f"p99 beside {name} / alone: {ratio:.3f} [{low:.3f}, {high:.3f}]")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=10_000_000)
    parser.add_argument("--pairs", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=1.0, help="of one block")
    options = parser.parse_args()
    found = kernels()
    if found.module is None:
        raise SystemExit(f"There is nothing to compare: {found.why}")
    print(f"{describe()}, {found.used}")
    ingest()
    large = scored(options.samples)
    ranked(*large)
    beside(large, options.pairs, options.seconds)


if __name__ == "__main__":
    main()
