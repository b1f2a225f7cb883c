"""Several inputs of one model, each of its own kind."""

from coflect_widget.modalities.parts.modality import PARTS, Parts
from coflect_widget.modalities.parts.packing import find_parts, packed
from coflect_widget.modalities.parts.part import Part

__all__ = ["PARTS", "Part", "Parts", "find_parts", "packed"]
