"""Kinds of input: what a sample looks like, what can be marked on it, how a mark is a mask."""

from coflect_widget.modalities.base import Modality, Region, Rendering, Units
from coflect_widget.modalities.image import IMAGE, Image
from coflect_widget.modalities.registry import find_modality, recognise, register_modality
from coflect_widget.modalities.text import TEXT, Text, with_tokenizer

__all__ = [
    "IMAGE",
    "TEXT",
    "Image",
    "Modality",
    "Region",
    "Rendering",
    "Text",
    "Units",
    "find_modality",
    "recognise",
    "register_modality",
    "with_tokenizer",
]
