"""Boosted trees on rows of a table, of scikit-learn or of XGBoost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from coflect_widget.backends.registry import register_backend
from coflect_widget.backends.trees.backend import TreesBackend
from coflect_widget.backends.trees.forest import Forest
from coflect_widget.config import Config
from coflect_widget.projects.quickstart.goals import Goal
from coflect_widget.projects.quickstart.inputs import Inputs
from coflect_widget.projects.quickstart.learners.of_arrays import OfArrays
from coflect_widget.records.run import Run
from coflect_widget.tasks import Task

#: By the name that a person gives as `model`.
BOOSTED = ("hist_gradient_boosting", "xgboost")
_ROUNDS = 150
_BACKEND = "trees"


class Boosted(OfArrays):
    """See `Learner`."""

    form, maps = "trees", True
    usual = _ROUNDS

    def __init__(self, name: str) -> None:
        self.name = name

    def refuses(self, inputs: type[Inputs], goal: type[Goal]) -> str:
        if not goal.needs_target:
            return f"trees have no target to learn {goal.noun} from: leave model= out"
        if not inputs.by_column:
            return (
                f"model={self.name!r} takes rows of a table, whose columns each say something; "
                f"these are {inputs.words}. Leave model= out, or give a network"
            )
        return ""

    def named(self) -> str:
        return self.name

    def empty(self, columns: int, outputs: int, seed: int = 0) -> Forest:
        return Forest(self.name, columns, outputs, seed)

    def opened(
        self, model: Any, run: Run, data: Any, given: Mapping[str, Any]
    ) -> tuple[Any, Task, bytes]:
        del run
        engine = TreesBackend(
            model, data, None, batch_size=len(data[0]), config=Config(),
            modality=given.get("inputs"),
        )  # fmt: skip
        return engine, engine.task, engine.structure()

    def arguments(self, goal: Goal) -> dict[str, Any]:
        register_backend(_BACKEND, TreesBackend)
        # A loss of theirs belongs to the trees.
        given = {name: v for name, v in goal.arguments().items() if name != "loss"}
        return {"backend": _BACKEND, **given}
