"""What is checked of a session's arguments before anything of it starts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from coflect_widget.backends.base import Backend, Sample
from coflect_widget.config import Config
from coflect_widget.records.value_range import Window, find_window


def check_display(config: Config, channels: int) -> None:
    """Raise ValueError where `display` has values for another number of channels."""
    for name in ("mean", "std"):
        values = getattr(config.display, name)
        if values is not None and len(values) not in (1, channels):
            raise ValueError(
                f"config['display'][{name!r}] = {values!r} has {len(values)} values for images of "
                f"{channels} channels; give one for each channel, or one for all"
            )


def find_black_and_white(config: Config, inputs: Sequence[Any]) -> Window | None:
    """Black and white for data whose pictures could not be made out otherwise."""
    display = config.display
    if any(given is not None for given in (display.mean, display.std, display.window)):
        return None
    return find_window(inputs)


def structure_of(engine: Backend, sample: Sample, config: Config) -> bytes | Exception:
    """The model for the workers, or why it cannot be sent: training goes on without overlays.

    Raises
    ------
    NoSuitableLayerError
        If the layer that the user named is not in the model, or the model has none to read.
    """
    try:
        structure = engine.structure()
    except (TypeError, ValueError, AttributeError, OSError, RuntimeError) as error:
        return error
    wanted = config.attribution
    if wanted.layer is not None or wanted.method != "smoothgrad":
        engine.check_layer(structure, sample, wanted.layer)
    return structure
