"""Arrays in memory: inputs and targets, data sets that hold both, columns by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coflect_widget.projects.quickstart.reading.frames import from_frame, is_frame
from coflect_widget.projects.quickstart.sheet import Sheet

#: Attributes of data sets that hold their inputs in one array.
_INPUTS = ("images", "series", "rows")
TARGET = "target"
_FORMS = (
    "expected a path, a DataFrame, a pair (inputs, targets) of arrays, a mapping of names to "
    "columns, or a data set with .images, .series or .rows and .labels"
)


def from_arrays(data: Any) -> Sheet:
    """Columns of arrays.

    Raises
    ------
    TypeError, ValueError
        If they are none, or do not fit together.
    """
    if isinstance(data, Mapping):
        return _checked("the columns", {str(k): _cells(v, str(k)) for k, v in data.items()})
    if isinstance(data, list) and data and all(isinstance(row, Mapping) for row in data):
        keys = list(dict.fromkeys(str(name) for row in data for name in row))
        return _checked(
            "the rows", {n: _cells(_objects([r.get(n) for r in data]), n) for n in keys}
        )
    if hasattr(data, "ndim") or (isinstance(data, list) and all(isinstance(v, str) for v in data)):
        return _checked("the array", _inputs(data, None))  # without targets
    if isinstance(data, tuple | list) and len(data) == 2:
        inputs, targets = data
    else:
        inputs = next((getattr(data, n) for n in _INPUTS if hasattr(data, n)), None)
        targets = getattr(data, "labels", None)
        if inputs is None or targets is None:
            raise TypeError(f"{type(data).__name__} cannot be read; {_FORMS}")
        classes = getattr(data, "classes", None)
        if classes is not None:
            targets = np.array([str(classes[int(label)]) for label in targets], object)
    cells = _inputs(inputs, _names(data))
    if TARGET in cells:
        raise ValueError(f"the inputs have a column {TARGET!r} already; rename it")
    cells[TARGET] = _cells(targets, "targets")
    return _checked("the arrays", cells, target=TARGET)


def _inputs(inputs: Any, names: list[str] | None) -> dict[str, NDArray[Any]]:
    """Columns of what is given as inputs alone."""
    if isinstance(inputs, Mapping):
        return {str(k): _cells(v, str(k)) for k, v in inputs.items()}
    if is_frame(inputs):
        return dict(from_frame(inputs).cells)
    values = _cells(inputs, "inputs")
    if values.ndim != 2 or values.dtype.kind != "f":
        return {"text" if values.dtype.kind == "O" else "input": values}
    names = names or [str(k) for k in range(values.shape[1])]
    if len(names) != values.shape[1]:
        raise ValueError(f"{len(names)} names for {values.shape[1]} columns")
    return dict(zip(names, values.T, strict=True))


def _names(data: Any) -> list[str] | None:
    modality = getattr(data, "modality", None)
    names = getattr(modality, "columns", None)
    return [str(name) for name in names] if names else None


def _cells(values: Any, argument: str) -> NDArray[Any]:
    if hasattr(values, "detach"):  # a tensor, on a device perhaps
        values = values.detach().cpu().numpy()
    array = values if isinstance(values, np.ndarray) else np.asarray(values)
    if not array.ndim:
        raise ValueError(f"{argument} is a single value; {_FORMS}")
    if array.ndim > 1 and array.dtype.kind in "fiub":
        return array if array.dtype == np.uint8 else array.astype(np.float64)
    if array.ndim > 1:
        raise ValueError(f"{argument} has shape {array.shape} and holds no numbers")
    if array.dtype.kind in "fiu":
        return array.astype(np.float64)
    if array.dtype.kind == "M":
        return array.astype("datetime64[s]")
    return _objects([None if _is_empty(cell) else str(cell) for cell in array])


def _is_empty(cell: Any) -> bool:
    return cell is None or bool(cell != cell)


def _objects(cells: list[Any]) -> NDArray[np.object_]:
    found = np.empty(len(cells), object)
    found[:] = cells
    return found


def _checked(source: str, cells: dict[str, NDArray[Any]], target: str | None = None) -> Sheet:
    lengths = {name: len(values) for name, values in cells.items()}
    if len(set(lengths.values())) != 1 or not next(iter(lengths.values())):
        counts = ", ".join(f"{name} {n}" for name, n in list(lengths.items())[:8])
        raise ValueError(f"columns need the same number of rows, at least 1; there are {counts}")
    return Sheet(source, cells, target=target)
