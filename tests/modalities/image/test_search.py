import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coflect_widget.modalities.image.regions import Box
from coflect_widget.modalities.image.search import differences, make_template, scan, shrink

RED, BLUE = (1.0, 0.1, 0.1), (0.1, 0.1, 1.0)


def pictures(count=60, size=32, seed=0):
    """Smooth random pictures: neighbouring pixels are alike, as in photographs."""
    rng = np.random.default_rng(seed)
    coarse = rng.random((count, 3, size // 4, size // 4), dtype=np.float32)
    return coarse.repeat(4, 2).repeat(4, 3) * 0.8


def patched(places, side=6, colours=(RED,), size=32):
    images = pictures(len(places), size)
    for k, place in enumerate(places):
        if place is not None:
            x, y = place
            colour = np.array(colours[k % len(colours)], np.float32)
            images[k, :, y : y + side, x : x + side] = colour[:, None, None]
    return images


def drawn(x, y, side, size, slack=0.0):
    edges = (x - slack, y - slack, x + side + slack, y + side + slack)
    return Box(*(float(np.clip(v / size, 0, 1)) for v in edges))


def found(images, box, sample=0):
    template = make_template(images[sample], box, pictures(16, images.shape[2], seed=5))
    return scan(images, template)


def test_the_same_patch_is_found_at_its_own_place_and_no_other_colour():
    places = [(0, 0), (26, 0), (0, 26), None, (11, 17), (26, 26), None, (0, 0)]
    images = patched(places)
    images[7, :, :6, :6] = np.array(BLUE, np.float32)[:, None, None]
    score, box, same = found(images, drawn(0, 0, 6, 32))
    assert same.tolist() == [True, True, True, False, True, True, False, False]
    for k in np.flatnonzero(same):
        x, y = places[k]
        assert np.allclose(box[k] * 32, (x, y, x + 6, y + 6), atol=1.01)
        assert score[k] > 0.9


def test_a_box_drawn_a_pixel_too_wide_finds_them_too():
    places = [(13, 13), (26, 0), None, (3, 20)]
    images = patched(places)
    _, _, same = found(images, drawn(13, 13, 6, 32, slack=1.0))
    assert same.tolist() == [True, True, False, True]


def test_a_large_patch_is_searched_in_smaller_pictures():
    places = [(8, 8), (90, 70), None]
    images = patched(places, side=30, size=128)
    box = drawn(8, 8, 30, 128)
    assert make_template(images[0], box, images).scale == 4
    _, found_box, same = found(images, box)
    assert same.tolist() == [True, True, False]
    assert np.allclose(found_box[1] * 128, (90, 70, 120, 100), atol=4)


def test_half_a_picture_is_no_artefact():
    images = pictures(4)
    with pytest.raises(ValueError, match="mark the artefact alone"):
        make_template(images[0], Box(0, 0, 0.9, 0.9), images)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 24), st.integers(0, 24), st.integers(2, 8), st.integers(2, 8))
def test_the_patch_is_at_distance_zero_from_itself(x, y, wide, high):
    images = pictures(2)
    box = Box(x / 32, y / 32, min(1.0, (x + wide) / 32), min(1.0, (y + high) / 32))
    template = make_template(images[0], box, images)
    left, top = template.origin
    assert differences(shrink(images, template.scale), template)[0, top, left] < 1e-10
    score, found_box, same = scan(images[:1], template)
    assert same[0]
    assert score[0] > 0.999
    assert (found_box >= 0).all()
    assert (found_box <= 1).all()


def test_a_patch_of_one_colour_is_covered_whole():
    places = [(0, 26), (26, 0), (9, 14), (26, 26), (0, 0)]
    images = patched(places)
    for sample in range(len(places)):
        _, box, same = found(images, drawn(*places[sample], 6, 32), sample)
        assert same.all()
        expected = [(x, y, x + 6, y + 6) for x, y in places]
        # at the picture's rim half of a drawn edge lies outside: there, up to a pixel
        assert np.abs(box * 32 - expected).max() < 0.01
