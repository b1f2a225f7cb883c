"""How a run's rows were divided, so that a later run of the same data divides them alike."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from coflect_widget.projects.quickstart.pipeline import FOLDER
from coflect_widget.records.durable import replacing
from coflect_widget.records.inside import read_text

FILE = "divided.json"
#: Which rule divides: 2 since groups of equal rows are drawn by how many rows they have.
RULE = 2


def remember(run: Path, columns: Sequence[str], seed: int) -> None:
    """Write which columns the network was given, and the seed of the division."""
    with replacing(run / FOLDER / FILE) as part:
        part.write_text(
            json.dumps({"columns": list(columns), "seed": seed, "rule": RULE}), encoding="utf-8"
        )


def remembered(run: Path) -> tuple[list[str], int, int]:
    """What `remember` wrote, and by which rule rows were divided then.

    Raises
    ------
    ValueError
        If there is no such file, or it is damaged.
    """
    try:
        told = json.loads(read_text(run, f"{FOLDER}/{FILE}"))
        columns, seed = [str(name) for name in told["columns"]], int(told["seed"])
        return columns, seed, int(told.get("rule", 1))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{run} does not say how its rows were divided ({error}); begin a run anew with "
            "coflect.quickstart"
        ) from None
