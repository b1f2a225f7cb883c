"""What can be learned of a target: a class of finitely many, or a number."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from coflect_widget.projects.quickstart.goals.anomaly import Anomaly
from coflect_widget.projects.quickstart.goals.base import Goal
from coflect_widget.projects.quickstart.goals.classes import Classes
from coflect_widget.projects.quickstart.goals.forecast import Forecast
from coflect_widget.projects.quickstart.goals.values import Values

#: By the name that a person gives as `task`.
GOALS: dict[str, type[Goal]] = {goal.name: goal for goal in (Classes, Values, Forecast, Anomaly)}

__all__ = ["GOALS", "Goal", "with_target"]


def with_target(goal: type[Goal], values: NDArray[Any]) -> NDArray[np.bool_]:
    """Whether each row (N,) can be learned from."""
    coded = goal.coded(values)
    found: NDArray[np.bool_] = coded >= 0 if goal.by_class else ~np.isnan(coded)
    return found
