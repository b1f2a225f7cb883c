"""Keras models of several inputs: a model of one row a sample around the person's own.

The session trains a model of rows (B, T) that takes each row apart and calls the person's model
with the parts; the weights, the optimizer and the loss are those of the person's model. A row has
pictures as (C, H, W) and series as (C, L), whatever the model takes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from coflect_widget.backends.keras.columns import inputs_of
from coflect_widget.backends.keras.entry import Entry
from coflect_widget.backends.random_state import random_state_kept
from coflect_widget.backends.several import Packing, is_several
from coflect_widget.modalities import IMAGE, SERIES, Modality, Part
from coflect_widget.modalities.base import Member

#: Sides that are channels.
_CHANNELS = (1, 3, 4)


class Cut(NamedTuple):
    """One part of a row."""

    name: str
    start: int
    stop: int
    shape: tuple[int, ...]  # in the row
    last: bool  # whether the model takes its channels last
    whole: bool


class TakeApart(keras.layers.Layer):  # type: ignore[misc]  # keras ships no types
    """Rows (B, T) as the parts that a model takes, a list or a dict.

    Parameters
    ----------
    cuts : sequence of Cut
    by_name : bool
        Whether to give a dict.
    """

    def __init__(self, cuts: Any, by_name: bool, **more: Any) -> None:  # noqa: FBT001 - get_config
        more.setdefault("dtype", "float32")  # whole numbers would not survive fewer bits
        super().__init__(**more)
        self.cuts = [Cut(c[0], c[1], c[2], tuple(c[3]), c[4], c[5]) for c in cuts]
        self.by_name = by_name

    def call(self, rows: Any) -> Any:
        """See above."""
        parts = {}
        for cut in self.cuts:
            x = keras.ops.reshape(rows[:, cut.start : cut.stop], (-1, *cut.shape))
            x = keras.ops.moveaxis(x, 1, -1) if cut.last else x
            parts[cut.name] = keras.ops.cast(x, "int32") if cut.whole else x
        return parts if self.by_name else list(parts.values())

    def get_config(self) -> dict[str, Any]:
        """As keras has it."""
        cuts = [[*cut] for cut in self.cuts]
        return {**super().get_config(), "cuts": cuts, "by_name": self.by_name}


class KerasPacking(Packing):
    """See `several.Packing`; the channels of a part come to stand first.

    Parameters
    ----------
    argument, named, takes
        As of `Packing`.
    """

    def __init__(self, argument: str, named: Modality | None, takes: list[str]) -> None:
        super().__init__(argument, named, takes)
        self.last: dict[str, bool] = {}  # whether a part's channels stand last as it is given

    def arrays(self, x: Any, where: str, lead: int) -> dict[str, Any]:
        """See `Packing.arrays`; `lead` says how many axes stand before those of a part."""
        found = super().arrays(x, where, lead)
        for name, array in found.items():
            shape = array.shape[lead:]
            if name not in self.last:
                self.last[name] = self._is_last(name, shape)
            if self.last[name] and len(shape) > 1:
                found[name] = np.moveaxis(array, -1, lead)
        return found

    def _is_last(self, name: str, shape: tuple[int, ...]) -> bool:
        known = self._kinds.kinds.get(name) if self._kinds is not None else None
        if known is not None and known.name not in (IMAGE.name, SERIES.name):
            return False
        return not (len(shape) == 3 and shape[0] in _CHANNELS and shape[-1] not in _CHANNELS)

    def pick(self, inputs: Any, argument: str) -> Any:
        """Inputs of a sample, of a batch, or their specifications, as rows (..., T)."""
        parts = self.modality.members if self.modality is not None else ()
        wanted = {part.name for part in parts}
        if not is_several(inputs) or (isinstance(inputs, Mapping) and wanted - set(inputs)):
            named = ", ".join(map(repr, wanted))
            raise ValueError(
                f"{argument} lacks inputs that the model takes: {named}; give all of them, in a "
                "dict by these names or in a tuple in their order"
            )
        if isinstance(inputs, Mapping):
            inputs = {part.name: inputs[part.name] for part in parts}
        first = next(iter(inputs.values() if isinstance(inputs, Mapping) else inputs))
        lead = len(first.shape) - len(parts[0].given)
        if isinstance(first, tf.TensorSpec):
            return tf.TensorSpec((*first.shape[:lead], parts[-1].stop), tf.float32)
        return self.rows(inputs) if lead else self.row(inputs)


def one_row(model: Any, train_data: Any, named: Modality | None) -> tuple[Any, KerasPacking | None]:
    """A model of one row a sample, and how its rows are packed; None where it has one input.

    Raises
    ------
    ValueError
        If the parts cannot be used.
    """
    inputs = inputs_of(model)
    if len(inputs) == 1:
        return model, None
    first = _first(train_data)
    if not inputs and not is_several(first):
        return model, None
    if not is_several(first):
        raise ValueError(
            f"model takes {len(inputs)} inputs ({', '.join(inputs)}), and train_data has one; give "
            "all of them, in a dict by these names or in a tuple in their order"
        )
    takes = list(inputs) or _arguments(model, first)
    packing = KerasPacking("train_data", named, takes)
    if inputs and isinstance(first, Mapping):
        missing = [name for name in takes if name not in first]
        if missing:
            raise ValueError(
                f"train_data has no input {', '.join(map(repr, missing))}, which the model takes; "
                f"give a dict with {', '.join(map(repr, takes))}"
            )
        first = {name: first[name] for name in takes}
    packing.row(first, 0)
    outer = _around(model, inputs, packing, by_name=_by_name(model, inputs, first))
    _number(outer, packing, first)
    return outer, packing


def _by_name(model: Any, inputs: dict[str, Any], first: Any) -> bool:
    if inputs:
        return isinstance(model._inputs_struct, dict)
    return isinstance(first, Mapping)


def _arguments(model: Any, first: Any) -> list[str]:
    """What a model of the person's own calls its inputs."""
    if isinstance(first, Mapping):
        return [str(name) for name in first]
    said = getattr(model, "input_names", None) or []
    return [str(name) for name in said] if len(said) == len(first) else []


