"""Whether a change of the code changed what it computes: trainings of fixed seeds, by digest.

    python benchmarks/parity.py --write before.json     # on the code of before
    python benchmarks/parity.py --compare before.json   # on the code of now

Torch and Keras on the processor, classes and values, with a stroke in force, a sample that comes
twice, a label that is none and one that a person has judged. Compared are the weights at the end,
metrics, all that the store remembers, the queue and its risks, probes, scores, gates, and a map.

The forecaster takes in what waits when it happens to look, and the last digit of a mean depends on
what came together. Here it is always the same: training waits for it after each few steps.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

#: Outputs taken in together; no divisor of an epoch's steps, so that marks cut them too.
TOGETHER = 3
EPOCHS, SAMPLES, SIZE = 7, 120, 12
STILL = {
    "OMP_NUM_THREADS": "1",
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
    "TF_DETERMINISTIC_OPS": "1",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "CUDA_VISIBLE_DEVICES": "",
}
#: Events of which everything but the clock is compared.
EVENTS = ("metrics", "forecast_scored", "suspects", "judged")
#: Gates that no ranking moves: when rankings come between epochs is the clock's.
GATES = ("warm-up", "accuracy", "R²", "plateau", "error")


class Together:
    """Hands outputs on in the same groups whatever the clock says."""

    def __init__(self, forecaster: Any) -> None:
        self._forecaster = forecaster
        self._observe, self._mark = forecaster.observe, forecaster.mark
        self._waiting: list[tuple[int, int, Any]] = []
        forecaster.observe, forecaster.mark = self.observe, self.mark

    def observe(self, step: int, epoch: int, *outputs: Any) -> None:
        for number, output in enumerate(outputs, step - len(outputs) + 1):
            self._waiting.append((number, epoch, output))
            if len(self._waiting) == TOGETHER:
                self.flush()

    def mark(self, callback: Callable[[], None], **more: Any) -> None:
        self.flush()
        self._mark(callback, **more)

    def flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        if waiting:
            step, epoch, _ = waiting[-1]
            self._observe(step, epoch, *(output for _, _, output in waiting))
            self._forecaster.drain()


def digest(value: Any) -> str:
    """A short name of an array's bits, or of what JSON makes of a value."""
    if isinstance(value, np.ndarray):
        data = f"{value.dtype.str}{value.shape}".encode() + np.ascontiguousarray(value).tobytes()
    else:
        data = json.dumps(value, sort_keys=True, default=str).encode()
    return hashlib.blake2b(data, digest_size=8).hexdigest()


