"""What a step of the training thread pays for being watched, in microseconds.

    python benchmarks/telemetry.py [--steps 4000]

A real session trains with everything on (ranking, overlays, run writer). The time is that from
the end of an optimizer's step to the beginning of the next forward pass, without that in which
the next batch is gathered and the gradients are freed: there the training thread puts down what
the step computed, tells of it, looks for commands, and does what a plain loop does, too. A plain
loop over the same batches, in turn with it, is subtracted. A step fills the caches, so that the
same lines cost several times what they would cost in a loop. Memory is kept in the process, as in
`overhead.py`: giving it back takes longer than all of this.

Of most steps something is only put on a list, and of up to sixteen the rest is done at once; so
the figure is that of sixteen steps in a row, by step, and of such rows the median. Rests, in which
training waits for the forecast, are left out: `overhead_woven.py` has them.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from machine import describe
from overhead import STILL
from torch import nn
from torch.nn import functional as F

import coflect_widget as coflect
from coflect_widget.training.controls import Controls

#: Steps of a row.
ROW = 16
#: Steps of an epoch, whatever the batch: an epoch's end has work of its own.
EPOCH = 32
#: Rounds, each of the session and of the plain loop in turn.
ROUNDS = 10

now = time.perf_counter_ns


class SGD(torch.optim.SGD):
    """Notes when its newest step ended, and how long the newest freeing of gradients took."""

    ended = freeing = 0

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        super().step(closure)
        self.ended = now()

    def zero_grad(self, set_to_none: bool = True) -> None:  # noqa: FBT001, FBT002
        began = now()
        super().zero_grad(set_to_none)
        self.freeing = now() - began


class Model(nn.Sequential):
    """Quick enough that the watching would show; notes when its newest forward pass began."""

    began = 0

    def __init__(self, outputs: int) -> None:
        super().__init__(
            nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(8),
            nn.Flatten(), nn.Linear(512, 64), nn.ReLU(), nn.Linear(64, outputs),
        )  # fmt: skip

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.began = now()
        made: torch.Tensor = super().forward(x)
        return made


class Gaps:
    """What lies between two steps, in nanoseconds."""

    def __init__(self, batches: Any, model: Model, optimizer: SGD, controls: Controls) -> None:
        self.all: list[float] = []
        self._batches, self._model, self._optimizer = batches, model, optimizer
        self._controls = controls

    def __call__(self, *which: Any, **more: Any) -> Iterator[Any]:
        for batch in self._batches(*which, **more):
            given, rested = now(), self._controls.rested
            yield batch
            asked = now()
            before = self._model.began - given - self._optimizer.freeing
            after = asked - self._optimizer.ended - 1e9 * (self._controls.rested - rested)
            self.all.append(before + after)

    def by_step(self) -> float:
        """Microseconds a step, the median over rows."""
        rows = np.array(self.all[: len(self.all) // ROW * ROW]).reshape(-1, ROW)
        return float(np.median(rows.mean(axis=1))) / 1000


def measure(batch: int, steps: int) -> tuple[float, float]:
    """Microseconds a step of the session and of the plain loop."""
    data = coflect.data.synthetic(n=EPOCH * batch)
    made = Model(4)
    optimizer = SGD(made.parameters(), lr=0.01)
    with (
        tempfile.TemporaryDirectory() as folder,
        coflect.Session(
            made, data, optimizer=optimizer, batch_size=batch, run_dir=folder
        ) as session,
    ):
        backend, controls = session._made().backend, session._made().controls
        source = backend.train_batches
        plain, watched = (Gaps(source, made, optimizer, controls) for _ in range(2))
        backend.train_batches = watched  # type: ignore[method-assign]
        made.train()
        for round_ in range(ROUNDS):
            session.train(steps=steps // ROUNDS)
            session.wait()
            left = steps // ROUNDS
            while left > 0:
                for _, inputs, targets in plain(round_):
                    optimizer.zero_grad(set_to_none=True)
                    loss = F.cross_entropy(made(inputs), targets)
                    loss.backward()
                    optimizer.step()
                    del loss  # as at the end of a function
                    left -= 1
                    if left == 0:
                        break
    return watched.by_step(), plain.by_step()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=4000)
    steps = parser.parse_args().steps
    if not STILL.items() <= os.environ.items():  # read when a process begins
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **STILL})
    print(f"telemetry on the training thread, us a step: {describe()}")
    print(f"{'batch':>6}{'session':>10}{'plain':>10}{'difference':>12}   (limit 15)")
    for batch in (64, 1024):
        watched, plain = measure(batch, steps if batch == 64 else steps // 4)
        print(f"{batch:>6}{watched:>10.1f}{plain:>10.1f}{watched - plain:>12.1f}", flush=True)


if __name__ == "__main__":
    main()
