"""Trainings without intervention, kept on disk, from which every forecast is evaluated offline.

One file a run: what the telemetry saw of each sample in each epoch (train mode, at its
sighting) and what was true at each epoch's end (eval mode, on training and held-out data).
"""

from __future__ import annotations

import gzip
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from coflect_widget.backends.torch.backend import TorchBackend
from coflect_widget.config import Config
from coflect_widget.data import cifar10_catsdogs
from coflect_widget.projects.demo_model import small_resnet

DATA = ("cats and dogs", "Fashion-MNIST")
NOISE = (0.0, 0.1)
SEEDS = range(5)


@dataclass(frozen=True)
class Recipe:
    """How a run is trained; AdamW at 1e-3 always."""

    name: str  #: in file names; empty for the first recipe
    samples: tuple[int, int]  #: for training, of each of `DATA`
    epochs: int
    batch: int
    falling: bool  #: the learning rate falls to a tenth in equal steps; else it stays


CALM = Recipe("", (6_000, 8_000), 12, 128, falling=True)
#: What a session does where nothing is said, on 5,000 samples for 8 epochs ...
SHORT = Recipe("short", (5_000, 5_000), 8, 64, falling=False)
#: ... and the same with a schedule.
SHORT_FALLING = Recipe("short-falling", (5_000, 5_000), 8, 64, falling=True)
RECIPES = {recipe.name: recipe for recipe in (CALM, SHORT, SHORT_FALLING)}


@dataclass(frozen=True)
class Recorded:
    """One run; E epochs, N training samples, M held-out ones, C classes."""

    data: str
    noise: float
    seed: int
    seen: np.ndarray  #: (E, N, C) float32, logits at the sighting in training
    step: np.ndarray  #: (E, N) int32, optimizer step of that sighting
    train: np.ndarray  #: (E, N, C) float32, logits at the epoch's end, eval mode
    held_out: np.ndarray  #: (E, M, C) float16, the same on held-out data
    target: np.ndarray  #: (N,) labels that training had
    flipped: np.ndarray  #: (N,) True where that is not the data set's own label
    held_out_target: np.ndarray  #: (M,)
    probe_seconds: float  #: processor time of one sample's forward pass, in batches of 64

    @property
    def wrong(self) -> np.ndarray:
        """(E, N) True where the sample is wrong at the epoch's end, under training's label."""
        wrong: np.ndarray = self.train.argmax(2) != self.target
        return wrong


def path_of(cache: Path, data: str, noise: float, seed: int, recipe: Recipe = CALM) -> Path:
    """Where a run is kept."""
    name = f"{data.replace(' ', '-')}_{round(100 * noise)}_{seed}"
    return cache / f"{recipe.name}{'_' if recipe.name else ''}{name}.npz"


def load(cache: Path, data: str, noise: float, seed: int, recipe: Recipe = CALM) -> Recorded:
    """Read a run; FileNotFoundError where it was not made."""
    with np.load(path_of(cache, data, noise, seed, recipe), allow_pickle=False) as file:
        arrays: dict[str, Any] = {name: file[name] for name in file.files}
    arrays["probe_seconds"] = float(arrays["probe_seconds"])
    return Recorded(data=data, noise=noise, seed=seed, **arrays)


