"""What columns are worth to a pipeline: their cells are exchanged among rows, one column a time."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from coflect_widget.projects.quickstart.inputs import Inputs
from coflect_widget.projects.quickstart.sheet import Sheet


def worth_of_columns(
    inputs: Inputs, figure: Callable[[Sheet], float], sheet: Sheet, times: int, seed: int
) -> dict[str, float]:
    """See `Pipeline.worth_of_columns`; `figure` says how good the model is on rows."""
    if not inputs.by_column:
        raise ValueError(f"columns are exchanged in tables alone; these are {inputs.words}")
    if times < 1:
        raise ValueError(f"times={times} must be at least 1")
    rng = np.random.default_rng(seed)
    whole = figure(sheet)
    found = {}
    for name in inputs.sources:
        without = []
        for _ in range(times):
            cells = {**sheet.cells, name: rng.permutation(sheet.cells[name])}
            without.append(figure(sheet.having(cells)))
        found[name] = whole - float(np.mean(without))
    return dict(sorted(found.items(), key=lambda one: -one[1]))
