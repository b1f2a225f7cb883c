"""What a few strokes do to a model that cheats: two data sets with a decoy, through a Session.

    python benchmarks/guidance/decoys.py fashion   --data-root DIR [--seeds 0 1 2 3 4] [--arms ...]
    python benchmarks/guidance/decoys.py catsdogs  --data-root DIR
    python benchmarks/guidance/decoys.py fashion   --data-root DIR --arms "fill 5" "gradient 5 half"

DIR holds the folder of the data: fashion-mnist (IDX files), cifar-10-batches-bin. With --cache
FOLDER each finished training is kept there, so that an interrupted table goes on.

Decoy-Fashion-MNIST: a 4 x 4 square in a random corner, of gray 255 - 25 y in training and of a
random class's gray in the test; 20,000 samples, convolutions of 20 and 50 maps and 256 hidden
units, 8 epochs of AdamW. Decoy cats-and-dogs: a 6 x 6 square in a random corner of real
photographs, coloured by class, the small residual network, 16 epochs.

After the first epoch a person draws one box on each of N random samples: round the decoy, up to
a pixel too wide ("fill 5"), on one half of it ("half"), or of the same size where no decoy is
("wrong"). "fill", "gradient" and "chosen" are settings of guidance.ignore_loss; "search" also
confirms the hits of the artefact search. "look 5" is the other kind of stroke: "look here", on
all but a border as wide as the square, which becomes the energy of the class activation in there.
Nothing is chosen by test data: the last epoch counts.
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.optim.lr_scheduler import MultiStepLR

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # measures this checkout

import coflect_widget as coflect
from benchmarks.machine import describe
from coflect_widget.projects.demo_model import small_resnet

LOSSES = {"fill": "fill", "gradient": "input_gradient", "chosen": None, "look": None}
COUNTS = (1, 5, 10, 25, 100)
ARMS = {
    "fashion": [
        "none", "ceiling", "chosen 5", "chosen 5 half", "chosen 5 wrong",
        *(f"{loss} {count}" for loss in ("fill", "gradient", "look") for count in COUNTS),
        *(f"{loss} 5 {boxes}" for loss in ("fill", "gradient") for boxes in ("half", "wrong")),
    ],
    "catsdogs": ["none", "ceiling", "chosen 10 search", "chosen 10", "gradient 10"],
}  # fmt: skip


@dataclass(frozen=True)
class Decoyed:
    """Images (N, C, H, W) float32 in [0, 1], labels, and the decoys' boxes (N, 4) in pixels."""

    images: NDArray[np.float32]
    labels: NDArray[np.int64]
    boxes: NDArray[np.int64]


def decoyed(
    images: NDArray[np.float32],
    labels: NDArray[np.int64],
    side: int,
    colours: NDArray[np.float32] | None,
    seed: int,
    *,
    lie: bool = False,
) -> Decoyed:
    """The images with a square in a random corner, coloured by class, or by a random one.

    Without `colours` (classes, C) the images stay as they are; the boxes say where it would be.
    """
    rng = np.random.default_rng(seed)
    count, _, height, width = images.shape
    left = rng.integers(0, 2, count) * (width - side)
    top = rng.integers(0, 2, count) * (height - side)
    images = images.copy()
    if colours is not None:
        shown = colours[rng.integers(0, len(colours), count) if lie else labels]
        for k in range(count):
            square = images[k, :, top[k] : top[k] + side, left[k] : left[k] + side]
            square[:] = shown[k][:, None, None]
    return Decoyed(images, labels, np.stack([left, top, left + side, top + side], 1))


