"""Click to map while both cores train: how long a person waits, and what it costs."""

from __future__ import annotations

import argparse
import statistics
import threading
import time

import numpy as np
import torch
from machine import describe
from torch import nn

from coflect_widget.attribution.scheduler import ExplanationScheduler
from coflect_widget.attribution.snapshots import Snapshots
from coflect_widget.attribution.torch_methods import structure
from coflect_widget.backends.base import Sample, WeightSpec
from coflect_widget.config import AttributionConfig


class Block(nn.Module):
    """Residual block of two convolutions."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
            nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.skip = nn.Conv2d(inputs, outputs, 1, stride) if stride > 1 else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, inputs, H, W) to (B, outputs, H / stride, W / stride)."""
        return torch.relu(self.body(x) + self.skip(x))


def small_resnet() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 32, 3, 1, 1),
        Block(32, 32, 1),
        Block(32, 64, 2),
        Block(64, 64, 1),
        Block(64, 128, 2),
        Block(128, 128, 1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(128, 10),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clicks", type=int, default=30)
    parser.add_argument("--rest", type=float, default=2.0, help="seconds between two clicks")
    args = parser.parse_args()
    print(f"{describe()}, {torch.get_num_threads()} training threads")
    torch.manual_seed(0)
    model = small_resnet()
    optimizer = torch.optim.SGD(model.parameters(), 0.01)
    x, y = torch.randn(64, 3, 32, 32), torch.randint(10, (64,))
    snapshots = Snapshots(
        [
            WeightSpec(name, tuple(t.shape), str(t.dtype).removeprefix("torch."))
            for name, t in model.state_dict().items()
        ]
    )

    def copy(destination):  # type: ignore[no-untyped-def]
        for array, tensor in zip(destination, model.state_dict().values(), strict=True):
            np.copyto(array, tensor.numpy())

    steps: list[tuple[float, float]] = []  # end, duration
    end = threading.Event()

    def train() -> None:
        step = 0
        while not end.is_set():
            began = time.perf_counter()
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x), y).backward()
            optimizer.step()
            step += 1
            if snapshots.wanted:
                snapshots.write(step, copy)
            now = time.perf_counter()
            steps.append((now, now - began))

    inputs = np.random.default_rng(0).random((args.clicks, 3, 32, 32), dtype=np.float32)
    scheduler = ExplanationScheduler(
        structure(model),
        snapshots,
        AttributionConfig(),
        explainer="coflect_widget.attribution.torch_methods:load",
        read_sample=lambda i: Sample(inputs[i], 0),
        request_snapshot=lambda: None,
    )
    trainer = threading.Thread(target=train, name="train")
    trainer.start()
    waits, windows = [], []
    with scheduler:
        scheduler.request(0, "person").result(120)  # starts the worker
        time.sleep(args.rest)
        for index in range(args.clicks):
            began = time.perf_counter()
            scheduler.request(index, "person").result(60)
            done = time.perf_counter()
            waits.append(done - began)
            windows.append((began, done))
            time.sleep(args.rest)
        counts = scheduler.counts
        end.set()
        trainer.join()

    def touched(at: float, duration: float) -> bool:
        return any(at - duration < b and at > a for a, b in windows)

    first = windows[0][0]
    calm = [d for at, d in steps if at > first and not touched(at, d)]
    if not calm:
        raise SystemExit("no step without a click: give --rest more seconds")
    busy = [d for at, d in steps if at > first and touched(at, d)]
    usual = statistics.median(calm)
    cost = sum(d - usual for d in busy)
    cpu = counts.person_seconds - counts.person_seconds / counts.made  # without the first
    p95 = sorted(waits)[min(len(waits) - 1, int(0.95 * len(waits)))]
    print(f"step {usual * 1e3:.0f} ms without a click")
    print(f"click to map: median {statistics.median(waits):.2f} s, p95 {p95:.2f} s")
    print(
        f"a click cost the training {cost / len(waits) * 1e3:.0f} ms, "
        f"the worker {cpu / len(waits) * 1e3:.0f} ms of processor time: "
        f"ratio {cost / cpu:.2f}"
    )


if __name__ == "__main__":
    main()
