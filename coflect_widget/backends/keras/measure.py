"""The effect of an intervention on a Keras model; runs in a worker."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from coflect_widget.backends.keras.methods import load
from coflect_widget.studies import measuring
from coflect_widget.studies.readings import Readings, Request


def measure(structure: bytes, weights: Mapping[str, NDArray[Any]], request: Request) -> Readings:
    """Run one snapshot on the request. Deterministic."""
    snapshot: Any = load(structure)  # an Explainer of a model with one input
    snapshot.load_weights(weights)
    return measuring.take_readings(snapshot, request)
