"""When findings began, in the charts: a line of each one's pull, and a mark."""

from __future__ import annotations

from array import array

from coflect_widget import events
from coflect_widget.ui import protocol


def add_pulls(finding: events.Finding, series: dict[str, array[float]]) -> None:
    """Add to the lines what is new of a finding's pull.

    The lines of all findings are one chart, "pull", with a finding's id in the place of a split.
    """
    points = series.get(f"{finding.id}/pull", array("d"))
    last = points[-2] if points else -1
    new = [value for one in finding.history if one.step > last for value in (one.step, one.pull)]
    if new:
        series.setdefault(f"{finding.id}/pull", points).extend(new)


def with_beginning(
    markers: list[protocol.Marker], finding: events.Finding
) -> list[protocol.Marker]:
    """The marks, and that of where the finding began, if that is known."""
    others = [one for one in markers if one["id"] != finding.id]
    steps = [one.step for one in finding.history if one.epoch >= finding.since]
    if finding.began is None or not steps:
        return others
    low, high = finding.began
    span = f"epoch {low}" if low == high else f"epochs {low} to {high}"
    text = f"finding {finding.id} began at epoch {finding.since} ({span})"
    return [*others, {"step": steps[0], "kind": "finding", "text": text, "id": finding.id}]
