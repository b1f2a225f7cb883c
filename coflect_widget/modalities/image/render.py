"""A picture as bytes that a screen draws."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from coflect_widget.config import DisplayConfig
from coflect_widget.modalities.image.value_range import shown_channels


def to_picture(x: NDArray[np.floating], display: DisplayConfig) -> NDArray[np.uint8]:
    """Turn a model input (C, H, W) or (H, W) into RGB bytes (H, W, 3).

    With ``display.mean`` and ``display.std`` the normalisation is undone, and what lies in
    ``display.window`` becomes [0, 1]. Without any of them a picture with values outside [0, 1] is
    stretched to it. One channel becomes gray; of more than three the first three are
    shown, or those of ``display.channels``.
    """
    x = np.nan_to_num(np.asarray(x, dtype=np.float32))
    if x.ndim == 2:
        x = x[None]
    normalised = display.mean is not None or display.std is not None
    if normalised:
        shape = (-1, 1, 1)
        mean = np.asarray(display.mean or [0.0], dtype=np.float32).reshape(shape)
        std = np.asarray(display.std or [1.0], dtype=np.float32).reshape(shape)
        x = x * std + mean
    channels = shown_channels(x, display.channels)
    window: Any = display.window
    if window is None and not normalised and (channels.min() < 0 or channels.max() > 1):
        window = channels.min(), channels.max()
    if window is not None:
        low, high = np.float32(window[0]), np.float32(window[1])
        channels = (channels - low) / (high - low if high > low else np.float32(1))
    rgb = np.broadcast_to(channels, (3, *channels.shape[1:])).transpose(1, 2, 0)
    return (rgb.clip(0, 1) * 255).round().astype(np.uint8)
