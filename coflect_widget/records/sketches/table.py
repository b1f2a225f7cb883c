"""A row of a table in a cell: its features, the weightiest first, with a bar each."""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coflect_widget.records.sketches.marked import Marks, colour_of, kind_of, warm, weight

#: Features that are shown, in a list and alone; and the longest bar in pixels.
_FEW, _MANY = 3, 12
_NARROW, _WIDE = 40, 160


def draw(
    content: Mapping[str, Any], heat: NDArray[np.float32] | None, marks: Marks, *, small: bool
) -> str:
    """See `sketch`; a bar is a feature's share of the map, marked features come first."""
    found = []
    for row in content["rows"]:
        units = [int(unit) for unit in row["units"]]
        found.append(
            (kind_of(marks, units), weight(heat, units), str(row["name"]), str(row["text"]))
        )
    total = sum(one[1] for one in found)
    longest = max((one[1] for one in found), default=0.0)
    found.sort(key=lambda one: (one[0] is None, -one[1]))
    most, wide = (_FEW, _NARROW) if small else (_MANY, _WIDE)
    cell = 'style="text-align:left;padding:1px 10px 1px 0;border:0;background:none"'
    lines = []
    for kind, share, name, value in found[:most]:
        said = ""
        if total > 0:
            bar = (
                f'<span style="display:inline-block;height:10px;background:{warm(1)};'
                f'width:{round(wide * share / longest)}px"></span>'
            )
            said = f"<td {cell}>{bar} {share / total:.0%}</td>"
        look = ""
        if kind is not None:
            struck = ";text-decoration:line-through" if kind == "ignore" else ""
            look = f' style="border-bottom:2px solid {colour_of(kind)}{struck}"'
        lines.append(
            f"<tr><td {cell}><span{look}>{html.escape(name)}</span></td>"
            f"{said}<td {cell}>{html.escape(value)}</td></tr>"
        )
    more = len(found) - most
    rest = f'<div style="opacity:.75">and {more} more</div>' if more > 0 and not small else ""
    table = f'<table style="border-collapse:collapse;margin:0;border:0">{"".join(lines)}</table>'
    return table + rest
