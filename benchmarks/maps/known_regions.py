"""Data sets of which is known what decides the class, and small models trained on them.

python benchmarks/maps/known_regions.py --data DIR [--tasks ...]      # only trains them
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors.torch import load_model, save_model

from coflect_widget.data import cifar10_catsdogs, decoy_digits, synthetic
from coflect_widget.projects.demo_model import SmallResNet, small_resnet

BATCH = 64
#: Seeds on which rules and thresholds were chosen; reports use others.
CHOOSING, REPORTING = (0, 1), (2, 3)


@dataclass
class Task:
    """Images to train on, others to explain, and the boxes (N, 4) of what decides their class."""

    name: str
    train: tuple[NDArray[np.float32], NDArray[np.int64]]
    test: tuple[NDArray[np.float32], NDArray[np.int64]]
    boxes: NDArray[np.float32] | None
    classes: int
    epochs: int

    def regions(self) -> NDArray[np.bool_]:
        """(N, H, W), True inside the boxes of the test images."""
        assert self.boxes is not None
        height, width = self.test[0].shape[2:]
        y, x = (np.arange(height) + 0.5) / height, (np.arange(width) + 0.5) / width
        x0, y0, x1, y1 = (self.boxes[:, k, None, None] for k in range(4))
        inside: NDArray[np.bool_] = (x > x0) & (x < x1) & (y[:, None] > y0) & (y[:, None] < y1)
        return inside


def shapes(seed: int, root: Path) -> Task:
    """Coloured shapes; the form is the class."""
    train, test = synthetic(4000, seed=2 * seed), synthetic(400, seed=2 * seed + 1)
    return Task(
        "shapes",
        (train.images, train.labels),
        (test.images, test.labels),
        test.boxes,
        classes=4,
        epochs=16,
    )


def decoy(seed: int, root: Path) -> Task:
    """Digits with a square whose hue is the class: what a model learns is the square."""
    train, test = (decoy_digits(split, seed=seed) for split in ("train", "test"))  # type: ignore[arg-type]
    return Task(
        "decoy digits",
        (train.images, train.labels),
        (test.images, test.labels),
        test.squares,
        classes=10,
        epochs=10,
    )


def cats_and_dogs(seed: int, root: Path) -> Task:
    """Photographs of cats and dogs, as they are; nobody knows the region."""
    train, test = (cifar10_catsdogs(root, split) for split in ("train", "test"))  # type: ignore[arg-type]
    return Task(
        "cats and dogs",
        (train.images, train.labels),
        (test.images[:400], test.labels[:400]),
        None,
        classes=2,
        epochs=8,
    )


def planted(seed: int, root: Path) -> Task:
    """The same photographs with a disc or a cross in each, which alone decides the class."""
    plain = cats_and_dogs(seed, root)
    rng = np.random.default_rng([seed, 77])
    train = _plant(plain.train[0][:4000], rng)
    images, labels, boxes = _plant(plain.test[0], rng)
    return Task("planted object", train[:2], (images, labels), boxes, classes=2, epochs=6)


def _plant(
    images: NDArray[np.float32], rng: np.random.Generator, side: int = 9
) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float32]]:
    """A bright disc (0) or cross (1) of random colour at a random place of each image."""
    images = images.copy()
    count, _, height, width = images.shape
    labels = rng.integers(0, 2, count)
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    forms = [np.hypot(x, y) <= side / 2, np.minimum(np.abs(x), np.abs(y)) <= 1]
    boxes = np.empty((count, 4), np.float32)
    for i in range(count):
        left, top = int(rng.integers(0, width - side + 1)), int(rng.integers(0, height - side + 1))
        colour = rng.uniform(0, 1, 3)
        colour[rng.integers(3)] = 1.0  # bright, whatever the photograph
        patch = images[i, :, top : top + side, left : left + side]
        np.copyto(patch, colour[:, None, None], where=forms[labels[i]])
        boxes[i] = left / width, top / height, (left + side) / width, (top + side) / height
    return images, labels, boxes


TASKS: dict[str, Callable[[int, Path], Task]] = {
    "shapes": shapes,
    "decoy": decoy,
    "planted": planted,
    "catsdogs": cats_and_dogs,
}


def shuffled(labels: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """The same labels on other images: nothing is left to learn but single samples."""
    return np.random.default_rng([seed, 13]).permutation(labels)


def trained(
    task: Task, seed: int, *, shuffle: bool = False, cache: Path | None = None
) -> SmallResNet:
    """A small ResNet trained on `task` with AdamW; read from `cache` if it is there already."""
    model = small_resnet(task.classes, seed=seed)
    labels = shuffled(task.train[1], seed) if shuffle else task.train[1]
    kind = "shuffled" if shuffle else "true"
    file = cache and cache / f"{task.name.replace(' ', '_')}_{kind}_{seed}.safetensors"
    if file and file.is_file():
        load_model(model, str(file))
        return model.eval()
    x, y = torch.from_numpy(task.train[0]), torch.from_numpy(labels)
    steps = task.epochs * -(-len(x) // BATCH)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps)
    order = torch.Generator().manual_seed(seed)
    model.train()
    for _ in range(task.epochs):
        for rows in torch.randperm(len(x), generator=order).split(BATCH):
            optimizer.zero_grad(set_to_none=True)
            F.cross_entropy(model(x[rows]), y[rows]).backward()
            optimizer.step()
            schedule.step()
    if file:
        file.parent.mkdir(parents=True, exist_ok=True)
        save_model(model, str(file))
    return model.eval()


def accuracy(model: SmallResNet, x: NDArray[np.float32], y: NDArray[np.int64]) -> float:
    """Share of right answers."""
    with torch.no_grad():
        found = [model(part).argmax(1) for part in torch.from_numpy(x).split(256)]
    return float((torch.cat(found).numpy() == y).mean())


def main() -> None:
    """Train the models of some tasks into a cache and print their accuracy."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_arguments(parser)
    parser.add_argument("--shuffle", action="store_true")
    args = parser.parse_args()
    for seed in args.seeds:
        for name in args.tasks:
            task = TASKS[name](seed, args.data)
            model = trained(task, seed, shuffle=args.shuffle, cache=args.cache)
            print(
                f"{name} seed {seed}: train {accuracy(model, *task.train):.3f}, "
                f"test {accuracy(model, *task.test):.3f}",
                flush=True,
            )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What every script over these tasks takes."""
    parser.add_argument("--tasks", nargs="+", choices=list(TASKS), default=list(TASKS))
    parser.add_argument("--seeds", nargs="+", type=int, default=list(REPORTING))
    parser.add_argument("--data", type=Path, default=Path("data/cifar10_catsdogs"))
    parser.add_argument("--cache", type=Path, help="folder that keeps the trained weights")


if __name__ == "__main__":
    main()
