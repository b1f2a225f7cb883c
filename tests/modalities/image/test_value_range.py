"""Data sets whose values fill a corner of their range, or have outliers, are drawn all the same."""

import numpy as np
import pytest
import yaml
from PIL import Image

import coflect_widget as coflect
from coflect_widget.config import Config, DisplayConfig
from coflect_widget.modalities.image.render import to_picture
from coflect_widget.modalities.image.value_range import find_window
from tests.conftest import tiny_cnn

MEAN = np.array([0.485, 0.456, 0.406], np.float32).reshape(3, 1, 1)
STD = np.array([0.229, 0.224, 0.225], np.float32).reshape(3, 1, 1)


@pytest.fixture(scope="module")
def photographs():
    return coflect.data.synthetic(n=64).images


PLAIN = {
    "0 to 1": lambda x: x,
    "0 to 255": lambda x: x * 255,
    "ImageNet": lambda x: (x - MEAN) / STD,
    "-1 to 1": lambda x: x * 2 - 1,
    "less a mean": lambda x: x * 255 - 110,
    "gray": lambda x: x[:, :1],
    "dark": lambda x: x * 0.4,
    "a few strokes": lambda x: (x > 0.999).astype(np.float32),
    "noise around 0": lambda x: np.random.default_rng(0).normal(size=x.shape).astype(np.float32),
}


def as_before(x):
    if x.min() < 0 or x.max() > 1:
        x = (x - x.min()) / (x.max() - x.min())
    return np.broadcast_to((x * 255).round().astype(np.uint8), (3, *x.shape[1:])).transpose(1, 2, 0)


@pytest.mark.parametrize("kind", PLAIN)
def test_plain_pictures_look_as_ever(kind, photographs):
    images = PLAIN[kind](photographs)
    assert find_window(list(images)) is None
    for x in images[:8]:
        assert np.array_equal(to_picture(x, DisplayConfig()), as_before(x))


def metal(x):
    x = x * 1500 - 1000
    x[:, :, 3, 4:6] = 30_000  # in each picture
    return x


def broken(x):
    x = x.copy()
    x[:, 0, 0, 0] = 1e6
    return x


STRANGE = {
    "12 bits over 16": lambda x: x * 4095 / 65535,
    "metal in a CT": metal,
    "a CT": lambda x: x * 3000 - 1000,
    "0 to 10,000": lambda x: x * 1e4,
    "uint16": lambda x: (x * 4095).astype(np.uint16),
    "narrow and far from 0": lambda x: 0.5 + x * 0.01,
    "one broken pixel": broken,
    "normalised, with an outlier": lambda x: np.where(
        np.arange(x.size).reshape(x.shape) % 1001 == 0, 40.0, (x - 0.5) * 2
    ).astype(np.float32),
    "holes": lambda x: np.where(x > 0.97, np.nan, x * 4095).astype(np.float32),
    "seven bands": lambda x: np.concatenate([x, x, x[:, :1]], 1) * 8000,
}


@pytest.mark.parametrize("kind", STRANGE)
def test_strange_ranges_show_what_plain_ones_show(kind, photographs):
    images = STRANGE[kind](photographs.copy())
    found = find_window(list(images))
    display = DisplayConfig(window=(found.black, found.white))
    for x, plain in zip(images[:16], photographs, strict=False):
        picture = to_picture(x, display).astype(float)
        original = to_picture(plain, DisplayConfig()).astype(float)
        assert np.corrcoef(picture.ravel(), original.ravel())[0, 1] > 0.9
        assert picture.max() - picture.min() > 0.8 * (original.max() - original.min())


def test_pictures_of_one_window_can_be_compared():
    images = [np.full((1, 4, 4), v, np.float32) + np.eye(4, dtype=np.float32) for v in (0, 3000)]
    found = find_window(images)
    dark, bright = (to_picture(x, DisplayConfig(window=(found.black, found.white))) for x in images)
    assert dark.max() < 10
    assert bright.min() > 245


@pytest.mark.parametrize(
    "inputs", [[], [np.zeros((1, 4, 4))], [np.full((1, 4, 4), np.nan)], [np.zeros(7)]]
)
def test_nothing_to_find(inputs):
    assert find_window(inputs) is None


def test_a_picture_of_one_value_is_black():
    assert to_picture(np.full((1, 4, 4), 7.0, np.float32), DisplayConfig()).max() == 0


def test_a_session_says_the_window_and_keeps_it(make_session, photographs):
    images = photographs[:, :1] * 4095 / 65535
    labels = np.arange(64) % 4
    config = Config()
    model = tiny_cnn()
    model[0] = type(model[0])(1, 8, 3, padding=1)
    session = make_session(model, (images, labels), config=config)
    (notice,) = session.events("notice")
    assert notice.data["text"].startswith("Pictures are drawn with ")
    black, white = session.config.display.window
    assert f'"window": ({black:g}, {white:g})' in notice.data["text"]
    assert config.display.window is None  # the user's own is left alone
    written = yaml.safe_load((session.run.path / "config.yaml").read_text())
    assert written["config"]["display"]["window"] == [black, white]
    gallery = session._parts.gallery
    picture = gallery.picture(5)
    assert picture.max() > 150
    gallery.thumbnail(5)
    file = session.run.path / "overlays" / "thumbnails" / "sample_000005.png"
    small = np.asarray(Image.open(file).resize(picture.shape[:2], Image.Resampling.NEAREST))
    assert np.array_equal(small, picture)
    # What the run folder says gives the same pictures, and what a person says goes first.
    again = make_session(model, (images, labels), config=written["config"])
    assert np.array_equal(again._parts.gallery.picture(5), picture)
    assert not any("drawn" in event.data["text"] for event in again.events("notice"))
    own = make_session(model, (images, labels), config={"display": {"window": (0, 1)}})
    assert own._parts.gallery.picture(5).max() < 20


def test_a_window_that_is_none_is_refused():
    with pytest.raises(ValueError, match=r"window.*black must be less than white"):
        Config.from_mapping({"display": {"window": (5, 5)}})
