"""Texts as a kind of input."""

from coflect_widget.modalities.text.modality import TEXT, Text, with_tokenizer

__all__ = ["TEXT", "Text", "with_tokenizer"]
