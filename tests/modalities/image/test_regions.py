import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from coflect_widget.modalities.image.places import describe
from coflect_widget.modalities.image.regions import (
    Box,
    Mask,
    Polygon,
    parse_roi,
    parse_rois,
    rasterise,
)

fraction = st.floats(0, 1, allow_nan=False)
size = st.integers(1, 40)


@st.composite
def boxes(draw):
    x = sorted(draw(st.lists(fraction, min_size=2, max_size=2, unique=True)))
    y = sorted(draw(st.lists(fraction, min_size=2, max_size=2, unique=True)))
    return (x[0], y[0], x[1], y[1])


@st.composite
def stars(draw):
    """Polygons that cannot cross themselves: points in order of angle round the middle."""
    angles = sorted(draw(st.lists(st.integers(0, 359), min_size=3, max_size=20, unique=True)))
    radii = draw(st.lists(st.floats(0.05, 0.5), min_size=len(angles), max_size=len(angles)))
    gaps = np.diff([*angles, angles[0] + 360])
    if gaps.max() >= 179:  # the middle would be outside
        angles, radii = [0, 120, 240], radii[:3]
    turn = np.deg2rad(angles)
    points = np.stack([0.5 + np.cos(turn) * radii, 0.5 + np.sin(turn) * radii], 1)
    return [tuple(p) for p in np.clip(points, 0, 1).tolist()]


def test_the_three_forms():
    mask = np.zeros((4, 6), bool)
    mask[1, 2:4] = True
    assert parse_roi((0.1, 0.2, 0.3, 0.4)) == Box(0.1, 0.2, 0.3, 0.4)
    assert parse_roi([(0, 0), (1, 0), (1, 1)]) == Polygon(((0, 0), (1, 0), (1, 1)))
    assert parse_roi(mask) == Mask(4, 6, (8, 2, 14)) == parse_roi(mask.tolist())
    assert parse_roi(np.array([0.1, 0.2, 0.3, 0.4])) == Box(0.1, 0.2, 0.3, 0.4)
    assert parse_roi(np.array([[0, 0], [1, 0], [1, 1.0]])) == Polygon(((0, 0), (1, 0), (1, 1)))


def test_one_or_a_list():
    box, other = (0.1, 0.1, 0.2, 0.2), (0.5, 0.5, 0.6, 0.6)
    triangle = [(0, 0), (1, 0), (1, 1)]
    mask = np.eye(3, dtype=bool)
    assert parse_rois(None) == parse_rois([]) == ()
    assert len(parse_rois(box)) == len(parse_rois(triangle)) == len(parse_rois(mask)) == 1
    assert parse_rois([box, other]) == (Box(*box), Box(*other))
    assert parse_rois(np.array([box, other])) == (Box(*box), Box(*other))
    assert len(parse_rois([box, triangle, mask, {"box": list(box)}])) == 4
    assert len(parse_rois(np.stack([mask, mask]))) == 2
    assert parse_rois([triangle, triangle])[1] == parse_roi(triangle)


@given(boxes(), size, size)
def test_a_box_is_the_polygon_of_its_corners(box, height, width):
    x0, y0, x1, y1 = box
    corners = Polygon(((x0, y0), (x1, y0), (x1, y1), (x0, y1)))
    a, b = rasterise(Box(*box), height, width), rasterise(corners, height, width)
    assert a.dtype == b.dtype == bool
    assert a.shape == (height, width)
    assert a.any()
    if a.sum() > 1:  # single pixels may be the fallback
        assert (a == b).all()


@given(boxes(), st.integers(8, 40))
def test_neighbours_share_no_pixel(box, pixels):
    x0, _, x1, _ = box
    middle = (x0 + x1) / 2
    if not (x0 < middle < x1) or min(middle - x0, x1 - middle) < 1 / pixels:
        return  # thinner than a pixel: the fallback may mark one twice
    left = rasterise(Box(x0, 0, middle, 1), pixels, pixels)
    right = rasterise(Box(middle, 0, x1, 1), pixels, pixels)
    assert not (left & right).any()
    assert ((left | right) == rasterise(Box(x0, 0, x1, 1), pixels, pixels)).all()


@given(stars())
def test_raster_area_approaches_the_polygons_area(points):
    roi = parse_roi(points)
    x, y = np.array(roi.points).T
    area = abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2
    assert rasterise(roi, 200, 200).mean() == pytest.approx(area, abs=0.02)


