"""Centres as plain arrays: they are kept without pickle, and told from without scikit-learn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Distances (rows x clusters x columns) that are computed at once.
_AT_ONCE = 8_000_000


class Centres:
    """Centres of clusters, which a training moves.

    Parameters
    ----------
    clusters, columns : int
        How many there are, and the width of a row.
    seed : int
        Of what is drawn in training.

    Attributes
    ----------
    places : ndarray (clusters, columns) float32
        Where they are; NaN before the training.
    rows : ndarray (clusters,)
        Rows that have moved each of them, as scikit-learn weighs them.
    """

    def __init__(self, clusters: int, columns: int, seed: int = 0) -> None:
        self.clusters, self.columns, self.seed = clusters, columns, seed
        self.places = np.full((clusters, columns), np.nan, np.float32)
        self.rows = np.zeros(clusters)

    def __repr__(self) -> str:
        return f"<Centres: {self.clusters} in {self.columns} columns>"

    def __call__(self, x: NDArray[Any]) -> NDArray[np.float32]:
        """Rows (N, columns) -> their distances (N, clusters) to the centres."""
        found = np.empty((len(x), self.clusters), np.float32)
        rows = max(1, _AT_ONCE // (self.clusters * self.columns))
        for at in range(0, len(x), rows):
            part = np.asarray(x[at : at + rows], np.float32)
            found[at : at + rows] = np.sqrt(((part[:, None] - self.places) ** 2).sum(2))
        return found

    def weights(self) -> dict[str, NDArray[Any]]:
        """All that it is, by name."""
        return {"places": self.places, "rows": self.rows}

    def put_weights(self, weights: Mapping[str, NDArray[Any]]) -> None:
        """Take what `weights` gave.

        Raises
        ------
        ValueError
            If they are no centres of so many clusters and columns.
        """
        try:
            places = np.array(weights["places"], np.float32)
            rows = np.array(weights["rows"], np.float64)
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"the weights are no centres: {error!r}") from None
        if (places.shape, rows.shape) != (self.places.shape, self.rows.shape):
            raise ValueError("the weights are no centres of these clusters and columns")
        if not np.isfinite(places).all():
            raise ValueError("the weights are no centres: they are not finite")
        self.places, self.rows = places, rows
