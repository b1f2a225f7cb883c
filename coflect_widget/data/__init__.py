"""Demo data sets: deterministic or real, all `ArrayDataset`-like sets of (x, y)."""

from coflect_widget.data.blobs import blobs
from coflect_widget.data.cifar10 import cifar10_catsdogs
from coflect_widget.data.decoy_digits import decoy_digits
from coflect_widget.data.patients import patients
from coflect_widget.data.reviews import reviews
from coflect_widget.data.shapes_and_questions import shapes_and_questions
from coflect_widget.data.signals import signals
from coflect_widget.data.synthetic import synthetic

__all__ = [
    "blobs", "cifar10_catsdogs", "decoy_digits", "patients", "reviews", "shapes_and_questions",
    "signals", "synthetic",
]  # fmt: skip
