"""An effect where there is none: how often does the tool see one.

    python benchmarks/guidance/nothing.py [--seeds 3] [--places 6] [--strength 0]

Plain trainings, at several learning rates; strokes of strength 0, which change nothing, are drawn
at random places of random samples early and late. Every verdict but "no measurable effect" is
wrong. With another strength the strokes do something, and it shows what is found of it.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # measures this checkout

import coflect_widget as coflect
from benchmarks.machine import describe

STARTS = (20, 100, 200, 400)
SIDE = 0.4  # of the places, as a share of the picture's

SHAPES = coflect.data.synthetic
DATA = {
    "shapes": (SHAPES(800, 4, 16), SHAPES(300, 4, 16, seed=9), 4),
    "two shapes": (SHAPES(800, 2, 16), SHAPES(300, 2, 16, seed=9), 2),
    "digits": (
        coflect.data.decoy_digits("train", square="none", size=16),
        coflect.data.decoy_digits("test", square="none", size=16), 10,
    ),
}  # fmt: skip
CASES = [  # data, learning rate, steps to the measurement
    ("shapes", 3e-3, 200), ("two shapes", 3e-3, 200),
    ("digits", 8e-3, 200), ("digits", 1e-3, 200), ("digits", 2e-3, 100),
]  # fmt: skip


def network(classes: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(4),
        nn.Flatten(), nn.Linear(256, classes),
    )  # fmt: skip


def verdicts(
    name: str, rate: float, after: int, seed: int, places: int, strength: float
) -> Counter[tuple[str, str]]:
    """Of one training: kind of stroke and verdict."""
    train, val, classes = DATA[name]
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    kinds = {}
    with (
        tempfile.TemporaryDirectory() as folder,
        coflect.Session(
            network(classes), train, val, run_dir=folder, batch_size=32,
            optimizer=lambda p: torch.optim.Adam(p, lr=rate),
            config={"seed": seed, "guidance": {"effect_after": after}, "attribution": {"budget": 0},
                    "forecast_every": 10**6, "xai_every": 10**6},
        ) as session,
    ):  # fmt: skip
        at = 0
        for start in STARTS:
            session.train(steps=start - at)
            session.wait()
            at = start
            for _ in range(places):
                x, y = (float(v) for v in rng.random(2) * (1 - SIDE))
                for kind in ("look", "ignore"):
                    given = session.feedback(
                        sample=int(rng.integers(len(train))), strength=strength,
                        **{kind: (x, y, x + SIDE, y + SIDE)},
                    )  # fmt: skip
                    kinds[given.id] = kind
        session.train(steps=after)
        session.wait()
        assert session._parts.steering.effects.wait(600)
        return Counter((kinds[e.intervention], e.verdict) for e in session.effects)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--places", type=int, default=6)
    parser.add_argument("--strength", type=float, default=0.0)
    given = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{describe()}, strength {given.strength}")
    for name, rate, after in CASES:
        found: Counter[tuple[str, str]] = Counter()
        for seed in range(given.seeds):
            found += verdicts(name, rate, after, seed, given.places, given.strength)
        for kind in ("ignore", "look"):
            count = sum(n for (k, _), n in found.items() if k == kind)
            wrong = {v: n for (k, v), n in found.items() if k == kind and v[:2] != "no"}
            print(f"{name}, {rate:g}, {after} steps, {kind}: {sum(wrong.values())} of {count} "
                  f"with a verdict {wrong or ''}", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
