"""What a step of the training thread pays for being watched, in microseconds.

    python benchmarks/telemetry.py [--steps 2000]

A real session trains with everything on (ranking, overlays, run writer); round each thing that
the training thread does for the tool a clock is read. The clock's own cost is subtracted.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from machine import describe
from torch import nn

import coflect_widget as coflect
from coflect_widget.backends.torch_telemetry import OutputBlocks


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


def output(logits: torch.Tensor, loss: torch.Tensor) -> float:
    """Microseconds (median) to make a StepOutput in its block."""
    indices, targets = np.arange(len(logits)), torch.zeros(len(logits), dtype=torch.long)
    blocks = OutputBlocks()
    make = Clock(lambda: blocks.keep(indices, logits, targets, loss, None))
    for _ in range(5000):
        make()
    return float(np.median(make.times)) / 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=2000)
    steps = parser.parse_args().steps
    print(f"telemetry on the training thread: {describe()}")
    empty = Clock(lambda: None)
    for _ in range(5000):
        empty()
    clock = float(np.median(empty.times))
    print(f"{'batch':>6} {'part':<22} {'median us':>10} {'p95 us':>8}")
    for batch in (64, 1024):
        data = coflect.data.synthetic(n=4096)
        with (
            tempfile.TemporaryDirectory() as folder,
            coflect.Session(model(4), data, batch_size=batch, run_dir=folder) as session,
        ):
            wiring = session._wiring
            assert wiring is not None
            observe, boundary = Clock(wiring.forecaster.observe), Clock(wiring.controls.boundary)
            wiring.forecaster.observe = observe  # type: ignore[method-assign]
            wiring.controls.boundary = boundary  # type: ignore[method-assign]
            session.train(steps=steps if batch == 64 else steps // 8)
            session.wait()
            kept = torch.zeros(batch, 10), torch.zeros(())
            parts = {
                "observe": np.array(observe.times[20:]) - clock,
                "commands": np.array(boundary.times[20:]) - clock,
            }
            total = output(*kept) - clock / 1000
            print(f"{batch:>6} {'output':<22} {total:>10.1f}")
            for name, times in parts.items():
                median, p95 = np.percentile(times, [50, 95]) / 1000
                total += median
                print(f"{batch:>6} {name:<22} {median:>10.1f} {p95:>8.1f}")
            print(f"{batch:>6} {'together':<22} {total:>10.1f}   (limit 15)")


if __name__ == "__main__":
    main()
