"""Series (C, L): what can be marked on them, how a mark is a mask, and how they are drawn."""

from coflect_widget.modalities.series.modality import SERIES, Series

__all__ = ["SERIES", "Series"]
