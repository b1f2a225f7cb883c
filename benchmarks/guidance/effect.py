"""Does the tool tell a good intervention from a placebo? 20 of each, on decoy digits.

    python benchmarks/guidance/effect.py [--seeds 0 1 2 3] [--boxes 5] [--keras] [--cache FOLDER]

Good: a model that learned digits by the coloured square of each class, and one box drawn round
the square of a random sample. Placebo: a model that learned digits without squares, and one box
of the same size at a random place. Each intervention gets a session of its own that goes on
from the same weights; the verdict is the tool's, after --steps steps. Validation data: digits
like those that the model was trained on, for nobody has others in practice. With ``--keras`` the
network is the same in Keras.
"""

from __future__ import annotations

import argparse
import copy
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # measures this checkout

import coflect_widget as coflect
from benchmarks.machine import describe
from benchmarks.overhead.workloads import WORKLOADS
from coflect_widget.projects.demo_model import small_resnet

EPOCHS, RATE = 4, 3e-3


def session_on(model: Any, square: str, folder: str, seed: int, after: int):
    of_torch = isinstance(model, torch.nn.Module)
    return coflect.Session(
        model,
        coflect.data.decoy_digits("train", square=square),
        coflect.data.decoy_digits("test", square=square),
        run_dir=folder,
        optimizer=(lambda p: torch.optim.AdamW(p, lr=RATE)) if of_torch else None,
        config={"seed": seed, "guidance": {"effect_after": after}, "attribution": {"budget": 0},
                "forecast_every": 10**6, "xai_every": 10**6},
    )  # fmt: skip


def keras_resnet(like: Any = None) -> Any:
    """The small network in Keras; with the weights of `like`."""
    import keras

    from benchmarks.overhead import keras_arms

    model = keras_arms.small_resnet(WORKLOADS["d"])
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.9  # as torch's: Keras's .99 takes longer than this training
    model.compile(keras.optimizers.AdamW(RATE), model.loss)
    if like is not None:
        model.set_weights(like.get_weights())
    return model


def trained(square: str, seed: int, *, in_keras: bool) -> Any:
    model = keras_resnet() if in_keras else small_resnet(10, seed=seed)
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


def measure(model: Any, kind: str, seed: int, number: int, steps: int) -> dict:
    """Draw one box, train, and wait for what the tool says of it."""
    index, box = box_for(kind, np.random.default_rng([seed, number, kind == "good"]))
    square = "class" if kind == "good" else "none"
    of_torch = isinstance(model, torch.nn.Module)
    own = copy.deepcopy(model) if of_torch else keras_resnet(model)
    with (
        tempfile.TemporaryDirectory() as folder,
        session_on(own, square, folder, seed, steps) as session,
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
    parser.add_argument("--keras", action="store_true")
    parser.add_argument("--cache", type=Path, help="of one framework")
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
                    square = "class" if kind == "good" else "none"
                    model = model or trained(square, seed, in_keras=given.keras)
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
