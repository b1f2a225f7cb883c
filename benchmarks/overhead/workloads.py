"""What is trained in the overhead benchmark: model, data and the plain loop over them."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

import coflect_widget as coflect
from coflect_widget.projects.demo_model import ResidualBlock, small_resnet


class ResNet18(nn.Module):
    """The stages of ResNet-18 with the 3 x 3 stem that small images are given; 11 M weights."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        widths = (64, 128, 256, 512)
        self.stem = nn.Sequential(
            nn.Conv2d(3, 64, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(64), nn.ReLU()
        )
        blocks: list[nn.Module] = []
        before = 64
        for stage, width in enumerate(widths):
            blocks += [
                ResidualBlock(before, width, 1 if stage == 0 else 2),
                ResidualBlock(width, width, 1),
            ]
            before = width
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(widths[-1], num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, 3, H, W) -> logits (B, num_classes)."""
        logits: torch.Tensor = self.head(self.blocks(self.stem(x)).mean(dim=(2, 3)))
        return logits


def perceptron(classes: int = 10) -> nn.Module:
    """A step of about a millisecond at batch 64, where any microsecond shows."""
    return nn.Sequential(
        nn.Flatten(), nn.Linear(3 * 16 * 16, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(),
        nn.Linear(256, classes),
    )  # fmt: skip


class Reader(nn.Module):
    """Texts: an embedding, words three at a time, and the strongest of them; 2 ms at batch 64."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(2_000, 32, padding_idx=0)
        self.layer = nn.Conv1d(32, 64, 3, padding=1)
        self.head = nn.Linear(64, 2)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Ids (B, L) -> logits (B, 2)."""
        seen = torch.relu(self.layer(self.embedding(ids).transpose(1, 2)))
        logits: torch.Tensor = self.head(seen.amax(2))
        return logits


def texts() -> tuple[np.ndarray, np.ndarray]:
    """Ids (20,000, 32) int64 without padding, and labels."""
    generator = np.random.default_rng(0)
    return generator.integers(1, 2_000, (20_000, 32)), generator.integers(0, 2, 20_000)


def columns() -> nn.Module:
    """Rows of 20 columns; about 2 ms a step at batch 64."""
    return nn.Sequential(
        nn.Linear(20, 640), nn.ReLU(), nn.Linear(640, 640), nn.ReLU(), nn.Linear(640, 2)
    )


def rows() -> tuple[np.ndarray, np.ndarray]:
    """Rows (50,000, 20) float32 and labels."""
    generator = np.random.default_rng(0)
    x = generator.standard_normal((50_000, 20), dtype=np.float32)
    return x, generator.integers(0, 2, 50_000)


@dataclass(frozen=True)
class Workload:
    """One thing to train; inputs are random, because only time is measured."""

    title: str
    model: Callable[[], nn.Module]
    classes: int
    samples: int
    side: int  # pixels
    steps: int  # in one measured block
    batch: int = 64
    method: str = "consensus"  # of the overlays
    keras: bool = False  # the network of `overhead_keras`, under fit
    top: int = 10  # candidates in the queue
    made: Callable[[], tuple[np.ndarray, np.ndarray]] | None = None  # data that are no pictures

    def data(self) -> tuple[np.ndarray, np.ndarray]:
        """Inputs (samples, 3, side, side) float32 in [0, 1] and labels (samples,) int64."""
        if self.made is not None:
            return self.made()
        generator = np.random.default_rng(0)
        shape = (self.samples, 3, self.side, self.side)
        x = generator.random(shape, dtype=np.float32)
        return x, generator.integers(0, self.classes, self.samples)


WORKLOADS = {
    "a": Workload("small ResNet, 32 px", lambda: small_resnet(10), 10, 10_000, 32, 200),
    "b": Workload("ResNet-18 size, 64 px", lambda: ResNet18(10), 10, 4_000, 64, 20),
    "d": Workload(
        "small ResNet, 32 px, Keras", lambda: small_resnet(10), 10, 10_000, 32, 200, keras=True
    ),
    "c": Workload("MLP, 1 ms a step", perceptron, 10, 50_000, 16, 4_000, method="smoothgrad"),
    "text": Workload("convolutions over texts", Reader, 2, 20_000, 0, 2_000, made=texts),
    "table": Workload(
        "MLP over rows", columns, 2, 50_000, 0, 2_000, method="smoothgrad", made=rows
    ),
}
#: Those of pictures, which the tables of overhead are about.
PICTURES = ("a", "b", "c", "d")


_A = replace(WORKLOADS["a"], steps=60)
_C = replace(WORKLOADS["c"], steps=1000)
#: What `overhead_scaling` compares, one thing larger at a time.
SCALED = {
    "c": replace(_C, title="c, 50,000 samples, 10 classes"),
    "samples": replace(_C, title="c, 500,000 samples", samples=500_000),
    "classes": replace(_C, title="c, 1,000 classes", model=partial(perceptron, 1000), classes=1000),
    "candidates": replace(_C, title="c, 100 candidates", top=100),
    "a": replace(_A, title="a, 32 x 32 pixels"),
    "side": replace(_A, title="a, 96 x 96 pixels", samples=2_000, side=96, steps=12),
}


class Ends(list[int]):
    """When each step ended, in nanoseconds; once there are `turn_at` of them `turn` is called."""

    turn_at = -1

    def turn(self) -> None:
        """What `overhead_woven` does between two blocks."""


class TimedSGD(torch.optim.SGD):
    """SGD that notes when each step ended; the same in every arm."""

    def __init__(self, parameters: Iterator[nn.Parameter]) -> None:
        super().__init__(parameters, lr=0.01, momentum=0.9)
        self.ends = Ends()

    def step(self, closure=None):  # type: ignore[no-untyped-def,override]
        super().step(closure)
        self.ends.append(time.perf_counter_ns())
        if len(self.ends) == self.ends.turn_at:
            self.ends.turn()


@contextmanager
def watched(workload: Workload, **config: Any) -> Iterator[tuple[coflect.Session, Ends]]:
    """A session over a workload, closed at the end, and when each of its steps ended."""
    ends = Ends()

    def optimizer(parameters: Iterator[nn.Parameter]) -> TimedSGD:
        made = TimedSGD(parameters)
        made.ends = ends
        return made

    with (
        tempfile.TemporaryDirectory() as folder,
        coflect.Session(
            workload.model(), workload.data(), optimizer=optimizer, batch_size=workload.batch,
            run_dir=folder, config=config,
        ) as session,
    ):  # fmt: skip
        yield session, ends


class PlainLoop:
    """The loop a person would write, over arrays in memory, with nothing round it."""

    def __init__(
        self,
        workload: Workload,
        data: tuple[np.ndarray, np.ndarray],
        model: nn.Module,
        optimizer: TimedSGD,
    ) -> None:
        self.workload = workload
        self.x, self.y = (torch.from_numpy(part) for part in data)
        self.model = model
        self.optimizer = optimizer
        self.step = 0
        self._order = torch.randperm(len(self.x))

    @classmethod
    def of(cls, workload: Workload) -> PlainLoop:
        """With a model and an optimizer of its own."""
        torch.manual_seed(0)
        model = workload.model()
        return cls(workload, workload.data(), model, TimedSGD(model.parameters()))

    def train(
        self, steps: int, after: Callable[[PlainLoop, torch.Tensor], None] | None = None
    ) -> None:
        """Do `steps` steps; `after(loop, logits)` follows each."""
        per_epoch = -(-len(self.x) // self.workload.batch)
        self.model.train()
        for _ in range(steps):
            at = self.step % per_epoch
            if at == 0:
                self._order = torch.randperm(len(self.x))
            self.rows = self._order[at * self.workload.batch : (at + 1) * self.workload.batch]
            self.optimizer.zero_grad(set_to_none=True)
            logits = self.model(self.x[self.rows])
            self.loss = F.cross_entropy(logits, self.y[self.rows])
            self.loss.backward()
            self.optimizer.step()
            self.step += 1
            if after is not None:
                after(self, logits)
