"""Pictures (C, H, W): what can be marked on them, how a mark is a mask, and how they are drawn."""

from coflect_widget.modalities.image.modality import IMAGE, Image

__all__ = ["IMAGE", "Image"]
