"""Click to map while all processors train: how long a person waits, and what it costs.

    python benchmarks/maps/interactive.py [--clicks 40] [--rest 1.5] [--workload a]

A session trains; clicks are made at random moments, by turns with a training that rests for
them (the default) and one that does not. The training's cost is the time by which the steps
around a click were longer than the median step between clicks.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # measures this checkout

from benchmarks.machine import describe
from benchmarks.overhead.workloads import WORKLOADS, watched

#: Seconds after an answer that still count as the click's: what is written and shown of it.
AFTER = 0.15


class Arm:
    """Clicks under one setting."""

    def __init__(self) -> None:
        self.windows: list[tuple[float, float]] = []
        self.waits: list[float] = []
        self.processor: list[float] = []
        self.rested = 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clicks", type=int, default=40, help="of each arm")
    parser.add_argument("--rest", type=float, default=1.5, help="seconds between two clicks")
    parser.add_argument("--workload", default="a", choices=WORKLOADS)
    args = parser.parse_args()
    workload = WORKLOADS[args.workload]
    arms = {"training rests": Arm(), "it does not": Arm()}
    print(f"{workload.title}: {describe()}")
    draw = random.Random(0)
    config = {"xai_every": 10**9, "attribution": {"method": workload.method, "budget": 0}}
    with watched(workload, **config) as (session, ends):
        session.explain(0)  # the worker is there, as after the dashboard was shown
        session.train(epochs=10_000)
        time.sleep(5)
        began = time.perf_counter_ns()
        parts = session._made()
        attribution = session.config.attribution
        usual_rest = attribution.click_rest
        for index in range(args.clicks):
            for name, arm in arms.items():
                attribution.click_rest = usual_rest if name == "training rests" else 0
                time.sleep(args.rest + draw.random() * 0.5)
                rested = parts.controls.rested
                at = time.perf_counter_ns()
                explanation = parts.desk.explain(1 + index).result(60)
                done = time.perf_counter_ns()
                arm.waits.append((done - at) / 1e9)
                arm.processor.append(explanation.seconds)
                arm.windows.append((at, done + AFTER * 1e9))
                time.sleep(0.3)
                arm.rested += parts.controls.rested - rested
        time.sleep(args.rest)
        session.stop()
    report(np.array([end for end in ends if end > began]), arms)


def report(ends: np.ndarray, arms: dict[str, Arm]) -> None:
    """Print the figures of both arms."""
    begins, ends = ends[:-1], ends[1:]
    seconds = (ends - begins) / 1e9

    def touched(windows: list[tuple[float, float]]) -> np.ndarray:
        hit = np.zeros(len(ends), bool)
        for a, b in windows:
            hit |= (begins < b) & (ends > a)
        return hit

    calm = ~touched([w for arm in arms.values() for w in arm.windows])
    usual = float(np.median(seconds[calm]))
    print(f"step {usual * 1e3:.0f} ms between clicks ({calm.sum()} steps)")
    for name, arm in arms.items():
        # By click, so that one long step of another cause shows as what it is.
        cost = np.array([(seconds[touched([w])] - usual).sum() for w in arm.windows])
        processor = float(np.mean(arm.processor))
        p50, p95 = np.quantile(arm.waits, [0.5, 0.95])
        print(
            f"{name}: click to map median {p50:.2f} s, p95 {p95:.2f} s; a click cost the training "
            f"{cost.mean() * 1e3:.0f} ms (median {np.median(cost) * 1e3:.0f}), of it rest "
            f"{arm.rested / len(arm.waits) * 1e3:.0f} ms; the worker {processor * 1e3:.0f} ms of "
            f"processor time; ratio {cost.mean() / processor:.2f}"
        )


if __name__ == "__main__":
    main()
