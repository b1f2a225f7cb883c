import numpy as np
import pytest

from coflect_widget.config import DisplayConfig
from coflect_widget.modalities import IMAGE
from coflect_widget.modalities.image.render import to_picture


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_normalised_pictures_of_any_channels(channels):
    mean, std = [0.1 * (c + 1) for c in range(channels)], [0.5] * channels
    shown = np.linspace(0, 1, channels * 16, dtype=np.float32).reshape(channels, 4, 4)
    normalised = (shown - np.reshape(mean, (-1, 1, 1))) / 0.5
    picture = to_picture(normalised, DisplayConfig(mean=mean, std=std))
    expected = shown[: 3 if channels > 2 else 1]
    assert np.abs(picture.transpose(2, 0, 1) / 255 - expected).max() < 0.01


def test_channels_that_are_drawn_are_chosen():
    x = np.stack([np.full((4, 4), c / 8, np.float32) for c in range(8)])
    assert to_picture(x, DisplayConfig())[0, 0].tolist() == [0, 32, 64]
    assert to_picture(x, DisplayConfig(channels=[7, 3, 2]))[0, 0].tolist() == [223, 96, 64]
    assert to_picture(x, DisplayConfig(channels=[5]))[0, 0].tolist() == [159] * 3
    with pytest.raises(ValueError, match=r"'channels'\] = \[8\]: the images have 8 channels, 0 to"):
        IMAGE.fit_display(DisplayConfig(channels=[8]), x, [x])
    with pytest.raises(ValueError, match="one channel or three"):
        DisplayConfig(channels=[1, 2])
    # a window is found by what is drawn
    x[0] *= 1000
    x[0, 0, 0] = 1000
    assert IMAGE.fit_display(DisplayConfig(), x, [x])[0].window is not None
    assert IMAGE.fit_display(DisplayConfig(channels=[7]), x, [x])[0].window is None
