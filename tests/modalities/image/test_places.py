"""Regions in words: form, share and place, for every kind and for what fools a bounding box."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coflect_widget.modalities.image.places import describe, describe_all, place
from coflect_widget.modalities.image.regions import parse_roi, parse_rois


def painted(size, *parts):
    """A mask of `size` x `size` with the given (rows, columns) slices inside."""
    mask = np.zeros((size, size), bool)
    for rows, columns in parts:
        mask[rows, columns] = True
    return mask


@pytest.mark.parametrize(
    ("region", "words"),
    [
        # 76 of 1024 pixels, painted on a map of 32 x 32
        (
            painted(32, (slice(22, 30), slice(22, 31)), (slice(30, 31), slice(22, 26))),
            "a painted region (7 % of the picture, lower right)",
        ),
        ((0.70, 0.70, 0.95, 0.95), "a box (6 % of the picture, lower right)"),
        ((0.0, 0.0, 0.2, 0.3), "a box (6 % of the picture, upper left)"),
        ((0.4, 0.4, 0.6, 0.6), "a box (4 % of the picture, centre)"),
        ((0.4, 0.05, 0.6, 0.25), "a box (4 % of the picture, top)"),
        ((0.02, 0.4, 0.2, 0.6), "a box (4 % of the picture, left)"),
        ((0.0, 0.9, 1.0, 1.0), "a box (10 % of the picture, across the bottom)"),
        ((0.4, 0.0, 0.6, 1.0), "a box (20 % of the picture, down the middle)"),
        ((0.05, 0.05, 0.95, 0.95), "a box (81 % of the picture, all across it)"),
        ((0.5, 0.5, 0.501, 0.501), "a box (<1 % of the picture, centre)"),
        ((0, 0, 1, 1), "a box (the whole picture)"),
        (
            [(0.0, 0.0), (0.3, 0.0), (0.0, 0.3)],
            "an outlined region (4 % of the picture, upper left)",
        ),
    ],
)
def test_every_kind_has_its_share_and_its_place(region, words):
    assert describe(parse_roi(region)) == words


@pytest.mark.parametrize("size", [32, 48, 200])
def test_a_place_that_only_the_bounding_box_has_is_not_named(size):
    few = slice(0, size // 8)
    last = slice(-(size // 8), None)
    corners = parse_roi(painted(size, (few, few), (last, last)))
    assert place(corners) == "upper left and lower right"
    assert "centre" not in place(parse_roi(painted(size, (few, few), (few, last))))
    four = parse_roi(painted(size, (few, few), (few, last), (last, few), (last, last)))
    assert place(four) == "in several places"
    rim = np.ones((size, size), bool)
    rim[size // 8 : -(size // 8), size // 8 : -(size // 8)] = False
    assert place(parse_roi(rim)) == "around the edge"
    # a ring that was drawn round something is where it is, though its middle is empty
    ring = painted(size, (slice(size * 5 // 8, -2), slice(size * 5 // 8, -2)))
    ring[size * 6 // 8 : -(size // 8), size * 6 // 8 : -(size // 8)] = False
    assert place(parse_roi(ring)) == "lower right"


def test_a_thin_line_in_a_large_picture_is_one_place():
    line = np.zeros((1000, 1000), bool)
    line[np.arange(700, 950), np.arange(700, 950)] = True
    assert describe(parse_roi(line)) == "a painted region (<1 % of the picture, lower right)"


def test_many_regions_are_counted_instead_of_listed():
    boxes = parse_rois([(x / 6, 0.0, x / 6 + 1 / 12, 0.125) for x in range(6)])
    assert describe_all(boxes[:2]).count("a box") == 2
    assert describe_all(boxes) == (
        "6 regions (together 6 % of the picture, upper left and top and upper right)"
    )


@given(st.integers(0, 2**63), st.floats(0.01, 0.99))
def test_no_mask_is_without_words(seed, share):
    mask = np.random.default_rng(seed).random((24, 31)) < share
    mask[3, 3] = True
    words = describe(parse_roi(mask))
    assert words.startswith("a painted region (")
    assert "pixel" not in words