def _first(data: Any) -> Any:
    """The first sample's inputs, or zeros of their form; None where nobody can tell."""
    spec = getattr(data, "element_spec", None)
    if spec is not None:
        if not isinstance(spec, tuple) or len(spec) < 2 or not is_several(spec[0]):
            return None
        batched = len(spec[1].shape) > 0
        return _each(spec[0], lambda one: np.zeros(*_form(one, batched)))
    if isinstance(data, tuple | list) and len(data) == 2 and is_several(data[0]):
        return _each(data[0], lambda one: np.asarray(one[:1])[0])
    if isinstance(data, tuple | list) or not hasattr(data, "__getitem__"):
        return None
    try:
        with random_state_kept():
            item = data[0]
    except Exception:  # noqa: BLE001 - who reads it next names the item
        return None
    if not isinstance(item, tuple | list) or not item or not is_several(item[0]):
        return None
    if isinstance(data, keras.utils.PyDataset):
        return _each(item[0], lambda one: np.asarray(one)[0])
    return _each(item[0], np.asarray)


def _form(spec: Any, batched: bool) -> tuple[tuple[int, ...], Any]:  # noqa: FBT001 - both are data
    shape = tuple(spec.shape[1:] if batched else spec.shape)
    if any(side is None for side in shape):
        raise ValueError(
            f"train_data is a tf.data.Dataset with an input of shape {tuple(spec.shape)}; beside "
            "other inputs its shape must be known: tf.ensure_shape says it"
        )
    return shape, spec.dtype.as_numpy_dtype


def _each(x: Any, change: Callable[[Any], Any]) -> Any:
    if isinstance(x, Mapping):
        return {name: change(one) for name, one in x.items()}
    return tuple(change(one) for one in x)


def _around(model: Any, inputs: dict[str, Any], packing: KerasPacking, *, by_name: bool) -> Any:
    """A model of rows (B, T) that calls `model` with the parts."""
    assert packing.modality is not None  # noqa: S101 - learned from the first sample
    parts = packing.modality.members
    cuts = [
        Cut(p.name, p.start, p.stop, p.given, _takes_last(inputs, p, packing), p.modality.whole)
        for p in parts
    ]
    rows = keras.Input((parts[-1].stop,), name="row")
    taken = TakeApart(cuts, by_name, name="take_apart")(rows)
    outer = keras.Model(rows, model(taken))
    if model.compiled:  # or else the session compiles it, or says what is missing
        outer.compile(
            optimizer=model.optimizer,
            loss=model.loss,
            metrics=getattr(model._compile_metrics, "_user_metrics", None),
            run_eagerly=model.run_eagerly,
        )
    return outer


def _takes_last(inputs: dict[str, Any], part: Part, packing: KerasPacking) -> bool:
    """Whether the model takes the channels of a part last; where it does not say, as it is given.

    A row has them first.
    """
    first, *rest = part.given
    wanted = tuple(inputs[part.name].shape[1:]) if part.name in inputs else ()
    if rest and wanted == (*rest, first) != part.given:
        return True
    return bool(rest) and packing.last[part.name] and wanted != part.given


def _number(outer: Any, packing: KerasPacking, first: Any) -> None:
    """Find out how many numbers a part has that the model looks up."""
    assert packing.modality is not None  # noqa: S101 - learned from the first sample
    row = packing.row(first, 0)
    for part in packing.modality.members:
        if part.modality.whole:
            ids = part.of(row)[None]
            try:
                count = Entry(outer, within(outer, row, part)).rows(ids)
            except ValueError:  # a model may compare ids alone
                continue
            packing.number(part.name, count)


def within(model: Any, row: NDArray[np.float32], part: Member) -> Callable[..., Any]:
    """The model as a function of one part (B, ...) of a row (T,), whose other parts are held."""

    def called(x: Any, *, training: bool = False) -> Any:
        x = tf.convert_to_tensor(x)
        count = tf.shape(x)[0]
        flat = tf.cast(tf.reshape(x, (count, part.stop - part.start)), tf.float32)
        before = tf.tile(row[None, : part.start], (count, 1))
        after = tf.tile(row[None, part.stop :], (count, 1))
        return model(tf.concat([before, flat, after], 1), training=training)

    return called
