"""What columns are worth to a pipeline: their cells are exchanged among rows, one column a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from coflect_widget.projects.quickstart.sheet import Sheet

if TYPE_CHECKING:
    from coflect_widget.projects.quickstart.pipeline import Pipeline


def worth_of_columns(pipeline: Pipeline, sheet: Sheet, times: int, seed: int) -> dict[str, float]:
    """See `Pipeline.worth_of_columns`."""
    if not pipeline.inputs.by_column:
        raise ValueError(
            f"columns are exchanged in tables alone; these are {pipeline.inputs.words}"
        )
    if times < 1:
        raise ValueError(f"times={times} must be at least 1")
    rng = np.random.default_rng(seed)

    def figure(rows: Sheet) -> float:
        return next(iter(pipeline.evaluate(rows).values()))

    whole = figure(sheet)
    found = {}
    for name in pipeline.inputs.sources:
        without = []
        for _ in range(times):
            cells = {**sheet.cells, name: rng.permutation(sheet.cells[name])}
            without.append(figure(sheet.having(cells)))
        found[name] = whole - float(np.mean(without))
    return dict(sorted(found.items(), key=lambda one: -one[1]))
