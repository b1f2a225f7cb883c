"""Series: how much of a map lies on a planted burst, and what five strokes on bursts save.

    python benchmarks/kinds/series.py [--series DIR]

A burst that gives the class away is planted at a random place of each training series. Printed for
three seeds: of the maps of series that were trained on, the share on the burst and how often the
largest value is there; then the accuracy where bursts tell nothing, after a training that was left
alone, after one with five strokes at a third, each found in all series, after one with five strokes
beside the bursts, and the ceiling, a training on bursts that tell nothing.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # measures this checkout

import coflect_widget as coflect
from benchmarks.machine import describe
from coflect_widget.data import signals

SEEDS = (0, 1, 2)
EXPLAINED = 30
STROKES = 5


class Data(NamedTuple):
    """Series (n, C, L), labels and places (n, 2) of bursts in steps; a held-out set likewise."""

    x: NDArray[np.float32]
    y: NDArray[np.int64]
    bursts: NDArray[np.int64]
    clean: NDArray[np.float32]  # to train on: the same with bursts that tell nothing
    val_x: NDArray[np.float32]
    val_y: NDArray[np.int64]


def of_signals(seed: int) -> Data:
    """The product's own series."""
    train, clean = (signals(600, decoy=d, seed=2 * seed) for d in ("class", "random"))
    val = signals(400, decoy="random", seed=2 * seed + 1)
    places = np.round(train.decoys * train.series.shape[2]).astype(np.int64)
    return Data(train.series, train.labels, places, clean.series, val.series, val.labels)


def of_archive(folder: Path, name: str) -> Callable[[int], Data]:
    """A set of the UCR archive with planted bursts, its two halves mixed and cut at 60 %."""

    def make(seed: int) -> Data:
        x, y = read(folder, name)
        rng = np.random.default_rng(seed)
        order = rng.permutation(len(x))
        x, y = x[order], y[order]
        cut = int(0.6 * len(x))
        tells, places = planted(x, y, rng)
        nothing, _ = planted(x, rng.integers(0, int(y.max()) + 1, len(y)), rng)
        return Data(tells[:cut], y[:cut], places[:cut], nothing[:cut], nothing[cut:], y[cut:])

    return make


