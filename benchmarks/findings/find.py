"""Findings: is the planted decoy the first one, does a clean training have none, and the cure.

    python benchmarks/findings/find.py [digits words bursts columns ...] [--seeds 0 1 2 ...]

Each training is made three times from one seed: with the decoy, with a decoy that goes with no
class, and with the decoy and one answer, "wrong reason", at a third of the training, if there is a
finding by then. Printed for each training: whether the first finding is the decoy (it lies on the
planted place in most of its samples), whether the honest training had a finding, and the accuracy
where decoys tell nothing, beside that of the honest training, the ceiling.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # measures this checkout

import coflect_widget as coflect
from benchmarks.kinds.series import convolutional
from benchmarks.kinds.tables import network
from benchmarks.kinds.texts import Convolutions
from benchmarks.machine import describe
from coflect_widget.data import decoy_digits, patients, reviews, signals
from coflect_widget.events import Finding
from coflect_widget.projects.demo_model import small_resnet


@dataclass(frozen=True)
class Case:
    """Data of one seed; `honest` and `val` have decoys that tell nothing."""

    cheating: Any
    honest: Any
    val: Any
    model: Callable[[], nn.Module]
    epochs: int
    is_decoy: Callable[[int, Any], bool]  # (index, region's JSON form)
    more: dict[str, Any]


def digits(seed: int) -> Case:
    """Coloured squares in a corner."""
    train = decoy_digits("train", seed=seed)

    def is_decoy(index: int, roi: Any) -> bool:
        x0, y0, x1, y1 = train.squares[index]
        a0, b0, a1, b1 = roi["box"]
        wide, high = min(x1, a1) - max(x0, a0), min(y1, b1) - max(y0, b0)
        return bool(wide > 0 and high > 0 and wide * high > 0.5 * (x1 - x0) * (y1 - y0))

    return Case(
        train, decoy_digits("train", square="random", seed=seed),
        decoy_digits("test", square="random", seed=seed),
        lambda: small_resnet(num_classes=10), 9, is_decoy, {"classes": train.classes},
    )  # fmt: skip


def words(seed: int) -> Case:
    """Words that go with the class."""
    train, honest = (reviews(2000, leak=leak, seed=2 * seed) for leak in (1.0, 0.0))
    planted = set(np.ravel(train.decoys).tolist())

    def is_decoy(index: int, roi: Any) -> bool:
        start, stop = roi["words"]
        return any(train.words[k] in planted for k in train.ids[index][start:stop])

    return Case(
        train, honest, reviews(600, leak=0.0, seed=2 * seed + 1),
        lambda: Convolutions(len(train.words)), 6, is_decoy,
        {"classes": train.classes, "tokenizer": train.words},
    )  # fmt: skip


def bursts(seed: int) -> Case:
    """Bursts whose waves are counted by class."""
    train, honest = (signals(600, decoy=d, seed=2 * seed) for d in ("class", "random"))

    def is_decoy(index: int, roi: Any) -> bool:
        start, stop = train.decoys[index]
        box = roi["box"]
        return bool(min(stop, box[2]) - max(start, box[0]) > 0.3 * (stop - start))

    return Case(
        train, honest, signals(400, decoy="random", seed=2 * seed + 1),
        lambda: convolutional(2, 2), 15, is_decoy, {"classes": train.classes},
    )  # fmt: skip


def columns(seed: int) -> Case:
    """A column that is written after the diagnosis."""
    train, honest = (patients(1200, invoice=i, seed=2 * seed) for i in ("class", "random"))
    return Case(
        train, honest, patients(600, invoice="random", seed=2 * seed + 1),
        lambda: network(train.rows.shape[1], seed), 15,
        lambda _, roi: "invoice" in str(roi), {"classes": train.classes},
    )  # fmt: skip


CASES: dict[str, Callable[[int], Case]] = {
    "digits": digits, "words": words, "bursts": bursts, "columns": columns,
}  # fmt: skip


def trained(
    case: Case, data: Any, seed: int, *, answer: bool = False
) -> tuple[list[Finding], float]:
    """Findings of a training and its accuracy; with `answer` the first one is a wrong reason."""
    torch.manual_seed(seed)
    config = {"seed": seed, "guidance": {"effect_after": 0}, "attribution": {"budget": 0}}
    with (
        tempfile.TemporaryDirectory() as folder,
        coflect.Session(
            case.model(), data, case.val, run_dir=folder, config=config, **case.more
        ) as session,
    ):
        first = case.epochs // 3
        session.train(epochs=first)
        session.wait()
        found = session.find_shortcuts()
        if answer and found:
            session.answer(found[0], "wrong reason")
        session.train(epochs=case.epochs - first)
        session.wait()
        found = session.find_shortcuts()
        return list(found), float(session.metrics["val_accuracy"])


def is_decoy(case: Case, findings: Sequence[Finding]) -> bool:
    """Whether the first finding lies on the decoy in most of its samples."""
    if not findings:
        return False
    first = findings[0]
    where = zip(first.index, first.regions, strict=True)
    on: NDArray[np.bool_] = np.array([case.is_decoy(k, roi) for k, roi in where])
    return bool(on.mean() > 0.5)


def main() -> None:
    """Print a line for each training."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("cases", nargs="*", default=list(CASES))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    given = parser.parse_args()
    print(describe())
    print("data     seed  decoy first  pull  none if honest  accuracy: alone, one N, ceiling")
    for name in given.cases:
        for seed in given.seeds:
            case = CASES[name](seed)
            found, alone = trained(case, case.cheating, seed)
            nothing, ceiling = trained(case, case.honest, seed)
            _, cured = trained(case, case.cheating, seed, answer=True)
            pull = f"{found[0].pull:.2f}" if found else "none"
            print(
                f"{name:8} {seed:4}  {is_decoy(case, found)!s:11}  {pull:4}  {not nothing!s:14}  "
                f"{alone:.3f}, {cured:.3f}, {ceiling:.3f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