def record(
    root: Path, cache: Path, data: str, noise: float, seed: int, recipe: Recipe = CALM
) -> None:
    """Train once and keep what was seen and what was true."""
    images, labels, held_images, held_labels = _read(root, data, recipe)
    epochs = recipe.epochs
    classes = int(labels.max()) + 1
    rng = np.random.default_rng([seed, 77])
    flipped = np.zeros(len(labels), np.bool_)
    flipped[rng.permutation(len(labels))[: round(noise * len(labels))]] = True
    given = labels.copy()
    given[flipped] = (labels[flipped] + rng.integers(1, classes, flipped.sum())) % classes
    torch.manual_seed(seed)
    model = small_resnet(2, width=8, seed=seed) if classes == 2 else _conv_net(classes)
    backend = TorchBackend(
        model, (images, given), (held_images, held_labels), num_classes=classes, loss=None,
        optimizer=None, scheduler=_falling(epochs) if recipe.falling else None,
        batch_size=recipe.batch, config=Config(seed=seed, device="cpu"),
    )  # fmt: skip
    seen = np.zeros((epochs, len(labels), classes), np.float32)
    when = np.zeros((epochs, len(labels)), np.int32)
    train, held = np.zeros_like(seen), np.zeros((epochs, len(held_labels), classes), np.float16)
    backend.begin()
    step, began = 0, time.perf_counter()
    for epoch in range(epochs):
        for batch in backend.train_batches(epoch):
            output = backend.train_step(batch)
            step += 1
            seen[epoch, output.indices] = output.logits
            when[epoch, output.indices] = step
        backend.end_epoch({})
        model.eval()
        train[epoch] = _logits(model, images)
        held[epoch] = _logits(model, held_images)
        wrong = (train[epoch].argmax(1) != given).mean()
        right = (held[epoch].argmax(1) == held_labels).mean()
        print(
            f"{data}, {noise:.0%} flipped, seed {seed}, epoch {epoch + 1}: train error "
            f"{wrong:.3f}, held-out accuracy {right:.3f}, {time.perf_counter() - began:.0f} s",
            flush=True,
        )
    before = time.process_time()
    _logits(model, images[:1024])
    seconds = (time.process_time() - before) / 1024
    cache.mkdir(parents=True, exist_ok=True)
    file = path_of(cache, data, noise, seed, recipe)
    part = file.with_suffix(".part.npz")
    np.savez(
        part, seen=seen, step=when, train=train, held_out=held, target=given, flipped=flipped,
        held_out_target=held_labels, probe_seconds=seconds,
    )  # fmt: skip
    part.replace(file)


def _falling(epochs: int) -> Callable[[torch.optim.Optimizer], LambdaLR]:
    """To a tenth in equal steps: at a constant rate one epoch's end is unlike the next."""

    def schedule(optimizer: torch.optim.Optimizer) -> LambdaLR:
        return LambdaLR(optimizer, lambda epoch: 1 - 0.9 * epoch / (epochs - 1))

    return schedule


def _conv_net(classes: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 20, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(20, 50, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(800, 256), nn.ReLU(), nn.Linear(256, classes),
    )  # fmt: skip


@torch.no_grad()
def _logits(model: nn.Module, images: np.ndarray) -> np.ndarray:
    parts = [model(torch.from_numpy(part)) for part in np.array_split(images, len(images) // 64)]
    logits: np.ndarray = torch.cat(parts).numpy()
    return logits


def _read(
    root: Path, data: str, recipe: Recipe
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Images float32 (N, C, H, W) in [0, 1] and labels of training and held-out data."""
    count = recipe.samples[DATA.index(data)]
    if data == "cats and dogs":
        train, test = (cifar10_catsdogs(root / "cifar10_catsdogs", s) for s in ("train", "test"))
        return train.images[:count], train.labels[:count], test.images[:1_000], test.labels[:1_000]
    folder = root / "fashion-mnist"
    return (
        _idx(folder / "train-images-idx3-ubyte.gz")[:count],
        _idx(folder / "train-labels-idx1-ubyte.gz")[:count],
        _idx(folder / "t10k-images-idx3-ubyte.gz")[:1_000],
        _idx(folder / "t10k-labels-idx1-ubyte.gz")[:1_000],
    )


def _idx(path: Path) -> np.ndarray:
    with gzip.open(path) as file:
        raw = file.read()
    shape = tuple(np.frombuffer(raw, ">u4", raw[3], 4))
    values = np.frombuffer(raw, np.uint8, offset=4 + 4 * raw[3]).reshape(shape)
    if len(shape) == 1:
        return values.astype(np.int64)
    return values[:, None].astype(np.float32) / 255
