"""Of which kind a Keras model's inputs are, and how they are turned to channels first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from coflect_widget.backends.keras.entry import Entry
from coflect_widget.backends.keras.model import Classifier, Layout
from coflect_widget.backends.keras.pictures import SERIES as SERIES_LAYERS
from coflect_widget.backends.keras.pictures import TEXT as TEXT_LAYERS
from coflect_widget.backends.keras.pictures import ModelInput, Shape
from coflect_widget.modalities import IMAGE, SERIES, Modality, recognise

#: A side below this is a series' channels, or the width of a strip.
_SMALLEST_SIDE = 4
_FLATTENED = (
    "; pictures that were made flat are read where they are passed as (N, H, W, C) and the model "
    "begins with keras.layers.Flatten()"
)
_IDS = "; ids are whole numbers: where these are, pass x.astype('int64')"
_WORDS = (
    "; pass the ids of their words, whole numbers, as keras.layers.TextVectorization gives them"
)
_WHOLE = "; rows of a table of whole numbers train as floating point with inputs='table'"


def find_kind(shape: Shape, kind: str, argument: str, takes: ModelInput) -> Modality:
    """What inputs of this shape are: what a person says, or what shape and model tell.

    Pictures are (H, W), (H, W, C) or (C, H, W), series (L, C) or (L,), rows of a table (F,).

    Parameters
    ----------
    shape : tuple
        Of one input.
    kind : str
        Its dtype's kind, as numpy has it.

    Raises
    ------
    ValueError
        If they are of no kind that is known.
    """
    if takes.named is not None and takes.named.name != IMAGE.name:
        return takes.named
    if len(shape) == 1 and kind in "iu" and takes.first in ("Embedding", "") and takes.looks_up:
        return recognise(np.zeros([side or 2 for side in shape], np.int64))
    looks, remedy = _unknown(shape, kind, takes)
    if not looks and takes.named is not None and len(shape) > 1:
        return takes.named
    if not looks and len(shape) == 1 and takes.first not in SERIES_LAYERS:
        sides = [2 if side is None else side for side in shape]
        found = recognise(np.zeros(sides, np.float32))
        looks, remedy = ("", "") if found.name != IMAGE.name else ("a table", _FLATTENED)
        if not looks:
            return found
    if looks:
        sides_ = "".join(f", {side}" for side in shape)
        raise ValueError(
            f"{argument} has inputs (N{sides_ or ','}), which look like {looks} and are not taken "
            f"in this form{remedy}"
        )
    if len(shape) == 3:
        return IMAGE
    narrow = min(side for side in (*shape, 64) if side is not None) < _SMALLEST_SIDE
    return SERIES if narrow or takes.first in SERIES_LAYERS else IMAGE


def _unknown(shape: Shape, kind: str, takes: ModelInput) -> tuple[str, str]:
    """What inputs look like that are of no kind that is known, and a way out; "" and ""."""
    first = f"{takes.first} first in the model"
    if kind in "OSU":
        return "texts", _WORDS
    if len(shape) == 0:
        return "a table of one column", ""
    if len(shape) < 3 and takes.first in TEXT_LAYERS:
        whole = takes.first == "Embedding" and len(shape) == 1
        return f"token ids ({first})", _IDS if whole else ""
    if len(shape) == 1 and kind in "iu":
        if takes.first in SERIES_LAYERS:
            return f"token ids ({first})", ""
        return "token ids or a table", _WHOLE + _FLATTENED
    return ("volumes or films", "") if len(shape) > 3 else ("", "")


class Inputs(NamedTuple):
    """What a model's inputs are, where their channels are, and how many axes one has with them."""

    modality: Modality
    layout: Layout
    axes: int
    entry: Entry | None  # where whole numbers enter the model
    said: str  # what was guessed, or ""


def find_inputs(model: Any, sources: Sequence[Any]) -> Inputs:
    """What the inputs of the training data are and, as far as they tell, of the validation data.

    Raises
    ------
    ValueError
        If the inputs are none of their kind.
    """
    train = sources[0]
    x = train.input(0)
    kind = find_kind(x.shape, x.dtype.kind, "train_data", train.takes)
    layout, said = _LAYOUTS.get(kind.name, _as_they_are)(x.shape, model, train.takes)
    axes = x.ndim + (layout == "none")
    ordered = Classifier(model, layout, "logits", axes).chw
    kind.check(ordered(x), "train_data")
    entry = None
    if kind.whole:
        entry = Entry(model)
        count = entry.rows(x[None])
        kind = kind.numbered(count)
        for source in sources:
            source.check_numbers(count)
    for source in sources:
        kind = source.fitted(kind, source.inputs, ordered)
    if kind.name not in _LAYOUTS:  # which tell nothing of it
        said = kind.assumed(ordered(x))
    return Inputs(kind, layout, axes, entry, said)


def _of_picture(shape: tuple[int, ...], model: Any, takes: ModelInput) -> tuple[Layout, str]:
    """A side of 1, 3 or 4 says it; where both ends have one or none, the model's layers do."""
    if len(shape) == 2:
        _check_strip(*shape)
        return "none", ""
    if len(shape) != 3:
        raise ValueError(f"train_data has inputs of shape {shape}; expected images (H, W, C)")
    first, last = (shape[place] in (1, 3, 4) for place in (0, -1))
    layout: Layout = "first" if first else "last"
    said = ""
    if first == last:
        layout = _said_by_layers(model)
        said = f"The channels of inputs {shape} were taken to stand {layout}."
    _check_strip(*(shape[:2] if layout == "last" else shape[1:]))
    return layout, said


def _check_strip(height: int, width: int) -> None:
    """Raise ValueError for an input that is one pixel wide or high."""
    if min(height, width) == 1:
        raise ValueError(
            f"train_data has inputs of {height} x {width} pixels, which look like series or a "
            "table put in as a strip; pass series as (N, steps, channels) and tables as "
            "(N, columns), to a model that takes them so"
        )


def _of_series(shape: tuple[int, ...], model: Any, takes: ModelInput) -> tuple[Layout, str]:
    if len(shape) == 1:
        return "none", ""
    layout = _said_by_layers(model)
    if min(shape) < _SMALLEST_SIDE:
        return layout, ""
    order = "steps and channels" if layout == "last" else "channels and steps"
    why = f"because {takes.first} stands first in the model" if takes.named is None else "as told"
    return layout, (
        f"Inputs of shape {shape} are taken as series, {order}, {why}; of pictures say "
        "inputs='image'."
    )


def _as_they_are(shape: tuple[int, ...], model: Any, takes: ModelInput) -> tuple[Layout, str]:
    del shape, model, takes
    return "first", ""


def _said_by_layers(model: Any) -> Layout:
    for layer in model._flatten_layers(include_self=False):
        said = getattr(layer, "data_format", None)
        if said in ("channels_last", "channels_first") and hasattr(layer, "kernel_size"):
            return "last" if said == "channels_last" else "first"
    return "last"


_LAYOUTS: dict[str, Callable[[tuple[int, ...], Any, ModelInput], tuple[Layout, str]]] = {
    IMAGE.name: _of_picture,
    SERIES.name: _of_series,
}
