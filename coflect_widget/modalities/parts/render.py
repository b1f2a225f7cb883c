"""What a browser draws of a sample with several inputs."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import NDArray
from PIL import Image

from coflect_widget.config import DisplayConfig
from coflect_widget.modalities.base import Array
from coflect_widget.modalities.parts.part import Part

#: Longest side of a picture in what a browser draws.
_SIDE = 256


def content(
    parts: Sequence[Part], x: Array, display: DisplayConfig, shown: Part
) -> Mapping[str, Any]:
    """The parts of a row (T,), each with its place in the map and what its kind draws, or a PNG.

    `shown` is the part whose picture stands for the sample in small.
    """
    found = []
    for part in parts:
        own = part.of(x)
        inner = part.modality.content(own, display)
        drawn = None if inner is not None else part.modality.render(own, display).picture
        found.append(
            {
                "name": part.name,
                "kind": part.modality.name,
                "units": [part.first, part.last],
                "extent": list(part.extent),
                "content": inner,
                "picture": None if drawn is None else _png(drawn),
                "shown": part is shown,
            }
        )
    return {"kind": "parts", "parts": found}


def _png(picture: NDArray[Any]) -> str:
    """A PNG file in base64, at most as large as a screen draws it."""
    image = Image.fromarray(picture)
    if max(image.size) > _SIDE:
        image.thumbnail((_SIDE, _SIDE), Image.Resampling.BOX)
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode("ascii")