def read(folder: Path, name: str) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Series (n, 1, L) and labels of both files of a set."""
    values, labels = [], []
    for part in ("TRAIN", "TEST"):
        lines = (folder / f"{name}_{part}.ts").read_text(encoding="utf-8").splitlines()
        start = [line.strip().lower() for line in lines].index("@data") + 1
        for line in lines[start:]:
            numbers, _, label = line.rpartition(":")
            values.append([float(number) for number in numbers.split(",")])
            labels.append(label)
    known = np.unique(labels, return_inverse=True)[1]
    return np.array(values, np.float32)[:, None], known.astype(np.int64)


def planted(
    x: NDArray[np.float32], hints: NDArray[np.int64], rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The series with a sine burst of ``1 + hint`` waves somewhere, and where (n, 2)."""
    length = x.shape[2]
    wide = max(8, length // 15)
    x, at = x.copy(), rng.integers(0, length - wide + 1, len(x))
    times = (np.arange(wide) + 0.5) / wide
    for row, (start, hint) in enumerate(zip(at, hints, strict=True)):
        x[row, 0, start : start + wide] += 1.5 * np.sin(2 * np.pi * (1 + hint) * times)
    return x, np.stack([at, at + wide], 1)


class Recurrent(nn.Module):
    """An LSTM whose outputs are averaged over time."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.recurrent = nn.LSTM(channels, 32, batch_first=True)
        self.head = nn.Linear(32, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (B, classes) of series (B, C, L)."""
        found: torch.Tensor = self.head(self.recurrent(x.transpose(1, 2))[0].mean(1))
        return found


class Clipped(torch.optim.Adam):
    """Adam with gradients of a norm of at most 0.5.

    Those of an LSTM grow beyond all bounds at times: what has learned the bursts then learns
    nothing more, not even in a training that goes on with bursts that tell nothing.
    """

    def step(self, closure: Any = None) -> Any:
        """See `torch.optim.Optimizer.step`."""
        for group in self.param_groups:
            nn.utils.clip_grad_norm_(group["params"], 0.5)
        return super().step(closure)


def convolutional(channels: int, classes: int) -> nn.Module:
    """Three convolutions and the mean over time."""
    return nn.Sequential(
        nn.Conv1d(channels, 16, 7, padding=3), nn.BatchNorm1d(16), nn.ReLU(),
        nn.Conv1d(16, 32, 5, stride=2, padding=2), nn.BatchNorm1d(32), nn.ReLU(),
        nn.Conv1d(32, 32, 5, padding=2), nn.ReLU(),
        nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(32, classes),
    )  # fmt: skip


NETS: dict[str, Callable[[int, int], nn.Module]] = {
    "convolutions": convolutional,
    "LSTM": Recurrent,
}
OPTIMIZERS: dict[str, Any] = {"convolutions": torch.optim.Adam, "LSTM": Clipped}
SETS: dict[str, Callable[[int], Data]] = {"signals()": of_signals}


class Run(NamedTuple):
    """Accuracy on held-out series, and of each map energy and pointing."""

    accuracy: float
    maps: dict[str, tuple[float, float]]


def run(
    data: Data, net: str, seed: int, epochs: int, *, strokes: str = "", clean: bool = False
) -> Run:
    """Train one network; with strokes "good" or "wrong" at a third of it."""
    torch.manual_seed(seed)
    classes = int(data.y.max()) + 1
    model = NETS[net](data.x.shape[1], classes)
    with tempfile.TemporaryDirectory() as folder:
        session = coflect.Session(
            model,
            (data.clean if clean else data.x, data.y),
            (data.val_x, data.val_y),
            batch_size=20 if len(data.y) < 300 else 50,
            optimizer=OPTIMIZERS[net](model.parameters(), 3e-3),
            run_dir=folder,
            config={"seed": seed},
        )
        with session:
            session.train(epochs=epochs // 3)
            session.wait()
            if strokes:
                tell(session, data, wrong=strokes == "wrong")
            session.train(epochs=epochs - epochs // 3)
            session.wait()
            maps = {} if strokes or clean else localised(session, data)
            return Run(float(session.metrics["val_accuracy"]), maps)


def tell(session: Any, data: Data, *, wrong: bool) -> None:
    """Five strokes on bursts, each found elsewhere; or five beside them, on their samples alone."""
    length = data.x.shape[2]
    for sample in range(STROKES):
        start, stop = data.bursts[sample].tolist()
        if wrong:
            shift = (start + length // 2) % (length - (stop - start) + 1)
            start, stop = shift, shift + stop - start
        stroke = session.feedback(
            sample=sample, ignore={"steps": [start, stop], "channel": 0}, strength=0.6
        )
        if session.similar(stroke):
            session.confirm(stroke)


def localised(session: Any, data: Data) -> dict[str, tuple[float, float]]:
    """Of each map the share on the burst, and how often its largest value is there."""
    found: dict[str, list[tuple[float, bool]]] = {}
    for sample in range(EXPLAINED):
        explanation = session.explain(sample)
        start, stop = data.bursts[sample]
        shown = {"default": explanation.map, "SmoothGrad": explanation.smoothgrad}
        if explanation.livecam.any():
            shown["LiveCAM"] = explanation.livecam
        for name, values in shown.items():
            row, step = np.unravel_index(values.argmax(), values.shape)
            inside = float(values[0, start:stop].sum() / values.sum())
            points = row == 0 and start - 1 <= step <= stop
            found.setdefault(name, []).append((inside, bool(points)))
    means = {name: np.mean(pairs, 0) for name, pairs in found.items()}
    return {name: (float(energy), float(points)) for name, (energy, points) in means.items()}


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--series", type=Path, help="folder with GunPoint_TRAIN.ts and others")
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument("--nets", nargs="+", choices=NETS, default=list(NETS))
    parser.add_argument("--epochs", type=int, default=36)
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.series is not None:
        SETS.update(
            {name: of_archive(args.series, name) for name in ("GunPoint", "ItalyPowerDemand")}
        )
    print(describe())
    print(f"\nmeans of seeds {args.seeds}; {args.epochs} epochs\n")
    print("| data | net | left alone | five strokes | five wrong strokes | ceiling | maps |")
    print("|---|---|---|---|---|---|---|")
    for name, make in SETS.items():
        for net in args.nets:
            runs: dict[str, list[Run]] = {}
            for seed in args.seeds:
                data = make(seed)
                for how, more in HOW.items():
                    runs.setdefault(how, []).append(run(data, net, seed, args.epochs, **more))
            means = [f"{np.mean([one.accuracy for one in runs[how]]):.3f}" for how in HOW]
            maps = [one.maps for one in runs["left alone"]]
            said = []
            for method in maps[0]:
                energy, points = np.mean([found[method] for found in maps], 0)
                said.append(f"{method} {energy:.2f} / {points:.2f}")
            print(f"| {name} | {net} | {' | '.join(means)} | {', '.join(said)} |", flush=True)


HOW: dict[str, dict[str, Any]] = {
    "left alone": {},
    "good": {"strokes": "good"},
    "wrong": {"strokes": "wrong"},
    "ceiling": {"clean": True},
}

if __name__ == "__main__":
    main()
