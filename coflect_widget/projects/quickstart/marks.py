"""How numbers are written: the column says which mark is decimal, and its cells are read so.

``1,234`` alone may be 1234 or 1.234. Beside ``0,125`` or ``2,5`` it is 1.234, beside ``1,234,567``
it is 1234.

Marks are the decimal mark and then, where there is one, that of thousands: ".,", "," or ",."; ""
where no cell has a comma.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: A number that is larger is none that can be computed with.
LARGEST = 1e30
#: What `marks_of` finds where a cell has a comma.
MARKS = (".,", ",", ",.")
#: What may stand before or behind a number.
_AROUND = "%$\u20ac\u00a3 \u00a0"
_COMMAS = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+(\.\d+)?")
_DOTS = re.compile(r"[+-]?[1-9]\d{0,2}(\.\d{3})+")
_DECIMAL = re.compile(r"[+-]?\d+(\.\d{3})*,\d+(e[+-]?\d+)?", re.IGNORECASE)
_POINT = re.compile(r"[+-]?\d*\.\d+(e[+-]?\d+)?", re.IGNORECASE)


def marks_of(cells: Sequence[Any] | NDArray[Any]) -> tuple[str, str]:
    """Marks of a column (N,), and a cell that other marks would make another number of; or "".

    Commas that cannot stand before thousands make all commas decimal, unless more of them can
    stand nowhere else.
    """
    if not any(isinstance(cell, str) and "," in cell for cell in cells):
        return "", ""
    both = broken = False
    unsure = dotted = ""
    decimal = thousands = commas = dots = 0
    for cell in cells:
        if not isinstance(cell, str):
            continue
        text = cell.strip().strip(_AROUND)
        if "," in text:
            as_thousands, as_decimal = _COMMAS.fullmatch(text), _DECIMAL.fullmatch(text)
            commas += as_decimal is not None
            if as_thousands and as_decimal:
                unsure = unsure or text
            elif as_decimal:
                decimal, both = decimal + 1, both or "." in text
            elif as_thousands:
                thousands += 1
        elif _DOTS.fullmatch(text):
            dotted = dotted or text
            dots += 1
        elif _POINT.fullmatch(text):
            broken = True
    if not decimal or thousands > decimal:
        return (".,", "" if thousands else unsure) if thousands or unsure else ("", "")
    # Beside decimal commas a dot stands before thousands, unless another dot cannot.
    if both or (0 < dots < commas and not broken):
        return ",.", unsure or ("" if both else dotted)
    return ",", unsure or dotted


def number_of(text: str, marks: str) -> float:
    """A cell as a number, by the marks of its column; NaN where it is none."""
    text = text.strip().strip(_AROUND)
    if "," in text:
        as_decimal = _DECIMAL.fullmatch(text)
        if _COMMAS.fullmatch(text) and not (as_decimal and marks.startswith(",")):
            text = text.replace(",", "")
        elif as_decimal and marks != ".,":
            text = text.replace(".", "").replace(",", ".")
        else:
            return np.nan
    elif marks == ",." and _DOTS.fullmatch(text):
        text = text.replace(".", "")
    try:
        value = float(text)
    except ValueError:
        return np.nan
    # Words such as "infinity" are no measurements.
    return value if abs(value) <= LARGEST and "_" not in text else np.nan


def said_of(name: str, marks: str, unsure: str) -> str:
    """What a person is told of a column whose marks might be others; "" where they are certain."""
    if not unsure:
        return ""
    read = f"{number_of(unsure, marks):.12g}"
    if marks == ".,":
        other = unsure.replace(",", ".")
        return (
            f"Commas in {name!r} are taken for those of thousands: {unsure!r} is {read}. Where "
            f"they are decimal, write {other}."
        )
    return f"Commas in {name!r} are decimal, as other cells have them: {unsure!r} is {read}."
