"""Clusters of rows, by MiniBatchKMeans of scikit-learn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from coflect_widget.backends.clusters.backend import NO_MAPS, ClustersBackend
from coflect_widget.backends.clusters.centres import Centres
from coflect_widget.backends.registry import register_backend
from coflect_widget.projects.quickstart.goals import Goal
from coflect_widget.projects.quickstart.inputs import Inputs
from coflect_widget.projects.quickstart.learners.of_arrays import OfArrays
from coflect_widget.records.run import Run
from coflect_widget.tasks import Task

#: The name that a person may give as `model`.
KMEANS = "mini_batch_kmeans"
_EPOCHS = 20
_BACKEND = "clusters"


class Kmeans(OfArrays):
    """See `Learner`."""

    form, maps = "centres", False
    usual = _EPOCHS

    def refuses(self, inputs: type[Inputs], goal: type[Goal]) -> str:
        del inputs
        if goal.needs_target:
            return f"model={KMEANS!r} finds clusters, which have no target: task='clustering'"
        return ""

    def named(self) -> str:
        return KMEANS

    def empty(self, columns: int, outputs: int, seed: int = 0) -> Centres:
        return Centres(outputs, columns, seed)

    def opened(
        self, model: Any, run: Run, data: Any, given: Mapping[str, Any]
    ) -> tuple[Any, Task, bytes]:
        raise ValueError(NO_MAPS)

    def arguments(self, goal: Goal) -> dict[str, Any]:
        register_backend(_BACKEND, ClustersBackend)
        return {"backend": _BACKEND, **goal.arguments()}
