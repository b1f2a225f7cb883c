"""Models of structured data: an input for each named column, read as the rows of one table.

The session trains a model of one input (N, F) around the person's own, which it calls with the
columns by their names; the weights, the optimizer and the loss are those of the person's model.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from coflect_widget.backends.columns import Rows, check_columns, is_columns, rows_of
from coflect_widget.backends.keras.pictures import input_names
from coflect_widget.modalities import Modality
from coflect_widget.modalities.table import Table

_WORDS = "make numbers of words with keras.layers.StringLookup"


class OneTable(NamedTuple):
    """A model of one input (N, F) with its data, and what the input is."""

    model: Any
    train_data: Any
    val_data: Any
    modality: Modality | None


def one_table(model: Any, train_data: Any, val_data: Any, modality: Modality | None) -> OneTable:
    """Model and data as they are, unless the model takes several columns by their names.

    Raises
    ------
    ValueError
        If a column cannot be read as numbers, or one is missing.
    """
    inputs = inputs_of(model)
    if len(inputs) < 2 or any(tuple(one.shape[1:]) not in ((), (1,)) for one in inputs.values()):
        return OneTable(model, train_data, val_data, modality)
    names = list(inputs)
    for name, one in inputs.items():
        if one.dtype == "string":
            raise ValueError(
                f"model takes words in its input {name!r}, and a session marks numbers: take "
                "keras.layers.StringLookup out of the model, give the model the numbers that it "
                f"gives, keras.Input((1,), name={name!r}), and the data the same, "
                f"{{{name!r}: lookup(words)}}"
            )
    if not model.compiled:
        raise ValueError(
            "model takes several columns and is not compiled; call model.compile(...) before the "
            "session is made"
        )
    table = modality if modality is not None else Table(names)
    return OneTable(
        _around(model, inputs),
        _rows(train_data, names, "train_data"),
        None if val_data is None else _rows(val_data, names, "val_data"),
        table,
    )


def inputs_of(model: Any) -> dict[str, Any]:
    """A model's inputs by their names."""
    struct = getattr(model, "_inputs_struct", None)
    if isinstance(struct, dict):
        return {str(name): one for name, one in struct.items()}
    inputs = getattr(model, "inputs", None) or []
    return dict(zip(input_names(model), inputs, strict=True))


def _around(model: Any, inputs: dict[str, Any]) -> Any:
    """A model of rows (N, F) that calls `model` with each column."""
    rows = keras.Input((len(inputs),), name="rows")
    columns = {}
    for place, (name, one) in enumerate(inputs.items()):
        column = rows[:, place] if len(one.shape) == 1 else rows[:, place : place + 1]
        columns[name] = column if one.dtype == "float32" else keras.ops.cast(column, one.dtype)
    by_name = isinstance(model._inputs_struct, dict)
    outer = keras.Model(rows, model(columns if by_name else list(columns.values())))
    outer.compile(
        optimizer=model.optimizer,
        loss=model.loss,
        metrics=getattr(model._compile_metrics, "_user_metrics", None),
        run_eagerly=model.run_eagerly,
    )
    return outer


def _rows(data: Any, names: list[str], argument: str) -> Any:
    """Data whose inputs are columns by name, with rows (N, F) in their place."""
    if isinstance(data, tf.data.Dataset):
        spec = data.element_spec
        given = spec[0] if isinstance(spec, tuple) else spec
        if not isinstance(given, Mapping):
            return data
        check_columns(given, names, argument)
        # a column of an item is (), of a batch (n,), and either may have an axis of one more
        flat = len(tuple(spec[1].shape)) == 0

        def stacked(x: Any, y: Any) -> tuple[Any, Any]:
            shape = () if flat else (-1,)
            columns = [tf.reshape(tf.cast(x[name], tf.float32), shape) for name in names]
            return tf.stack(columns, -1), y

        return data.map(stacked)
    if isinstance(data, tuple | list) and len(data) == 2 and is_columns(data[0]):
        return rows_of(data[0], names, argument, _WORDS), data[1]
    if hasattr(data, "__getitem__") and hasattr(data, "__len__") and len(data):
        first = data[0]
        if isinstance(first, tuple | list) and first and isinstance(first[0], Mapping):
            return Rows(data, names, argument)
    return data
