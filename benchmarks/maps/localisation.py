"""How much of a map lies where the evidence is known to be: each method, each way to blend two.

    python benchmarks/maps/localisation.py --data DIR [--seeds 2 3] [--cache DIR]

DIR holds the binary CIFAR-10 files (see coflect_widget.data.cifar10_catsdogs). Of each data set
and seed 200 test images that the model gets right are explained by the code that a worker runs.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # measures this checkout

from benchmarks.machine import describe
from benchmarks.maps.known_regions import REPORTING, TASKS, Task, add_arguments, trained
from coflect_widget.attribution.consensus import Map, agreement, consensus, normalise
from coflect_widget.attribution.methods import ModelExplainer
from coflect_widget.backends.torch.methods import load, structure
from coflect_widget.config import AttributionConfig
from coflect_widget.modalities.image import focus

METHODS = ("livecam", "gradcam", "smoothgrad")
IMAGES = 200


def ranks(values: Map) -> Map:
    """Place of each pixel in the order of the map, from 0 to 1."""
    order = np.argsort(np.argsort(values, axis=None, kind="stable"), kind="stable")
    return (order.reshape(values.shape) / (values.size - 1)).astype(np.float32)


def smoothed(values: Map, width: float = 32) -> Map:
    """The map without its finest grain."""
    wide: Map = ndimage.gaussian_filter(values, max(values.shape) / width, mode="nearest")
    return normalise(wide)


def by_agreement(a: Map, b: Map) -> Map:
    """The product where the maps agree, more of the class-activation map where they do not."""
    weight = agreement(a, b) or 0.0
    return a ** (2 - weight) * smoothed(b) ** weight


#: Products have exponents that sum to 2, because a higher power alone gathers energy.
BLENDS: dict[str, Callable[[Map, Map], Map]] = {
    "LiveCAM squared": lambda a, b: a * a,
    "mean": lambda a, b: (a + b) / 2,
    "rank-mean": lambda a, b: (ranks(a) + ranks(b)) / 2,
    "geometric mean": lambda a, b: np.sqrt(a * b),
    "smaller of the two": np.minimum,
    "product": lambda a, b: a * b,
    "product, smoothed": lambda a, b: a * smoothed(b),
    "product, smoothed twice as wide": lambda a, b: a * smoothed(b, 16),
    "product 4:2": lambda a, b: a ** (4 / 3) * b ** (2 / 3),
    "product 4:2, smoothed": lambda a, b: a ** (4 / 3) * smoothed(b) ** (2 / 3),
    "product 4:2, twice as wide": lambda a, b: a ** (4 / 3) * smoothed(b, 16) ** (2 / 3),
    "product 3:1, smoothed": lambda a, b: a**1.5 * smoothed(b) ** 0.5,
    "product 3:1, twice as wide": lambda a, b: a**1.5 * smoothed(b, 16) ** 0.5,
    "exponent by agreement": by_agreement,
    "the default": lambda a, b: consensus(a, b, focus.smoothed),
}


def energy(values: Map, region: NDArray[np.bool_]) -> float:
    """Share of the map's sum inside the region; 0 for an empty map."""
    total = float(values.sum())
    return float(values[region].sum()) / total if total > 0 else 0.0


def hit(values: Map, region: NDArray[np.bool_]) -> float:
    """Pointing game: whether the strongest pixel lies inside; the share of them, if several."""
    return float(region[values == values.max()].mean()) if values.max() > 0 else 0.0


def maps_of(
    task: Task, seed: int, cache: Path | None, images: int
) -> Iterator[tuple[dict[str, Map], NDArray[np.bool_]]]:
    """Maps of each method and the true region, of images that the model gets right."""
    model = trained(task, seed, cache=cache)
    explainer = ModelExplainer(load(structure(model)))
    explainer.load_weights({name: t.numpy() for name, t in model.state_dict().items()})
    config = AttributionConfig()
    regions = task.regions()
    done = 0
    for index, (x, label) in enumerate(zip(*task.test, strict=True)):
        found = explainer.explain(
            x[None], None, METHODS, config.smoothgrad_samples, config.smoothgrad_sigma, None, index
        )
        if found["explained"] == label:
            yield {method: normalise(found[method]) for method in METHODS}, regions[index]
            done += 1
            if done == images:
                return


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_arguments(parser)
    parser.set_defaults(tasks=["shapes", "decoy", "planted"])
    parser.add_argument("--images", type=int, default=IMAGES)
    args = parser.parse_args()
    torch.set_num_threads(1)
    shown = [*METHODS, *BLENDS]
    scores: dict[str, dict[str, list[tuple[float, float]]]] = {name: {} for name in shown}
    for name in args.tasks:
        areas = []
        for seed in args.seeds:
            task = TASKS[name](seed, args.data)
            for maps, region in maps_of(task, seed, args.cache, args.images):
                areas.append(float(region.mean()))
                blends = {n: f(maps["livecam"], maps["smoothgrad"]) for n, f in BLENDS.items()}
                for method, values in {**maps, **blends}.items():
                    pair = (energy(values, region), hit(values, region))
                    scores[method].setdefault(name, []).append(pair)
        print(f"{name}: {len(areas)} images, region {np.mean(areas):.3f} of the area", flush=True)
    unseen = set(args.seeds) <= set(REPORTING)
    print(f"\n{describe()}; seeds {args.seeds}{'' if unseen else ', on which the rule was chosen'}")
    print(f"| energy inside / pointing game | {' | '.join(args.tasks)} | mean |")
    print(f"|---{'|---' * (len(args.tasks) + 1)}|")
    for method in shown:
        cells = [np.mean(scores[method][name], axis=0) for name in args.tasks]
        cells.append(np.mean(cells, axis=0))
        print(f"| {method} | " + " | ".join(f"{e:.3f} / {p:.3f}" for e, p in cells) + " |")


if __name__ == "__main__":
    main()
