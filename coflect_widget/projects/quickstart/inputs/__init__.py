"""Kinds of data: what columns make one, and how cells become what a network takes."""

from __future__ import annotations

from coflect_widget.projects.quickstart.inputs.base import Inputs
from coflect_widget.projects.quickstart.inputs.pictures import Pictures
from coflect_widget.projects.quickstart.inputs.rows import Rows
from coflect_widget.projects.quickstart.inputs.series import Series
from coflect_widget.projects.quickstart.inputs.texts import Texts
from coflect_widget.projects.quickstart.inputs.timeline import Timeline
from coflect_widget.projects.quickstart.inputs.watched import Watched

#: By the name that a person gives as `kind`.
KINDS: dict[str, type[Inputs]] = {
    kind.name: kind for kind in (Rows, Texts, Pictures, Series, Timeline, Watched)
}

__all__ = ["KINDS", "Inputs"]
