"""What can go wrong with an explanation, each with a remedy in its message."""

from __future__ import annotations

from coflect_widget.modalities.errors import NoSuitableLayerError as NoSuitableLayerError


class ExplanationError(RuntimeError):
    """A map could not be computed; the message says for which reason."""


class ExplanationSkippedError(ExplanationError):
    """A background request was dropped, because of the budget or for newer requests."""


class WorkerLostError(ExplanationError):
    """The worker died, hung or ran out of memory twice with the same job."""


class ModelRefusedError(ExplanationError):
    """No worker can rebuild the model."""


class NonFiniteMapError(ExplanationError):
    """The map or the model's output is NaN or infinite: there is nothing to show."""


class PoolClosedError(ExplanationError):
    """The session was closed before the explanation was ready."""


class StaleSnapshotError(ExplanationError):
    """The weights changed while they were being read; nothing of them may be used."""


class UnknownModelError(LookupError):
    """The worker holds another model, or none."""


class ModelNotSendableError(TypeError):
    """The model cannot be pickled, so no worker can rebuild it."""
