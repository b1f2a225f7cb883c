"""What can go wrong with an explanation, each with a remedy in its message."""

from __future__ import annotations

from coflect_widget.workers.errors import PoolClosedError, WorkerError


class ExplanationError(RuntimeError):
    """A map could not be computed; the message says for which reason."""


class ExplanationSkippedError(ExplanationError):
    """A background request was dropped, because of the budget or for newer requests."""


class NonFiniteMapError(ExplanationError):
    """The map or the model's output is NaN or infinite: there is nothing to show."""


class SessionClosedError(ExplanationError):
    """The session was closed before the explanation was ready."""


class StaleSnapshotError(ExplanationError):
    """The weights changed while they were being read; nothing of them may be used."""


class UnknownModelError(LookupError):
    """The worker holds another model, or none."""


def after(error: WorkerError) -> ExplanationError:
    """What whoever waits for a map is told after this happened to its worker."""
    closed = isinstance(error, PoolClosedError)
    told = SessionClosedError(str(error)) if closed else ExplanationError(str(error))
    told.__cause__ = error
    return told
