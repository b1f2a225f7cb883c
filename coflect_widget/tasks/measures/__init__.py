"""What a trained model is measured by, for each kind of task."""

from __future__ import annotations

from typing import Any

from coflect_widget.tasks.measures.base import ByLoss, Chart, Matrix, Measures

__all__ = ["ByLoss", "Chart", "Matrix", "Measures", "measures_of"]


def measures_of(task: Any) -> Measures:
    """The task's own (``task.measures()``), or its loss where it has none."""
    own = getattr(task, "measures", None)
    found: Measures = ByLoss(task) if own is None else own()
    return found
