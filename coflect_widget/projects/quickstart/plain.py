"""What a simple estimator of scikit-learn makes of the same rows: a network has to be worth it."""

from __future__ import annotations

from typing import Any

import numpy as np

from coflect_widget.projects.quickstart.goals import Goal, values_of
from coflect_widget.projects.quickstart.inputs import Inputs
from coflect_widget.projects.quickstart.sheet import Sheet


def plain_figures(
    inputs: Inputs, goal: Goal, target: str, train: Sheet, test: Sheet, more: Any = None
) -> dict[str, float]:
    """The first figure of each estimator, fitted on `train`, on `test`.

    Parameters
    ----------
    inputs, goal
        As they were fitted on the training part.
    target : str
    train, test : Sheet
    more : mapping of str to estimator, optional
        Beside the goal's own, which are linear.
    """
    cells = inputs.plain(train)
    x, y = cells(train), goal.transform(values_of(goal, train, target, inputs.transform))
    y = y[:, 0] if y.ndim > 1 and y.shape[1] == 1 else y
    estimators = {**goal.plain_estimators(), **(more or {})}
    known, wanted = cells(test), values_of(goal, test, target, inputs.transform)
    return {name: goal.plain(model, x, y, known, wanted) for name, model in estimators.items()}


def guessed(inputs: Inputs, goal: Goal, test: Sheet, target: str) -> float:
    """The first figure of who always says the same."""
    wanted = values_of(goal, test, target, inputs.transform)
    return float(np.float64(goal.guess(wanted)))
