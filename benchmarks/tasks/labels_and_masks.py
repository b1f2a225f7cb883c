"""Several labels and segmentation: maps on a planted square, what five strokes save, the forecast.

    python benchmarks/tasks/labels_and_masks.py [--tasks segmentation multi_label] [--seeds 0 1 2]

The data are `coflect.data.blobs`, in which the colour of a square gives away what is in a picture.
Printed for each seed: on pictures without a square the IoU, or how often the label is right that
the square gives away, of a training that was left alone, of one with five strokes on squares
after a third of it, of one with five strokes beside the squares, and of the ceiling, a training
on squares that tell nothing; of the maps of the first, the energy on the square and how often the
largest value is there; and of the forecast, how well it names samples that are wrong two epochs
later, as average precision, beside the moving average of their losses: as the training sees them
then, which is what is forecast, and in eval mode. That is of a training of its own, in which a
tenth of the pictures have a spoilt target, shapes of another class or one label that is not so:
where all is as it should be, masks are right from the eighth epoch on, and nothing is to be
foretold.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # measures this checkout

import coflect_widget as coflect
from benchmarks.forecast.replay import average_precision
from benchmarks.machine import describe
from coflect_widget.data.blobs import Blobs
from coflect_widget.projects.demo_model import small_resnet

STROKES = 5
EXPLAINED = 30
HORIZON = 2
#: Training data, and strokes.
HOW = {
    "left alone": ("class", ""),
    "five strokes": ("class", "good"),
    "five wrong strokes": ("class", "wrong"),
    "ceiling": ("random", ""),
    "spoilt targets": ("class", ""),
}
#: Share of the pictures whose target is spoilt, where some are.
SPOILT = 0.1
METRIC = {"segmentation": "val_iou", "multi_label": "accuracy of the disc"}
#: Of several labels, pictures to train on: of 600 no network that was tried learns the shapes.
COUNT = {"segmentation": 600, "multi_label": 1200}
BATCH = 32


class UNet(nn.Module):
    """Three halvings, three doublings with short cuts, and the mean of all places in the middle."""

    def __init__(self, classes: int, width: int = 12) -> None:
        super().__init__()
        sizes = [3, width, 2 * width, 3 * width, 4 * width]
        self.down = nn.ModuleList(block(a, b) for a, b in itertools.pairwise(sizes))
        self.up = nn.ModuleList(
            [block(7 * width, 2 * width), block(4 * width, 2 * width), block(3 * width, width)]
        )
        self.head = nn.Conv2d(width, classes, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, 3, H, W) -> (B, classes, H, W); H and W are multiples of 8."""
        kept = []
        for number, down in enumerate(self.down):
            x = down(x if number == 0 else nn.functional.max_pool2d(x, 2))
            kept.append(x)
        x = x + x.mean((2, 3), keepdim=True)
        for up, beside in zip(self.up, reversed(kept[:-1]), strict=True):
            x = up(torch.cat([nn.functional.interpolate(x, scale_factor=2.0), beside], 1))
        logits: torch.Tensor = self.head(x)
        return logits


def block(inputs: int, outputs: int) -> nn.Module:
    """A convolution, normalised."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU()
    )


class Run(NamedTuple):
    """What is measured without squares, of the first training's maps and the last's forecast."""

    quality: float
    maps: dict[str, tuple[float, float]]
    forecast: dict[str, list[float]]  # its AP, that of the loss, share that is wrong


def run(task: Any, how: str, seed: int, epochs: int) -> Run:
    """Train one network."""
    square, strokes = HOW[how]
    made: dict[str, Any] = {"task": task, "square": square, "seed": seed}
    data = coflect.data.blobs(count=COUNT[task], **made)
    val = coflect.data.blobs("test", task=task, square="none", seed=seed)
    if how == "spoilt targets":
        spoil(data, task, seed)
    torch.manual_seed(seed)
    model = UNet(4) if task == "segmentation" else small_resnet(3, width=8, seed=seed)
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    steps = epochs * -(-len(data) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-2, total_steps=steps)
    with tempfile.TemporaryDirectory() as folder:
        session = coflect.Session(
            model, data, val, classes=data.classes, task=task, batch_size=BATCH, run_dir=folder,
            optimizer=optimizer, scheduler=schedule,
            config={
                "seed": seed, "attribution": {"checks": False},
                "forecast": {"horizon_epochs": HORIZON},
            },
        )  # fmt: skip
        with session:
            session.train(epochs=epochs // 3)
            session.wait()
            if strokes:
                tell(session, data, wrong=strokes == "wrong")
            rest = epochs - epochs // 3
            if how == "spoilt targets":
                forecast = followed(session, data, rest)
                return Run(quality(session, task, val), {}, forecast)
            session.train(epochs=rest)
            session.wait()
            maps = localised(session, data, task) if how == "left alone" else {}
            return Run(quality(session, task, val), maps, {})


def spoil(data: Blobs, task: str, seed: int) -> None:
    """Give a tenth of the pictures shapes of another class, or one label that is not so."""
    rng = np.random.default_rng([seed, 1])
    rows = rng.choice(len(data), round(SPOILT * len(data)), replace=False)
    if task == "segmentation":
        masks = data.labels[rows]
        data.labels[rows] = np.where(masks > 0, masks % 3 + 1, masks)
    else:
        which = rng.integers(0, data.labels.shape[1], len(rows))
        data.labels[rows, which] = 1 - data.labels[rows, which]


def quality(session: Any, task: str, val: Blobs) -> float:
    """The IoU without squares; or how often the label is right that squares give away."""
    if task == "segmentation":
        return float(session.metrics["val_iou"])
    model = session._backend.model.eval()
    with torch.no_grad():
        said = model(torch.from_numpy(val.images))[:, 0].numpy() > 0
    return float((said == val.there[:, 0]).mean())


def tell(session: Any, data: Blobs, *, wrong: bool) -> None:
    """Five strokes on squares, or on as much beside the middle, where no square is."""
    for sample in range(STROKES):
        x0, y0, x1, y1 = data.squares[sample].tolist()
        if wrong:
            x1, y1 = x1 - x0, y1 - y0
            x0, y0 = 0.5 - x1 / 2, 0.02
            x1, y1 = x0 + x1, y0 + y1
        session.feedback(sample, ignore=(x0, y0, x1, y1), strength=0.6)


def followed(session: Any, data: Blobs, epochs: int) -> dict[str, list[float]]:
    """Train epoch by epoch, and score each epoch's forecast by who is wrong `HORIZON` later."""
    forecaster, task = session._parts.forecaster, session._parts.task
    store = forecaster.store
    said: list[Any] = []
    wrong: dict[str, list[NDArray[np.bool_]]] = {"seen": [], "in eval mode": []}
    for _ in range(epochs):
        session.train(epochs=1)
        session.wait()
        forecaster.drain(60)
        said.append((store.score.copy(), store.loss.copy()))
        wrong["seen"].append(~store.correct)
        model = session._backend.model.eval()
        with torch.no_grad():
            outputs = torch.cat([model(x) for x in torch.from_numpy(data.images).split(100)])
        late = task.summarise(outputs.numpy(), data.labels).on_host()
        wrong["in eval mode"].append(~late.right)
    return {name: scored(said, late) for name, late in wrong.items()}


