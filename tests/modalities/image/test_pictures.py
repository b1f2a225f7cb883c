import io
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from coflect_widget.config import DisplayConfig
from coflect_widget.modalities.base import Rendering
from coflect_widget.modalities.image.render import to_picture
from coflect_widget.records.pictures import THUMBNAIL_SIDE, Gallery


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_normalised_pictures_of_any_channels(channels):
    mean, std = [0.1 * (c + 1) for c in range(channels)], [0.5] * channels
    shown = np.linspace(0, 1, channels * 16, dtype=np.float32).reshape(channels, 4, 4)
    normalised = (shown - np.reshape(mean, (-1, 1, 1))) / 0.5
    picture = to_picture(normalised, DisplayConfig(mean=mean, std=std))
    expected = shown[: 3 if channels > 2 else 1]
    assert np.abs(picture.transpose(2, 0, 1) / 255 - expected).max() < 0.01


def test_a_small_picture_with_its_map_is_warm_where_the_model_looks(tmp_path):
    (tmp_path / "overlays").mkdir()
    gray = Rendering(np.full((8, 8, 3), 64, np.uint8))
    gallery = Gallery(tmp_path, render=lambda _: gray)
    heat = np.zeros((8, 8), np.float32)
    heat[:4, :4] = 1
    shown = {"map": heat, "livecam": heat, "smoothgrad": heat, "consensus": heat}
    file, _ = gallery.save(SimpleNamespace(index=3, model_step=7, **shown))
    small = np.asarray(Image.open(io.BytesIO(gallery.glimpse(file))))
    assert small.shape == (THUMBNAIL_SIDE, THUMBNAIL_SIDE, 3)
    warm, cold = small[4, 4].astype(int), small[-4, -4].astype(int)
    assert cold.tolist() == [64, 64, 64]  # the picture itself
    assert warm[0] > 150
    assert warm[1] > 150
    gallery.remove(file)
    assert gallery.glimpse(file) is not None  # from memory
    assert Gallery(tmp_path).glimpse(file) is None
