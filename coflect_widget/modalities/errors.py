"""What a kind of input cannot give, each with a remedy in its message."""

from __future__ import annotations


class NoSuitableLayerError(ValueError):
    """No module's output can be read as a map, or the named one cannot."""
