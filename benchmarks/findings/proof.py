"""Proofs: how often a null intervention, a random region and a good one are called helpful.

    python benchmarks/findings/proof.py [--runs 2] [--seeds 3] [--steps 60] [--first 0]

Pictures of two classes are told by their tint, and by a coloured square in a corner, which goes
with the class in training and with nothing on validation. Each run trains a model until it cheats,
and three interventions are proved, each from the same step of a run of its own:

- "good": the square is ignored;
- "random": a region of the same size is ignored that lies anywhere else;
- "null": the same square is ignored with strength 0, so that nothing is in force.

Printed for each: the verdict, and what the branches came to.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # measures this checkout

import coflect_widget as coflect
from benchmarks.machine import describe
from coflect_widget.events import Proof

SIDE, SQUARE = 16, 4
Data = tuple[NDArray[np.float32], NDArray[np.int64]]


def pictures(count: int, seed: int, *, planted: bool, tint: float = 0.06) -> Data:
    """Tinted noise (count, 3, 16, 16) with a square in the upper left corner, and labels."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    images = rng.normal(0.5, 0.1, (count, 3, SIDE, SIDE)).astype(np.float32)
    images[labels == 1, 0] += tint
    colours = labels if planted else rng.integers(0, 2, count)
    for image, colour in zip(images, colours, strict=True):
        image[:, :SQUARE, :SQUARE] = np.array([colour, 0.2, 1 - colour])[:, None, None]
    return images.clip(0, 1), labels


def network(seed: int) -> nn.Module:
    """Two convolutions and a linear layer."""
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 16, 3, stride=2, padding=1),
        nn.ReLU(), nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(256, 2),
    )  # fmt: skip


def proved(kind: str, seed: int, steps: int, seeds: int) -> Proof:
    """One training that cheats, and the proof of one intervention."""
    rng = np.random.default_rng([seed, 5])
    config = {"seed": seed, "attribution": {"budget": 0}, "guidance": {"effect_after": 0}}
    side = SQUARE / SIDE
    x, y = (0.0, 0.0)
    if kind == "random":  # anywhere but on the square
        while x < side and y < side:
            x, y = (rng.integers(0, SIDE - SQUARE + 1, 2) / SIDE).tolist()
    with (
        tempfile.TemporaryDirectory() as folder,
        coflect.Session(
            network(seed), pictures(256, 2 * seed, planted=True),
            pictures(400, 2 * seed + 1, planted=False), run_dir=folder, batch_size=32,
            optimizer=lambda p: torch.optim.Adam(p, 3e-3), config=config,
        ) as session,
    ):  # fmt: skip
        session.train(epochs=5)
        session.wait()
        told = session.feedback(
            sample=0, ignore=(x, y, x + side, y + side), strength=0.0 if kind == "null" else 1.0
        )
        return session.prove(told, steps=steps, seeds=seeds, say=lambda text: None)


def main() -> None:
    """Print a line for each proof, and how often each kind was called helpful."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--runs", type=int, default=2)
    parser.add_argument("--first", type=int, default=0, help="seed of the first run")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=60)
    given = parser.parse_args()
    print(describe())
    verdicts: dict[str, Counter[str]] = {}
    for seed in range(given.first, given.first + given.runs):
        for kind in ("null", "random", "good"):
            proof = proved(kind, seed, given.steps, given.seeds)
            verdicts.setdefault(kind, Counter())[proof.verdict] += 1
            print(f"{kind:7} run {seed}: {proof.text} ({proof.cost} steps, {proof.seconds} s)",
                  flush=True)  # fmt: skip
    for kind, counts in verdicts.items():
        print(f"{kind:7} of {given.runs}: {dict(counts)}")


if __name__ == "__main__":
    main()