def scored(said: list[Any], wrong: list[NDArray[np.bool_]]) -> list[float]:
    """Means of the AP of the forecast, that of the loss, and the share that is wrong."""
    figures = [
        (average_precision(score, late), average_precision(loss, late), late.mean())
        for (score, loss), late in zip(said, wrong[HORIZON:], strict=False)
        if 0 < late.mean() < 1
    ]
    return np.mean(figures, 0).tolist() if figures else [float("nan")] * 3


def localised(session: Any, data: Blobs, task: Any) -> dict[str, tuple[float, float]]:
    """Of each map the share on the square, and how often its largest value is there."""
    found: dict[str, list[tuple[float, bool]]] = {}
    side = data.images.shape[2]
    for sample, target in explained(session, data, task):
        explanation = session.explain(sample, target=target)
        x0, y0, x1, y1 = (data.squares[sample] * side).round().astype(int)
        shown = {
            "default": explanation.map,
            "LiveCAM": explanation.livecam,
            "SmoothGrad": explanation.smoothgrad,
        }
        for name, values in shown.items():
            row, column = np.unravel_index(values.argmax(), values.shape)
            inside = float(values[y0:y1, x0:x1].sum() / values.sum())
            found.setdefault(name, []).append((inside, y0 <= row < y1 and x0 <= column < x1))
    means = {name: np.mean(pairs, 0) for name, pairs in found.items()}
    return {name: (float(energy), float(points)) for name, (energy, points) in means.items()}


def explained(session: Any, data: Blobs, task: Any) -> list[tuple[int, str]]:
    """Samples and classes: of several labels the disc, of masks what the square decides.

    A network may call every shape by one class, unless a square says another. The square has no
    part in that class, and no map of it shows one: it is the class that shapes without a square
    are given most.
    """
    if task == "multi_label":
        return [(int(k), "disc") for k in np.flatnonzero(data.there[:, 0])[:EXPLAINED]]
    bare = coflect.data.blobs("test", task=task, square="none")
    with torch.no_grad():
        said = session._backend.model.eval()(torch.from_numpy(bare.images[:200])).argmax(1)
    usual = int(np.bincount(said.numpy().ravel(), minlength=4)[1:].argmax())
    rows = np.flatnonzero(~data.there[:, usual])[:EXPLAINED]
    return [(int(k), data.classes[1 + int(data.there[k].argmax())]) for k in rows]


def main() -> None:
    """Print a line a seed, and the means."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", nargs="+", choices=METRIC, default=list(METRIC))
    parser.add_argument("--seeds", type=int, nargs="+", default=(0, 1, 2))
    parser.add_argument("--how", nargs="+", choices=HOW, default=list(HOW))
    parser.add_argument("--epochs", type=int, default=18)
    args = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{describe()}, {args.epochs} epochs", flush=True)
    for task in args.tasks:
        for seed in args.seeds:
            for how in args.how:
                found = run(task, how, seed, args.epochs)
                line = f"{task} seed {seed} {how:<20}{METRIC[task]} {found.quality:.3f}"
                for name, (energy, points) in found.maps.items():
                    line += f"; {name} {energy:.2f} / {points:.2f}"
                for name, (own, loss, share) in found.forecast.items():
                    line += f"; {name}: AP {own:.3f}, of the loss {loss:.3f}, wrong {share:.2f}"
                print(line, flush=True)


if __name__ == "__main__":
    main()
