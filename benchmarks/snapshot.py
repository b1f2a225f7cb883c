"""How long a snapshot holds up the trainer, against a bare copy of the same bytes."""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np
import torch
from machine import describe

from coflect_widget.attribution.snapshots import Snapshots
from coflect_widget.backends.base import WeightSpec


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mebibytes", type=int, default=44)
    parser.add_argument("--tensors", type=int, default=118)
    parser.add_argument("--repeats", type=int, default=60)
    args = parser.parse_args()
    print(describe())
    count = args.mebibytes * 2**20 // 4 // args.tensors
    weights = [torch.randn(count) for _ in range(args.tensors)]
    snapshots = Snapshots([WeightSpec(str(i), (count,), "float32") for i in range(args.tensors)])
    bare = [torch.zeros(count) for _ in weights]
    views: dict[int, list[torch.Tensor]] = {}

    def copy(destination):  # type: ignore[no-untyped-def]
        tensors = views.setdefault(id(destination), [torch.from_numpy(a) for a in destination])
        for view, weight in zip(tensors, weights, strict=True):
            view.copy_(weight)

    def bare_copy() -> None:
        for target, weight in zip(bare, weights, strict=True):
            target.copy_(weight)

    times: dict[str, list[float]] = {"snapshot": [], "bare": []}
    for repeat in range(args.repeats + 5):
        # Interleaved: the machine's mood meets both.
        for name, action in (("bare", bare_copy), ("snapshot", lambda: snapshots.write(0, copy))):
            began = time.perf_counter()
            action()
            if repeat >= 5:
                times[name].append((time.perf_counter() - began) * 1e3)
    for name, values in times.items():
        print(f"{name:9s} median {statistics.median(values):6.2f} ms, min {min(values):6.2f} ms")
    ratio = statistics.median(times["snapshot"]) / statistics.median(times["bare"])
    print(f"{args.mebibytes} MiB in {args.tensors} tensors: snapshot / bare copy = {ratio:.2f}")
    assert np.isfinite(ratio)


if __name__ == "__main__":
    main()