def pictures(classes: int) -> tuple[np.ndarray, np.ndarray]:
    """(N, 1, H, W) in [0, 1] with a bright row for each class, every ninth label wrong."""
    rng = np.random.default_rng(7)
    labels = rng.integers(0, classes, SAMPLES)
    x = rng.random((SAMPLES, 1, SIZE, SIZE), np.float32)
    for picture, label in zip(x[:, 0], labels, strict=True):
        picture[label % SIZE, label // SIZE :] += np.float32(0.7)
    labels[::9] = (labels[::9] + 1) % classes
    return x, labels


def values(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Pictures and (N, count) of values that depend on them."""
    x, _ = pictures(4)
    wanted = x.mean((1, 2, 3))[:, None] * np.arange(1, count + 1) + x[:, 0, 0, :count]
    return x, wanted.astype(np.float32)


def torch_model(outputs: int) -> Any:
    import torch
    from torch import nn

    torch.manual_seed(3)
    return nn.Sequential(
        nn.Conv2d(1, 6, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(6 * (SIZE // 2) ** 2, outputs),
    )  # fmt: skip


def keras_model(outputs: int) -> Any:
    import keras

    keras.utils.set_random_seed(3)
    return keras.Sequential(
        [
            keras.layers.Input((SIZE, SIZE, 1)),
            keras.layers.Conv2D(6, 3, padding="same", activation="relu"),
            keras.layers.MaxPooling2D(2),
            keras.layers.Flatten(),
            keras.layers.Dense(outputs),
        ]
    )


def make(case: str, folder: str) -> Any:
    """The session of a case."""
    import coflect_widget as coflect

    framework, kind, count = case.split("-")
    outputs = int(count)
    x, y = values(outputs) if kind == "values" else pictures(max(2, outputs))
    more: dict[str, Any] = {}
    if framework == "torch":
        import torch

        torch.set_num_threads(1)
        model = torch_model(outputs)
        more["optimizer"] = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
        if kind == "values":
            more["loss"] = torch.nn.MSELoss()
    else:
        import keras

        model = keras_model(outputs)
        x = x.transpose(0, 2, 3, 1)
        more["optimizer"] = keras.optimizers.SGD(0.05, momentum=0.9)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        more["loss"] = loss if outputs > 1 else keras.losses.BinaryCrossentropy(from_logits=True)
    config = {
        "seed": 1,
        "log_every": 5,
        "forecast": {"probes": 0, "horizon_epochs": 2, "top": 6},
        "attribution": {"budget": 0.0},
    }
    train, held_out = (x[:100], y[:100]), (x[100:], y[100:])
    return coflect.Session(
        model, train, held_out, batch_size=16, run_dir=folder, config=config, **more
    )


def take_in(forecaster: Any, kind: str, outputs: int) -> None:
    """What no loop of the session brings: a sample twice, NaN, a label that is none, losses."""
    rng = np.random.default_rng(11)
    store = forecaster.store
    wide = max(2, outputs) if kind == "classes" else outputs
    for step in range(900, 906):
        rows = rng.integers(0, 100, 24)
        given = rng.normal(size=(24, wide)).astype(np.float32)
        wanted = rng.integers(-1, wide, 24) if kind == "classes" else given.copy() + rng.random()
        given[3, 0] = np.nan
        losses = rng.random(24).astype(np.float32) if step % 2 else None
        store.update(rows, given, wanted, step, losses)
        store.update_many([rows[:10], rows[10:]], given, wanted, [step, step + 1])
    seen = np.flatnonzero(store.seen)[:40]
    forecaster.foresight.probed(seen, rng.normal(size=(len(seen), wide)).astype(np.float32))
    forecaster.queue.epoch_ended(EPOCHS + 1)


def run(case: str) -> dict[str, str]:
    """Train a case; digests of all that came of it, by name."""
    found: dict[str, str] = {}
    _, kind, count = case.split("-")
    with tempfile.TemporaryDirectory() as folder, make(case, folder) as session:
        parts = session._made()
        forecaster = parts.forecaster
        Together(forecaster)
        if kind == "classes":
            session.feedback(sample=3, ignore=(0.0, 0.0, 0.4, 0.4))
        session.train(epochs=EPOCHS)
        session.wait()
        if kind == "classes":
            session.judge(5, "wrong", label=1)
            session.train(epochs=1)
            session.wait()
        for spec, copy in zip(parts.backend.weight_specs(), weights(parts.backend), strict=True):
            found[f"weights {spec.name}"] = digest(copy)
        store = forecaster.store
        for name, array in store.arrays.items():
            found[f"store {name}"] = digest(array)
        for name in EVENTS:
            told = [event.data.model_dump() for event in session.events(name)]
            found[f"events {name} ({len(told)})"] = digest([_bare(one) for one in told])
        named = [e.data for e in session.events("forecast") if e.data.named]
        found[f"events forecast ({len(named)})"] = digest([one.model_dump() for one in named])
        gates = [g.model_dump() for g in parts.window.status().gates if g.name in GATES]
        found[f"gates ({len(gates)})"] = digest([parts.window.chance, gates])
        listed = forecaster.queue.listed(True, False)
        found["queue rows"], found["queue risk"] = digest(listed.rows), digest(listed.risk)
        shown = session.explain(2)
        found["map"] = digest(shown.map)
        found["map in words"] = digest([shown.top_classes, shown.top_probs, shown.predicted])
        found["map's quality"] = digest(str(shown.quality))
        take_in(forecaster, kind, int(count))
        for name, array in store.arrays.items():
            found[f"store then {name}"] = digest(array)
        found["scale"] = digest(store.scale)
        if store.values is not None:
            found["values"] = digest(store.values.of(np.arange(100)))
        listed = forecaster.queue.listed(True, False)
        found["queue then"] = digest([listed.rows.tolist(), listed.risk.tolist()])
        found["forecast's weights"] = digest(forecaster.foresight.weights)
    return found


def weights(backend: Any) -> list[np.ndarray]:
    """Copies of what training changed."""
    made = [np.zeros(spec.shape, spec.dtype) for spec in backend.weight_specs()]
    wait = backend.copy_weights(made)
    if wait is not None:
        wait()
    return made


def _bare(values: dict[str, Any]) -> dict[str, Any]:
    """Without what the clock says."""
    measured = ("steps_per_second", "validation_seconds")
    inner = values.get("values")
    if isinstance(inner, dict):
        values = {**values, "values": {k: v for k, v in inner.items() if k not in measured}}
    return values


CASES = (
    "torch-classes-4", "torch-classes-2", "torch-classes-40", "torch-values-1", "torch-values-3",
    "keras-classes-4", "keras-classes-1",
)  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", type=Path)
    parser.add_argument("--compare", type=Path)
    parser.add_argument("--cases", nargs="*", default=CASES)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(run(options.one)))
        return 0
    found = {}
    for case in options.cases:
        done = subprocess.run(
            [sys.executable, __file__, "--one", case],
            env={**os.environ, **STILL}, stdout=subprocess.PIPE, check=True, text=True,
        )  # fmt: skip
        found[case] = json.loads(done.stdout.splitlines()[-1])
        print(f"{case}: {len(found[case])} digests", flush=True)
    if options.write:
        options.write.write_text(json.dumps(found, indent=1))
    if not options.compare:
        return 0
    before = json.loads(options.compare.read_text())
    differ = 0
    for case, now in found.items():
        then = before.get(case, {})
        for name in sorted(then.keys() | now.keys()):
            if then.get(name) != now.get(name):
                differ += 1
                print(f"{case}: {name} differs")
    print(f"{differ} of {sum(map(len, found.values()))} digests differ")
    return int(differ > 0)


if __name__ == "__main__":
    raise SystemExit(main())