def fashion(root: Path, split: str) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Fashion-MNIST: (N, 1, 28, 28) in [0, 1]; 20,000 random training images, or the test set.

    "tune" gives 10,000 other training images: what settings may be chosen by.
    """
    stem = "t10k" if split == "test" else "train"
    folder = root / "fashion-mnist"
    with gzip.open(folder / f"{stem}-images-idx3-ubyte.gz") as file:
        images = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 1, 28, 28)
    with gzip.open(folder / f"{stem}-labels-idx1-ubyte.gz") as file:
        labels = np.frombuffer(file.read(), np.uint8, offset=8).astype(np.int64)
    if split != "test":
        order = np.random.default_rng(0).permutation(len(labels))
        kept = order[:20_000] if split == "train" else order[20_000:30_000]
        images, labels = images[kept], labels[kept]
    return images.astype(np.float32) / 255, labels


def catsdogs(root: Path, split: str) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    folder = root / "cifar10_catsdogs"
    data = coflect.data.cifar10_catsdogs(
        folder if folder.is_dir() else root, "test" if split == "test" else "train"
    )
    if split == "tune":
        return data.images[8000:], data.labels[8000:]
    return data.images, data.labels


def lenet(seed: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Conv2d(1, 20, 5), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(20, 50, 5), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(800, 256), nn.ReLU(), nn.Linear(256, 10),
        )  # fmt: skip


@dataclass(frozen=True)
class Task:
    """A data set, its decoy, and the network that learns it."""

    read: object
    side: int
    colours: NDArray[np.float32]
    model: object
    learning_rate: float
    epochs: int
    drawn_after: int = 1


TASKS = {
    "fashion": Task(
        fashion, 4, ((255 - 25 * np.arange(10))[:, None] / 255).astype(np.float32), lenet, 1e-3,
        8,
    ),
    "catsdogs": Task(
        catsdogs, 6, np.array([[1, 0.2, 0.2], [0.2, 0.2, 1]], np.float32),
        lambda seed: small_resnet(2, seed=seed), 3e-3, 16,
    ),
}  # fmt: skip


def drawn(data: Decoyed, kind: str, count: int, side: int, seed: int) -> list[tuple[int, tuple]]:
    """Random samples and the box drawn on each, as fractions."""
    rng = np.random.default_rng([seed, 7])
    height, width = data.images.shape[2:]
    found = []
    for index in rng.choice(len(data.labels), count, replace=False):
        left, top, right, bottom = (float(v) for v in data.boxes[index])
        if kind == "half":
            middle_x, middle_y = (left + right) / 2, (top + bottom) / 2
            halves = [
                (left, top, middle_x, bottom), (middle_x, top, right, bottom),
                (left, top, right, middle_y), (left, middle_y, right, bottom),
            ]  # fmt: skip
            left, top, right, bottom = halves[rng.integers(4)]
        elif kind == "look":
            left, top, right, bottom = side, side, width - side, height - side
        elif kind == "wrong":
            while True:
                left, top = (float(rng.integers(0, size - side + 1)) for size in (width, height))
                apart_x = side <= left <= width - 2 * side
                apart_y = side <= top <= height - 2 * side
                if apart_x or apart_y:
                    break
            right, bottom = left + side, top + side
        else:
            slack = rng.random(4)
            left, top = max(0.0, left - slack[0]), max(0.0, top - slack[1])
            right, bottom = min(width, right + slack[2]), min(height, bottom + slack[3])
        found.append((int(index), (left / width, top / height, right / width, bottom / height)))
    return found


def train(
    name: str,
    arm: str,
    seed: int,
    root: Path,
    settings: dict,
    test: str,
    epochs: int,
    limit: int | None,
) -> dict:
    """One training; accuracy with squares of a random class's colour and without any."""
    task = TASKS[name]
    images, labels = task.read(root, "train")
    if test == "tune" and name == "catsdogs":
        images, labels = images[:8000], labels[:8000]
    images, labels = images[:limit], labels[:limit]
    colours = None if arm == "ceiling" else task.colours
    data = decoyed(images, labels, task.side, colours, seed)
    loss, _, rest = arm.partition(" ")
    guided = loss in LOSSES
    guidance = {**({"ignore_loss": LOSSES[loss]} if guided else {}), **settings}
    model = task.model(seed)
    began = time.monotonic()
    hits = 0
    with (
        tempfile.TemporaryDirectory() as folder,
        coflect.Session(
            model, (data.images, data.labels), run_dir=folder,
            optimizer=lambda p: torch.optim.AdamW(p, lr=task.learning_rate),
            scheduler=lambda o: MultiStepLR(o, [max(1, epochs * 3 // 4)], gamma=0.3),
            config={"seed": seed, "guidance": guidance, "xai_every": 10**6,
                    "forecast_every": 10**6, "attribution": {"budget": 0}},
        ) as session,
    ):  # fmt: skip
        session.train(epochs=epochs)
        while session.metrics["epoch"] < task.drawn_after:
            time.sleep(0.02)
        session.pause()
        if guided:
            count, _, how = rest.partition(" ")
            kind = "look" if loss == "look" else how
            for index, box in drawn(data, kind, int(count), task.side, seed):
                if loss == "look":
                    session.feedback(sample=index, look=box)
                    continue
                intervention = session.feedback(sample=index, ignore=box)
                if how == "search":
                    found = session.similar(intervention)
                    if found:
                        session.confirm(intervention, [hit.index for hit in found])
                        hits += len(found)
        session.resume()
        session.wait()
    test_images, test_labels = task.read(root, test)
    scores = {
        "random": accuracy(
            model, decoyed(test_images, test_labels, task.side, task.colours, 10_000, lie=True)
        ),
        "plain": accuracy(model, decoyed(test_images, test_labels, task.side, None, 10_000)),
    }
    return {**scores, "seconds": time.monotonic() - began, "hits": hits}


@torch.no_grad()
def accuracy(model: nn.Module, data: Decoyed) -> float:
    model.eval()
    right = 0
    for start in range(0, len(data.labels), 500):
        rows = slice(start, start + 500)
        logits = model(torch.from_numpy(data.images[rows]))
        right += int((logits.argmax(1).numpy() == data.labels[rows]).sum())
    return right / len(data.labels)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("task", choices=list(TASKS))
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--arms", nargs="+")
    parser.add_argument("--cache", type=Path, help="keep each finished training in this folder")
    parser.add_argument("--tune", action="store_true", help="score on held-out training images")
    parser.add_argument("--epochs", type=int, help="in place of the task's own")
    parser.add_argument("--limit", type=int, help="train on the first so many samples only")
    parser.add_argument("--set", default="{}", help="more settings of guidance, as JSON")
    given = parser.parse_args()
    settings = json.loads(given.set)
    epochs = given.epochs or TASKS[given.task].epochs
    test = "tune" if given.tune else "test"
    print(f"{given.task}: {describe()}, {torch.get_num_threads()} threads {settings or ''} {test}")
    print(f"{'':<22}{'random decoy':>13}{'no decoy':>10}{'seconds':>9}   each seed", flush=True)
    means = {}
    for arm in given.arms or ARMS[given.task]:
        found = []
        for seed in given.seeds:
            label = arm + "".join(f" {key}={value}" for key, value in settings.items())
            file = given.cache and given.cache / f"{given.task} {test} {epochs} {label} {seed}.json"
            if file and file.is_file():
                result = json.loads(file.read_text())
            else:
                result = train(
                    given.task,
                    arm,
                    seed,
                    given.data_root,
                    settings,
                    test,
                    epochs,
                    given.limit,
                )
                if file:
                    given.cache.mkdir(parents=True, exist_ok=True)
                    file.write_text(json.dumps(result))
            found.append(result)
        mean = {key: float(np.mean([r[key] for r in found])) for key in found[0]}
        means[arm] = mean
        each = "  ".join(f"{r['random']:.3f}/{r['plain']:.3f}" for r in found)
        print(
            f"{arm:<22}{mean['random']:>13.3f}{mean['plain']:>10.3f}{mean['seconds']:>9.0f}   "
            f"{each}" + (f"   {mean['hits']:.0f} hits" if mean["hits"] else ""),
            flush=True,
        )
    compare(means)


def compare(means: dict[str, dict[str, float]]) -> None:
    """Each arm against the ceiling, and wrong boxes against right ones."""
    if not {"none", "ceiling"} <= set(means):
        return
    print("below the ceiling (random decoy / no decoy), and share of the gap that is closed")
    none, ceiling = means["none"], means["ceiling"]
    for arm, mean in means.items():
        if arm in ("none", "ceiling"):
            continue
        below = [ceiling[k] - mean[k] for k in ("random", "plain")]
        closed = [(mean[k] - none[k]) / (ceiling[k] - none[k]) for k in ("random", "plain")]
        print(f"{arm:<22}{below[0]:>13.3f}{below[1]:>10.3f}{closed[0]:>9.0%}{closed[1]:>6.0%}")


if __name__ == "__main__":
    main()
