"""Five boxes against a trap: decoy digits, without and with guidance, and the ceiling.

    python benchmarks/guidance_digits.py                # the table of the README
    python benchmarks/guidance_digits.py --seeds 0 --arms unguided boxes

A network learns digits whose class a coloured square gives away. After two epochs a person
draws one box round the square on each of five random training samples. Accuracy is measured
on the test digits without squares and with squares of random colour; the ceiling was trained
without squares. Control: five boxes of the same size where no square ever is.
"""

from __future__ import annotations

import argparse
import datetime as dt
import platform
import statistics
import time
from collections.abc import Iterable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from coflect_widget.config import GuidanceConfig
from coflect_widget.data.decoy_digits import DecoyDigits, decoy_digits
from coflect_widget.guidance.roi import parse_roi
from coflect_widget.guidance.state import ActiveStroke, GuidanceState, Kind
from coflect_widget.guidance.torch_losses import TorchGuidance

EPOCHS, BATCH, DRAWN_AFTER, BOXES = 10, 64, 2, 5
ARMS = ("unguided", "ceiling", "boxes", "wrong boxes")
Box = tuple[float, float, float, float]


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions and a way round them."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.skip: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.skip = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.norm1(self.conv1(x)))
        return F.relu(self.norm2(self.conv2(y)) + self.skip(x))


def small_resnet(num_classes: int, width: int = 16) -> nn.Module:
    """A residual network for 32 x 32 images: 78,000 weights at width 16, last map 8 x 8."""
    return nn.Sequential(
        nn.Conv2d(3, width, 3, 1, 1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        ResidualBlock(width, width, 1),
        ResidualBlock(width, 2 * width, 2),
        ResidualBlock(2 * width, 4 * width, 2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4 * width, num_classes),
    )


def falling_adamw(parameters: Iterable[nn.Parameter], steps: int, lr: float) -> torch.optim.AdamW:
    """AdamW whose learning rate stays at `lr` and falls to nothing in the last fifth of `steps`.

    The schedule rides on the optimizer, so that any loop can use it. Without the fall the
    running statistics of normalisation lag behind weights that still move, and accuracy
    swings by several points from epoch to epoch, guided or not.
    """
    optimizer = torch.optim.AdamW(parameters, lr=lr)
    last = steps / 5
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1.0, max(0.01, (steps - step) / last))
    )
    optimizer.register_step_post_hook(lambda *_: schedule.step())
    return optimizer


def drawn_boxes(data: DecoyDigits, seed: int, count: int = BOXES) -> list[tuple[int, Box]]:
    """Random samples and a box round each one's square, up to a pixel too wide, as by hand."""
    rng = np.random.default_rng([seed, 7])
    size = data.images.shape[-1]
    drawn = []
    for index in rng.choice(len(data), count, replace=False):
        slack = rng.random(4) / size * (-1, -1, 1, 1)
        x0, y0, x1, y1 = np.clip(data.squares[index] + slack, 0, 1).tolist()
        drawn.append((int(index), (x0, y0, x1, y1)))
    return drawn


def wrong_boxes(data: DecoyDigits, seed: int, count: int = BOXES) -> list[tuple[int, Box]]:
    """Boxes of the same size on the same samples, at random places that no square touches."""
    rng = np.random.default_rng([seed, 8])
    size = data.images.shape[-1]
    taken = np.unique(data.squares, axis=0)
    wrong = []
    for index, (x0, y0, x1, y1) in drawn_boxes(data, seed, count):
        while True:
            left, top = rng.random(2) * (1 - (x1 - x0), 1 - (y1 - y0))
            box = (left, top, left + x1 - x0, top + y1 - y0)
            apart = (taken[:, 0] >= box[2]) | (taken[:, 2] <= box[0])
            apart |= (taken[:, 1] >= box[3]) | (taken[:, 3] <= box[1])
            if apart.all() and max(box) <= 1 - 1 / size / 2:
                break
        wrong.append((index, tuple(float(v) for v in box)))
    return wrong  # type: ignore[return-value]


def strokes(boxes: list[tuple[int, Box]], strength: float, kind: Kind = "ignore") -> GuidanceState:
    """The guidance that follows from one box on each sample."""
    return GuidanceState(
        tuple(
            ActiveStroke(kind, parse_roi(box, kind), index, strength, f"i{n}")
            for n, (index, box) in enumerate(boxes)
        ),
        strength,
    )


def tensors(data: DecoyDigits) -> tuple[Tensor, Tensor]:
    return torch.from_numpy(data.images), torch.from_numpy(data.labels)


def accuracy(model: nn.Module, data: DecoyDigits) -> float:
    x, y = tensors(data)
    model.eval()
    with torch.no_grad():
        hits = (model(x).argmax(1) == y).float().mean().item()
    model.train()
    return hits


