"""Several inputs of one model, packed into one row a sample, so that all else sees one array."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from coflect_widget.backends.looked_up import check_numbers
from coflect_widget.backends.source import OtherShapeError
from coflect_widget.modalities import (
    TABLE,
    Modality,
    Parts,
    find_parts,
    laid_out,
    packed,
    recognise,
)

#: How a model takes its parts: one after the other, by their names, or all in one argument.
Form = Literal["arguments", "keywords", "tuple", "mapping"]
Named = dict[str, Any]


def is_several(x: Any) -> bool:
    """Whether the inputs of a sample, or of all, are several arrays: by name or in a tuple."""
    if isinstance(x, Mapping):
        return len(x) > 1
    return isinstance(x, tuple | list) and len(x) > 1 and all(hasattr(a, "shape") for a in x)


class Packing:
    """How a sample's inputs are packed.

    Parameters
    ----------
    argument : str
        What messages call the data.
    named : Modality or None
        What a person said: kinds by name, or one that those parts have which it recognises.
    takes : sequence of str
        What the model calls its arguments, in their order; () where it does not say.
    array : callable
        A part as an array of numpy.

    Attributes
    ----------
    modality : Parts or None
        None until a sample was seen, and where samples have one input.
    form : str
    counts : dict of str to int
        Of parts that are looked up, how many numbers there are.
    """

    def __init__(
        self,
        argument: str,
        named: Modality | None,
        takes: Sequence[str],
        array: Callable[[Any], NDArray[Any]] = np.asarray,
    ) -> None:
        self.argument = argument
        self._named = named
        self._takes = tuple(takes)
        self._array = array
        #: kinds by name, where a person gave any; else one kind for the parts that it fits
        self._kinds = named if isinstance(named, Parts) else None
        self.modality = self._kinds if self._kinds is not None and self._kinds.members else None
        #: kind of a sample's only input, where it is laid out as something else
        self.single: Modality | None = named if named is not None and named.lays_out else None
        self._seen = False
        self.form: Form = "arguments"
        self.counts: dict[str, int] = {}

    def row(self, x: Any, index: int | None = None) -> NDArray[np.float32]:
        """One sample's inputs as a row (T,); `index` says which, where it is known.

        Raises
        ------
        ValueError
            If they are not those of the first sample, or of no kind; the message names the input.
        """
        where = self.argument if index is None else f"{self.argument}[{index}]"
        arrays = self.arrays(x, where, 0)
        if self.modality is None:
            self.learn(arrays, x)
        assert self.modality is not None  # noqa: S101 - learned just now
        parts = self.modality.members
        found = self._in_order(arrays, where)
        for part, array in zip(parts, found, strict=True):
            if tuple(array.shape) != part.given:
                raise OtherShapeError(
                    f"{where} has its input {part.name!r} of shape {tuple(array.shape)}, but the "
                    f"first sample of {part.given}; beside other inputs all are of one shape: fill "
                    "up, crop or resize them in the data set"
                )
            if part.name in self.counts:
                count = self.counts[part.name]
                check_numbers(array[None], count, self.argument, index or 0, masks=True)
        return packed(parts, found, where)

    def rows(self, x: Any) -> NDArray[np.float32]:
        """All samples' inputs, (N, ...) each, as rows (N, T); see `row`."""
        arrays = self.arrays(x, self.argument, 1)
        lengths = {name: len(array) for name, array in arrays.items()}
        if len(set(lengths.values())) > 1:
            said = ", ".join(f"{count} of {name!r}" for name, count in lengths.items())
            raise ValueError(
                f"{self.argument} has {said}; give as many of each input as there are samples"
            )
        if self.modality is None:
            self.learn({name: array[0] for name, array in arrays.items()}, x)
        assert self.modality is not None  # noqa: S101 - learned just now
        found = self._in_order(arrays, self.argument)
        for part, array in zip(self.modality.members, found, strict=True):
            if tuple(array.shape[1:]) != part.given:
                raise ValueError(
                    f"{self.argument} has its input {part.name!r} of shape "
                    f"{tuple(array.shape[1:])}, but train_data of {part.given}; give both the same"
                )
        return packed(self.modality.members, found, self.argument)

    def alone(self, x: Any, where: str, lead: int = 0) -> Any:
        """The only input of a sample, or with a `lead` of 1 of several, laid out where its kind is.

        The first one tells.
        """
        if not self._seen:
            self._seen = True
            self.single = self.single or laid_out(x[0] if lead else x)
        if self.single is None:
            return x
        if lead:
            self.single.unpacked(x[0], where)  # the first one must be a sample, and not a part
        self.single, x = self.single.unpacked(x, where)
        return x

    def number(self, name: str, count: int) -> None:
        """A part's whole numbers go from 0 to `count` - 1."""
        assert self.modality is not None  # noqa: S101 - a part of it is meant
        self.counts[name] = count
        self.modality = self.modality.with_kind(name, lambda kind: kind.numbered(count))

    def arrays(self, x: Any, where: str, lead: int) -> Named:
        """Parts by name, of one sample or, with a `lead` of 1, of several."""
        del lead
        names = list(x) if isinstance(x, Mapping) else self._numbered(len(x))
        values = list(x.values()) if isinstance(x, Mapping) else list(x)
        for name, value in zip(names, values, strict=True):
            if not hasattr(value, "shape"):
                raise ValueError(
                    f"{where} has the input {name!r}, a {type(value).__name__}; give tensors or "
                    "numpy arrays: add a transform that converts"
                )
        return {str(name): self._array(v) for name, v in zip(names, values, strict=True)}

    def _numbered(self, count: int) -> list[str]:
        if self.modality is not None and len(self.modality.members) == count:
            return [part.name for part in self.modality.members]
        if len(self._takes) >= count:
            return list(self._takes[:count])
        return [f"input {k}" for k in range(count)]

    def learn(self, arrays: Named, x: Any) -> None:
        """Find out what the parts are, by those of the first sample; `x` is what they came in."""
        kinds = self._kinds or Parts()
        named = None if self._kinds is not None else self._named

        def kind_of(array: Any) -> Modality:
            fits = named is not None and named.recognises(array)
            return named if named is not None and fits else self.kind_of(array)

        parts = find_parts(arrays, kinds.kinds, self.argument, kind_of, TABLE)
        if named is not None and all(part.modality is not named for part in parts):
            raise ValueError(
                f"{self.argument} has several inputs, {', '.join(map(repr, arrays))}, and none is "
                f"of the kind {named.name!r}; name the kind of each, "
                f"inputs={{{next(iter(arrays))!r}: {named.name!r}}}"
            )
        self.modality = kinds.of(parts)
        one = len(self._takes) == 1
        if isinstance(x, Mapping):
            self.form = "mapping" if one and set(arrays) != set(self._takes) else "keywords"
        else:
            self.form = "tuple" if one else "arguments"

    def kind_of(self, array: Any) -> Modality:
        """The kind of a part that nobody has named."""
        return recognise(array)

    def _in_order(self, arrays: Named, where: str) -> list[Any]:
        assert self.modality is not None  # noqa: S101 - a caller has learned it
        wanted = [part.name for part in self.modality.members]
        if set(arrays) != set(wanted):
            raise ValueError(
                f"{where} has the inputs {', '.join(map(repr, arrays))}, but the first sample has "
                f"{', '.join(map(repr, wanted))}; give the same in each"
            )
        return [arrays[name] for name in wanted]


class OneRow:
    """Items of a data set with their inputs packed, where they have several.

    Parameters
    ----------
    items : map-style data set of (x, y) or (x, y, index)
    packing : Packing
    """

    def __init__(self, items: Any, packing: Packing) -> None:
        self._items = items
        self.packing = packing

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: int) -> Any:
        item = self._items[index]
        if not isinstance(item, tuple | list) or not item:
            return item
        if is_several(item[0]):
            return (self.packing.row(item[0], index), *item[1:])
        if self.packing.modality is not None and self.packing.modality.members:
            raise ValueError(
                f"{self.packing.argument}[{index}] has one input, but the first sample has "
                "several; give the same in each"
            )
        x = self.packing.alone(item[0], f"{self.packing.argument}[{index}]")
        return item if x is item[0] else (x, *item[1:])
