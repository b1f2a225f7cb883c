"""Clusters of rows, by MiniBatchKMeans of scikit-learn."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coflect_widget.backends.clusters.backend import NO_MAPS, ClustersBackend
from coflect_widget.backends.clusters.centres import Centres
from coflect_widget.backends.registry import register_backend
from coflect_widget.projects.quickstart.goals import Goal
from coflect_widget.projects.quickstart.inputs import Inputs
from coflect_widget.records.run import Run
from coflect_widget.tasks import Task

#: The name that a person may give as `model`.
KMEANS = "mini_batch_kmeans"
_EPOCHS = 20
_BACKEND = "clusters"


class Kmeans:
    """See `Learner`. With further rows centres are found anew."""

    form = "centres"
    goes_on = maps = False

    def refuses(self, inputs: type[Inputs], goal: type[Goal]) -> str:
        del inputs
        if goal.needs_target:
            return f"model={KMEANS!r} finds clusters, which have no target: task='clustering'"
        return ""

    def plan(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        return {"net": KMEANS, "columns": facts["columns"], "outputs": facts["outputs"]}

    def make(
        self, plan: Mapping[str, Any], seed: int, x: NDArray[Any], evidence: NDArray[Any]
    ) -> Any:
        del x, evidence
        return Centres(plan["outputs"], plan["columns"], seed)

    def having(self, plan: Mapping[str, Any], weights: Mapping[str, NDArray[Any]]) -> Any:
        centres = Centres(int(plan["outputs"]), int(plan["columns"]))
        centres.put_weights(weights)
        return centres

    def outputs(self, model: Any, x: NDArray[Any]) -> NDArray[np.float32]:
        found: NDArray[np.float32] = model(x)
        return found

    def answering(self, model: Any) -> Callable[[NDArray[Any]], NDArray[np.float32]]:
        return partial(self.outputs, model)

    def epochs(self, steps: int, rows: int, batch_size: int) -> int:
        del steps, rows, batch_size
        return _EPOCHS

    def opened(
        self, model: Any, run: Run, data: Any, given: Mapping[str, Any]
    ) -> tuple[Any, Task, bytes]:
        raise ValueError(NO_MAPS)

    def arguments(self, goal: Goal) -> dict[str, Any]:
        register_backend(_BACKEND, ClustersBackend)
        return {"backend": _BACKEND, **goal.arguments()}
