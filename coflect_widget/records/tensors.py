"""Arrays by name as a safetensors file: written piece by piece, read with every bound checked.

Any reader of safetensors reads these files. They are written here because the library's own writer
holds Python's lock until all is on disk, and a training beside it would wait.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from coflect_widget.records.trees import Arrays, Bits

#: Bytes of one write; between two of them others may have Python's lock.
_PIECE = 4 * 2**20
#: The largest header that readers of safetensors take.
_HEADER_BYTES = 100_000_000
_KINDS = {
    "bool": "BOOL", "uint8": "U8", "int8": "I8", "uint16": "U16", "int16": "I16", "float16": "F16",
    "uint32": "U32", "int32": "I32", "float32": "F32", "uint64": "U64", "int64": "I64",
    "float64": "F64",
}  # fmt: skip
_DTYPES: dict[str, np.dtype[Any]] = {kind: np.dtype(name) for name, kind in _KINDS.items()}
_WIDTHS: dict[str, np.dtype[Any]] = {
    "BF16": np.dtype("uint16"),
    "F8_E4M3": np.dtype("uint8"),
    "F8_E5M2": np.dtype("uint8"),
}


class NoTensorsError(ValueError):
    """A file is no safetensors file, or not whole."""


def write_tensors(
    file: Path, arrays: Mapping[str, NDArray[Any] | Bits], notes: Mapping[str, str] | None = None
) -> int:
    """Write arrays, and short texts about them; returns the bytes of the file.

    Raises
    ------
    OSError
        If the disk refuses.
    """
    # The widest first: then each begins at a multiple of its width.
    order = sorted(arrays, key=lambda name: (-_bits(arrays[name]).dtype.itemsize, name))
    header: dict[str, Any] = {"__metadata__": {"format": "pt", **(notes or {})}}
    end = 0
    for name in order:
        bits = _bits(arrays[name])
        start, end = end, end + bits.nbytes
        header[name] = {
            "dtype": _kind(arrays[name]),
            "shape": list(bits.shape),
            "data_offsets": [start, end],
        }
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with file.open("wb", buffering=0) as out:
        _put(out, memoryview(len(text).to_bytes(8, "little") + text))
        for name in order:
            bits = np.ascontiguousarray(_bits(arrays[name]))
            if bits.nbytes:
                _put(out, memoryview(bits.reshape(-1).view(np.uint8).data))
    return 8 + len(text) + end


def read_tensors(file: BinaryIO, size: int) -> Arrays:
    """All arrays of an open file of `size` bytes; they may be read, not written to.

    Raises
    ------
    NoTensorsError
        If it is no such file, or a part is missing.
    """
    header, start = _header(file, size)
    room = size - start
    content = bytearray(room)
    if file.readinto(content) != room:  # type: ignore[attr-defined]
        raise NoTensorsError("it ends before its arrays do")
    found: Arrays = {}
    for name, facts in header.items():
        first, last, dtype, shape, kind = _checked(name, facts, room)
        count = (last - first) // dtype.itemsize
        array = np.frombuffer(content, dtype, count, first).reshape(shape)
        array.flags.writeable = False
        found[name] = Bits(array, kind) if kind in _WIDTHS else array
    return found


def shapes_in(file: BinaryIO, size: int) -> dict[str, tuple[int, ...]]:
    """Shapes of all arrays, without reading the arrays.

    Raises
    ------
    NoTensorsError
        If it is no such file.
    """
    header, start = _header(file, size)
    return {name: _checked(name, facts, size - start)[3] for name, facts in header.items()}


def _header(file: BinaryIO, size: int) -> tuple[dict[str, Any], int]:
    """The header without its notes, and where the arrays begin."""
    length = int.from_bytes(file.read(8), "little")
    if not 2 <= length <= min(size - 8, _HEADER_BYTES):
        raise NoTensorsError(f"its header would have {length:,} bytes")
    try:
        header = json.loads(file.read(length))
    except (ValueError, RecursionError) as error:
        raise NoTensorsError(f"its header is no JSON ({error})") from None
    if not isinstance(header, dict):
        raise NoTensorsError("its header names no arrays")
    header.pop("__metadata__", None)
    return header, 8 + length


def _checked(
    name: str, facts: Any, room: int
) -> tuple[int, int, np.dtype[Any], tuple[int, ...], str]:
    try:
        kind = str(facts["dtype"])
        shape = tuple(int(n) for n in facts["shape"])
        first, last = (int(n) for n in facts["data_offsets"])
    except (KeyError, TypeError, ValueError):
        raise NoTensorsError(f"what it says of {name!r} cannot be read") from None
    dtype = _DTYPES.get(kind) or _WIDTHS.get(kind)
    if dtype is None:
        raise NoTensorsError(f"{name!r} is of type {kind}, which is not read here")
    fits = all(n >= 0 for n in shape) and math.prod(shape) * dtype.itemsize == last - first
    if not (0 <= first <= last <= room and fits):
        raise NoTensorsError(f"{name!r} does not lie where the file says")
    return first, last, dtype, shape, kind


def _put(out: Any, content: memoryview) -> None:
    at = 0
    while at < len(content):
        at += out.write(content[at : at + _PIECE])


def _bits(value: NDArray[Any] | Bits) -> NDArray[Any]:
    return value.bits if isinstance(value, Bits) else value


def _kind(value: NDArray[Any] | Bits) -> str:
    return value.kind if isinstance(value, Bits) else _KINDS[str(value.dtype)]
