"""What a model last gave for each sample, in numbers, beside what was wanted: for people to read.

Nothing of the forecast depends on it, so it is not among what a checkpoint keeps; after a resumed
run it is there again as soon as a sample was seen.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from coflect_widget.tasks.base import Values


class LastValues:
    """Target, output and error of every sample at its last sighting; NaN before the first.

    Parameters
    ----------
    num_samples : int

    Attributes
    ----------
    target, output : (N,) float32
        In the units of the training data; NaN for a sample of several values.
    error : (N,) float32
        Distance of the output from the target, in the same units: the root of the mean square
        over a sample's values, so ``abs(output - target)`` where it has one.
    """

    def __init__(self, num_samples: int) -> None:
        self.table = np.full((num_samples, 3), np.nan, np.float32)
        self.target: NDArray[np.float32] = self.table[:, 0]
        self.output: NDArray[np.float32] = self.table[:, 1]
        self.error: NDArray[np.float32] = self.table[:, 2]

    def note(self, rows: NDArray[np.int64], values: Values) -> None:
        """Remember those of samples `rows`, in numpy; of a sample that comes twice the last."""
        self.target[rows], self.output[rows], self.error[rows] = values

    def take(self, others: LastValues) -> None:
        """Remember what is known of the first samples."""
        self.table[: len(others.table)] = others.table

    def of(
        self, rows: NDArray[np.int64]
    ) -> tuple[list[float | None], list[float | None], list[float | None]]:
        """Target, output and error of each of `rows`; None where there is no finite number."""
        target, output, error = (
            [float(f"{v:.7g}") if np.isfinite(v) else None for v in column.tolist()]
            for column in self.table[rows].T
        )
        return target, output, error
