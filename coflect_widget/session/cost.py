"""What the parts around a training used so far."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coflect_widget import events

if TYPE_CHECKING:
    from coflect_widget.session.parts import Parts


def cost(parts: Parts) -> events.Cost:
    """The tool's own cost, from the counters of loop, scheduler, controls and forecaster."""
    counts, spent = parts.scheduler.counts, parts.loop.time
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
        rest_seconds=round(parts.controls.rested, 3),
        rests=parts.controls.rests,
        telemetry_dropped=parts.forecaster.dropped,
    )
