"""There is no target: rows that are alike are told as one cluster."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from coflect_widget.projects.quickstart.columns import Column

#: Clusters that are tried where nobody says how many, and that may be asked for.
_TRIED, _MOST = range(2, 11), 1000
#: Rows on which they are tried.
_ROWS = 1500


class Clusters:
    """Rows (n, columns) scaled, each of the nearest centre; see `Goal`.

    Attributes
    ----------
    outputs : int
        How many clusters; 0 until `choose` or `fit`.
    """

    name: ClassVar[str] = "clustering"
    noun: ClassVar[str] = "a cluster"
    by_class: ClassVar[bool] = False
    needs_target: ClassVar[bool] = False
    learner: ClassVar[str] = "mini_batch_kmeans"

    def __init__(self) -> None:
        self.outputs = 0
        self.said: list[str] = []

    @classmethod
    def suits(cls, column: Column) -> str:
        del column
        return ""  # who has a target has something to learn

    @classmethod
    def refuses(cls, column: Column, rows: int) -> str:
        del column, rows
        return ""

    @classmethod
    def coded(cls, values: NDArray[Any]) -> NDArray[np.float64]:
        return np.zeros(len(values))

    @classmethod
    def about(cls, values: NDArray[Any]) -> list[str]:
        del values
        return []

    def choose(self, clusters: int) -> None:
        if isinstance(clusters, bool) or not isinstance(clusters, int):
            raise TypeError(f"clusters={clusters!r} must be a whole number")
        if not 2 <= clusters <= _MOST:
            raise ValueError(f"clusters={clusters} must be from 2 to {_MOST:,}")
        self.outputs = clusters

    def fit(self, values: NDArray[Any]) -> None:
        """Take the number of clusters with the highest silhouette, where nobody has said one.

        Raises
        ------
        ValueError
            If there are fewer different rows than clusters.
        """
        different = len(np.unique(values, axis=0))
        if different < max(3, self.outputs):
            fewer = "fewer clusters= or " if self.outputs > _TRIED.start else ""
            raise ValueError(
                f"{different} different rows in the training part are too few for "
                f"{self.outputs or 2} clusters; give {fewer}more rows"
            )
        if self.outputs:
            return
        chosen = np.random.default_rng(0).permutation(len(values))[:_ROWS]
        some = values[np.sort(chosen)]
        found = {
            k: _silhouette(some, _kmeans(k).fit_predict(some)) for k in _TRIED if k < different
        }
        self.outputs = max(found, key=lambda k: found[k])
        self.said = [
            f"{self.outputs} clusters: of {min(found)} to {max(found)} their silhouette is the "
            f"highest ({found[self.outputs]:.2f}); clusters= takes another number."
        ]

    def transform(self, values: NDArray[Any]) -> NDArray[np.float32]:
        return values.astype(np.float32)

    def evidence(self, targets: NDArray[Any]) -> NDArray[np.float32]:
        return np.zeros((len(targets), self.outputs), np.float32)

    def arguments(self) -> dict[str, Any]:
        return {}

    def beside(self, outputs: NDArray[Any], x: NDArray[Any]) -> NDArray[np.float32]:
        del x
        return outputs

    def settle(self, outputs: NDArray[Any]) -> None:
        pass

    def readable(self, outputs: NDArray[Any]) -> list[dict[str, Any]]:
        return [
            {
                "cluster": int(row.argmin()),
                "distance": float(row.min()),
                "distances": [float(v) for v in row],
            }
            for row in outputs
        ]

    def figures(self, outputs: NDArray[Any], values: NDArray[Any]) -> dict[str, float]:
        return {
            "silhouette": _silhouette(values, outputs.argmin(1)),
            "inertia_of_a_row": float((outputs.min(1).astype(np.float64) ** 2).mean()),
        }

    def plain(self, model: Any, x: Any, y: Any, test: Any, values: Any) -> float:
        del y
        return _silhouette(values, model.fit(x).predict(test))

    def plain_estimators(self) -> Mapping[str, Any]:
        return {"k-means": _kmeans(self.outputs)}

    def guess(self, values: NDArray[Any]) -> float:
        del values
        return 0.0

    def state(self) -> dict[str, Any]:
        return {"clusters": self.outputs}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Clusters:
        goal = cls()
        goal.choose(int(state["clusters"]))
        return goal


def _kmeans(clusters: int) -> Any:
    from sklearn.cluster import KMeans

    return KMeans(clusters, n_init=4, random_state=0)


def _silhouette(rows: NDArray[Any], told: NDArray[Any]) -> float:
    """Mean silhouette of rows (n, columns) that are told as clusters (n,)."""
    from coflect_widget.backends.clusters.backend import silhouette

    return silhouette(rows, told)
