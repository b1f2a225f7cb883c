"""What overlays in the background cost a training that uses all processors.

    python benchmarks/maps/background_cost.py [--pairs 40] [--seconds 6] [--workload a]

One session trains throughout. Blocks with overlays going all the time (one is always waiting)
and blocks without any follow each other in pairs, in changing order. Printed are the median
slowdown of the pairs with a 95 % bootstrap interval, and how many overlays a minute came.
"""

from __future__ import annotations

import argparse
import itertools
import random
import sys
import time
from concurrent.futures import Future, wait
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # measures this checkout

from benchmarks.machine import describe
from benchmarks.overhead.workloads import WORKLOADS, watched


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=40)
    parser.add_argument("--seconds", type=float, default=6.0, help="of one block")
    parser.add_argument("--workload", default="a", choices=WORKLOADS)
    args = parser.parse_args()
    workload = WORKLOADS[args.workload]
    print(f"{workload.title}: {describe()}", flush=True)
    draw = random.Random(0)
    pairs: list[dict[str, float]] = []
    # All of the rest as usual, but no overlays of its own, and no limit to ours.
    config = {
        "xai_every": 10**9,
        "forecast_every": 10**9,
        "attribution": {"method": workload.method, "budget": 60},
    }
    with watched(workload, **config) as (session, ends):
        session.explain(0)
        session.train(epochs=10_000)
        time.sleep(5)
        parts = session._made()
        indices = itertools.cycle(range(workload.samples))
        made = made_seconds = 0.0

        def block(*, overlays: bool) -> float:
            """Mean milliseconds of a step."""
            nonlocal made, made_seconds
            first, before = len(ends), parts.scheduler.counts.made
            began = time.monotonic()
            waiting: set[Future[object]] = set()
            while time.monotonic() < began + args.seconds or len(ends) < first + 10:
                while overlays and len(waiting) < 2:
                    waiting.add(parts.scheduler.request(next(indices), "candidate"))
                time.sleep(0.02)
                waiting = {future for future in waiting if not future.done()}
            last = len(ends) - 1
            if overlays:
                made += parts.scheduler.counts.made - before
                made_seconds += time.monotonic() - began
            for future in waiting:
                future.cancel()
            wait(waiting, 60)  # what is computed already belongs to no block
            time.sleep(0.2)
            return (ends[last] - ends[first]) / (last - first) / 1e6

        block(overlays=True)
        made = made_seconds = 0.0
        for _ in range(args.pairs):
            order = [True, False]
            draw.shuffle(order)
            pairs.append({str(on): block(overlays=on) for on in order})
            print(f"  {pairs[-1]['True'] / pairs[-1]['False'] - 1:+.1%}", end="", flush=True)
        print()
        session.stop()
    ratios = np.array([pair["True"] / pair["False"] for pair in pairs])
    resampled = np.random.default_rng(0).choice(ratios, (10_000, len(ratios)))
    low, high = np.quantile(np.median(resampled, axis=1), [0.025, 0.975])
    total = sum(pair["True"] for pair in pairs) / sum(pair["False"] for pair in pairs)
    without = np.median([pair["False"] for pair in pairs])
    print(f"step {without:.1f} ms without overlays, {len(pairs)} pairs of {args.seconds:g} s")
    print(
        f"median slowdown {(np.median(ratios) - 1) * 100:+.1f} % "
        f"(95 % bootstrap interval {(low - 1) * 100:+.1f} to {(high - 1) * 100:+.1f} %), "
        f"of all time {(total - 1) * 100:+.1f} %, {made / made_seconds * 60:.1f} overlays a minute"
    )


if __name__ == "__main__":
    main()
