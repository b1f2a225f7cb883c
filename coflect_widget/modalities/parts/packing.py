"""Several inputs as one row of numbers for each sample, and which kind each of them is."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from coflect_widget.modalities.base import Array, Modality
from coflect_widget.modalities.parts.part import Part

#: Whole numbers from here on would not survive as float32.
_MOST_WHOLE = 2**24
#: Numbers of a part of no known kind that are listed as features, at most.
_MOST_FEATURES = 1024


def find_parts(
    arrays: Mapping[str, Any],
    kinds: Mapping[str, Modality],
    argument: str,
    recognise: Any,
    plain: Modality,
) -> tuple[Part, ...]:
    """What the parts of a sample are, in the order of `arrays`.

    Parameters
    ----------
    arrays : mapping of str to ndarray
        One sample's.
    kinds : mapping of str to Modality
        Those that a person has named.
    argument : str
        What messages call the data.
    recognise : callable
        An input -> its kind, where nobody has named one.
    plain : Modality
        The kind of rows of numbers, which an input of no other kind is taken for.

    Raises
    ------
    ValueError
        If a part cannot be used; the message says what to do.
    """
    unknown = [name for name in kinds if name not in arrays]
    if unknown:
        raise ValueError(
            f"inputs= names {unknown[0]!r}, and the inputs of {argument} are "
            f"{', '.join(map(repr, arrays))}; name those"
        )
    found: list[Part] = []
    start = first = 0
    for name, x in arrays.items():
        where = f"the input {name!r} of {argument}"
        given = tuple(int(side) for side in x.shape)
        if not math.prod(given) or not given:
            raise ValueError(
                f"{where} has the shape {given}; give at least one number a sample, (N, 1)"
            )
        kind, shape = kinds.get(name), given
        if kind is None:
            kind = recognise(x)
            # What is taken where nothing is recognised, or is laid out where it stands alone.
            if kind.lays_out or not kind.recognises(x):
                kind, shape = plain, (math.prod(given),)
                if shape[0] > _MOST_FEATURES:
                    raise ValueError(
                        f"{where} has the shape {given}, which is of no known kind: name one, "
                        f'inputs={{"{name}": "series"}}, or give a picture (C, H, W), a series '
                        "(C, L), a row of numbers (F,) or ids (L,)"
                    )
        if not kind.whole and x.dtype.kind in "iu":
            raise ValueError(
                f"{where} is of type {x.dtype}; the model needs floating point: pass "
                f"{_name_of(name)}.astype('float32'){_scaled(x, kind)}"
            )
        kind.check(x.reshape(shape), where)
        part = Part(name, kind, shape, given, start, first)
        found.append(part)
        start, first = part.stop, part.last
    return tuple(found)


def packed(parts: Sequence[Part], arrays: Sequence[Any], where: str) -> Array:
    """Inputs (..., *given), one for each part, as rows (..., T) of float32.

    Raises
    ------
    ValueError
        If whole numbers are larger than float32 holds.
    """
    rows = []
    for part, x in zip(parts, arrays, strict=True):
        if part.modality.whole and x.size and int(np.abs(x).max()) >= _MOST_WHOLE:
            raise ValueError(
                f"the input {part.name!r} of {where} has the id {int(np.abs(x).max())}; beside "
                f"other inputs ids go up to {_MOST_WHOLE - 1}"
            )
        lead = x.shape[: x.ndim - len(part.given)]
        rows.append(x.reshape((*lead, part.stop - part.start)).astype(np.float32, copy=False))
    return np.concatenate(rows, axis=-1)


def _name_of(name: str) -> str:
    return name if name.isidentifier() else "inputs"


def _scaled(x: Any, kind: Modality) -> str:
    """How whole numbers of a picture come to lie between 0 and 1."""
    return " / 255" if kind.axes == 2 and x.dtype.kind == "u" else ""
