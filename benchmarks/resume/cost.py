"""What a checkpoint every ten seconds costs a training of ResNet-18's size.

`benchmarks/resume/kills.py --parts cost` calls it.
"""

from __future__ import annotations

import tempfile
import time

import numpy as np


def resnet18(classes=10):
    """ResNet-18 of 11.2 million weights, as for 32 x 32 pixels."""
    from torch import nn

    class Block(nn.Module):
        def __init__(self, before, after, stride):
            super().__init__()
            self.body = nn.Sequential(
                nn.Conv2d(before, after, 3, stride, 1, bias=False), nn.BatchNorm2d(after),
                nn.ReLU(), nn.Conv2d(after, after, 3, 1, 1, bias=False), nn.BatchNorm2d(after),
            )  # fmt: skip
            self.way = nn.Identity()
            if stride > 1 or before != after:
                self.way = nn.Sequential(
                    nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after)
                )
            self.end = nn.ReLU()

        def forward(self, x):
            return self.end(self.body(x) + self.way(x))

    layers = [nn.Conv2d(3, 64, 3, 2, 1, bias=False), nn.BatchNorm2d(64), nn.ReLU()]
    before = 64
    for width, stride in ((64, 1), (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1)):  # fmt: skip # noqa: E501
        layers.append(Block(before, width, stride))
        before = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, classes))


def cost(pairs, seconds=10.0):
    """Steps a second with one checkpoint in ten seconds, against the ten before or after."""
    import torch

    import coflect_widget as coflect

    model = resnet18(4)
    data = coflect.data.synthetic(n=512)
    config = {
        "checkpoint_minutes": 0, "attribution": {"budget": 0}, "forecast": {"probes": 0},
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        session = coflect.Session(
            model, data, batch_size=16, run_dir=folder, config=config,
            optimizer=lambda p: torch.optim.AdamW(p, 1e-4),
        )  # fmt: skip
        session.train(steps=10**6)
        time.sleep(8)
        session.checkpoint()  # makes the memory that later ones copy to
        ratios, copies = [], []
        for pair in range(pairs):
            speeds = {}
            for arm in (True, False) if pair % 2 else (False, True):
                began, first = time.perf_counter(), session.metrics["step"]
                before = session._parts.checkpoints.copying
                if arm:
                    session._parts.checkpoints.take()
                time.sleep(seconds)
                speeds[arm] = (session.metrics["step"] - first) / (time.perf_counter() - began)
                if arm:
                    copies.append(session._parts.checkpoints.copying - before)
            ratios.append(speeds[False] / speeds[True] - 1)
        session.stop()
        session.close()
        one = session.run.checkpoints.last
        written = one.nbytes / 1e6
    low, middle, high = np.percentile(ratios, (25, 50, 75)) * 100
    print(f"checkpoint of {written:.0f} MB every {seconds:g} s, {pairs} interleaved pairs")
    print(f"  training slower by {middle:+.2f} % (quartiles {low:+.2f} to {high:+.2f} %)")
    print(f"  copy on the training thread: {np.median(copies) * 1e3:.1f} ms, "
          f"{100 * np.median(copies) / seconds:.2f} % of the time")  # fmt: skip
