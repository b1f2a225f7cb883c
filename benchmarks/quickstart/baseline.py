"""What quickstart's networks come to beside scikit-learn, on the same rows.

    python benchmarks/quickstart/baseline.py --data DIR [--sets insurance reviews ...] [--seeds 0 1]

Each set is given to `coflect.quickstart` as a newcomer has it: a file, a folder of pictures, or
arrays. The network trains for as long as quickstart proposes, and its best weights by the
validation part are judged on the test part, once. Beside it stand a linear estimator on the same
cells (of texts tf-idf of their words), boosted trees (of rows, series and pictures), and who always
says the same. Clusters stand beside those of k-means. DIR holds tabular/, movie_reviews/, series/
and cifar10_catsdogs/; `diabetes` comes with scikit-learn, `demand` is made here, and the last four
by `messy.py`. Of the photographs 3,000 are taken.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # measures this checkout

import coflect_widget as coflect
from benchmarks.machine import describe
from benchmarks.quickstart import messy
from coflect_widget.projects.quickstart.plain import plain_figures

PHOTOGRAPHS = 3000


def insurance(root: Path, folder: Path) -> tuple[Any, dict[str, Any]]:
    """People, insured through work or not."""
    del folder
    return root / "tabular" / "health_insurance.csv", {"target": "whi"}


def reviews(root: Path, folder: Path) -> tuple[Any, dict[str, Any]]:
    """Snippets of reviews, good or bad."""
    file = root / "movie_reviews" / "movieReviewSnippets_GroundTruth.txt"
    lines = [line.split("\t") for line in file.read_text(encoding="latin-1").splitlines()]
    kept = [(text, float(mean)) for _, mean, text in lines if abs(float(mean)) > 0.4]
    made = folder / "reviews.tsv"
    rows = [f"{text}\t{'good' if mean > 0 else 'bad'}" for text, mean in kept]
    made.write_text("\n".join(["text\topinion", *rows]), encoding="utf-8")
    return made, {}


def ratings(root: Path, folder: Path) -> tuple[Any, dict[str, Any]]:
    """The same snippets, and their mean rating."""
    del folder
    return root / "movie_reviews", {}


def gunpoint(root: Path, folder: Path) -> tuple[Any, dict[str, Any]]:
    """Curves of a hand, 50 to train on."""
    del folder
    return root / "series" / "GunPoint_TRAIN.ts", {}


def power(root: Path, folder: Path) -> tuple[Any, dict[str, Any]]:
    """Days of power demand, 67 to train on."""
    del folder
    return root / "series" / "ItalyPowerDemand_TRAIN.ts", {}


def photographs(root: Path, folder: Path) -> tuple[Any, dict[str, Any]]:
    """Cats and dogs of 32 pixels, as files in a folder for each."""
    from PIL import Image

    data = coflect.data.cifar10_catsdogs(root / "cifar10_catsdogs")
    for name in data.classes:
        (folder / "photographs" / name).mkdir(parents=True)
    for k, (x, label) in enumerate(zip(data.images[:PHOTOGRAPHS], data.labels, strict=False)):
        pixels = (x.transpose(1, 2, 0) * 255).round().astype(np.uint8)
        file = folder / "photographs" / data.classes[label] / f"{k:05d}.png"
        Image.fromarray(pixels).save(file)
    return folder / "photographs", {}


def diabetes(root: Path, folder: Path) -> tuple[Any, dict[str, Any]]:
    """442 patients, and how their illness went on."""
    from sklearn.datasets import load_diabetes

    del root, folder
    found = load_diabetes()
    columns = dict(zip(found.feature_names, found.data.T, strict=True))
    return {**columns, "target": found.target}, {"task": "regression"}


def segments(root: Path, folder: Path) -> tuple[Any, dict[str, Any]]:
    """The same people, without a target."""
    del folder
    return root / "tabular" / "health_insurance.csv", {"task": "clustering"}


def demand(root: Path, folder: Path) -> tuple[Any, dict[str, Any]]:
    """A made-up demand, hour by hour for 18 weeks: days, weekends, weather, noise."""
    del root, folder
    rng = np.random.default_rng(6)
    hours = np.arange(18 * 7 * 24)
    weather = np.zeros(len(hours))
    for k in hours[1:]:
        weather[k] = 0.98 * weather[k - 1] + rng.normal()
    daily = np.sin((hours - 7) * 2 * np.pi / 24) * (1 - 0.5 * (hours // 24 % 7 >= 5))
    load = 50 + 12 * daily + 6 * np.maximum(0, weather / 5) ** 1.5 + rng.normal(0, 1.5, len(hours))
    times = np.datetime64("2024-01-01T00", "h") + hours
    return {"time": times.astype("datetime64[s]"), "load": load, "weather": weather}, {
        "target": "load", "kind": "timeline",
    }  # fmt: skip


def demand_lstm(root: Path, folder: Path) -> tuple[Any, dict[str, Any]]:
    """The same, by the LSTM."""
    data, arguments = demand(root, folder)
    return data, {**arguments, "model": "lstm"}


def mixed(root: Path, folder: Path) -> tuple[Any, dict[str, Any]]:
    """Decimal commas, words among numbers, gaps."""
    del root
    return messy.mixed(folder), {"target": "left"}


def doubled(root: Path, folder: Path) -> tuple[Any, dict[str, Any]]:
    """Two rows in five are there again."""
    del root
    return messy.doubled(folder), {}


def leaking(root: Path, folder: Path) -> tuple[Any, dict[str, Any]]:
    """A column that gives the target away is left out, as proposed."""
    del root
    return messy.leaking(folder), {"target": "diagnosis", "yes": True}


def encoded(root: Path, folder: Path) -> tuple[Any, dict[str, Any]]:
    """Two encodings in one file."""
    del root
    return messy.encoded(folder), {}


_MADE = [
    insurance,
    reviews,
    ratings,
    gunpoint,
    power,
    photographs,
    diabetes,
    segments,
    demand,
    demand_lstm,
]
_MESSY = [mixed, doubled, leaking, encoded]
SETS: dict[str, Callable[[Path, Path], tuple[Any, dict[str, Any]]]] = {
    made.__name__: made for made in (*_MADE, *_MESSY)
}


def measured(name: str, root: Path, seed: int) -> dict[str, float]:
    """Figures of one set and seed: the network's first, the estimators', and a guess."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    with tempfile.TemporaryDirectory() as folder:
        data, arguments = SETS[name](root, Path(folder))
        with contextlib.redirect_stdout(io.StringIO()):
            session = coflect.quickstart(
                data, seed=seed, run_dir=Path(folder) / "runs", **arguments
            )
        with session:
            session.train()
            session.wait()
            found = session.test()
        mine, parts = session.pipeline, session.split
        first, value = next(iter(found["figures"].items()))
        shown = {first: value, **found["plain"]}
        single = mine.goal.outputs == 1 or mine.goal.by_class  # trees tell no several numbers
        if mine.inputs.name != "text" and single and mine.goal.needs_target:  # no sparse matrix
            trees = (HistGradientBoostingClassifier if mine.goal.by_class else
                     HistGradientBoostingRegressor)(random_state=0)  # fmt: skip
            train, test = session.sheet.rows(parts.train), session.sheet.rows(parts.test)
            beside = plain_figures(
                mine.inputs, mine.goal, mine.target, train, test, {"boosted trees": trees}
            )
            shown["boosted trees"] = beside["boosted trees"]
    return {**shown, "the same": found["guess"], "rows": found["rows"], "step": found["step"]}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    given = parser.parse_args()
    torch.set_num_threads(1)
    print(describe())
    for name in given.sets:
        for seed in given.seeds:
            found = measured(name, given.data, seed)
            shown = ", ".join(
                f"{key} {value:.3f}" if isinstance(value, float) else f"{value} {key}"
                for key, value in found.items()
            )
            print(f"{name}, seed {seed}: {shown}", flush=True)


if __name__ == "__main__":
    main()
