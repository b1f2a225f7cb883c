"""Kinds of input: what a sample looks like, what can be marked on it, how a mark is a mask."""

from coflect_widget.modalities.base import Modality, Region, Rendering
from coflect_widget.modalities.image import IMAGE, Image
from coflect_widget.modalities.listed import LISTED, Listed, drawable, kind_of_items
from coflect_widget.modalities.parts import PARTS, Part, Parts, find_parts, packed
from coflect_widget.modalities.registry import (
    container,
    find_modality,
    laid_out,
    recognise,
    register_modality,
)
from coflect_widget.modalities.series import SERIES, Series
from coflect_widget.modalities.table import TABLE, Table
from coflect_widget.modalities.text import TEXT, Text, with_tokenizer
from coflect_widget.modalities.units import Units
from coflect_widget.modalities.volume import VOLUME, Volume

__all__ = [
    "IMAGE",
    "LISTED",
    "PARTS",
    "SERIES",
    "TABLE",
    "TEXT",
    "VOLUME",
    "Image",
    "Listed",
    "Modality",
    "Part",
    "Parts",
    "Region",
    "Rendering",
    "Series",
    "Table",
    "Text",
    "Units",
    "Volume",
    "container",
    "drawable",
    "find_modality",
    "find_parts",
    "kind_of_items",
    "laid_out",
    "packed",
    "recognise",
    "register_modality",
    "with_tokenizer",
]
