"""The effect of an intervention on a PyTorch model; runs in a worker."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from numpy.typing import NDArray

from coflect_widget.backends.torch.methods import load
from coflect_widget.studies import measuring
from coflect_widget.studies.readings import Readings, Request


def measure(structure: bytes, weights: Mapping[str, NDArray[Any]], request: Request) -> Readings:
    """Run one snapshot on the request. Deterministic."""
    torch.set_num_threads(1)
    snapshot: Any = load(structure)  # an Explainer of a model with one input
    snapshot.load_weights(weights)
    return measuring.take_readings(snapshot, request)
