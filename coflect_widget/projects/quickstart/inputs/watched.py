"""A timeline that is watched: windows of it, and how unusual each is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from coflect_widget.projects.quickstart.columns import Column
from coflect_widget.projects.quickstart.inputs.timeline import WINDOW, Timeline
from coflect_widget.projects.quickstart.moments import code_of, inside
from coflect_widget.projects.quickstart.sheet import Sheet

#: Moments of a window: a share of all, within these.
_SHARE, _SHORTEST, _LONGEST = 25, 16, 48


class Watched(Timeline):
    """Windows that lie in one part wholly; see `Inputs`."""

    name: ClassVar[str] = "watched"
    words: ClassVar[str] = "a timeline that is watched, window by window"
    goals: ClassVar[tuple[str, ...]] = ("anomaly",)
    offered: ClassVar[bool] = False
    steps: ClassVar[int] = 1500
    least_ahead: ClassVar[int] = 0

    def samples(self, sheet: Sheet, columns: Sequence[Column], target: str) -> Sheet:
        used = self.uses(columns)
        self.time = used[0].name
        self.channels = [target, *(column.name for column in used[1:])]
        rows = self._in_order(sheet)
        length = int(np.clip(rows.shape[1] // _SHARE, _SHORTEST, _LONGEST))
        first, part = inside(rows.shape[1], length)
        self.noted = [
            f"Windows of {length} moments. The parts follow one another in time.",
            *self._doubled(sheet),
        ]
        return sheet.having(_windows(rows, first, length, target), part=part)

    def judged(self, sheet: Sheet) -> Sheet:
        if WINDOW in sheet.cells:
            return sheet
        rows, length = self._in_order(self._known(sheet)), self.shape[1]
        count = rows.shape[1] - length + 1
        if count < 1:
            raise ValueError(f"{rows.shape[1]} moments; windows have {length}")
        return sheet.having(_windows(rows, range(count), length, self.channels[0]))

    def following(self, sheet: Sheet, count: int) -> list[str]:
        del sheet, count
        return []  # nothing is told ahead

    def network(self, x: NDArray[Any], outputs: int) -> dict[str, Any]:
        return {**super().network(x, outputs), "net": "watch", "code": code_of(outputs)}


def _windows(
    rows: NDArray[np.float64], first: Any, length: int, target: str
) -> dict[str, NDArray[np.float64]]:
    """Windows (n, C, L), which are what is to be told of them too."""
    found = np.stack([rows[:, k : k + length] for k in first])
    return {WINDOW: found, target: found}
