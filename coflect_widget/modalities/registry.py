"""Which kinds of input there are: those built in, those registered, those of installed packages."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping
from typing import Any

from coflect_widget.modalities.base import Modality
from coflect_widget.modalities.image import IMAGE
from coflect_widget.modalities.listed import LISTED
from coflect_widget.modalities.parts import PARTS, Parts
from coflect_widget.modalities.series import SERIES
from coflect_widget.modalities.table import TABLE, is_frame
from coflect_widget.modalities.text import TEXT
from coflect_widget.modalities.volume import VOLUME

#: Entry points of this group are kinds of input: the entry's name, and a `Modality`.
ENTRY_POINTS = "coflect.modalities"

BUILT_IN: dict[str, Modality] = {
    IMAGE.name: IMAGE,
    VOLUME.name: VOLUME,
    TABLE.name: TABLE,
    SERIES.name: SERIES,
    TEXT.name: TEXT,
    LISTED.name: LISTED,
    PARTS.name: PARTS,
}

_registered: dict[str, Modality] = {}


def register_modality(modality: Modality) -> None:
    """Let sessions train on another kind of input.

    ``Session(..., inputs=modality.name)`` takes it then; without ``inputs=`` it is taken for
    samples that ``modality.recognises(x)`` is true for, before any built-in kind. A package may
    name an object, or a class without arguments, in the entry-point group ``coflect.modalities``
    instead.

    Parameters
    ----------
    modality : Modality
        Most kinds inherit from `modalities.Units`. Registering a name again replaces what was
        registered under it.

    Raises
    ------
    ValueError
        If the name belongs to a built-in kind, or is no word.
    """
    name = getattr(modality, "name", None)
    if not isinstance(name, str) or not name.isidentifier():
        raise ValueError(f"modality.name={name!r} must be a word, such as 'spectrum'")
    if name in BUILT_IN:
        raise ValueError(f"modality.name={name!r} is a built-in kind of input; choose another name")
    _registered[name] = modality


def find_modality(inputs: Any) -> Modality:
    """The kind of input of that name; a `Modality` is given back.

    A mapping names kinds of a model's several inputs, such as ``{"question": Text(words)}``.

    Raises
    ------
    ValueError
        If there is none of that name.
    TypeError
        If it is neither a name nor a `Modality`.
    """
    if isinstance(inputs, str):
        found = BUILT_IN.get(inputs) or _registered.get(inputs) or _entry_point(inputs)
        if found is None:
            known = ", ".join(map(repr, (*BUILT_IN, *_registered, *_named())))
            raise ValueError(f"inputs={inputs!r} is not known; known are: {known}")
        return found
    if isinstance(inputs, Mapping):
        return Parts({str(name): find_modality(kind) for name, kind in inputs.items()})
    if isinstance(inputs, type) or not (hasattr(inputs, "extent") and hasattr(inputs, "name")):
        raise TypeError(
            f"inputs={inputs!r} must be a name, such as 'image', or an object that inherits from "
            "coflect_widget.modalities.Units"
        )
    modality: Modality = inputs
    return modality


def recognise(x: Any) -> Modality:
    """The first kind of input that recognises one sample's input; pictures where none does.

    What a person registered is asked first, and what is installed beside last: asking imports it.
    """
    for modality in (*_registered.values(), *BUILT_IN.values()):
        if modality.recognises(x):
            return modality
    for name in _named():
        found = _entry_point(name)
        if found is not None and found.recognises(x):
            return found
    return IMAGE


def container(inputs: Any) -> Modality | None:
    """The kind of what inputs come in, such as a DataFrame or a data set that says it; or None."""
    if is_frame(inputs):
        return TABLE
    said = getattr(inputs, "modality", None)
    return said if hasattr(said, "extent") else None


def laid_out(x: Any) -> Modality | None:
    """The kind of one sample's input that is kept as something else, such as a volume; or None."""
    if not hasattr(x, "shape"):
        return None
    return next((m for m in BUILT_IN.values() if m.lays_out and m.recognises(x)), None)


def _named() -> list[str]:
    entries = importlib.metadata.entry_points(group=ENTRY_POINTS)
    return [entry.name for entry in entries if entry.name not in BUILT_IN]


def _entry_point(name: str) -> Modality | None:
    for entry in importlib.metadata.entry_points(group=ENTRY_POINTS, name=name):
        try:
            found: Any = entry.load()
        except Exception:  # noqa: BLE001 - another package's fault must not stop this session
            return None
        modality: Modality = found() if isinstance(found, type) else found
        return modality
    return None
