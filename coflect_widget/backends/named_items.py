"""Items of a map-style data set as (x, y) by index; an error of its own names the index."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coflect_widget.backends.items import name_index

#: What items call whole numbers that are looked up, those of them that count, and their segments.
NUMBERS, MASK, SEGMENTS = "input_ids", "attention_mask", "token_type_ids"
#: What items that are mappings call their label, and their place in the data set.
_LABELS = ("labels", "label", "target", "targets", "y", "label_ids")
_INDICES = ("index", "indices", "idx")
#: What they call a picture, where the model's forward() has another word for it.
_PICTURES = ("pixel_values", "image", "images", "img", "picture", "x", "input", "inputs")


class Items:
    """Items of `dataset` as (x, y) or (x, y, index), whatever form they have.

    Parameters
    ----------
    dataset : map-style data set
        Of (x, y), (x, y, index) or mappings such as Hugging Face's.
    argument : str
        What messages call it.
    names : sequence of str
        Arguments of the model's ``forward``, by which inputs with names are put in order.
    arrays : tuple of type
        Of the values that are inputs.
    """

    def __init__(
        self,
        dataset: Any,
        argument: str,
        names: Sequence[str] = (),
        arrays: tuple[type, ...] = (np.ndarray,),
    ) -> None:
        self._dataset = dataset
        self._argument = argument
        self._names = tuple(names)
        self._arrays = arrays

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, index: int) -> Any:
        try:
            item = self._dataset[index]
        except Exception as error:
            name_index(error, self._argument, index)
            raise
        if isinstance(item, Mapping):
            return self._unnamed(item, index)
        if isinstance(item, Sequence) and item and isinstance(item[0], Mapping | set | frozenset):
            where = f"{self._argument}[{index}][0]"
            return (in_order(item[0], self._names, where), *item[1:])
        return item

    def _unnamed(self, item: Mapping[str, Any], index: int) -> tuple[Any, ...]:
        where = f"{self._argument}[{index}]"
        label = next((name for name in _LABELS if name in item), None)
        if label is None:
            raise ValueError(
                f"{where} is a mapping of {_words(item)} without a label: call it 'labels', or "
                "give (x, y)"
            )
        place = next((name for name in _INDICES if name in item), None)
        inputs = {
            name: value
            for name, value in item.items()
            if name not in (*_LABELS, place) and isinstance(value, self._arrays)
        }
        if not inputs and NUMBERS not in item:
            raise ValueError(
                f"{where} is a mapping of {_words(item)} without a tensor or array as input: give "
                "tensors or numpy arrays (C, H, W), for example by a transform that converts"
            )
        known: dict[str, Any] = {k: value for k, value in inputs.items() if k in self._names}
        beside = [name for name in known if name not in (NUMBERS, MASK, SEGMENTS)]
        if NUMBERS in item and NUMBERS in self._names and beside:  # ids and something else
            ids = numbers_of(item, where)
            known = {NUMBERS: ids, **{name: known[name] for name in beside}}
            x: Any = in_order(known, self._names, where)
            return (x, item[label]) if place is None else (x, item[label], item[place])
        if not known:
            pictures = [name for name in _PICTURES if name in inputs]
            known = {name: inputs[name] for name in pictures[:1]} or inputs
        pictured = any(getattr(value, "ndim", 0) == 3 for value in known.values())
        if NUMBERS in item and not pictured:
            x = numbers_of(item, where)
        else:
            x = in_order(known, self._names, where)
        return (x, item[label]) if place is None else (x, item[label], item[place])


def numbers_of(item: Mapping[str, Any], where: str) -> NDArray[np.int64]:
    """Whole numbers (E) of an item, those that its mask leaves out as their complement.

    Raises
    ------
    ValueError
        If they have a form that cannot be taken.
    """
    found = np.asarray(item[NUMBERS])
    if found.dtype.kind not in "iu":
        raise ValueError(
            f"{where}[{NUMBERS!r}] is of type {found.dtype}; ids are whole numbers: give them as a "
            "tokenizer does"
        )
    numbers = found.astype(np.int64)
    if SEGMENTS in item and np.asarray(item[SEGMENTS]).any():
        raise ValueError(
            f"{where}[{SEGMENTS!r}] tells two texts apart, which is not supported so far: leave it "
            "out, or join the two to one text"
        )
    if MASK not in item:
        return numbers
    mask = np.asarray(item[MASK])
    if mask.shape != numbers.shape:
        raise ValueError(
            f"{where}[{MASK!r}] has shape {mask.shape}, but {NUMBERS!r} has {numbers.shape}; give "
            "one for each id"
        )
    return np.where(mask.astype(bool), numbers, ~numbers)


def in_order(inputs: Any, names: Sequence[str], where: str) -> Any:
    """Named inputs in the order of ``forward``, or the only one.

    A model of one argument takes them all in it, by their names.

    Raises
    ------
    TypeError
        For a set, which has no order.
    ValueError
        If a name is no argument of ``forward``.
    """
    if isinstance(inputs, set | frozenset):
        raise TypeError(
            f"{where} is a set, which has no order; give a tuple in the order of the model's "
            "arguments"
        )
    if len(inputs) == 1:
        return next(iter(inputs.values()))
    if len(names) == 1:
        return dict(inputs)
    if not set(inputs) <= set(names):
        takes = f"forward({', '.join(names)})" if names else "an unknown forward()"
        raise ValueError(
            f"{where} has inputs named {_words(inputs)}, but the model has {takes}: name them as "
            "forward() does, or give a tuple in its order"
        )
    return {name: inputs[name] for name in names if name in inputs}


def _words(names: Mapping[str, Any]) -> str:
    return ", ".join(map(repr, names))
