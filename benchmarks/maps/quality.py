"""How often maps are called reliable: of trained models, of random weights, of shuffled labels.

    python benchmarks/maps/quality.py --data DIR [--seeds 2] [--cache DIR]

DIR holds the binary CIFAR-10 files (see coflect_widget.data.cifar10_catsdogs). What is explained
are training samples, as in a session; "in a session" adds what a session with validation data
knows: that the model only guesses there.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # measures this checkout

from benchmarks.machine import describe
from benchmarks.maps.known_regions import TASKS, Task, accuracy, add_arguments, trained
from coflect_widget.attribution.checks import guessing
from coflect_widget.attribution.worker import Job, JobResult, Model, run_job
from coflect_widget.backends.torch.methods import structure
from coflect_widget.config import AttributionConfig
from coflect_widget.events import Quality
from coflect_widget.projects.demo_model import SmallResNet, small_resnet
from coflect_widget.tasks import Classification

MODELS = ("trained", "random weights", "shuffled labels")
_numbers = itertools.count()


def jobs(task: Task, model: SmallResNet, images: int) -> Iterator[Job]:
    """One job for each of some training images, as the scheduler makes them."""
    config = AttributionConfig()
    name = f"benchmark {next(_numbers)}"
    sent = Model(name, "coflect_widget.backends.torch.methods:load", structure(model))
    weights = {key: tensor.numpy() for key, tensor in model.state_dict().items()}
    chosen = np.random.default_rng(0).choice(len(task.train[0]), images, replace=False)
    for index in chosen.tolist():
        yield Job(
            model_id=name,
            model=sent,
            weights=weights,
            step=0,
            task=Classification(task.classes),
            input=task.train[0][index],
            target=None,
            method=config.method,
            samples=config.smoothgrad_samples,
            sigma=config.smoothgrad_sigma,
            layer=None,
            seed=index,
        )


def answered(job: Job) -> JobResult:
    """The job's result; an error ends the benchmark."""
    result = run_job(job)
    if not isinstance(result, JobResult):
        raise SystemExit(f"no map: {result}")
    return result


def verdicts(task: Task, model: SmallResNet, images: int) -> list[Quality]:
    """Of the model's maps of some training images."""
    found = [answered(job).quality for job in jobs(task, model, images)]
    return [quality for quality in found if quality is not None]


def line(task: Task, kind: str, model: SmallResNet, images: int) -> tuple[str, float, float]:
    """One line of the table, and the shares of reliable maps: by the checks, in a session."""
    right = accuracy(model, *task.test)
    found = verdicts(task, model, images)
    share = sum(quality.reliable for quality in found) / len(found)
    trusted = guessing(right, len(task.test[0]), 1 / task.classes, "guessing") is None
    effect = np.median([quality.deletion for quality in found if quality.deletion is not None])
    alike = np.median([q.random_weights for q in found if q.random_weights is not None] or [np.nan])
    text = (
        f"| {task.name} | {kind} | {right:.2f} | {effect:.2f} | {alike:.2f} | {share:.0%} | "
        f"{share if trusted else 0.0:.0%} |"
    )
    return text, share, share if trusted else 0.0


def seconds(task: Task, model: SmallResNet, images: int) -> list[float]:
    """Processor time of a map without checks, with them for a new sample, and for a known one."""
    first, *judged = jobs(task, model, images + 1)
    answered(first)
    times: list[list[float]] = [[], [], []]
    for job in judged:
        for found, each in zip(times, (replace(job, checks=False), job, job), strict=True):
            found.append(answered(each).seconds)
    return [statistics.median(found) for found in times]


def main() -> None:
    """Print the table and the cost."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_arguments(parser)
    parser.set_defaults(tasks=["shapes", "decoy", "catsdogs"], seeds=[2])
    parser.add_argument("--images", type=int, default=100, help="of each task and model")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=MODELS)
    args = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{describe()}; seeds {args.seeds}, {args.images} training images each\n")
    print(
        "| data | model | accuracy on test data | effect of deletion (log-odds) | agreement with "
        "random weights | reliable by the checks | reliable in a session |"
    )
    print(f"|{'---|' * 7}")
    shares: dict[str, list[tuple[float, float]]] = {}
    for name in args.tasks:
        for seed in args.seeds:
            task = TASKS[name](seed, args.data)
            for kind in args.models:
                if kind == "random weights":
                    model = small_resnet(task.classes, seed=seed + 100).eval()
                else:
                    shuffle = kind == "shuffled labels"
                    model = trained(task, seed, shuffle=shuffle, cache=args.cache)
                text, share, in_session = line(task, kind, model, args.images)
                print(text, flush=True)
                shares.setdefault(kind, []).append((share, in_session))
    for kind, found in shares.items():
        by_checks, in_session = np.mean(found, axis=0)
        print(f"{kind}: {by_checks:.1%} reliable by the checks, {in_session:.1%} in a session")
    task = TASKS[args.tasks[0]](args.seeds[0], args.data)
    model = trained(task, args.seeds[0], cache=args.cache)
    plain, new, known = seconds(task, model, 20)
    print(
        f"processor time of a map: {plain * 1e3:.0f} ms without checks, {new * 1e3:.0f} ms with "
        f"them for a new sample, {known * 1e3:.0f} ms for one seen before"
    )


if __name__ == "__main__":
    main()
