"""Cells of one row as a request has them, JSON, checked before anything is made of them."""

from __future__ import annotations

import base64
import binascii
import io
import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from coflect_widget.projects.quickstart.columns import FORMATS, times, written
from coflect_widget.projects.quickstart.marks import LARGEST, marks_of, number_of
from coflect_widget.projects.quickstart.pixels import pixels_of

_LONGEST_WORD, _LONGEST_TEXT = 1000, 200_000
_LONGEST = 100_000
#: Of a picture; a small file may say that it has as many as it likes.
MOST_PIXELS = 25_000_000
_NO_PICTURE = "this is no picture that can be read"
_TOO_MANY = f"expected a picture of at most {MOST_PIXELS / 1e6:.0f} million pixels"


class FieldError(ValueError):
    """A cell that cannot be used; `place` says which."""

    def __init__(self, field: str, text: str) -> None:
        super().__init__(text)
        self.place: tuple[str, ...] = (field,) if field else ()

    def below(self, place: Sequence[str]) -> FieldError:
        """The same, said from further out."""
        self.place = (*place, *self.place)
        return self


def cell(row: Mapping[str, Any], name: str) -> Any:
    """What stands in a column.

    Raises
    ------
    FieldError
        If the row has no such column.
    """
    if name not in row:
        raise FieldError(name, "this column is missing; give null where its value is not known")
    return row[name]


def number(row: Mapping[str, Any], name: str, marks: str = "") -> float:
    """A finite number, or NaN for null; also as text, written as the column is (see `marks_of`)."""
    return _number(cell(row, name), name, marks)


def _number(value: Any, name: str, marks: str = "") -> float:
    if value is None:
        return math.nan
    if isinstance(value, str) and len(value) <= _LONGEST_WORD:
        if not marks and marks_of([value])[1]:
            raise FieldError(name, f"{value} may be two numbers; give one without commas")
        found = number_of(value, marks)
        if math.isnan(found):
            raise FieldError(name, "expected a number, or null")
        return found
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise FieldError(name, "expected a number, or null")
    try:
        found = float(value)
    except OverflowError:
        found = math.inf
    if not math.isfinite(found) or abs(found) > LARGEST:
        raise FieldError(name, "expected a finite number of at most 1e30")
    return found


def word(row: Mapping[str, Any], name: str) -> str | None:
    """A category: words, a number or a truth value as it is written; or None."""
    value = cell(row, name)
    if value is None or isinstance(value, str):
        if value is not None and len(value) > _LONGEST_WORD:
            raise FieldError(name, f"expected at most {_LONGEST_WORD} characters")
        return value
    if isinstance(value, bool):
        return str(value)
    return written(_number(value, name))


def moment(value: str | None, name: str) -> None:
    """See that it is a date, or None.

    Raises
    ------
    FieldError
        If it is neither.
    """
    if value is not None and np.isnat(times([value])[0]):
        raise FieldError(name, "expected a date such as 2024-03-01 12:30")


def listed(row: Mapping[str, Any], name: str) -> list[Any]:
    """A list that is not empty."""
    value = cell(row, name)
    if not isinstance(value, list) or not value or len(value) > _LONGEST:
        raise FieldError(name, f"expected a list of 1 to {_LONGEST:,} values")
    return value


def text(row: Mapping[str, Any], name: str) -> str:
    """Sentences."""
    value = cell(row, name)
    if not isinstance(value, str):
        raise FieldError(name, "expected a text")
    if len(value) > _LONGEST_TEXT:
        raise FieldError(name, f"expected at most {_LONGEST_TEXT:,} characters")
    return value


def curve(row: Mapping[str, Any], name: str, marks: str = "") -> NDArray[np.float64]:
    """Numbers (L,), or equally long lists of them (C, L), as of `number`; null is a gap."""
    value = listed(row, name)
    lists = value if all(isinstance(one, list) for one in value) else [value]
    if len({len(one) for one in lists}) > 1 or not lists[0] or len(lists[0]) > _LONGEST:
        raise FieldError(name, "expected lists of equal length, one for each channel")
    found = np.array([[_number(v, name, marks) for v in one] for one in lists])
    return found if lists is value else found[0]


def pixels(row: Mapping[str, Any], name: str) -> int:
    """How many pixels a picture file in base64 says that it has; none of them is read.

    Raises
    ------
    FieldError
        If it is no picture, or has more than can be answered soon.
    """
    with _picture(row, name) as opened:
        return math.prod(opened.size)


def picture(
    row: Mapping[str, Any], name: str, channels: int, side: int, white: float | None
) -> NDArray[np.float32]:
    """A picture file in base64, brought to (C, side, side), from 0 to 255; see `pixels_of`."""
    with _picture(row, name) as opened:
        try:
            opened.load()
        except Exception:  # noqa: BLE001 - as below
            raise FieldError(name, _NO_PICTURE) from None
        try:
            return pixels_of(opened, channels, side, white)
        except ValueError as error:
            raise FieldError(name, str(error)) from None


def _picture(row: Mapping[str, Any], name: str) -> Any:
    value = cell(row, name)
    if not isinstance(value, str):
        raise FieldError(name, "expected a picture file, such as a PNG, in base64")
    try:
        content = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise FieldError(name, "this is no base64") from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # fewer are refused
            opened = Image.open(io.BytesIO(content), formats=FORMATS)
    except Image.DecompressionBombError:
        raise FieldError(name, _TOO_MANY) from None
    except Exception:  # noqa: BLE001 - Pillow's readers raise many kinds on what is none
        raise FieldError(name, _NO_PICTURE) from None
    if math.prod(opened.size) > MOST_PIXELS:
        opened.close()
        raise FieldError(name, _TOO_MANY)
    return opened
