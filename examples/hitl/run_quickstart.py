"""The trap and the rescue on handwritten digits, from a script.

    python run_quickstart.py [--seeds 3] [--epochs 20] [--before 4]

For each seed three trainings: with the trap and no guidance; with the trap and five boxes,
drawn after some epochs, as a person would; and the ceiling, trained without any square. Each is
tested on digits without a square and on digits with squares of random colours. The notebook
01_torch_quickstart.ipynb does the same under a dashboard.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch
from torch.optim.lr_scheduler import CosineAnnealingLR

import coflect_widget as coflect
from coflect_widget.projects.demo_model import small_resnet

PLAIN = coflect.data.decoy_digits("test", square="none")
LYING = coflect.data.decoy_digits("test", square="random")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--before", type=int, default=4, help="epochs until the boxes are drawn")
    parser.add_argument("--run-dir", default="runs")
    options = parser.parse_args()

    trap = coflect.data.decoy_digits("train")
    clean = coflect.data.decoy_digits("train", square="none")
    names = ("no guidance", "five boxes", "ceiling")
    results: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    print("accuracy on test digits     without square   random squares   seconds")
    for seed in range(options.seeds):
        for name, data in zip(names, (trap, trap, clean), strict=True):
            started = time.monotonic()
            scores = run(data, seed, options, boxes=name == "five boxes")
            results[name].append(scores)
            show(f"{name}, seed {seed}", scores, time.monotonic() - started)
    print(f"mean of {options.seeds} seeds")
    mean = {name: tuple(np.mean(scores, axis=0)) for name, scores in results.items()}
    for name in names:
        show(name, mean[name])
    worst, helped, best = (np.array(mean[name]) for name in names)
    back = (helped - worst) / (best - worst)
    print(
        f"{'the boxes brought back':<27} {back[0]:>14.0%}   {back[1]:>14.0%}   of the trap's cost"
    )


def run(data, seed: int, options: argparse.Namespace, *, boxes: bool) -> tuple[float, float]:
    """Train once; accuracy on digits without squares and with squares of random colours."""
    model = small_resnet(num_classes=10, seed=seed)
    epochs, before = options.epochs, options.before
    with coflect.Session(
        model, data, PLAIN, classes=data.classes, run_dir=options.run_dir,
        config={"seed": seed, "schedule_unit": "epoch"},
        optimizer=lambda parameters: torch.optim.AdamW(parameters, lr=3e-3),
        scheduler=lambda optimizer: CosineAnnealingLR(optimizer, T_max=epochs),
    ) as session:  # fmt: skip
        session.train(epochs=before)
        session.wait()
        if boxes:
            for sample in np.random.default_rng(seed).choice(len(data), 5, replace=False):
                session.feedback(sample=sample, ignore=tuple(data.squares[sample]))
        session.train(epochs=epochs - before)
        session.wait()
    return accuracy(model, PLAIN), accuracy(model, LYING)


@torch.no_grad()
def accuracy(model: torch.nn.Module, digits) -> float:
    """Share of digits that the model names rightly."""
    logits = model.eval()(torch.from_numpy(digits.images))
    return float((logits.argmax(1).numpy() == digits.labels).mean())


def show(name: str, scores: tuple[float, float], seconds: float | None = None) -> None:
    took = "" if seconds is None else f"   {seconds:>7.0f}"
    print(f"{name:<27} {scores[0]:>14.3f}   {scores[1]:>14.3f}{took}", flush=True)


if __name__ == "__main__":
    main()
