"""What can be learned of a target: a class of finitely many, or a number."""

from __future__ import annotations

from coflect_widget.projects.quickstart.goals.base import Goal
from coflect_widget.projects.quickstart.goals.classes import Classes
from coflect_widget.projects.quickstart.goals.values import Values

#: By the name that a person gives as `task`.
GOALS: dict[str, type[Goal]] = {goal.name: goal for goal in (Classes, Values)}

__all__ = ["GOALS", "Goal"]
