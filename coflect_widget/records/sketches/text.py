"""A text in a cell: its words, coloured by the map."""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coflect_widget.records.sketches.marked import Marks, colour_of, kind_of, strongest, warm

#: Words that are shown, in a list and alone; and how many of them before the strongest.
_FEW, _MANY, _BEFORE = 28, 120, 6


def draw(
    content: Mapping[str, Any], heat: NDArray[np.float32] | None, marks: Marks, *, small: bool
) -> str:
    """See `sketch`; of a long text the words round the strongest, or the marked, one."""
    words = [
        (str(word["text"]), [int(unit) for unit in word["units"]]) for word in content["words"]
    ]
    shares = [strongest(heat, units) for _, units in words]
    kinds = [kind_of(marks, units) for _, units in words]
    most = _FEW if small else _MANY
    telling = next((at for at, kind in enumerate(kinds) if kind), None)
    if telling is None:
        telling = int(np.argmax(shares)) if shares else 0
    first = max(0, min(telling - _BEFORE, len(words) - most))
    stop = min(len(words), first + most)
    shown = [
        _word(text, share, kind)
        for (text, _), share, kind in zip(
            words[first:stop], shares[first:stop], kinds[first:stop], strict=True
        )
    ]
    before = "… " if first else ""
    after = f" … ({len(words)} words)" if stop < len(words) else ""
    return f'<div dir="auto" style="line-height:1.7">{before}{" ".join(shown)}{after}</div>'


def _word(text: str, share: float, kind: str | None) -> str:
    style = f"background:{warm(share)};padding:1px 3px;border-radius:3px"
    if kind is not None:
        style += f";border:2px solid {colour_of(kind)}"
    if kind == "ignore":
        style += ";text-decoration:line-through"
    return f'<span style="{style}">{html.escape(text)}</span>'
