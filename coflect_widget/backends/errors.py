"""What can go wrong with a model in a worker, each with a remedy in its message."""

from __future__ import annotations


class NoSuitableLayerError(ValueError):
    """No module's output can be read as a map, or the named one cannot."""


class ModelNotSendableError(TypeError):
    """The model cannot be pickled, so no worker can rebuild it."""
