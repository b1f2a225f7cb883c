"""What the parts around a training used so far."""

from __future__ import annotations

from coflect_widget import events
from coflect_widget.attribution.requests import Counts
from coflect_widget.training.controls import Controls
from coflect_widget.training.thread_time import ThreadTime


def cost(spent: ThreadTime, counts: Counts, controls: Controls, dropped: int) -> events.Cost:
    """The tool's own cost: the training thread's time, maps, rests, `dropped` telemetry."""
    percent = spent.percent
    return events.Cost(
        percent=None if percent is None else round(percent, 2),
        tool_seconds=round(spent.seconds["tool"], 4),
        guidance_seconds=round(spent.guidance, 4),
        training_seconds=round(spent.seconds["training"], 3),
        overlays_made=counts.made,
        overlays_skipped=counts.skipped,
        overlays_failed=counts.failed,
        overlays_non_finite=counts.non_finite,
        overlay_seconds=round(counts.seconds, 3),
        probed=counts.probed,
        probe_seconds=round(counts.probe_seconds, 3),
        person_seconds=round(counts.person_seconds, 3),
        rest_seconds=round(controls.rested, 3),
        rests=controls.rests,
        telemetry_dropped=dropped,
    )
