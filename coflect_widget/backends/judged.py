"""Labels that a person has put in the place of the data set's, and samples left out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class JudgedBatch(NamedTuple):
    """What verdicts mean for one batch."""

    keep: NDArray[np.int64]  #: positions that are trained on, in order
    changed: NDArray[np.int64]  #: positions, before that, whose label is another
    labels: NDArray[np.int64]  #: and which


class JudgedLabels:
    """Verdicts by sample; immutable, so that a step sees all of them or none.

    Parameters
    ----------
    labels : mapping of int to int or None
        The label to train with; None leaves the sample out.

    Attributes
    ----------
    any : bool
        Whether there is one.
    """

    def __init__(self, labels: Mapping[int, int | None] | None = None) -> None:
        self._labels = dict(labels or {})
        self.any = bool(self._labels)
        self._indices = np.array(sorted(self._labels), np.int64)

    def label(self, index: int, own: int) -> int:
        """The label to train with, where the data set says `own`; -1 if it is left out."""
        label = self._labels.get(index, own)
        return -1 if label is None else label

    def of(self, indices: NDArray[np.int64]) -> JudgedBatch | None:
        """What they mean for the samples `indices` (B,); None where nothing was said of any."""
        met = np.flatnonzero(np.isin(indices, self._indices))
        if not len(met):
            return None
        said = [self._labels[int(i)] for i in indices[met]]
        out = np.array([label is None for label in said])
        return JudgedBatch(
            keep=np.setdiff1d(np.arange(len(indices)), met[out]),
            changed=met[~out],
            labels=np.array([label for label in said if label is not None], np.int64),
        )

    def weighed(
        self, indices: NDArray[np.int64], labels: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.float32] | None]:
        """Labels (B,) to train with, and weights (B,): 0 of what is left out.

        They are `labels` itself, and None, where nothing was said of any.
        """
        judged = self.of(indices) if self.any else None
        if judged is None:
            return labels, None
        if len(judged.changed):
            labels = labels.copy()
            labels[judged.changed] = judged.labels
        kept = np.zeros(len(labels), np.float32)
        kept[judged.keep] = 1
        return labels, kept
