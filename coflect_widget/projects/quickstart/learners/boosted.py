"""Boosted trees on rows of a table, of scikit-learn or of XGBoost."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coflect_widget.backends.registry import register_backend
from coflect_widget.backends.trees.backend import TreesBackend
from coflect_widget.backends.trees.forest import Forest
from coflect_widget.config import Config
from coflect_widget.projects.quickstart.goals import Goal
from coflect_widget.projects.quickstart.inputs import Inputs
from coflect_widget.records.run import Run
from coflect_widget.tasks import Task

#: By the name that a person gives as `model`.
BOOSTED = ("hist_gradient_boosting", "xgboost")
_ROUNDS = 150
_BACKEND = "trees"


class Boosted:
    """See `Learner`. With further rows trees are grown anew."""

    form = "trees"
    goes_on, maps = False, True

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

    def plan(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        return {"net": self.name, "columns": facts["columns"], "outputs": facts["outputs"]}

    def make(
        self, plan: Mapping[str, Any], seed: int, x: NDArray[Any], evidence: NDArray[Any]
    ) -> Any:
        del x, evidence
        return Forest(self.name, plan["columns"], plan["outputs"], seed)

    def having(self, plan: Mapping[str, Any], weights: Mapping[str, NDArray[Any]]) -> Any:
        forest = Forest(self.name, int(plan["columns"]), int(plan["outputs"]))
        forest.put_weights(weights)
        return forest

    def outputs(self, model: Any, x: NDArray[Any]) -> NDArray[np.float32]:
        found: NDArray[np.float32] = model(x)
        return found

    def answering(self, model: Any) -> Callable[[NDArray[Any]], NDArray[np.float32]]:
        return partial(self.outputs, model)

    def epochs(self, steps: int, rows: int, batch_size: int) -> int:
        del steps, rows, batch_size
        return _ROUNDS

    def opened(
        self, model: Any, run: Run, data: Any, given: Mapping[str, Any]
    ) -> tuple[Any, Task, bytes]:
        del run
        engine = TreesBackend(
            model, data, None, num_classes=None, batch_size=len(data[0]), config=Config(),
            modality=given.get("inputs"),
        )  # fmt: skip
        return engine, engine.task, engine.structure()

    def arguments(self, goal: Goal) -> dict[str, Any]:
        register_backend(_BACKEND, TreesBackend)
        # A loss of theirs belongs to the trees.
        given = {name: v for name, v in goal.arguments().items() if name != "loss"}
        return {"backend": _BACKEND, **given}
