import numpy as np
import pytest

from coflect_widget.config import DisplayConfig
from coflect_widget.modalities.image.render import to_picture


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_normalised_pictures_of_any_channels(channels):
    mean, std = [0.1 * (c + 1) for c in range(channels)], [0.5] * channels
    shown = np.linspace(0, 1, channels * 16, dtype=np.float32).reshape(channels, 4, 4)
    normalised = (shown - np.reshape(mean, (-1, 1, 1))) / 0.5
    picture = to_picture(normalised, DisplayConfig(mean=mean, std=std))
    expected = shown[: 3 if channels > 2 else 1]
    assert np.abs(picture.transpose(2, 0, 1) / 255 - expected).max() < 0.01
