"""Rows of guided passes whose targets are a class for each place, as in segmentation.

What is exchanged takes its part of the ground truth along: where a row shows another's pixels, its
mask says what those show. To keep the mask would teach to see what is not there, and to leave the
place out would leave the model free to fill it with anything.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import array_api_compat as compat
import numpy as np

from coflect_widget.guidance.plan import Plan
from coflect_widget.guidance.rows import Marked, RowChooser, Swapped

#: Target of a place that shows nothing of any sample.
NO_CLASS = -100


class PlacedRows(RowChooser):
    """A `RowChooser` whose targets (B, E) have the extent of the inputs (B, ..., E).

    Targets of a `Swapped` are (n, 2, E): the class of each place, and 1 where nothing was
    exchanged, else 0. Those of a `Marked` are 0.
    """

    def marked(
        self, plan: Plan[Any], kind: str, inputs: Any, targets: Any, count: int, least: int = 0
    ) -> Marked | None:
        """See `RowChooser.marked`."""
        xp = compat.array_namespace(inputs)
        plan = replace(plan, labels=_none(xp, plan.labels))
        return super().marked(plan, kind, inputs, _none(xp, targets), count, least)

    def swapped(
        self,
        plan: Plan[Any],
        inputs: Any,
        targets: Any,
        indices: Any | None,
        count: int,
        least: int = 0,
    ) -> Swapped | None:
        """See `RowChooser.swapped`."""
        xp = compat.array_namespace(inputs)
        rows = len(inputs)
        annotated = _joined(xp, xp.astype(plan.inputs, inputs.dtype), plan.labels, rows)
        known = replace(plan, inputs=annotated, labels=_none(xp, plan.labels))
        found = super().swapped(
            known, _joined(xp, inputs, targets), _none(xp, targets), indices, count, least
        )
        if found is None:
            return None
        before, after = found.original, found.swapped
        same = before[:, -1] == after[:, -1]
        classes = after[:, -2]
        if rows == 1:  # what stands in the place is noise, and of no class
            classes = xp.where(same, classes, xp.full_like(classes, NO_CLASS))
        moved = xp.stack([classes, xp.astype(same, after.dtype)], axis=1)
        return found._replace(original=before[:, :-2], swapped=after[:, :-2], targets=moved)

    def exchanged(
        self, plan: Plan[Any], inputs: Any, targets: Any, indices: Any | None
    ) -> tuple[Any, Any]:
        """See `RowChooser.exchanged`."""
        xp = compat.array_namespace(inputs)
        joined = _joined(xp, inputs, targets)
        seen = self.counterfactual(plan, joined, _none(xp, targets), indices)
        return seen[:, :-2], xp.astype(seen[:, -2], targets.dtype)


def _joined(xp: Any, inputs: Any, targets: Any, first: int = 0) -> Any:
    """Inputs (B, C, E) with two further channels: the target of each place, and the row's number.

    By the second one it is seen where another row's values stand.
    """
    number = np.arange(first, first + len(inputs)).reshape(-1, *[1] * (targets.ndim - 1))
    number = xp.asarray(number, device=compat.device(inputs))
    both = xp.stack([targets, number + xp.zeros_like(targets)], axis=1)
    return xp.concat([inputs, xp.astype(both, inputs.dtype)], axis=1)


def _none(xp: Any, targets: Any) -> Any:
    """Class numbers (B,) of rows that have none: 0."""
    shape, place = (targets.shape[0],), compat.device(targets)
    return xp.zeros(shape, dtype=xp.int64, device=place)
