"""Nested plain values and arrays as JSON and arrays by name, and back.

An object that is neither is left out, and named: nothing is pickled, so that reading executes
nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Keys that begin so are ours.
_OURS = "$"
_PLAIN_KINDS = frozenset("biuf")
_AS_PYTHON = frozenset({"bool", "int64", "float64"})  # which holds each of their values


@dataclass(frozen=True, slots=True)
class Bits:
    """Numbers of a type that numpy does not know, as unsigned integers of the same width.

    Attributes
    ----------
    bits : ndarray of uint8 or uint16
    kind : str
        As safetensors names it: "BF16", "F8_E4M3" or "F8_E5M2".
    """

    bits: NDArray[Any]
    kind: str


Arrays = dict[str, "NDArray[Any] | Bits"]


@dataclass(slots=True)
class Packed:
    """A tree in two parts.

    Attributes
    ----------
    plain : Any
        What ``json`` can write.
    arrays : dict
        By the name that `plain` calls them.
    lacks : list of str
        Where something was left out, and its type.
    """

    plain: Any = None
    arrays: Arrays = field(default_factory=dict)
    lacks: list[str] = field(default_factory=list)


def pack(tree: Any) -> Packed:
    """Take a tree apart.

    It may hold None, bool, int, float, str, lists, tuples, mappings with such keys, numpy arrays of
    numbers, numpy's own numbers, and `Bits`. Arrays are not copied.
    """
    packed = Packed()
    packed.plain = _packed(tree, "", packed)
    return packed


def unpack(plain: Any, arrays: Mapping[str, NDArray[Any] | Bits]) -> Any:
    """Put a tree together again; arrays are those given, not copied.

    Raises
    ------
    ValueError
        If an array is missing, or something in it is no such tree.
    """
    if isinstance(plain, list):
        return [unpack(one, arrays) for one in plain]
    if not isinstance(plain, dict):
        return plain
    if len(plain) == 1:
        ((key, value),) = plain.items()
        if key.startswith(_OURS):
            return _special(key, value, arrays)
    return {key: unpack(one, arrays) for key, one in plain.items()}


def _packed(value: Any, path: str, packed: Packed) -> Any:
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, np.generic):
        value = value.item() if value.dtype.name in _AS_PYTHON else np.asarray(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        value = float(value)
        return value if math.isfinite(value) else {"$float": repr(value)}
    if isinstance(value, np.ndarray | Bits):
        return _array(value, path, packed)
    if isinstance(value, Mapping):
        return _mapping(value, path, packed)
    if isinstance(value, list | tuple):
        items = [_packed(one, f"{path}/{number}", packed) for number, one in enumerate(value)]
        return items if isinstance(value, list) else {"$tuple": items}
    packed.lacks.append(f"{path.strip('/') or 'it'} ({type(value).__name__})")
    return {"$lacks": type(value).__name__}


def _mapping(value: Mapping[Any, Any], path: str, packed: Packed) -> Any:
    pairs = []
    for key, one in value.items():
        if key is not None and not isinstance(key, str | int | float | bool):
            packed.lacks.append(f"{path.strip('/')}/{key!r} (its key is a {type(key).__name__})")
            continue
        found = _packed(one, f"{path}/{key}", packed)
        if not (isinstance(found, dict) and "$lacks" in found):
            pairs.append((key, found))
    if all(isinstance(key, str) and not key.startswith(_OURS) for key, _ in pairs):
        return dict(pairs)
    return {"$pairs": [[key, one] for key, one in pairs]}


def _array(value: NDArray[Any] | Bits, path: str, packed: Packed) -> Any:
    name = path.strip("/") or "it"
    while name in packed.arrays:  # a key may have a "/" of its own
        name += "'"
    if isinstance(value, Bits):
        packed.arrays[name] = value
        return {"$array": name}
    if value.dtype.kind == "c":
        packed.arrays[name] = np.ascontiguousarray(value)[..., None].view(value.real.dtype)
        return {"$complex": name}
    if value.dtype.kind not in _PLAIN_KINDS or value.dtype.itemsize > 8:
        packed.lacks.append(f"{name} (an array of {value.dtype})")
        return {"$lacks": f"array of {value.dtype}"}
    packed.arrays[name] = value
    return {"$array": name}


def _special(key: str, value: Any, arrays: Mapping[str, NDArray[Any] | Bits]) -> Any:
    match key, value:
        case "$float", str():
            return float(value)
        case "$tuple", list():
            return tuple(unpack(one, arrays) for one in value)
        case "$pairs", list():
            return {pair[0]: unpack(pair[1], arrays) for pair in value}
        case "$lacks", _:
            return None
        case (("$array" | "$complex"), str()):
            if value not in arrays:
                raise ValueError(f"its array {value!r} is missing")
            found = arrays[value]
            if key == "$array" or isinstance(found, Bits):
                return found
            kind = np.complex64 if found.dtype == np.float32 else np.complex128
            return np.ascontiguousarray(found).view(kind)[..., 0]
    raise ValueError(f"{key} is nothing that this version knows")
