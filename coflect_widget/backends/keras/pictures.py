"""What a Keras model says of its input, and where the channels of pictures are to be."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import keras
from numpy.typing import NDArray

from coflect_widget.backends.sourced import same_shapes
from coflect_widget.modalities import Modality

Array = NDArray[Any]
Shape = tuple[int | None, ...]

#: First layers that tell texts, and those that tell series.
TEXT = ("Embedding", "TextVectorization", "StringLookup", "IntegerLookup", "Hashing")
SERIES = (
    "Conv1D", "SeparableConv1D", "DepthwiseConv1D", "LSTM", "GRU", "SimpleRNN", "RNN",
    "Bidirectional", "ConvLSTM1D", "MaxPooling1D", "AveragePooling1D", "GlobalAveragePooling1D",
    "GlobalMaxPooling1D", "ZeroPadding1D", "MultiHeadAttention", "GroupedQueryAttention",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ModelInput:
    """What a model says of the one input that it takes.

    Attributes
    ----------
    shape : tuple or None
        Of one input, None where the model does not say.
    name : str
        "" where it has none.
    looks_up : bool
        Whether a layer of it looks whole numbers up.
    scales : bool
        Whether the model scales its inputs itself, so that nobody is told to do it.
    first : str
        Class of the first layer that tells texts and series from pictures, or "".
    named : Modality or None
        What a person says that the input is.
    packing : KerasPacking or None
        How the inputs of a model of several are packed into the one.
    """

    shape: Shape | None = None
    name: str = ""
    looks_up: bool = False
    scales: bool = False
    first: str = ""
    named: Modality | None = None
    packing: Any = None

    @classmethod
    def of(cls, model: Any, named: Modality | None = None, packing: Any = None) -> ModelInput:
        """Read from a model of one input; `named` is what a person says that it is."""
        shape = _input_shape(model)
        if isinstance(shape, list | dict):
            [shape] = shape.values() if isinstance(shape, dict) else shape
        layers = list(model._flatten_layers(include_self=False))
        scaling = (keras.layers.Rescaling, keras.layers.Normalization)
        return cls(
            shape=tuple(shape[1:]) if isinstance(shape, tuple) else None,
            name=next(iter(input_names(model)), ""),
            looks_up=any(isinstance(layer, keras.layers.Embedding) for layer in layers),
            scales=any(isinstance(layer, scaling) for layer in layers),
            first=_telling(layers),
            named=named,
            packing=packing,
        )

    def pick(self, inputs: Any, argument: str) -> tuple[Any, str]:
        """The array among `inputs`, and what was guessed where there were several, or "".

        Raises
        ------
        ValueError
            If they are a list, tuple or mapping of which none is the model's input.
        """
        if self.packing is not None:
            return self.packing.pick(inputs, argument), ""
        if isinstance(inputs, Mapping):
            names = ", ".join(repr(name) for name in inputs)
            if self.name not in inputs:
                raise ValueError(
                    f"{argument} has a {type(inputs).__name__} of {len(inputs)} arrays as inputs, "
                    f"{names}, and none has the name of the model's input, {self.name!r}; pass the "
                    "model's array alone, without a name"
                )
            others = ", ".join(repr(name) for name in inputs if name != self.name)
            said = f"Of the inputs of {argument} the model reads {self.name!r}, and not {others}."
            return inputs[self.name], said if others else ""
        if isinstance(inputs, tuple | list) and any(hasattr(a, "shape") for a in inputs):
            if len(inputs) == 1:
                return inputs[0], ""
            raise ValueError(
                f"{argument} has a {type(inputs).__name__} of {len(inputs)} arrays as inputs, and "
                "the model takes one: pass its array alone (numpy.stack makes one of a list of "
                "images)"
            )
        return inputs, ""


def _input_shape(model: Any) -> Any:
    """What Keras says: a tuple, or a list or mapping of them, or None."""
    try:
        shape = model.input_shape
    except (AttributeError, ValueError):
        return None
    several = getattr(model, "inputs", None)
    if isinstance(several, list) and len(several) > 1:
        return [tuple(one.shape) for one in several]
    return shape


def input_names(model: Any) -> list[str]:
    """What a model calls its inputs, in their order."""
    struct = getattr(model, "_inputs_struct", None)
    if isinstance(struct, dict):
        return [str(name) for name in struct]
    return [str(one.name) for one in getattr(model, "inputs", None) or []]


def _telling(layers: list[Any]) -> str:
    for layer in layers:
        kind = type(layer).__name__
        if kind in TEXT or kind in SERIES:
            return kind
        if kind in ("Flatten", "Reshape", "Permute") or kind.endswith(("2D", "3D")):
            return ""
    return ""


Turn = Literal["", "last", "first"]


def find_turn(found: tuple[int, ...], takes: ModelInput, *, promised_first: bool) -> Turn:
    """Where to put the channels of inputs, so that the model takes them; "": where they are.

    `promised_first`: the data set says of itself that it has (C, H, W).

    Raises
    ------
    ValueError
        If the model says what it takes, and the inputs are that in no way.
    """
    wanted = takes.shape
    if wanted is None:
        last = keras.config.image_data_format() == "channels_last"
        return "last" if promised_first and last else ""
    if _fits(found, wanted) or _one_channel(found, wanted):
        return ""
    if len(found) == 3:
        if _fits((*found[1:], found[0]), wanted):
            return "last"
        if _fits((found[2], *found[:2]), wanted):
            return "first"
    if len(found) == 2 and len(wanted) == 3 and _fits(found, wanted[:2]):
        remedy = (
            f"give grey pictures its channels: numpy.repeat(images[..., None], {wanted[-1]}, -1)"
        )
    elif len(found) == 2 and _fits(found[::-1], wanted):
        remedy = "turn them with series.transpose(0, 2, 1): Keras takes series as (steps, channels)"
    else:
        remedy = f"resize the pictures to that, or make the model with keras.Input({found})"
    raise ValueError(
        f"train_data has inputs of shape {found}, but the model takes {_written(wanted)}; {remedy}"
    )


def fit_channels(sources: Sequence[Any], takes: ModelInput) -> list[str]:
    """Put the channels where the model takes them, where that is certain; what was guessed.

    `sources` are those of the training data and, perhaps, of the validation data.
    """
    train, *val = sources
    found = train.input(0).shape
    turn = find_turn(found, takes, promised_first=train.channels_first)
    for source in sources:
        source.turn = turn
    for other in val:
        same_shapes(train.input(0).shape, other.input(0).shape)
    if not turn or train.channels_first:
        return []
    where = "(H, W, C)" if turn == "last" else "(C, H, W)"
    return [f"Inputs of shape {found} were turned to {where}, because the model takes them so."]


def _written(wanted: Shape) -> str:
    return f"({', '.join('any' if side is None else str(side) for side in wanted)})"


def _fits(shape: tuple[int, ...], wanted: Shape) -> bool:
    return len(shape) == len(wanted) and all(
        w is None or s == w for s, w in zip(shape, wanted, strict=True)
    )


def _one_channel(found: tuple[int, ...], wanted: Shape) -> bool:
    """Whether Keras adds or takes away a last axis of one itself."""
    if len(found) in (1, 2) and len(wanted) == len(found) + 1:
        return _fits((*found, 1), wanted)
    return len(found) == 3 and len(wanted) == 2 and found[-1] == 1 and _fits(found[:2], wanted)


def scaled_remedy(array: Array, place: str, takes: ModelInput) -> str:
    """How to make floating point of inputs that are whole numbers."""
    by, name = "", "images"
    if takes.first in SERIES or len(takes.shape or (0, 0)) == 1:
        name = "x"
    elif not takes.scales and array.dtype.kind in "iu" and array.size:
        highest = int(array.max())
        top = 255 if highest <= 255 else 2 ** math.ceil(math.log2(highest + 1)) - 1
        by = f" / {top}"
    if place == "pipeline":
        return f"data.map(lambda x, y: (tf.cast(x, tf.float32){by}, y))"
    if place == "items":
        return f"give x.astype('float32'){by} in each item"
    return f"{name}.astype('float32'){by}"
