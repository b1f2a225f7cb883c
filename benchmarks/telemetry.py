"""What a step of the training thread pays for being watched, in microseconds.

    python benchmarks/telemetry.py [--steps 2000]

A real session trains with everything on (ranking, overlays, run writer); round each thing that
the training thread does for the tool a clock is read. The clock's own cost is subtracted. A step
fills the caches, so that the same lines cost several times what they would cost in a loop.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from machine import describe
from torch import nn

import coflect_widget as coflect


class Clock:
    """Wraps a callable and keeps how long each call took, in nanoseconds."""

    def __init__(self, call: Callable[..., Any]) -> None:
        self.call = call
        self.times: list[int] = []

    def __call__(self, *arguments: Any, **more: Any) -> Any:
        start = time.perf_counter_ns()
        result = self.call(*arguments, **more)
        self.times.append(time.perf_counter_ns() - start)
        return result


def model(outputs: int) -> nn.Module:
    """Quick enough that the watching would show."""
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(8), nn.Flatten(),
        nn.Linear(512, 64), nn.ReLU(), nn.Linear(64, outputs),
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=2000)
    steps = parser.parse_args().steps
    print(f"telemetry on the training thread: {describe()}")
    print(f"{'batch':>6} {'part':<22} {'median us':>10} {'p95 us':>8}")
    for batch in (64, 1024):
        data = coflect.data.synthetic(n=4096)
        with (
            tempfile.TemporaryDirectory() as folder,
            coflect.Session(model(4), data, batch_size=batch, run_dir=folder) as session,
        ):
            wiring = session._wiring
            assert wiring is not None
            parts = {
                "output": Clock(wiring.backend._outputs.keep),
                "step done": Clock(wiring.loop._step_done),
                "boundary": Clock(wiring.loop._boundary),
            }
            nothing = Clock(lambda: None)  # what a clock costs there, between two parts
            done = parts["step done"]

            def step_done(*output: Any, done: Clock = done, nothing: Clock = nothing) -> None:
                nothing()
                done(*output)

            wiring.backend._outputs.keep = parts["output"]
            wiring.loop._step_done = step_done  # type: ignore[method-assign]
            wiring.loop._boundary = parts["boundary"]  # type: ignore[method-assign]
            session.train(steps=steps if batch == 64 else steps // 8)
            session.wait()
            total = 0.0
            clock = float(np.median(nothing.times[20:]))
            for name, part in parts.items():
                taken = np.array(part.times[20:]) - clock
                median, p95 = np.percentile(taken, [50, 95]) / 1000
                total += median
                print(f"{batch:>6} {name:<22} {median:>10.1f} {p95:>8.1f}")
            print(f"{batch:>6} {'together':<22} {total:>10.1f}   (limit 15)")


if __name__ == "__main__":
    main()
