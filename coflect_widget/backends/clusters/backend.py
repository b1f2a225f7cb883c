"""MiniBatchKMeans of scikit-learn as a backend: a step moves the centres by one mini-batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coflect_widget.backends.base import (
    Batch,
    Sample,
    StepOutput,
    WeightSpec,
    batch_cuts,
    epoch_order,
)
from coflect_widget.backends.clusters.centres import Centres
from coflect_widget.backends.defaults import BackendDefaults
from coflect_widget.backends.errors import ModelNotSendableError
from coflect_widget.backends.state import Memory, TrainingState, copied
from coflect_widget.config import Config
from coflect_widget.records.trees import Arrays
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


class ClustersBackend(BackendDefaults):
    """Implements `backends.base.Backend` for `Centres`.

    Parameters
    ----------
    model : Centres
    train_data, val_data : pair of ndarray
        Rows (N, columns); what stands beside them is not looked at.
    """

    name, device, reads_at_boundary = "clusters", "cpu", False

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
        if not isinstance(model, Centres):
            raise TypeError(f"model is a {type(model).__name__}; expected Centres")
        for argument, value in (("loss", loss), ("optimizer", optimizer), ("scheduler", scheduler)):
            if value is not None:
                raise ValueError(f"{argument}= is not for clusters, which have no loss of a target")
        del num_classes
        self.model, self.seed = model, config.seed
        self.batch_size = max(batch_size, model.clusters)  # scikit-learn asks for so many rows
        self._x = np.asarray(train_data[0], np.float32)
        self._val = None if val_data is None else np.asarray(val_data[0], np.float32)
        self.num_train, self.num_val = len(self._x), 0 if self._val is None else len(self._val)
        self.num_classes = 0
        self.task: Task = Clustering()
        self.reads_val = self._val is not None
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
        some = self._x[rng.permutation(self.num_train)[:_BEGIN]]
        model.places = kmeans_plusplus(some, model.clusters, random_state=model.seed)[0]
        self._moving = MiniBatchKMeans(
            model.clusters, init=model.places, n_init=1, random_state=model.seed
        )

    def train_batches(self, epoch: int, skip: int = 0) -> Iterator[Batch]:
        order = epoch_order(self.seed, epoch, range(self.num_train))
        for first, last in batch_cuts(self.num_train, self.batch_size)[skip:]:
            rows = order[first:last]
            yield Batch(rows, self._x[rows], np.zeros(len(rows), np.int64))

    def train_step(self, batch: Batch) -> StepOutput:
        before = self.model(batch.inputs)
        self._moving.partial_fit(batch.inputs)
        self.model.places = np.array(self._moving.cluster_centers_, np.float32)
        self.model.rows = np.array(self._moving._counts, np.float64)
        return self.step_output(batch.indices, before, batch.targets, _inertia(before), None)

    def step_output(
        self, indices: NDArray[np.int64], logits: Any, targets: Any, loss: Any, guidance_loss: Any
    ) -> StepOutput:
        return StepOutput(indices, targets, logits, loss, guidance_loss)

    def evaluate(self, boundary: Callable[[], bool]) -> dict[str, float] | None:
        del boundary
        if self._val is None:
            return {}
        told = self.model(self._val)
        return {"loss": _inertia(told), "silhouette": silhouette(self._val, told.argmin(1))}

    def learning_rate(self) -> float:
        """The share of a new row in the centre that is moved least by it."""
        return float(1 / (1 + self.model.rows.max()))

    def end_epoch(self, validation: dict[str, float]) -> None:
        pass

    def set_guidance(self, guidance: Any) -> str:
        raise ValueError(NO_GUIDANCE)

    # --- weights, samples ----------------------------------------------------------------------

    def weight_specs(self) -> list[WeightSpec]:
        return [WeightSpec("places", self.model.places.shape, "float32")]

    def copy_weights(self, destination: Sequence[NDArray[Any]]) -> None:
        destination[0][:] = self.model.places

    def state(self, memory: Memory, *, own_loop: bool = False) -> TrainingState:
        del own_loop
        weights: Arrays = {
            name: copied(memory, name, w) for name, w in self.model.weights().items()
        }
        return TrainingState(weights, {}, lacks=["when scikit-learn last moved an idle centre"])

    def structure(self) -> bytes:
        raise ModelNotSendableError(NO_MAPS)

    def read_sample(self, index: int) -> Sample:
        return Sample(self._x[index], 0)

    def read_val_sample(self, index: int) -> Sample:
        if self._val is None:
            raise IndexError("there is no validation data")
        return Sample(self._val[index], 0)

    def labels(self) -> NDArray[Any]:
        return np.zeros(self.num_train, np.int64)

    def probes(self) -> list[NDArray[np.float32]]:
        return list(self._x[:8])


def _inertia(distances: NDArray[Any]) -> float:
    """Of a row: mean square of the distance to the nearest centre."""
    return float((distances.min(1) ** 2).mean())
