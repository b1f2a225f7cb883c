"""What is checked of a session's arguments before anything of it starts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from coflect_widget.backends.base import Backend, Sample
from coflect_widget.backends.errors import NoSuitableLayerError
from coflect_widget.backends.registry import takes
from coflect_widget.config import Config
from coflect_widget.modalities import Modality

#: Arguments that not every backend takes, and what to do where one does not.
_SOME_TAKE = {
    "class_weight": "its backend {backend} takes no weights of classes; leave it out, or let the "
    "backend take class_weight",
    "task": "its backend tells the task by loss and targets; leave task= out, or pass a torch "
    "model",
    "score": "only where a loss alone is known is a score asked for, with task='own_loss' and a "
    "torch model; leave score= out: maps are of the model's outputs",
}


def taken(factory: Callable[..., Any], given: dict[str, Any]) -> dict[str, Any]:
    """Those of the arguments that are given, for a backend's factory.

    Raises
    ------
    TypeError
        If the factory takes one of them not.
    """
    found = {name: value for name, value in given.items() if value is not None}
    for name, value in found.items():
        if not takes(factory, name):
            shown = f"task={value!r}" if name == "task" else f"{name}="
            why = _SOME_TAKE[name].format(backend=repr(getattr(factory, "__name__", factory)))
            raise TypeError(f"{shown} is not for this model: {why}")
    return found


def fit_method(config: Config, modality: Modality) -> Config:
    """The settings with a map that this kind of input has.

    Raises
    ------
    ValueError
        If a person has asked for one that it has not.
    """
    wanted = config.attribution
    if wanted.layer is not None and not modality.layers:
        raise ValueError(
            f"config['attribution']['layer'] = {wanted.layer!r}: inputs of the kind "
            f"{modality.name!r} have no map of a layer; leave it out"
        )
    if wanted.method in modality.methods:
        return config
    if "method" in wanted.model_fields_set:
        known = ", ".join(map(repr, modality.methods))
        raise ValueError(
            f"config['attribution']['method'] = {wanted.method!r} is no map of inputs of the kind "
            f"{modality.name!r}; known are: {known}"
        )
    fitting = wanted.model_copy(update={"method": modality.methods[0]})
    return config.model_copy(update={"attribution": fitting})


def structure_of(engine: Backend) -> bytes | Exception:
    """The model for the workers, or why it cannot be sent: training goes on without overlays."""
    try:
        return engine.structure()
    except (TypeError, ValueError, AttributeError, OSError, RuntimeError) as error:
        return error


def fit_layer(
    engine: Backend, structure: bytes, sample: Sample, config: Config, modality: Modality
) -> Modality:
    """The kind of input with the maps that this model can give of it.

    Raises
    ------
    NoSuitableLayerError
        If the layer that the user named is not in the model, or the model has none to read.
    """
    wanted, without = config.attribution, modality.without_layers()
    needs_none = wanted.layer is None and wanted.method == "smoothgrad"
    if not modality.layers or (needs_none and without is None):
        return modality
    try:
        engine.check_layer(structure, sample, wanted.layer)
    except NoSuitableLayerError:
        asked = wanted.layer is not None or "method" in wanted.model_fields_set
        if without is None or (asked and not needs_none):
            raise
        return without
    return modality
