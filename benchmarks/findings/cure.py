"""The cure: one answer beside boxes, in accuracy and in seconds of a person; and a refit.

    python benchmarks/findings/cure.py [CASE ...] --data-root DIR [--seeds 3] [--times 2]
        [--out FILE]
    python benchmarks/findings/cure.py --table FILE

Cases and DIR are those of `find.py`. Each training is so many times as long as there: what is left
has to be learned, once the decoy is gone. After half of a training of there the model is looked at,
and twice more until there is a finding; then a person acts once:

- "answer": the first finding is a wrong reason. Two keys: see it, N.
- "random 1", "random 5": a box round the decoy on so many random samples.
- "queue 1", "queue 5": the same on those first in the queue of the forecast, filled up with random
  ones where it lists fewer.
- "alone": nothing is done. "ceiling": the same training on honest data.
- "refit": the training that was left alone, its last layer fitted again at the end, on half of the
  validation data, whose decoys contradict it; judged by the other half, over three halves. "refit
  shuffled": with weights of samples that are shuffled.

A key takes the simulated person 2 s and a box 10 s; what was found elsewhere is confirmed by a key,
where it is offered. Printed for each case: the accuracy where decoys tell nothing, a mean over the
last quarter of each training's epochs, for it goes up and down with them, and over the seeds; and
the seconds of each way that comes to the ceiling less 0.02.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # measures this checkout

import coflect_widget as coflect
from benchmarks.findings.cases import CASES, Case, Row, each_once
from benchmarks.findings.find import QUIET, share_worker, what

KEY, BOX = 2, 10  # seconds of a person
ARMS = ("alone", "ceiling", "answer", "random 1", "queue 1", "random 5", "queue 5")
NEAR = 0.02


def trained(name: str, *, arm: str, seed: int, times: int, root: Path) -> list[Row]:
    """One training; a row for it, and after "alone" those of a refit."""
    began = time.monotonic()
    case = CASES[name](seed, root)
    torch.manual_seed(seed)
    half = max(1, case.epochs // 2)
    row: Row = {"case": name, "arm": arm, "seed": seed, "times": times, "seconds": 0}
    with (
        tempfile.TemporaryDirectory() as folder,
        coflect.Session(
            case.model(), case.honest if arm == "ceiling" else case.cheating, case.val,
            run_dir=folder, config={"seed": seed, **QUIET}, **case.more,
        ) as session,
    ):  # fmt: skip
        acted = arm in ("alone", "ceiling")
        reached = []
        for epoch in range(1, 2 * times * half + 1):
            session.train(epochs=1)
            session.wait()
            reached.append(float(session.metrics["val_accuracy"]))
            if acted or epoch % half or epoch > 3 * half:
                continue
            if found := session.find_shortcuts():
                acted = True
                row["at"] = epoch
                row["first"] = what(case, list(found))
                row |= act(session, case, arm, seed)
        row["accuracy"] = round(float(np.mean(reached[-len(reached) // 4 :])), 4)
        more = refit(session, row) if arm == "alone" else []
    row["took"] = round(time.monotonic() - began, 1)
    return [row, *more]


def act(session: Any, case: Case, arm: str, seed: int) -> dict[str, Any]:
    """What the person does, and the seconds that takes."""
    if arm == "answer":
        session.answer(session.findings[0], "wrong reason")
        return {"seconds": 2 * KEY}
    where, count = arm.split()
    listed = [one.index for one in session.candidates] if where == "queue" else []
    order = np.random.default_rng([seed, 7]).permutation(len(session._backend.labels())).tolist()
    chosen = [*listed, *(k for k in order if k not in listed)][: int(count)]
    seconds = 0
    for sample in chosen:
        stroke = session.feedback(sample=sample, ignore=case.box(sample), strength=0.6)
        seconds += BOX
        try:
            found = session.similar(stroke)
        except ValueError:  # of this kind nothing is looked for: a name is the same in all
            continue
        if found:
            session.confirm(stroke)
            seconds += KEY
    return {"seconds": seconds, "listed": min(len(listed), int(count))}


def refit(session: Any, row: Row) -> list[Row]:
    """What the last layer comes to when it is fitted again."""
    try:
        told = session.refit()
        proof = session.prove(told, seeds=3, say=lambda text: None)
    except ValueError as error:
        return [{**row, "arm": "refit", "refused": str(error)}]
    means = {one.name: float(np.mean(one.quality)) for one in proof.branches}
    arms = {"refit": means["treated"], "refit shuffled": means["placebo"]}
    return [{**row, "arm": arm, "accuracy": round(mean, 4)} for arm, mean in arms.items()]


def table(done: Sequence[Row]) -> str:
    """Accuracies, and the seconds that each way needs."""
    arms = [*ARMS, "refit", "refit shuffled"]
    lines = [
        f"| case | {' | '.join(arms)} | seconds: answer | random | queue |",
        "|---" * (len(arms) + 4) + "|",
    ]
    for name in CASES:
        found = {
            arm: [r for r in done if (r["case"], r["arm"]) == (name, arm) and "refused" not in r]
            for arm in arms
        }
        if not found["ceiling"]:
            continue
        means = {
            arm: float(np.mean([r["accuracy"] for r in has])) for arm, has in found.items() if has
        }
        line = means["ceiling"] - NEAR
        shown = [f"{means[arm]:.3f}" if arm in means else "" for arm in arms]
        seconds = []
        for ways in (["answer"], ["random 1", "random 5"], ["queue 1", "queue 5"]):
            reached = [arm for arm in ways if means.get(arm, -1.0) >= line]
            took = [r["seconds"] for r in found[reached[0]]] if reached else []
            seconds.append(f"{np.mean(took):.0f}" if took else "not reached")
        lines.append(f"| {name} | {' | '.join(shown)} | {' | '.join(seconds)} |")
    return "\n".join(lines)


def main() -> None:
    """Print a line for each training, and the table of all."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--times", type=int, default=2)
    parser.add_argument("--arms", nargs="+", default=list(ARMS), choices=ARMS)

    def jobs(given: argparse.Namespace) -> Iterator[dict[str, Any]]:
        for seed in range(given.first, given.first + given.seeds):
            for arm in given.arms:
                yield {"arm": arm, "seed": seed, "times": given.times}

    def run(case: str, job: Mapping[str, Any], root: Path) -> list[Row]:
        share_worker()
        return trained(case, root=root, **job)

    each_once(parser, jobs, run, table)


if __name__ == "__main__":
    main()
