"""What attribution has worker processes do."""

from __future__ import annotations

from functools import partial

from coflect_widget.attribution.worker import (
    JobError,
    JobResult,
    Model,
    ProbeResult,
    run_job,
    warm_up,
)
from coflect_widget.backends.registry import imports_of
from coflect_widget.workers import pool
from coflect_widget.workers.work import Work

_WORKER = "coflect_widget.attribution.worker"
#: Answers after which a worker is replaced, and what they mean.
_REPLACED = {
    "memory": "the worker ran out of memory",
    "forgotten": "the worker was restarted",
}


def explaining(model: Model, input_shape: tuple[int, ...] | None = None) -> Work:
    """The work of explaining `model`; with the shape (C, H, W) of a sample it is rehearsed."""
    imports = imports_of(model.explainer)
    return Work(
        prepare=partial(warm_up, model, input_shape),
        answer=run_job,
        lost=lost,
        imports=(_WORKER, *imports),
        forkable=bool(imports),
    )


def lost(answer: JobResult | ProbeResult | JobError) -> str | None:
    """Why the worker that gave this answer has to be replaced, if it has."""
    if isinstance(answer, JobError) and answer.kind in _REPLACED:
        return f"{_REPLACED[answer.kind]} ({answer.reason})"
    return None


def import_ahead(explainer: str) -> None:
    """Begin with the imports of the workers that will run `explainer`; returns at once."""
    imports = imports_of(explainer)
    if imports:
        pool.import_ahead((_WORKER, *imports))
