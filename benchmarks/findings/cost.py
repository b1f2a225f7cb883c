"""What findings cost a training: steps with looks beside steps without, in interleaved pairs.

    python benchmarks/findings/cost.py [--pairs 80] [--threads 2] [--block 1.0]
    python benchmarks/findings/cost.py --copies

Two sessions train the same small network on the same digits in one process. One has
``findings: report`` and one ``off``; nothing else differs. They train blocks of as many steps in
turn, of about `--block` seconds, each first in every second pair; while one trains the other is
held, and the worker that looks stands still by a signal, so that its work falls on the steps that
have asked for it. What is added up is all that the training thread did but being held, ends of
epochs with the copies of the weights among it. Looks come by the clock: so they come up to twice as
often for a step here, and the figure is rather too high. The slowdown is the ratio of the sums, its
interval a bootstrap over runs of five pairs.

`--copies` prints what the training thread pays, for networks of three sizes: a copy of the weights
at an epoch's end, and the checkpoint before a word of a person.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # measures this checkout

import coflect_widget as coflect
from benchmarks.machine import describe
from coflect_widget.data import decoy_digits
from coflect_widget.projects.demo_model import small_resnet

#: Pairs of a run that the bootstrap draws as one, and seconds before anything counts.
RUN, WARM_UP = 5, 20.0


class Arm:
    """A session that trains some steps when it is told to."""

    def __init__(self, folder: str, act: str) -> None:
        data = decoy_digits("train"), decoy_digits("test", square="random")
        config = {"findings": {"act": act}, "checkpoint_minutes": 0.0}
        self.session: Any = coflect.Session(
            small_resnet(10), *data, run_dir=folder, config=config, classes=data[0].classes
        )
        self.session.train(epochs=10**6)
        self.session.pause()

    def train(self, steps: int) -> float:
        """Seconds of so many steps, but for being held."""
        worker = self.session._parts.steering.worker
        before = self._spent()
        _send(worker, signal.SIGCONT)
        self.session.step(steps)
        spent = self._spent() - before
        _send(worker, signal.SIGSTOP)
        return spent

    def _spent(self) -> float:
        seconds = self.session._parts.loop.time.seconds
        return float(sum(value for use, value in seconds.items() if use != "held"))

    def close(self) -> None:
        """End it."""
        _send(self.session._parts.steering.worker, signal.SIGCONT)
        self.session.close()


def _send(worker: Any, number: int) -> None:
    if worker._pid is not None:
        os.kill(worker._pid, number)


def slowdown(pairs: int, block: float) -> None:
    """Print the slowdown and its interval."""
    with tempfile.TemporaryDirectory() as folder:
        arms = [Arm(f"{folder}/{act}", act) for act in ("off", "report")]
        arms[0].train(10)
        steps = max(2, round(30 * block / arms[0].train(30)))
        warm = time.monotonic() + WARM_UP
        rows: list[NDArray[np.float64]] = []
        while len(rows) < pairs:
            order = (0, 1) if len(rows) % 2 else (1, 0)
            spent = np.zeros(2)
            for number in order:
                spent[number] = arms[number].train(steps)
            if time.monotonic() > warm:
                rows.append(spent)
        watched = arms[1].session._parts.findings
        rounds, epochs = watched.rounds, arms[1].session.metrics["epoch"]
        for arm in arms:
            arm.close()
    runs = np.array(rows)[: len(rows) // RUN * RUN].reshape(-1, RUN, 2).sum(1)
    drawn = np.random.default_rng(0).integers(0, len(runs), (4000, len(runs)))
    off, report = runs[drawn].sum(1).T
    low, high = np.percentile(report / off - 1, [2.5, 97.5])
    off, report = runs.sum(0)
    print(
        f"{len(rows)} pairs of {steps} steps of {1000 * off / len(rows) / steps:.1f} ms, {rounds} "
        f"looks in {epochs} epochs: slowdown {report / off - 1:+.2%} ({low:+.2%} to {high:+.2%}), "
        f"median of runs {np.median(runs[:, 1] / runs[:, 0]) - 1:+.2%}"
    )


def network(width: int) -> nn.Module:
    """Two wide layers: 3,072 x width + width x width weights."""
    return nn.Sequential(
        nn.Flatten(), nn.Linear(3072, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(),
        nn.Linear(width, 10),
    )  # fmt: skip


def copies() -> None:
    """Print milliseconds on the training thread of a copy, and of a checkpoint before a word."""
    print(f"{'weights':>10}{'a step':>10}{'a copy of the weights':>24}{'a checkpoint':>16}")
    for width in (64, 512, 1400):
        model = network(width)
        size = sum(p.numel() for p in model.parameters()) * 4 / 2**20
        took: dict[str, list[float]] = {"copy": [], "checkpoint": []}

        def timed(name: str, function: Any, took: dict[str, list[float]] = took) -> Any:
            def call(*given: Any, **more: Any) -> Any:
                began = time.perf_counter()
                found = function(*given, **more)
                took[name].append(1000 * (time.perf_counter() - began))
                return found

            return call

        config = {"attribution": {"budget": 0}, "guidance": {"effect_after": 0}}
        with (
            tempfile.TemporaryDirectory() as folder,
            coflect.Session(model, decoy_digits("train"), run_dir=folder, config=config) as session,
        ):
            parts: Any = session._parts
            parts.findings._course.add = timed("copy", parts.findings._course.add)
            parts.steering.before = timed("checkpoint", parts.steering.before)
            session.train(epochs=24)
            while session.metrics["epoch"] < 23:
                time.sleep(0.05)
                if len(took["checkpoint"]) < 20 and session.state == "training":
                    session.feedback(sample=1, ignore=(0.0, 0.0, 0.2, 0.2), strength=0.0)
            session.wait()
            speed = parts.loop.time.speed
        said = [
            f"{np.median(values):.1f} ({max(values):.1f}) ms, {len(values)}" if values else "none"
            for values in took.values()
        ]
        print(f"{size:>7.1f} MiB{1000 / speed:>7.1f} ms{said[0]:>24}{said[1]:>22}", flush=True)


def main() -> None:
    """Print what was asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--pairs", type=int, default=80)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--block", type=float, default=1.0, help="seconds")
    parser.add_argument("--copies", action="store_true", help="copies and checkpoints alone")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    print(f"{describe()}, {given.threads} threads", flush=True)
    if given.copies:
        copies()
    else:
        slowdown(given.pairs, given.block)


if __name__ == "__main__":
    main()
