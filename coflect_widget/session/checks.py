"""What is checked of a session's arguments before anything of it starts."""

from __future__ import annotations

from coflect_widget.backends.base import Backend, Sample
from coflect_widget.backends.errors import NoSuitableLayerError
from coflect_widget.config import Config
from coflect_widget.modalities import Modality


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
