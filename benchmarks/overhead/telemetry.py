"""What a step of the training thread pays for being watched, in microseconds.

    python benchmarks/overhead/telemetry.py [--steps 4000]

A real session trains with everything on (ranking, overlays, run writer). The time is that from
the end of an optimizer's step to the beginning of the next forward pass, without that in which
the next batch is gathered and the gradients are freed: there the training thread puts down what
the step computed, tells of it, looks for commands, and does what a plain loop does, too. A plain
loop over the same batches, in turn with it, is subtracted. Of the difference telemetry is one part;
the session's loop without it, in the same turns, tells which. A step fills the caches, so that the
same lines cost several times what they would cost in a loop. Memory is kept in the process, as in
`overhead/pairs.py`: giving it back takes longer than all of this.

Of most steps something is only put on a list, and of up to `TOGETHER` the rest is done at once; so
the figure is that of as many steps in a row, by step, and of such rows the median. Rests, in which
training waits for the forecast, are left out: `overhead/woven.py` has them.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # measures this checkout

import coflect_widget as coflect
from benchmarks.machine import describe
from benchmarks.overhead.pairs import STILL
from coflect_widget.backends.base import StepOutput
from coflect_widget.training.controls import Controls
from coflect_widget.training.loop import TOGETHER

#: Steps of an epoch, whatever the batch: an epoch's end has work of its own.
EPOCH = 4 * TOGETHER
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
        self._rows: list[list[float]] = []
        self._batches, self._model, self._optimizer = batches, model, optimizer
        self._controls = controls

    def __call__(self, *which: Any, **more: Any) -> Iterator[Any]:
        for place, batch in enumerate(self._batches(*which, **more)):
            given, rested = now(), self._controls.rested
            yield batch
            asked = now()
            before = self._model.began - given - self._optimizer.freeing
            after = asked - self._optimizer.ended - 1e9 * (self._controls.rested - rested)
            if place % TOGETHER == 0:
                self._rows.append([])
            self._rows[-1].append(before + after)

    def by_step(self) -> float:
        """Microseconds a step, the median over rows."""
        whole = [row for row in self._rows if len(row) == TOGETHER]
        return float(np.median(np.mean(whole, axis=1))) / 1000


class Untold:
    """The session's steps, of which nothing is kept or told."""

    def __init__(self, backend: Any, forecaster: Any) -> None:
        self._backend, self._forecaster = backend, forecaster
        self._nothing = StepOutput(np.zeros(0, np.int64), None, None, 1.0, None)

    def __enter__(self) -> None:
        self._backend.train_step = self._train_step
        self._forecaster.observe = self._observe

    def __exit__(self, *_: object) -> None:
        del self._backend.train_step, self._forecaster.observe

    def _observe(self, *_: object) -> None:
        pass

    def _train_step(self, batch: Any) -> StepOutput:
        """`TorchBackend.train_step` without guidance and verdicts, line for line."""
        backend = self._backend
        assert not backend._judged.any
        if not backend.model.training:
            backend._frozen.train(backend.model)
        backend.optimizer.zero_grad(set_to_none=True)
        assert backend._half is None
        assert not (backend._guidance is not None and backend._guidance.active)
        logits = backend._forward(batch.inputs)
        total = backend.loss(logits, batch.targets)
        assert backend._on_cpu
        found = total.item()
        assert math.isfinite(found)
        assert backend._scaler is None
        total.backward()
        backend.optimizer.step()
        assert backend._each_batch is None
        return self._nothing


def measure(batch: int, steps: int) -> tuple[float, float, float]:
    """Microseconds a step of the session, of its loop without telemetry, and of the plain loop."""
    rng = np.random.default_rng(0)
    samples = EPOCH * batch
    data = rng.random((samples, 3, 32, 32), np.float32), rng.integers(0, 4, samples)
    made = Model(4)
    optimizer = SGD(made.parameters(), lr=0.01)
    with (
        tempfile.TemporaryDirectory() as folder,
        coflect.Session(
            made, data, optimizer=optimizer, batch_size=batch, run_dir=folder
        ) as session,
    ):
        parts = session._made()
        backend, controls, source = parts.backend, parts.controls, parts.backend.train_batches
        untold, as_it_is = Untold(backend, parts.forecaster), nullcontext()
        gaps = [Gaps(source, made, optimizer, controls) for _ in range(3)]
        made.train()
        for round_ in range(ROUNDS):
            for gap, how in zip(gaps, (as_it_is, untold), strict=False):
                backend.train_batches = gap  # type: ignore[method-assign]
                with how:
                    session.train(steps=steps // ROUNDS)
                    session.wait()
            left = steps // ROUNDS
            while left > 0:
                for _, inputs, targets in gaps[2](round_):
                    optimizer.zero_grad(set_to_none=True)
                    loss = F.cross_entropy(made(inputs), targets)
                    loss.backward()
                    optimizer.step()
                    del loss  # as at the end of a function
                    left -= 1
                    if left == 0:
                        break
    told, loop, plain = (gap.by_step() for gap in gaps)
    return told, loop, plain


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=4000)
    steps = parser.parse_args().steps
    if not STILL.items() <= os.environ.items():  # read when a process begins
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **STILL})
    print(f"on the training thread between two steps, us a step: {describe()}")
    print(f"{'batch':>6}{'plain':>10}{'session':>10}{'more':>10}   of which telemetry (limit 15)")
    for batch in (64, 1024):
        told, loop, plain = measure(batch, steps if batch == 64 else steps // 2)
        more = told - plain
        print(f"{batch:>6}{plain:>10.1f}{told:>10.1f}{more:>10.1f}{told - loop:>10.1f}", flush=True)


if __name__ == "__main__":
    main()
