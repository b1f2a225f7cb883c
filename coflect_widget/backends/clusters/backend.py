"""MiniBatchKMeans of scikit-learn as a backend: a step moves the centres by one mini-batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coflect_widget.backends.base import Batch, StepOutput, WeightSpec, batch_cuts, epoch_order
from coflect_widget.backends.clusters.centres import Centres
from coflect_widget.backends.errors import ModelNotSendableError
from coflect_widget.backends.in_memory import InMemoryBackend, Rows
from coflect_widget.config import Config
from coflect_widget.tasks import Task
from coflect_widget.tasks.clustering import Clustering

#: Rows from which centres begin, and of which the silhouette is.
_BEGIN, _JUDGED = 10_000, 1000
NO_MAPS = "clusters have no gradient and no target, so there are no maps of single rows"
NO_GUIDANCE = (
    "clusters take no guidance: a row has no target that a stroke could speak for; leave the "
    "column out and begin again, quickstart(..., leave_out=[...])"
)


def silhouette(x: NDArray[Any], told: NDArray[Any]) -> float:
    """Mean silhouette (Rousseeuw 1987) of rows (N, columns), -1 to 1; 0 of one cluster.

    Of more than 1,000 rows so many are drawn, always the same.

    Parameters
    ----------
    x : ndarray (N, columns)
    told : ndarray (N,)
        Which cluster each row is of.
    """
    from sklearn.metrics import silhouette_score

    if len(x) > _JUDGED:
        chosen = np.random.default_rng(0).choice(len(x), _JUDGED, replace=False)
        x, told = x[chosen], told[chosen]
    there = len(np.unique(told))
    return float(silhouette_score(x, told)) if 1 < there < len(x) else 0.0


class ClustersBackend(InMemoryBackend):
    """Implements `backends.base.Backend` for `Centres`.

    Parameters
    ----------
    model : Centres
    train_data, val_data : pair of ndarray
        Rows (N, columns); what stands beside them is not looked at.
    """

    name = "clusters"
    takes, called = Centres, "Centres"
    without = "clusters, which have no loss of a target"
    no_guidance, lacks = NO_GUIDANCE, "when scikit-learn last moved an idle centre"

    def __init__(
        self,
        model: Centres,
        train_data: Any,
        val_data: Any | None,
        *,
        num_classes: int | None,
        loss: Any = None,
        optimizer: Any = None,
        scheduler: Any = None,
        batch_size: int,
        config: Config,
    ) -> None:
        self.refuse(model, loss=loss, optimizer=optimizer, scheduler=scheduler)
        del num_classes
        self.model, self.seed = model, config.seed
        self.batch_size = max(batch_size, model.clusters)  # scikit-learn asks for so many rows
        self.train = _without_targets(train_data)
        self.val = None if val_data is None else _without_targets(val_data)
        self.num_classes = 0
        self.task: Task = Clustering()
        self._moving: Any = None

    # --- training ------------------------------------------------------------------------------

    @property
    def steps_per_epoch(self) -> int:
        return len(batch_cuts(self.num_train, self.batch_size))

    def begin(self) -> None:
        if self._moving is not None:
            return
        from sklearn.cluster import MiniBatchKMeans, kmeans_plusplus

        model = self.model
        if np.isfinite(model.places).all():
            raise ValueError("centres that were trained elsewhere do not go on; begin a new run")
        rng = np.random.default_rng(model.seed)
        some = self.train[0][rng.permutation(self.num_train)[:_BEGIN]]
        model.places = kmeans_plusplus(some, model.clusters, random_state=model.seed)[0]
        self._moving = MiniBatchKMeans(
            model.clusters, init=model.places, n_init=1, random_state=model.seed
        )

    def train_batches(self, epoch: int, skip: int = 0) -> Iterator[Batch]:
        x, none = self.train
        order = epoch_order(self.seed, epoch, range(len(x)))
        for first, last in batch_cuts(len(x), self.batch_size)[skip:]:
            rows = order[first:last]
            yield Batch(rows, x[rows], none[rows])

    def train_step(self, batch: Batch) -> StepOutput:
        before = self.model(batch.inputs)
        self._moving.partial_fit(batch.inputs)
        self.model.places = np.array(self._moving.cluster_centers_, np.float32)
        self.model.rows = np.array(self._moving._counts, np.float64)
        return self.step_output(batch.indices, before, batch.targets, _inertia(before), None)

    def judged(self, val: Rows) -> dict[str, float]:
        told = self.model(val[0])
        return {"loss": _inertia(told), "silhouette": silhouette(val[0], told.argmin(1))}

    def learning_rate(self) -> float:
        """The share of a new row in the centre that is moved least by it."""
        return float(1 / (1 + self.model.rows.max()))

    # --- weights -------------------------------------------------------------------------------

    def weight_specs(self) -> list[WeightSpec]:
        return [WeightSpec("places", self.model.places.shape, "float32")]

    def copy_weights(self, destination: Sequence[NDArray[Any]]) -> None:
        destination[0][:] = self.model.places

    def structure(self) -> bytes:
        raise ModelNotSendableError(NO_MAPS)


def _without_targets(data: Any) -> Rows:
    rows = np.asarray(data[0], np.float32)
    return rows, np.zeros(len(rows), np.int64)


def _inertia(distances: NDArray[Any]) -> float:
    """Of a row: mean square of the distance to the nearest centre."""
    return float((distances.min(1) ** 2).mean())
