"""Findings: is the planted decoy the first one, and does a training with honest data have none.

    python benchmarks/findings/find.py [CASE ...] --data-root DIR [--first 0] [--decoys 10]
        [--honest 20] [--out FILE]
    python benchmarks/findings/find.py --table FILE

Cases: decoy digits, Decoy-Fashion-MNIST, cats and dogs with a patch, reviews with a planted word,
series with a burst, patients with a leaking column; and a background that goes with the class in
95 % of samples. DIR holds the folders fashion-mnist and cifar10_catsdogs.

Each case is trained on data with the decoy (seeds from `--first` on, `--decoys` of them), and on
the same data whose decoys tell nothing (`--honest` of them), and looked at once at its end. Of each
training a line: whether the first finding is the decoy (it lies on the planted place in most of its
samples), whether it is what truly tells the class, where that is one small place, or anything else;
its pull, and the accuracy on validation data whose decoys tell nothing. Lines are appended to FILE
as JSON, and those that are there already are not run again; `--table` prints what a file came to.
"""

from __future__ import annotations

import argparse
import atexit
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # measures this checkout

import coflect_widget as coflect
from benchmarks.findings.cases import CASES, Case, On, Row, each_once
from coflect_widget.events import Finding
from coflect_widget.session import steering
from coflect_widget.workers.idle_worker import IdleWorker

#: What is no part of what is measured.
QUIET: dict[str, Any] = {
    "guidance": {"effect_after": 0}, "attribution": {"budget": 0}, "forecast": {"probes": 0},
    "checkpoint_minutes": 0.0,
}  # fmt: skip


class Lasting(IdleWorker):
    """One worker for all trainings: starting one takes longer than the shortest of them."""

    def close(self) -> None:
        """Live on; it ends with this process."""


@cache
def share_worker() -> None:
    """Have all sessions to come look by one worker, from the first call on."""
    one = Lasting()
    atexit.register(IdleWorker.close, one)
    steering.IdleWorker = lambda: one  # type: ignore[misc,assignment]


def found(name: str, *, data: str, seed: int, root: Path) -> Row:
    """One training on "decoy" or "honest" data, looked at at its end."""
    began = time.monotonic()
    case = CASES[name](seed, root)
    torch.manual_seed(seed)
    with (
        tempfile.TemporaryDirectory() as folder,
        coflect.Session(
            case.model(), case.honest if data == "honest" else case.cheating, case.val,
            run_dir=folder, config={"seed": seed, **QUIET}, **case.more,
        ) as session,
    ):  # fmt: skip
        session.train(epochs=case.epochs)
        session.wait()
        trained = time.monotonic() - began
        findings = list(session.find_shortcuts())
        accuracy = float(session.metrics["val_accuracy"])
    first = findings[0] if findings else None
    return {
        "case": name, "seed": seed, "data": data,
        "first": what(case, findings), "findings": len(findings),
        "pull": first and first.pull, "share": first and first.share,
        "accuracy": round(accuracy, 4), "trained": round(trained, 1),
        "seconds": round(time.monotonic() - began, 1),
    }  # fmt: skip


def what(case: Case, findings: Sequence[Finding]) -> str:
    """What the first finding is: in most of its samples it lies there."""
    if not findings:
        return "none"
    if _on(case.is_decoy, findings[0]):
        return "decoy"
    return "true" if case.is_true is not None and _on(case.is_true, findings[0]) else "other"


def _on(there: On, finding: Finding) -> bool:
    where = zip(finding.index, finding.regions, strict=True)
    return bool(np.mean([there(k, roi) for k, roi in where]) > 0.5)


def table(done: Sequence[Row]) -> str:
    """A line for each case."""
    lines = [
        "| case | decoy is the first finding | pull | honest: none | true reason | else "
        "| accuracy with decoy, honest |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in CASES:
        arms = {
            data: [row for row in done if (row["case"], row["data"]) == (name, data)]
            for data in ("decoy", "honest")
        }
        if not any(arms.values()):
            continue
        first, none = (Counter(row["first"] for row in arms[data]) for data in arms)
        pulls = [row["pull"] for row in arms["decoy"] if row["first"] == "decoy"]
        span = f"{np.median(pulls):.2f} ({min(pulls):.2f} to {max(pulls):.2f})" if pulls else ""
        scores = [
            f"{np.mean([row['accuracy'] for row in arm]):.3f}" if arm else ""
            for arm in arms.values()
        ]
        count, honest = len(arms["decoy"]), len(arms["honest"])
        lines.append(
            f"| {name} | {first['decoy']} of {count} | {span} | {none['none']} of {honest} "
            f"| {none['true']} | {honest - none['none'] - none['true']} | {', '.join(scores)} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Print a line for each training, and the table of all."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--decoys", type=int, default=10)
    parser.add_argument("--honest", type=int, default=20)

    def jobs(given: argparse.Namespace) -> Iterator[dict[str, Any]]:
        for data, count in (("decoy", given.decoys), ("honest", given.honest)):
            for seed in range(given.first, given.first + count):
                yield {"data": data, "seed": seed}

    def run(case: str, job: Mapping[str, Any], root: Path) -> list[Row]:
        share_worker()
        return [found(case, root=root, **job)]

    each_once(parser, jobs, run, table)


if __name__ == "__main__":
    main()
