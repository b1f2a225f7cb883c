"""Replays: is a run without one word the run that never had it, bit for bit, later words kept.

    python benchmarks/findings/replay.py [--runs 10] [--first 0]

Each run trains a network with dropout and batch normalisation, and is told things at drawn steps: a
box to ignore, a strength for all guidance, a learning rate, samples to leave out, and a place to
look at. One of them, in turn, is left out by a replay, and another session is told all but that.
Printed for each run: whether all weights are equal bit for bit, whether the replay has the other
words at their steps, and whether it differs from the run that had the word.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # measures this checkout

import coflect_widget as coflect
from benchmarks.findings.proof import pictures
from benchmarks.machine import describe

STEPS = 32
WORDS = ("box", "focus", "lr", "drop", "look")


def network(seed: int) -> nn.Module:
    """Two convolutions, with what draws random numbers and what keeps statistics."""
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(),
        nn.Conv2d(8, 16, 3, stride=2, padding=1), nn.ReLU(), nn.Dropout(0.2),
        nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(64, 2),
    )  # fmt: skip


def told(folder: str, seed: int, without: str = "") -> tuple[Any, dict[str, Any]]:
    """A session that was told everything but `without`, and what it was told."""
    rng = np.random.default_rng([seed, 9])
    steps = np.sort(rng.choice(np.arange(2, STEPS - 4), len(WORDS), replace=False)).tolist()
    torch.manual_seed(seed)
    session = coflect.Session(
        network(seed), pictures(256, 2 * seed, planted=True),
        pictures(96, 2 * seed + 1, planted=False), run_dir=folder, batch_size=32,
        optimizer=lambda p: torch.optim.Adam(p, 3e-3),
        config={"seed": seed, "attribution": {"budget": 0}, "guidance": {"effect_after": 0}},
    )  # fmt: skip
    say = {
        "box": lambda: session.feedback(sample=3, ignore=(0.0, 0.0, 0.25, 0.25), strength=0.5),
        "focus": lambda: session.feedback(instruction="set focus to 0.6"),
        "lr": lambda: session.set(lr=0.001),
        "drop": lambda: session.drop([7, 11]),
        "look": lambda: session.feedback(sample=8, look=(0.3, 0.3, 0.9, 0.9)),
    }
    session.train(steps=STEPS)
    session.pause()
    given = {}
    for step, name in zip(steps, WORDS, strict=True):
        while session.metrics["step"] < step:
            session.step(step - int(session.metrics["step"]))
        if name != without:
            given[name] = say[name]()
    session.resume()
    session.wait()
    return session, given


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    """Bit for bit."""
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


def replayed(seed: int) -> tuple[bool, bool, bool]:
    """Whether weights are equal, later words kept, and the run itself another one."""
    name = WORDS[seed % len(WORDS)]
    with tempfile.TemporaryDirectory() as folder:
        session, given = told(f"{folder}/one", seed)
        run = session.replay(without=given[name])
        run.wait()
        made = load_file(run.checkpoints.last.weights)
        never, _ = told(f"{folder}/other", seed, without=name)
        equal = same(made, never._backend.model.state_dict())
        differs = not same(made, session._backend.model.state_dict())
        opened = coflect.open_run(run.path)
        kept = [(one.step, one.undone) for one in opened.ledger.interventions]
        wanted = [(one.step, one.undone) for one in never.interventions]
        session.close()
        never.close()
    return equal, kept == wanted, differs


def main() -> None:
    """Print a line for each run."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--first", type=int, default=0, help="seed of the first run")
    given = parser.parse_args()
    print(describe())
    found = []
    for seed in range(given.first, given.first + given.runs):
        equal, kept, differs = replayed(seed)
        found.append((equal, kept, differs))
        print(
            f"run {seed}, without {WORDS[seed % len(WORDS)]}: bit for bit {equal}, other words "
            f"kept {kept}, another run than with it {differs}",
            flush=True,
        )
    totals = np.sum(found, 0)
    print(f"of {given.runs}: bit for bit {totals[0]}, other words kept {totals[1]}")


if __name__ == "__main__":
    main()
