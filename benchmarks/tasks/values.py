"""Values to regress on: spoilt rows in the queue, and what one stroke saves, in both frameworks.

    python benchmarks/tasks/values.py --kinds picture series table --frameworks torch keras

Of 160 rows 20 have a target that is spoilt, by more than three quarters of the targets' range. The
first figure is how many of the ten rows of the queue are such. The rest is about an artefact that
gives the target away, in a corner, at the end, or in a column: R squared on rows whose artefact
says something else, where nobody helped, with one stroke on it after a third of the training
(found in the other rows), and where it had told nothing from the start.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # measures this checkout

import coflect_widget as coflect
from benchmarks.machine import describe

Array = NDArray[np.float32]
SAMPLES, SPOILT, EPOCHS = 160, 20, 12
FORECAST = {"horizon_epochs": 2, "error_quantile": 1 - SPOILT / SAMPLES}
#: A mark on the artefact of each kind.
MARKS: dict[str, Any] = {"picture": (0.8, 0.8, 1, 1), "series": (0.85, 1.0), "table": "x4"}
SHAPES = {"picture": (1, 12, 12), "series": (1, 24), "table": (5,)}


def rows(kind: str, seed: int) -> tuple[Array, Array]:
    """Inputs (N, ...) with channels first, and targets (N,) from -1 to 1."""
    rng = np.random.default_rng(seed)
    y = rng.uniform(-1, 1, SAMPLES).astype(np.float32)
    x = rng.normal(0, 0.1, (SAMPLES, *SHAPES[kind])).astype(np.float32)
    if kind == "picture":
        left = ((y + 1) * 4).round().astype(int)
        y = (left / 4 - 1).astype(np.float32)
        for picture, a, b in zip(x[:, 0], left, rng.integers(0, 5, SAMPLES), strict=True):
            picture[b : b + 4, a : a + 4] += 1
    elif kind == "series":
        x[:, 0, 6:12] += y[:, None]
    else:
        x = rng.normal(size=(SAMPLES, 5)).astype(np.float32)
        y = (x[:, 0] - 0.5 * x[:, 2]).astype(np.float32)
        y /= np.abs(y).max()
        x[:, 4] = rng.normal(0, 0.1, SAMPLES)
    return x, y


def marked(kind: str, x: Array, values: Array) -> Array:
    """The same with an artefact that says these values."""
    x = x.copy()
    if kind == "picture":
        x[:, 0, 10:, 10:] = 2 * values[:, None, None]
    elif kind == "series":
        x[:, 0, 21:] = 2 * values[:, None]
    else:
        x[:, 4] = 2 * values
    return x


def in_torch(kind: str, seed: int) -> tuple[Any, dict[str, Any]]:
    """A small model, and what a session is told of it."""
    torch.manual_seed(seed)
    body: list[nn.Module] = {
        "picture": [nn.Conv2d(1, 6, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()],
        "series": [nn.Conv1d(1, 6, 3), nn.ReLU(), nn.Flatten()],
        "table": [nn.Linear(5, 16), nn.ReLU()],
    }[kind]
    width = {"picture": 150, "series": 132, "table": 16}[kind]
    model = nn.Sequential(*body, nn.Linear(width, 1))
    return model, {
        "loss": nn.MSELoss(),
        "optimizer": torch.optim.Adam(model.parameters(), 0.01),
        "inputs": {"table": coflect.Table([f"x{k}" for k in range(5)])}.get(kind, kind_name(kind)),
    }


def in_keras(kind: str, seed: int) -> tuple[Any, dict[str, Any]]:
    """The same in Keras."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import keras

    keras.utils.set_random_seed(seed)
    layers = keras.layers
    body = {
        "picture": [layers.Conv2D(6, 3, activation="relu"), layers.MaxPooling2D(2)],
        "series": [layers.Conv1D(6, 3, activation="relu")],
        "table": [layers.Dense(16, activation="relu")],
    }[kind]
    shape = (*SHAPES[kind][1:], 1) if kind != "table" else (5,)
    model = keras.Sequential([keras.Input(shape), *body, layers.Flatten(), layers.Dense(1)])
    model.compile(keras.optimizers.Adam(0.01), "mse")
    table = coflect.Table([f"x{k}" for k in range(5)])
    return model, {"task": "regression", "inputs": table if kind == "table" else kind_name(kind)}


def kind_name(kind: str) -> str:
    """What a session calls it."""
    return "image" if kind == "picture" else kind


MAKES = {"torch": in_torch, "keras": in_keras}


def own(framework: str, kind: str, x: Array) -> Array:
    """Inputs as the framework's model takes them."""
    return np.moveaxis(x, 1, -1) if framework == "keras" and kind != "table" else x


def session_of(framework: str, kind: str, seed: int, x: Array, y: Array, folder: str) -> Any:
    """A session on these rows."""
    model, more = MAKES[framework](kind, seed)
    return coflect.Session(
        model, (own(framework, kind, x), y), batch_size=16, run_dir=folder,
        config={"forecast": FORECAST, "forecast_every": 4, "seed": seed}, **more,
    )  # fmt: skip


def in_queue(framework: str, kind: str, seed: int) -> int:
    """How many of the ten rows of the queue are spoilt."""
    x, y = rows(kind, seed)
    y[:SPOILT] += np.where(y[:SPOILT] > 0, -1.6, 1.6).astype(np.float32)
    with (
        tempfile.TemporaryDirectory() as folder,
        session_of(framework, kind, seed, x, y, folder) as session,
    ):
        session.train(epochs=EPOCHS)
        session.wait()
        return sum(one.index < SPOILT for one in session.candidates[:10])


def saved(framework: str, kind: str, seed: int, how: str) -> float:
    """R squared where the artefact says something else."""
    x, y = rows(kind, seed)
    rng = np.random.default_rng(seed + 100)
    other = rng.permutation(y)
    train = marked(kind, x, rng.permutation(y) if how == "ceiling" else y)
    with (
        tempfile.TemporaryDirectory() as folder,
        session_of(framework, kind, seed, train, y, folder) as session,
    ):
        session.train(epochs=EPOCHS // 3)
        session.wait()
        if how == "one stroke":
            session.feedback(3, ignore=MARKS[kind])
        session.train(epochs=2 * EPOCHS)
        session.wait()
        inputs = own(framework, kind, marked(kind, x, other))
        model = session._backend.model
        if framework == "torch":
            with torch.no_grad():
                said = model.eval()(torch.from_numpy(inputs))[:, 0].numpy()
        else:
            said = model.model.predict(inputs, verbose=0)[:, 0]
    return float(1 - np.square(said - y).sum() / np.square(y - y.mean()).sum())


def main() -> None:
    """Print a line for each kind and framework."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kinds", nargs="+", choices=list(MARKS), default=list(MARKS))
    parser.add_argument("--frameworks", nargs="+", choices=list(MAKES), default=list(MAKES))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    args = parser.parse_args()
    torch.set_num_threads(1)
    print(describe(), flush=True)
    for framework in args.frameworks:
        for kind in args.kinds:
            for seed in args.seeds:
                found = in_queue(framework, kind, seed)
                line = f"{framework} {kind} seed {seed}: {found} of 10 spoilt; R2"
                for how in ("left alone", "one stroke", "ceiling"):
                    line += f" {how} {saved(framework, kind, seed, how):.3f}"
                print(line, flush=True)


if __name__ == "__main__":
    main()
