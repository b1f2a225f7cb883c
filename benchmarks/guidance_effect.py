"""Does the tool tell a good intervention from a placebo? 20 of each, on decoy digits.

    python benchmarks/guidance_effect.py [--seeds 0 1 2 3] [--boxes 5] [--cache FOLDER]

Good: a model that learned digits by the coloured square of each class, and one box drawn round
the square of a random sample. Placebo: a model that learned digits without squares, and one box
of the same size at a random place. Each intervention gets a session of its own that goes on
from the same weights; the verdict is the tool's, after --steps steps. Validation data: digits
like those that the model was trained on, for nobody has others in practice.
"""

from __future__ import annotations

import argparse
import copy
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from machine import describe
from torch import nn

import coflect_widget as coflect
from coflect_widget.demo_model import small_resnet

EPOCHS = 4


def session_on(model: nn.Module, square: str, folder: str, seed: int, after: int):
    return coflect.Session(
        model,
        coflect.data.decoy_digits("train", square=square),
        coflect.data.decoy_digits("test", square=square),
        run_dir=folder,
        optimizer=lambda p: torch.optim.AdamW(p, lr=3e-3),
        config={"seed": seed, "guidance": {"effect_after": after}, "attribution": {"budget": 0},
                "forecast_every": 10**6, "xai_every": 10**6},
    )  # fmt: skip


def trained(square: str, seed: int) -> nn.Module:
    model = small_resnet(10, seed=seed)
    with (
        tempfile.TemporaryDirectory() as folder,
        session_on(model, square, folder, seed, 0) as session,
    ):
        session.train(epochs=EPOCHS)
        session.wait()
    return model


def box_for(kind: str, rng: np.random.Generator) -> tuple[int, tuple[float, ...]]:
    data = coflect.data.decoy_digits("train", square="class" if kind == "good" else "none")
    index = int(rng.integers(len(data)))
    x0, y0, x1, y1 = (float(v) for v in data.squares[index])
    if kind == "placebo":
        side = x1 - x0
        x0, y0 = (float(v) for v in rng.random(2) * (1 - side))
        x1, y1 = x0 + side, y0 + side
    return index, (x0, y0, x1, y1)


def measure(model: nn.Module, kind: str, seed: int, number: int, steps: int) -> dict:
    """Draw one box, train, and wait for what the tool says of it."""
    index, box = box_for(kind, np.random.default_rng([seed, number, kind == "good"]))
    square = "class" if kind == "good" else "none"
    with (
        tempfile.TemporaryDirectory() as folder,
        session_on(copy.deepcopy(model), square, folder, seed, steps) as session,
    ):
        session.feedback(sample=index, ignore=box)
        session.train(steps=steps)
        session.wait()
        until = time.monotonic() + 300
        while not session.effects and time.monotonic() < until:
            time.sleep(0.05)
        effect = session.effects[0]
    return effect.model_dump()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3], help="of the models")
    parser.add_argument("--boxes", type=int, default=5, help="interventions on each model")
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--cache", type=Path)
    given = parser.parse_args()
    print(f"{describe()}, measured {given.steps} steps after the box")
    for kind in ("good", "placebo"):
        verdicts: list[str] = []
        for seed in given.seeds:
            model = None
            for number in range(given.boxes):
                file = given.cache and given.cache / f"{kind} {given.steps} {seed} {number}.json"
                if file and file.is_file():
                    effect = json.loads(file.read_text())
                else:
                    model = model or trained("class" if kind == "good" else "none", seed)
                    effect = measure(model, kind, seed, number, given.steps)
                    if file:
                        given.cache.mkdir(parents=True, exist_ok=True)
                        file.write_text(json.dumps(effect))
                verdicts.append(effect["verdict"])
                pull = effect["measures"][0]
                print(
                    f"{kind:<8} model {seed} box {number}: {effect['verdict']:<22} pull "
                    f"{pull['before']:.2f} -> {pull['after']:.2f}, change {pull['change']:+.2f} "
                    f"({pull['low']:+.2f} to {pull['high']:+.2f})",
                    flush=True,
                )
        helped = verdicts.count("helped")
        print(f"{kind}: {helped} of {len(verdicts)} called helpful", flush=True)


if __name__ == "__main__":
    main()
