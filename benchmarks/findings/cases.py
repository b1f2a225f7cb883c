"""Data with a planted decoy that gives the class away, one kind of input after the other.

`each_once` is what scripts over these cases have in common: their arguments, and that a training
whose row is in a file already is not run again.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from benchmarks.guidance.decoys import TASKS, decoyed
from benchmarks.kinds.series import convolutional
from benchmarks.kinds.tables import network
from benchmarks.kinds.texts import Convolutions
from benchmarks.machine import describe
from coflect_widget.data import decoy_digits, patients, reviews, signals
from coflect_widget.projects.demo_model import small_resnet

#: (index, region's JSON form) -> whether the region lies there.
On = Callable[[int, Any], bool]
#: (index) -> what `Session.feedback` is to ignore, as a person who sees the decoy would mark it.
Marked = Callable[[int], Any]
#: What is kept of a training: a line of JSON.
Row = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """Data of one seed; in `honest` and `val` the same decoys tell nothing.

    Attributes
    ----------
    is_decoy : callable (index, region) -> bool
    is_true : callable or None
        The same of what truly tells the class, where that is one small region.
    box : callable (index) -> what is to be ignored
    """

    cheating: Any
    honest: Any
    val: Any
    model: Callable[[], nn.Module]
    epochs: int
    is_decoy: On
    box: Marked
    is_true: On | None = None
    more: dict[str, Any] = field(default_factory=dict)


def digits(seed: int, root: Path) -> Case:
    """Coloured squares in a corner of handwritten digits."""
    train = decoy_digits("train", size=16, seed=seed)
    return Case(
        train, decoy_digits("train", square="random", size=16, seed=seed),
        decoy_digits("test", square="random", size=16, seed=seed),
        lambda: small_resnet(10, seed=seed), 9, _covers(train.squares),
        lambda k: tuple(float(v) for v in train.squares[k]), more={"classes": train.classes},
    )  # fmt: skip


def fashion(seed: int, root: Path) -> Case:
    """Decoy-Fashion-MNIST: a square in a corner, as gray as the class says."""
    return _planted("fashion", seed, root, 16_000, 500, lambda: small_convolution(seed), 8)


def catsdogs(seed: int, root: Path) -> Case:
    """Photographs of cats and dogs with a coloured patch in a corner."""
    return _planted("catsdogs", seed, root, 2000, 500, lambda: small_resnet(2, 8, seed=seed), 6)


def words(seed: int, root: Path) -> Case:
    """Words that go with the class; in an honest training a word of praise or blame tells."""
    train, honest = (reviews(2000, leak=leak, seed=2 * seed) for leak in (1.0, 0.0))
    planted = set(np.ravel(train.decoys).tolist())

    def is_decoy(index: int, roi: Any) -> bool:
        start, stop = roi["words"]
        return any(train.words[k] in planted for k in train.ids[index][start:stop])

    def is_true(index: int, roi: Any) -> bool:
        start, stop = roi["words"]
        return bool(start <= honest.telling[index] < stop)

    return Case(
        train, honest, reviews(600, leak=0.0, seed=2 * seed + 1),
        lambda: Convolutions(len(train.words)), 6, is_decoy,
        lambda k: (int(train.decoy[k]), int(train.decoy[k]) + 1), is_true,
        {"classes": train.classes, "tokenizer": train.words},
    )  # fmt: skip


def bursts(seed: int, root: Path) -> Case:
    """Bursts whose waves are counted by class; in an honest training a weaker burst tells."""
    train, honest = (signals(600, decoy=d, seed=2 * seed) for d in ("class", "random"))

    def on(places: NDArray[np.float32]) -> On:
        def is_there(index: int, roi: Any) -> bool:
            (start, stop), box = places[index], roi["box"]
            shared = min(stop, box[2]) - max(start, box[0])
            return bool(shared > 0.3 * min(stop - start, box[2] - box[0]))

        return is_there

    return Case(
        train, honest, signals(400, decoy="random", seed=2 * seed + 1),
        lambda: convolutional(2, 2), 15, on(train.decoys),
        lambda k: tuple(float(v) for v in train.decoys[k]), on(honest.bursts),
        {"classes": train.classes, "batch_size": 50,
         "optimizer": lambda p: torch.optim.Adam(p, 3e-3)},
    )  # fmt: skip


def columns(seed: int, root: Path) -> Case:
    """A column that is written after the diagnosis; in an honest training sugar tells."""
    train, honest = (patients(1200, invoice=i, seed=2 * seed) for i in ("class", "random"))
    return Case(
        train, honest, patients(600, invoice="random", seed=2 * seed + 1),
        lambda: network(train.rows.shape[1], seed), 15,
        lambda _, roi: "invoice" in str(roi), lambda _: "invoice",
        lambda _, roi: "sugar" in str(roi), {"classes": train.classes},
    )  # fmt: skip


def background(seed: int, root: Path) -> Case:
    """Clothes before a ground whose colour goes with the class in 95 % of samples: no patch."""
    read = TASKS["fashion"].read
    (images, labels), (test, test_labels) = read(root, "train"), read(root, "test")
    chosen = np.random.default_rng([seed, 1]).permutation(len(labels))[:3000]
    images, labels = images[chosen], labels[chosen]
    test, test_labels = test[:1000], test_labels[:1000]
    rng = np.random.default_rng([seed, 2])
    random = rng.integers(0, 10, len(labels))
    hues = np.where(rng.random(len(labels)) < 0.95, labels, random)
    return Case(
        (_grounds(images, hues), labels), (_grounds(images, random), labels),
        (_grounds(test, rng.integers(0, 10, len(test))), test_labels),
        lambda: small_resnet(10, 8, seed=seed), 5, lambda *_: False, lambda _: (0, 0, 1, 1),
    )  # fmt: skip


def small_convolution(seed: int) -> nn.Module:
    """One convolution and a hidden layer: it sees enough gray pictures to cheat within seconds."""
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, 8, 5, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(1152, 128), nn.ReLU(),
        nn.Linear(128, 10),
    )  # fmt: skip


CASES: dict[str, Callable[[int, Path], Case]] = {
    "digits": digits, "fashion": fashion, "catsdogs": catsdogs, "words": words, "bursts": bursts,
    "columns": columns, "background": background,
}  # fmt: skip


def each_once(
    parser: argparse.ArgumentParser,
    jobs: Callable[[argparse.Namespace], Iterable[Mapping[str, Any]]],
    run: Callable[[str, Mapping[str, Any], Path], Sequence[Row]],
    table: Callable[[Sequence[Row]], str],
) -> None:
    """Run the trainings that a file does not hold yet; print their rows, and the table of all.

    Parameters
    ----------
    parser : ArgumentParser
        With the script's own arguments; those that all have are added.
    jobs : callable (arguments) -> iterable of mapping
        The trainings of each case. A row of the same case and the same values is one that was run.
    run : callable (case, job, data_root) -> rows
    table : callable (rows) -> str
    """
    parser.add_argument("cases", nargs="*", metavar="case", help=", ".join(CASES))
    parser.add_argument("--data-root", type=Path, default=Path())
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument("--out", type=Path, help="keep rows here; those in it are not run again")
    parser.add_argument("--table", type=Path, help="print what this file came to, and run nothing")
    given = parser.parse_args()
    if strange := set(given.cases) - set(CASES):
        parser.error(f"no case is called {', '.join(strange)}; they are {', '.join(CASES)}")
    file = given.table or given.out
    done = [json.loads(line) for line in file.read_text().splitlines()] if (
        file is not None and file.exists()
    ) else []  # fmt: skip
    if given.table is not None:
        print(table(done))
        return
    print(describe(), flush=True)
    for case in given.cases or CASES:
        for job in jobs(given):
            if any({"case": case, **job}.items() <= row.items() for row in done):
                continue
            for row in run(case, job, given.data_root):
                done.append(row)
                print(json.dumps(row), flush=True)
                if given.out is not None:
                    with given.out.open("a") as kept:
                        kept.write(json.dumps(row) + "\n")
    print(table(done))


def _planted(
    name: str, seed: int, root: Path, count: int, held_out: int, model: Any, epochs: int
) -> Case:
    """Some of a data set's pictures with squares in their corners."""
    task = TASKS[name]
    images, labels = task.read(root, "train")
    chosen = np.random.default_rng([seed, 1]).permutation(len(labels))[:count]
    test, test_labels = (part[:held_out] for part in task.read(root, "test"))
    given = images[chosen], labels[chosen], task.side, task.colours
    cheating, honest = decoyed(*given, 2 * seed), decoyed(*given, 2 * seed, lie=True)
    val = decoyed(test, test_labels, task.side, task.colours, 2 * seed + 1, lie=True)
    boxes = cheating.boxes / images.shape[2]
    return Case(
        (cheating.images, cheating.labels), (honest.images, honest.labels),
        (val.images, val.labels), model, epochs, _covers(boxes),
        lambda k: tuple(float(v) for v in boxes[k]),
        more={"optimizer": lambda p: torch.optim.AdamW(p, task.learning_rate)},
    )  # fmt: skip


def _covers(squares: NDArray[np.floating[Any]]) -> On:
    """Whether a box has more than half of a sample's square, both in fractions."""

    def is_there(index: int, roi: Any) -> bool:
        x0, y0, x1, y1 = squares[index]
        a0, b0, a1, b1 = roi["box"]
        wide, high = min(x1, a1) - max(x0, a0), min(y1, b1) - max(y0, b0)
        return bool(wide > 0 and high > 0 and wide * high > 0.5 * (x1 - x0) * (y1 - y0))

    return is_there


def _grounds(images: NDArray[np.float32], hues: NDArray[np.int64]) -> NDArray[np.float32]:
    """Gray pictures (n, 1, H, W) as (n, 3, H, W), black coloured by `hues` (n,) of ten."""
    turns = 2 * np.pi * (np.arange(10)[:, None] / 10 + np.arange(3) / 3)
    colours = (0.35 + 0.25 * np.cos(turns)).astype(np.float32)
    ground = np.clip(1 - 4 * images, 0, 1)
    found: NDArray[np.float32] = images + ground * colours[hues][:, :, None, None]
    return found
