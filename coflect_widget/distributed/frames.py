"""A few words and arrays as one message between processes: JSON and plain numbers, no pickle."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

_LENGTH = struct.Struct("<I")
#: Types that arrays may have; by name, as numpy gives them.
_TYPES = frozenset({"bool", "int32", "int64", "float32", "float64"})


def pack(words: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]] | None = None) -> bytes:
    """Words, as JSON takes them, and arrays of numbers, as one message."""
    given = {name: np.ascontiguousarray(array) for name, array in (arrays or {}).items()}
    forms = {name: [str(array.dtype), list(array.shape)] for name, array in given.items()}
    head = json.dumps({"words": dict(words), "arrays": forms}).encode()
    return b"".join([_LENGTH.pack(len(head)), head, *(a.tobytes() for a in given.values())])


def unpack(message: bytes) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """What `pack` was given; arrays have memory of their own.

    Raises
    ------
    ValueError
        If the message is none of `pack`.
    """
    try:
        (length,) = _LENGTH.unpack_from(message)
        place = _LENGTH.size + length
        head = json.loads(message[_LENGTH.size : place])
        arrays: dict[str, NDArray[Any]] = {}
        for name, (kind, shape) in head["arrays"].items():
            if kind not in _TYPES:
                raise ValueError(f"an array of type {kind!r}")
            count = int(np.prod(shape, dtype=np.int64))
            arrays[name] = np.frombuffer(message, kind, count, place).reshape(shape).copy()
            place += arrays[name].nbytes
        if place != len(message):
            raise ValueError(f"{len(message) - place} bytes too many")
        return dict(head["words"]), arrays
    except (struct.error, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"a message of another process cannot be read: {error}") from None
