"""Samples that are no pictures, in a cell: words, curves and features, never markup."""

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from coflect_widget.records.sketches import sketch
from coflect_widget.records.sketches.marked import COLOURS, WARM
from tests.kinds import COUNT, HOSTILE, LEAK, NAMES, Curve, Features, Words, session_of

X = np.linspace(-2, 2, COUNT, dtype=np.float32)
HEAT = np.where(np.arange(COUNT) == LEAK, 1.0, 0.1).astype(np.float32)
MARK = [("ignore", np.arange(COUNT) == LEAK)]


def curve_of(page):
    file = base64.b64decode(re.search(r"base64,([^\"]+)", page)[1])
    return np.asarray(Image.open(io.BytesIO(file)).convert("RGB")).astype(int)


def near(picture, colour):
    """Columns of a picture, as fractions, that hold a colour."""
    found = np.flatnonzero((np.abs(picture - np.array(colour)).sum(-1) < 30).any(0))
    return found / picture.shape[1]


def test_words_are_coloured_by_the_map_and_marked():
    page = sketch(Words().content(X, None), HEAT, MARK)
    shades = dict(re.findall(r"background:rgba\(240,140,0,([\d.]+)\)[^>]*>([^<]*)</span>", page))
    assert [word for shade, word in shades.items() if float(shade) > 0.5] == ["leak"]
    struck = re.findall(r"line-through[^>]*>([^<]*)<", page)
    assert struck == ["leak"]
    assert HOSTILE not in page
    assert "&lt;img" in page


def test_a_long_text_is_shown_where_the_map_is():
    words = [{"text": f"w{n}", "units": [n]} for n in range(900)]
    heat = np.zeros(900, np.float32)
    heat[640] = 1
    page = sketch({"kind": "text", "words": words, "length": 900}, heat, small=True)
    assert ">w640<" in page
    assert ">w0<" not in page
    assert len(re.findall("<span", page)) < 40
    assert "900 words" in page


def test_curves_stand_on_the_coloured_stretches_of_the_map():
    content = {"kind": "series", "length": COUNT,
               "channels": [{"name": HOSTILE, "values": X.tolist()}]}  # fmt: skip
    plain = curve_of(sketch(content))
    warm = np.array([255, 255, 255]) * 0.4 + np.array(WARM) * 0.6
    assert len(near(plain, warm)) == 0
    picture = curve_of(sketch(content, HEAT, MARK))
    where = near(picture, warm)
    assert where.min() == pytest.approx(LEAK / COUNT, abs=0.01)
    assert where.max() == pytest.approx((LEAK + 1) / COUNT, abs=0.01)
    framed = near(picture, COLOURS["ignore"])
    assert framed.min() == pytest.approx(LEAK / COUNT, abs=0.02)
    rising = (np.abs(plain - (31, 111, 235)).sum(-1) < 30).argmax(0)
    drawn = rising[(np.abs(plain - (31, 111, 235)).sum(-1) < 30).any(0)]
    assert drawn[0] > drawn[-1], "the curve rises"


def test_of_many_channels_those_are_shown_that_the_map_marks():
    channels = [{"name": f"c{n}", "values": [float(n), None, 1.0, 2.0]} for n in range(9)]
    heat = np.zeros((9, 4), np.float32)
    heat[7] = 1
    one = curve_of(sketch({"kind": "series", "length": 4, "channels": channels}, heat, small=True))
    assert len(one) == 112
    page = sketch({"kind": "series", "length": 4, "channels": channels}, heat)
    assert "4 of 9 channels" in page


def test_features_stand_by_weight_with_bars():
    page = sketch(Features().content(X, None), HEAT)
    names = re.findall(r"<span>([^<]*)</span>", page)
    assert names[0] == "leak"
    assert re.search(r"width:160px.*? 59%", page)
    assert HOSTILE not in page
    first = re.findall(r'line-through">([^<]*)<', sketch(Features().content(X, None), None, MARK))
    assert first == ["leak"]


@pytest.mark.parametrize(
    "content",
    [
        None,
        {},
        {"kind": "image"},
        {"kind": "text"},
        {"kind": "text", "words": [{"text": "a", "units": [10**9]}]},
        {"kind": "series", "channels": [], "length": 0},
        {"kind": "series", "channels": [{"name": "a", "values": ["x"]}], "length": 3},
        {"kind": "table", "rows": [1]},
    ],
)
def test_what_is_not_of_its_kind_is_not_drawn(content):
    assert sketch(content, HEAT) == ""


@pytest.mark.parametrize("kind", [Words(), Curve(), Features()], ids=lambda kind: kind.name)
def test_a_cell_shows_samples_as_what_they_are(make_session, kind):
    session = session_of(make_session, kind)
    session.train(epochs=6)
    session.wait()
    for page, first in ((session.explain(3), LEAK), (session.candidates, 1)):
        page = page._repr_html_()
        assert HOSTILE not in page
        told = "steps" if kind.name == "series" else NAMES[first]
        assert told in page
