"""What all sketches share: the colour of a map, and what is said of marked places."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

#: "look" or "ignore", and which units it marks.
Marks: TypeAlias = Sequence[tuple[str, NDArray[np.bool_]]]

WARM = (240, 140, 0)  # of a map
COLOURS = {"look": (26, 127, 55), "ignore": (198, 40, 40)}
_FAINTEST = 0.05  # share of the strongest that is coloured


def strongest(heat: NDArray[np.float32] | None, units: Sequence[int]) -> float:
    """The most that a map says of some units, in [0, 1]; 0 without one."""
    if heat is None or len(units) == 0:
        return 0.0
    return float(heat[list(units)].max().clip(0, 1))


def weight(heat: NDArray[np.float32] | None, units: Sequence[int]) -> float:
    """All that a map says of some units; 0 without one."""
    return 0.0 if heat is None else float(heat[list(units)].clip(0, 1).sum())


def kind_of(marks: Marks, units: Sequence[int]) -> str | None:
    """How some units are marked; None where they are not."""
    found = [kind for kind, mask in marks if mask[list(units)].any() and kind in COLOURS]
    return found[-1] if found else None


def warm(share: float) -> str:
    """The colour of a map behind text, as CSS."""
    red, green, blue = WARM
    return f"rgba({red},{green},{blue},{0 if share < _FAINTEST else 0.75 * share:.2f})"


def colour_of(kind: str) -> str:
    """The colour of a mark, as CSS."""
    return "rgb({},{},{})".format(*COLOURS[kind])