class Run:
    """One training; guidance may set in at any epoch."""

    def __init__(self, seed: int, data: DecoyDigits, config: GuidanceConfig, lr: float) -> None:
        torch.manual_seed(seed)
        self.seed = seed
        self.model = small_resnet(10)
        self.x, self.y = tensors(data)
        steps = EPOCHS * -(-len(self.x) // BATCH)
        self.optimizer = falling_adamw(self.model.parameters(), steps, lr)
        self.guidance = TorchGuidance(
            self.model, self.read, (data.images.shape[2], data.images.shape[3]), config, seed
        )

    def read(self, indices: Sequence[int]) -> tuple[Tensor, Tensor]:
        return self.x[list(indices)], self.y[list(indices)]

    def step(self, rows: Tensor) -> None:
        x, y = self.x[rows], self.y[rows]
        task = F.cross_entropy(self.model(x), y)
        total = task
        if self.guidance.active:
            extra = self.guidance.loss(x, y, task.detach())
            if extra is not None:
                total = task + extra
        self.optimizer.zero_grad(set_to_none=True)
        total.backward()
        self.optimizer.step()

    def epoch(self, number: int) -> None:
        order = np.random.default_rng([self.seed, number]).permutation(len(self.x))
        for rows in torch.from_numpy(order).split(BATCH):
            self.step(rows)


def train(
    arm: str, seed: int, config: GuidanceConfig, lr: float, kind: Kind
) -> tuple[float, float]:
    """Accuracy on test digits without squares and with squares of random colour."""
    data = decoy_digits("train", square="none" if arm == "ceiling" else "class")
    run = Run(seed, data, config, lr)
    for number in range(EPOCHS):
        if number == DRAWN_AFTER and "boxes" in arm:
            boxes = (drawn_boxes if arm == "boxes" else wrong_boxes)(data, seed)
            run.guidance.set_state(strokes(boxes, config.strength, kind))
        run.epoch(number)
    none, random = (accuracy(run.model, decoy_digits("test", square=s)) for s in ("none", "random"))
    return none, random


def step_times(
    config: GuidanceConfig, lr: float, kind: Kind, rounds: int = 40
) -> tuple[float, float]:
    """Median milliseconds of a step without and with guidance, taken in turn."""
    data = decoy_digits("train")
    run = Run(0, data, config, lr)
    state = strokes(drawn_boxes(data, 0), config.strength, kind)
    rows = torch.arange(BATCH)
    times: dict[bool, list[float]] = {False: [], True: []}
    for turn in range(2 * rounds + 8):
        guided = turn % 2 == 1
        run.guidance.set_state(state if guided else GuidanceState())
        begin = time.perf_counter()
        run.step(rows)
        if turn >= 8:
            times[guided].append(time.perf_counter() - begin)
    return 1e3 * statistics.median(times[False]), 1e3 * statistics.median(times[True])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    parser.add_argument("--lr", type=float, default=3e-3)
    parser.add_argument("--share", type=float, help="guided rows as a share of the batch")
    parser.add_argument("--ignore-loss", choices=["fill", "input_gradient"])
    parser.add_argument("--strength", type=float)
    parser.add_argument("--threads", type=int)
    given = parser.parse_args()
    if given.threads:
        torch.set_num_threads(given.threads)
    config = GuidanceConfig()
    if given.share is not None:
        config.replay_share = given.share
    if given.strength is not None:
        config.strength = given.strength
    config.ignore_loss = given.ignore_loss
    print(
        f"{dt.date.today()}, {platform.machine()}, {torch.get_num_threads()} threads, torch "
        f"{torch.__version__}, AdamW {given.lr:g}, strength {config.strength:g}, guided rows "
        f"{config.replay_share:g} of the batch, ignore as {config.ignore_loss or 'chosen'}"
    )
    print(f"{'arm':<14}{'no square':>10}{'random':>8}   each seed", flush=True)
    means: dict[str, tuple[float, float]] = {}
    for arm in given.arms:
        found = [train(arm, seed, config, given.lr, "ignore") for seed in given.seeds]
        means[arm] = (statistics.mean(a for a, _ in found), statistics.mean(b for _, b in found))
        each = "  ".join(f"{a:.3f}/{b:.3f}" for a, b in found)
        print(f"{arm:<14}{means[arm][0]:>10.3f}{means[arm][1]:>8.3f}   {each}", flush=True)
    for arm in ("boxes", "wrong boxes"):
        if {"unguided", "ceiling", arm} <= set(means):
            back = [
                (means[arm][k] - means["unguided"][k])
                / (means["ceiling"][k] - means["unguided"][k])
                for k in (0, 1)
            ]
            print(f"{arm} bring back {back[0]:.0%} / {back[1]:.0%} of what the trap cost")
    plain, guided = step_times(config, given.lr, "ignore")
    print(f"step {plain:.1f} ms, guided {guided:.1f} ms, ratio {guided / plain:.2f}")


if __name__ == "__main__":
    main()
