"""How long a snapshot holds up the trainer, against a bare memory copy of the same bytes.

    python benchmarks/overhead/snapshot.py [--mebibytes 44] [--tensors 118] [--repeats 200]

The bare copy is numpy's, tensor by tensor, by turns into two blocks that were written to before,
because a snapshot goes by turns into two slots. Both alternate in changing order.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # measures this checkout

from benchmarks.machine import describe
from coflect_widget.attribution.snapshots import Snapshots
from coflect_widget.backends.torch.backend import TorchBackend
from coflect_widget.config import Config

ALIGNMENT = 64


def bare_block(weights: list[np.ndarray]) -> list[np.ndarray]:
    """Places for the weights in one block of memory whose pages are present."""
    block = np.empty(sum(w.nbytes + ALIGNMENT for w in weights) + ALIGNMENT, np.uint8)
    block.fill(1)
    position = -block.ctypes.data % ALIGNMENT
    places = []
    for weight in weights:
        part = block[position : position + weight.nbytes]
        places.append(part.view(weight.dtype).reshape(weight.shape))
        position += -(-weight.nbytes // ALIGNMENT) * ALIGNMENT
    return places


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mebibytes", type=int, default=44)
    parser.add_argument("--tensors", type=int, default=118)
    parser.add_argument("--repeats", type=int, default=200)
    args = parser.parse_args()
    count = args.mebibytes * 2**20 // 4 // args.tensors
    model = nn.ParameterList([torch.randn(count) for _ in range(args.tensors - 2)])
    model = nn.Sequential(Weights(model), nn.Flatten(), nn.Linear(12, 2))
    x = np.zeros((8, 3, 2, 2), np.float32)
    backend = TorchBackend(
        model, (x, np.arange(8) % 2), None, num_classes=2, loss=None, optimizer=None,
        scheduler=None, batch_size=4, config=Config(),
    )  # fmt: skip
    snapshots = Snapshots(backend.weight_specs())
    weights = [tensor.numpy() for tensor in model.state_dict().values()]
    blocks = [bare_block(weights), bare_block(weights)]

    def bare(repeat: int) -> None:
        for place, weight in zip(blocks[repeat % 2], weights, strict=True):
            np.copyto(place, weight)

    arms = {
        "bare copy": bare,
        "snapshot": lambda repeat: snapshots.write(repeat, backend.copy_weights),
    }
    times: dict[str, list[float]] = {name: [] for name in arms}
    first = None
    for repeat in range(args.repeats):
        order = list(arms)
        random.Random(repeat).shuffle(order)
        for name in order:
            began = time.perf_counter()
            arms[name](repeat)
            times[name].append((time.perf_counter() - began) * 1e3)
            if name == "snapshot" and first is None:
                first = times[name][0]
    print(f"{args.mebibytes} MiB in {args.tensors} tensors: {describe()}")
    for name, values in times.items():
        p50, p95 = np.quantile(values, [0.5, 0.95])
        print(f"{name:9s} median {p50:6.2f} ms, p95 {p95:6.2f} ms, the first {values[0]:6.2f} ms")
    ratios = np.array(times["snapshot"]) / np.array(times["bare copy"])
    print(
        f"snapshot / bare copy = {np.median(times['snapshot']) / np.median(times['bare copy']):.2f}"
        f" (median of the pairs {np.median(ratios):.2f})"
    )
    snapshots.close()


class Weights(nn.Module):
    """Holds weights and computes nothing with them."""

    def __init__(self, weights: nn.ParameterList) -> None:
        super().__init__()
        self.weights = weights

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, ...) unchanged."""
        return x


if __name__ == "__main__":
    main()
