"""Samples that a person adds while a model trains: kept beside the data, which nobody copies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Added:
    """Rows after those of the data; immutable, so that a reader has all of them or none.

    Attributes
    ----------
    first : int
        Index of the first of them: as many as the data have.
    inputs : ndarray (n, ...) float32
        In the form of the data.
    targets : ndarray (n,) int64, or (n, D) float32 in regression
    """

    first: int
    inputs: NDArray[np.float32]
    targets: NDArray[Any]

    def __len__(self) -> int:
        return len(self.inputs)

    def item(self, index: int) -> tuple[NDArray[np.float32], Any]:
        """Input and target of one of them, by its index among all samples."""
        return self.inputs[index - self.first], self.targets[index - self.first]

    def and_(self, inputs: NDArray[np.float32], targets: NDArray[Any]) -> Added:
        """These and some more."""
        return Added(
            self.first,
            np.concatenate([self.inputs, inputs]),
            np.concatenate([self.targets, targets]),
        )


class Grown:
    """A map-style data set and the samples that were added to it."""

    def __init__(self, data: Any, added: Added) -> None:
        self._data = data
        self._added = added

    def __len__(self) -> int:
        return self._added.first + len(self._added)

    def __getitem__(self, index: int) -> Any:
        return self._data[index] if index < self._added.first else self._added.item(index)


def rows_to_add(
    x: Any, y: Any, shape: tuple[int, ...], values: int = 0
) -> tuple[NDArray[np.float32], NDArray[Any]]:
    """One sample, or several, as arrays: inputs (n, *shape) and targets (n,) or (n, values).

    Parameters
    ----------
    x : array or tensor (*shape) or (n, *shape)
    y : class number or (n,) of them; in regression (values,) or (n, values)
    shape : tuple of int
        Of one input, as the data have it.
    values : int
        Numbers of a target in regression; 0 for class numbers.

    Raises
    ------
    ValueError
        If they do not fit the data.
    """
    inputs, targets = _array(x), _array(y)
    if inputs.dtype.kind != "f":
        raise ValueError(
            f"add(x=...) has type {inputs.dtype}; give floating point values, scaled as the "
            "training data are"
        )
    if inputs.shape == shape:
        inputs = inputs[None]
        targets = targets[None] if values == 0 or targets.ndim else targets.reshape(1, 1)
        if values and targets.ndim == 1:
            targets = targets[None]
    if inputs.shape[1:] != shape or not len(inputs):
        raise ValueError(
            f"add(x=...) has shape {tuple(_array(x).shape)}; give one sample {shape}, or several "
            f"{('n', *shape)}, as in the training data"
        )
    if not np.isfinite(inputs).all():
        raise ValueError("add(x=...) has values that are NaN or infinite; mend them first")
    if values:
        targets = targets.reshape(len(targets), -1)
        if targets.shape != (len(inputs), values) or not np.isfinite(targets).all():
            raise ValueError(
                f"add(y=...) must be {values} finite number{'s' * (values > 1)} for each of "
                f"{len(inputs)} samples"
            )
        return inputs.astype(np.float32), targets.astype(np.float32)
    if targets.shape != (len(inputs),) or targets.dtype.kind not in "iu":
        raise ValueError(
            f"add(y=...) has shape {targets.shape} and type {targets.dtype} for {len(inputs)} "
            "samples; give one class number for each, an integer"
        )
    return inputs.astype(np.float32), targets.astype(np.int64)


def _array(values: Any) -> NDArray[Any]:
    if hasattr(values, "detach"):
        values = values.detach().cpu().numpy()
    return np.asarray(values)
