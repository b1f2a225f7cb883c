"""What can be learned: of a target a class or a number; without one, clusters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coflect_widget.projects.quickstart.goals.anomaly import Anomaly
from coflect_widget.projects.quickstart.goals.base import Goal
from coflect_widget.projects.quickstart.goals.classes import Classes
from coflect_widget.projects.quickstart.goals.clusters import Clusters
from coflect_widget.projects.quickstart.goals.forecast import Forecast
from coflect_widget.projects.quickstart.goals.values import Values
from coflect_widget.projects.quickstart.sheet import Sheet

#: By the name that a person gives as `task`.
GOALS: dict[str, type[Goal]] = {
    goal.name: goal for goal in (Classes, Values, Forecast, Anomaly, Clusters)
}

__all__ = ["GOALS", "Goal", "cells_of", "values_of", "with_target"]


def cells_of(goal: type[Goal], sheet: Sheet, target: str) -> NDArray[Any]:
    """The target's cells (N, ...); zeros where there is no target."""
    found: NDArray[Any] = sheet.cells[target] if goal.needs_target else np.zeros(len(sheet))
    return found


def values_of(
    goal: Goal, sheet: Sheet, target: str, transform: Callable[[Sheet], NDArray[Any]]
) -> NDArray[Any]:
    """What is to be told (N, ...): the target's cells, or the inputs where there is no target."""
    return sheet.cells[target] if goal.needs_target else transform(sheet)


def with_target(goal: type[Goal], values: NDArray[Any]) -> NDArray[np.bool_]:
    """Whether each row (N,) can be learned from."""
    coded = goal.coded(values)
    found: NDArray[np.bool_] = coded >= 0 if goal.by_class else ~np.isnan(coded)
    return found
