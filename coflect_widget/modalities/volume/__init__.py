"""Volumes (C, D, H, W), slice by slice."""

from coflect_widget.modalities.volume.modality import VOLUME, Volume
from coflect_widget.modalities.volume.sheet import from_sheet, slices, to_sheet

__all__ = ["VOLUME", "Volume", "from_sheet", "slices", "to_sheet"]
