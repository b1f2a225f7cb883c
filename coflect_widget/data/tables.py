"""A labelled table held in memory, in the form that a session takes as `train_data`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from coflect_widget.data.arrays import checked_labels
from coflect_widget.modalities.table import Table


class TableDataset:
    """Map-style data set over rows; it works with any loader that indexes.

    Parameters
    ----------
    rows : array_like (N, F)
        Kept as float32.
    labels : array_like (N,)
        Whole numbers in [0, number of classes).
    classes : sequence of str
        Name of each class; position is the label.
    modality : Table
        Names of the columns and what they are; sessions read it.

    Raises
    ------
    ValueError
        If shapes do not fit together, the set is empty, or a label has no class.
    """

    def __init__(
        self, rows: ArrayLike, labels: ArrayLike, classes: Sequence[str], modality: Table
    ) -> None:
        self.rows: NDArray[np.float32] = np.ascontiguousarray(rows, dtype=np.float32)
        if self.rows.shape != (len(self.rows), len(modality.columns)) or not self.rows.size:
            raise ValueError(
                f"rows has shape {self.rows.shape}; expected (N, {len(modality.columns)}), one "
                "for each column"
            )
        self.labels: NDArray[np.int64] = checked_labels(labels, len(self.rows), len(classes), "row")
        self.classes: list[str] = [str(name) for name in classes]
        self.modality = modality

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[NDArray[np.float32], np.int64]:
        return self.rows[index], self.labels[index]

    def __repr__(self) -> str:
        return (
            f"<{type(self).__name__}: {len(self)} rows of {', '.join(self.modality.names)}; "
            f"classes {', '.join(self.classes)}>"
        )
