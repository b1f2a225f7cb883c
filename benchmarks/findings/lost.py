"""Which step of the search loses a planted decoy: one training, step by step.

    python benchmarks/findings/lost.py CASE [CASE ...] --data-root DIR [--first 400] [--runs 2]

Cases and DIR are those of `find.py`, and so are trainings, data with the decoy, looked at at their
end. Of the confidently right samples are printed:

- the share whose heaviest region lies on the decoy;
- the pull of those regions, and that of a region that is the decoy itself, as a person would mark
  it: quartiles, and the share from which a region counts as one that decides (0.4);
- how many samples the largest group of regions that decide has, as the search groups them, and how
  many it needs.

Receivers are those of the search, in which the region that their own map holds most of is covered.
The pull of the decoy is measured once more with receivers whose own decoy is covered: there stands
what another sample has at that place.

Where the decoy's own region has a pull and the heaviest ones have not, the maps lose it. Where it
has one only without the receivers' own decoys, those stand against it. Where it has none at all, it
does not decide by itself, and nothing is there to be found.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # measures this checkout

import coflect_widget as coflect
from benchmarks.findings.cases import CASES, Case, Row, each_once
from benchmarks.findings.find import QUIET, share_worker
from coflect_widget.modalities.base import Array, Modality
from coflect_widget.studies.findings import (
    FEWEST,
    FIRST_EACH,
    FIRST_PLACES,
    PLACES,
    PULL,
    RECEIVERS,
    SHARE,
)
from coflect_widget.studies.grouping import groups
from coflect_widget.studies.looking import Looking


def lost(name: str, seed: int, root: Path) -> Row:
    """One training, and what each step of the search at its end comes to."""
    case = CASES[name](seed, root)
    torch.manual_seed(seed)
    with (
        tempfile.TemporaryDirectory() as folder,
        coflect.Session(
            case.model(), case.cheating, case.val, run_dir=folder,
            config={"seed": seed, **QUIET}, **case.more,
        ) as session,
    ):  # fmt: skip
        session.train(epochs=case.epochs)
        session.wait()
        parts = session._made()
        finder, modality = parts.findings, parts.modality
        looking, rng = finder._looking, np.random.default_rng([seed, 0])
        kept = finder._copied(parts.loop.step, parts.loop.epoch)
        assert kept is not None
        finder._course.finish()
        snapshot = kept.made()
        looked = looking.sure(snapshot, rng)
        receivers = looking.bare(snapshot, finder._receivers(rng))
        extent = modality.extent(looked[0].x)
        places = modality.moves(extent, PLACES, rng)[:FIRST_PLACES]
        own = [
            replace(one, region=modality.region(case.box(one.index), "decoy", extent))
            for one in looked
        ]
        found = looking.pulls(snapshot, looked, receivers, FIRST_EACH, places)
        planted = looking.pulls(snapshot, own, receivers, FIRST_EACH, places)
        bare = without(case, modality, looking, rng)
        alone = looking.pulls(snapshot, own, bare, FIRST_EACH, places)
        strong = [one for one, pull in zip(looked, found, strict=True) if pull >= PULL]
        largest = 0
        if strong:
            same = looking.alike(strong, strong, receivers)
            same |= same.T | np.eye(len(same), dtype=np.bool_)
            largest = max(len(each) for each in groups(same, [one.label for one in strong]))
        by_class = {
            label: round(float(np.nanmedian(alone[[one.label == label for one in looked]])), 2)
            for label in sorted({one.label for one in looked})
        }
        return {
            "case": name, "seed": seed, "looked": len(looked),
            "on decoy": round(
                float(np.mean([case.is_decoy(k.index, k.region.to_json()) for k in looked])), 2
            ),
            "heaviest": _quartiles(found), "heaviest decides": _share(found),
            "planted": _quartiles(planted), "planted decides": _share(planted),
            "alone": _quartiles(alone), "alone decides": _share(alone),
            "alone by class": by_class, "group": largest,
            "needed": float(max(FEWEST, SHARE * len(looked))),
            "accuracy": round(float(session.metrics["val_accuracy"]), 4),
        }  # fmt: skip


def without(case: Case, modality: Modality, looking: Looking, rng: np.random.Generator) -> Array:
    """Training samples (n, ...) without their decoys."""
    chosen = rng.permutation(looking._num_train)[:RECEIVERS]
    inputs = np.stack([looking._read_train(int(k)).input for k in chosen])
    extent = modality.extent(inputs[0])
    masks = np.stack([
        modality.mask_in(modality.region(case.box(int(k)), "decoy", extent), x)
        for k, x in zip(chosen, inputs, strict=True)
    ])  # fmt: skip
    shared = (masks[:, None] & masks[None]).reshape(len(masks), len(masks), -1).any(2)
    # those of which no other has its decoy elsewhere stay out: a column is the same in all
    others = [np.flatnonzero(~row) for row in shared]
    kept = [k for k, free in enumerate(others) if len(free)] or list(range(len(inputs)))
    taken = [int(rng.choice(others[k])) if len(others[k]) else (k + 1) % len(inputs) for k in kept]
    found: Array = modality.put(masks[kept], inputs[kept], inputs[taken]).astype(inputs.dtype)
    return found


def _quartiles(pulls: NDArray[np.float32]) -> list[float]:
    return [round(float(v), 2) for v in np.nanquantile(pulls, (0.25, 0.5, 0.75))]


def _share(pulls: NDArray[np.float32]) -> float:
    return round(float(np.mean(pulls >= PULL)), 2)


def table(done: Sequence[Row]) -> str:
    """A line for each training."""
    shown = ("case", "seed", "on decoy", "heaviest", "heaviest decides", "planted",
             "planted decides", "alone", "alone decides", "group", "needed")  # fmt: skip
    lines = [f"| {' | '.join(shown)} |", "|---" * len(shown) + "|"]
    return "\n".join([*lines, *(f"| {' | '.join(str(r[k]) for k in shown)} |" for r in done)])


def main() -> None:
    """Print a line for each training, and the table of all."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--runs", type=int, default=2)

    def jobs(given: argparse.Namespace) -> list[dict[str, Any]]:
        return [{"seed": given.first + k} for k in range(given.runs)]

    def run(case: str, job: Mapping[str, Any], root: Path) -> list[Row]:
        share_worker()
        return [lost(case, job["seed"], root)]

    each_once(parser, jobs, run, table)


if __name__ == "__main__":
    main()
