"""The target is what a number will be, some moments ahead."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from coflect_widget.projects.quickstart.columns import Column
from coflect_widget.projects.quickstart.goals.values import Values


class Forecast(Values):
    """Numbers (n, ahead); see `Goal`."""

    name: ClassVar[str] = "forecast"
    noun: ClassVar[str] = "what it will be"

    @classmethod
    def suits(cls, column: Column) -> str:
        return "its rows are moments" if column.kind == "number" else ""

    @classmethod
    def coded(cls, values: NDArray[Any]) -> NDArray[np.float64]:
        # A moment without a number is one all the same: lines fill the gaps of a timeline.
        return values.mean(1) if values.ndim > 1 else np.zeros(len(values))
