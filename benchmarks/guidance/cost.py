"""What guidance costs: seconds of a step with 25 annotated samples, beside a step without.

    python benchmarks/guidance/cost.py [--steps 120] [--threads 2]

Two equal models take their steps in turn, one of them guided, so that whatever else the machine
does meets both. A guided pass comes every few steps, so means are compared, over blocks of
steps; the interval is that of the blocks' ratios.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # measures this checkout

import coflect_widget as coflect
from benchmarks.guidance.decoys import lenet
from benchmarks.machine import describe
from coflect_widget.backends.torch.backend import TorchBackend
from coflect_widget.config import Config
from coflect_widget.guidance.losses import GuidanceLosses
from coflect_widget.guidance.state import ActiveStroke, GuidanceState
from coflect_widget.modalities import IMAGE
from coflect_widget.modalities.image.regions import parse_roi
from coflect_widget.projects.demo_model import small_resnet

ANNOTATED = 25
BLOCK = 12  # steps; every pace of guided passes divides it
LOSSES = {"fill": ("ignore", "fill"), "input gradient": ("ignore", "input_gradient"),
          "class activation": ("look", None)}  # fmt: skip


def backend(model: nn.Module, data: tuple, loss: str | None) -> TorchBackend:
    """A model with its data; guided by `loss`, if that is given."""
    config = Config(guidance={"ignore_loss": loss and LOSSES[loss][1]}, device="cpu")
    made = TorchBackend(
        model, data, None, num_classes=None, loss=None, optimizer=None, scheduler=None,
        batch_size=64, config=config,
    )  # fmt: skip
    if loss is not None:
        guidance = GuidanceLosses(made.guided(), IMAGE, config.guidance)
        made.attach_guidance(guidance)
        kind = LOSSES[loss][0]
        corner = parse_roi((0.0, 0.0, 0.2, 0.2))
        strokes = [ActiveStroke(kind, corner, k, 0.3, f"i{k}") for k in range(ANNOTATED)]
        made.set_guidance(GuidanceState(tuple(strokes)))
    return made


def ratios(model: str, loss: str, steps: int) -> np.ndarray:
    """Guided over unguided seconds, one figure a block of steps."""
    data = coflect.data.synthetic(n=2048)
    images = data.images if model == "residual" else data.images[:, :1, 2:30, 2:30]
    make = (lambda: small_resnet(4)) if model == "residual" else (lambda: lenet(0))
    both = [backend(make(), (images, data.labels), which) for which in (None, loss)]
    batches = [iter([]), iter([])]
    seconds = np.zeros((2, steps + BLOCK))
    for step in range(steps + BLOCK):
        for number, one in enumerate(both):
            batch = next(batches[number], None)
            if batch is None:
                batches[number] = one.train_batches(step)
                batch = next(batches[number])
            began = time.perf_counter()
            one.train_step(batch)
            seconds[number, step] = time.perf_counter() - began
    blocks = seconds[:, BLOCK:].reshape(2, -1, BLOCK).mean(2)
    return blocks[1] / blocks[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=120)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    print(f"{describe()}, {given.threads} threads, batch 64, {ANNOTATED} annotated samples")
    print(f"{'network':<12}{'loss':<18}{'guided / unguided':>18}   quartiles of the blocks")
    for model in ("residual", "lenet"):
        for loss in LOSSES:
            found = ratios(model, loss, given.steps)
            low, middle, high = np.quantile(found, [0.25, 0.5, 0.75])
            print(f"{model:<12}{loss:<18}{middle:>18.3f}   {low:.3f} to {high:.3f}", flush=True)


if __name__ == "__main__":
    main()
