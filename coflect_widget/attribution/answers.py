"""From what a worker computed to what a person sees of one sample."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import numpy as np
from numpy.typing import NDArray

from coflect_widget.attribution.explanation import NO_CLASS, Explanation
from coflect_widget.attribution.requests import Request
from coflect_widget.attribution.worker import JobResult
from coflect_widget.backends.base import Sample
from coflect_widget.events import Quality
from coflect_widget.tasks.base import Placed, Task


def answer_of(
    request: Request,
    sample: Sample,
    result: JobResult,
    task: Task,
    step: int,
    method: str,
    quality: Quality | None,
    parts: Mapping[str, NDArray[np.float32]],
) -> Explanation:
    """The explanation that a request gets.

    Parameters
    ----------
    step : int
        Of the weights that were explained.
    method : str
        The map that is shown.
    quality : Quality or None
        The last word on the map.
    parts : mapping of str to ndarray
        The map of each of several inputs, by its name.
    """
    verdict = result.verdict(task, sample, request.target)
    return Explanation(
        index=request.index,
        map=result.map,
        livecam=result.livecam,
        smoothgrad=result.smoothgrad,
        consensus=result.consensus,
        agreement=result.agreement,
        focus_bbox=result.focus_bbox,
        top_classes=result.top_classes,
        top_probs=result.top_probs,
        target=verdict.target,
        predicted=0 if verdict.predicted is None else verdict.predicted,
        model_step=step,
        method=method,
        modality_focus=result.modality_focus,
        modality_reason=result.modality_reason,
        quality=quality,
        seconds=result.seconds,
        samples_used=result.samples_used,
        explained=result.explained,
        labels=verdict.there,
        truth=_truth(task, sample),
        said=result.said,
        region=result.region,
        parts=parts,
    )


def _truth(task: Task, sample: Sample) -> NDArray[np.uint8] | None:
    """Class of each place (E), `NO_CLASS` where it has none; None where samples have one each."""
    if not task.placed or sample.targets is None:
        return None
    placed, mask = cast("Placed", task), sample.targets
    known = (mask >= 0) & (mask < placed.classes) & (mask != placed.void)
    return np.where(known, mask, NO_CLASS).astype(np.uint8)