@given(hnp.arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12))))
def test_masks_survive_json_and_rasterise_to_themselves(mask):
    if not mask.any():
        with pytest.raises(ValueError, match="without a single True"):
            parse_roi(mask)
        return
    roi = parse_roi(mask)
    assert (rasterise(roi, *mask.shape) == mask).all()
    assert parse_roi(roi.to_json()) == roi


@given(st.one_of(boxes(), stars()))
def test_json_round_trip(value):
    roi = parse_roi(value)
    assert parse_roi(roi.to_json()) == roi == parse_roi(roi)


def test_known_edges():
    assert rasterise(Box(0, 0, 0.5, 1), 4, 4)[:, :2].all()
    assert rasterise(Box(0, 0, 0.5, 1), 4, 4).sum() == 8
    # centres at 1/8, 3/8, ...: the left edge is inside, the right edge outside
    assert rasterise(Box(0.125, 0.125, 0.375, 0.375), 4, 4).sum() == 1
    assert rasterise(Box(0.30, 0.30, 0.31, 0.31), 4, 4)[1, 1]
    ring = Polygon(((0, 0), (1, 0), (1, 1), (0.9, 0.1), (0.1, 0.1), (0.05, 0.9)))
    assert rasterise(ring, 1, 1).all()


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ((0, 0, 2, 1), r"look=.*2 is outside \[0, 1\].*divide pixels"),
        ((-0.1, 0, 1, 1), r"-0.1 is outside"),
        ((0, 0, float("nan"), 1), "not a number"),
        ((0, 0, float("inf"), 1), "not a number"),
        ((0.5, 0.5, 0.5, 0.9), "empty box.*x0 < x1"),
        ((0.6, 0.5, 0.5, 0.9), "empty box"),
        ((True, 0, 1, 1), "expected a box"),
        ([(0, 0), (1, 1)], "2 different points"),
        ([(0, 0), (1, 1), (1, 1), (0, 0)], "2 different points"),
        ([(0, 0), (0.5, 0.5), (1, 1)], "encloses no area"),
        ([(0, 0), (1, 1), (1, 0), (0, 0.7)], "crosses itself"),
        ([(0, 0), (1, 0), (1, 5)], "5 is outside"),
        ([(0.5, 0.5 + k % 2 / 10 + k / 9999) for k in range(1200)], "at most 1000"),
        (np.zeros((3, 3), bool), "without a single True"),
        (np.ones((3, 3), int), "must be boolean"),
        (np.ones((2, 3, 3), bool), "two dimensions"),
        ("left", "expected a box"),
        (None, "expected a box"),
        (7, "expected a box"),
        ([], "expected a box"),
        (np.array(0.5), "expected a box"),
        ({"box": [0, 0, 1]}, "a box is written"),
        ({"box": "0011"}, "a box is written"),
        ({"polygon": [[0, 0], [1]]}, "a polygon is written"),
        ({"circle": []}, "exactly one of the keys"),
        ({"box": [0, 0, 1, 1], "mask": {}}, "exactly one of the keys"),
        ({"mask": {"height": 2, "width": 2, "rle": [1, 1]}}, "add up to 2"),
        ({"mask": {"height": 2, "width": 2, "rle": [-1, 5]}}, "whole numbers"),
        ({"mask": {"height": 2**40, "width": 2**40, "rle": [2**80]}}, "at most"),
        ({"mask": {"height": 2, "width": 2}}, "a mask is written"),
        ({"mask": {"height": 2, "width": 2, "rle": [4]}}, "without a single True"),
        ([[True, False], [True]], "differ in length"),
    ],
)
def test_errors_name_argument_value_and_remedy(value, words):
    with pytest.raises(ValueError, match=words) as caught:
        parse_roi(value, "look")
    assert "look" in str(caught.value)
    assert len(str(caught.value)) < 400


def test_a_mask_must_have_the_images_size_and_errors_count_in_lists():
    with pytest.raises(ValueError, match=r"ignore\[1\].*\(3, 3\).*\(8, 8\)"):
        parse_rois([(0, 0, 1, 1), np.eye(3, dtype=bool)], "ignore", (8, 8))


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
        lambda inner: (
            st.lists(inner, max_size=5)
            | st.dictionaries(
                st.sampled_from(["box", "polygon", "mask", "height", "width", "rle"]), inner
            )
        ),
        max_leaves=20,
    )
)
def test_hostile_values_are_value_errors_or_regions(value):
    try:
        rois = parse_rois(value, "ignore", (8, 8))
    except ValueError:
        return
    for roi in rois:
        assert rasterise(roi, 8, 8).any()
        assert describe(roi)
