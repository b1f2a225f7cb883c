"""What decides the class of a region, also where that lies far from it."""

import numpy as np
import pytest

from coflect_widget.attribution.surroundings import surroundings
from coflect_widget.modalities import IMAGE
from coflect_widget.tasks import Segmentation

SIDE = 24
REGION = np.zeros((SIDE, SIDE), np.bool_)
REGION[8:15, 8:15] = True


def decided_by(corner):
    """Logits of places: bright ones are of class 1 or 2, and `corner`, or they alone, say which."""

    def places(x):
        own = x[:, 0] - 0.5
        told = x[:, 1, :4, :4].mean((1, 2))[:, None, None] if corner else x[:, 1]
        return np.stack([-4 * own, 4 * own + 3 * told, 4 * own - 3 * told], 1)

    return places


def picture():
    x = np.zeros((1, 2, SIDE, SIDE), np.float32)
    x[0, 0][REGION] = 1
    x[0, 1, :4, :4] = 1
    x[0, 1][REGION] = 1
    return x


@pytest.mark.parametrize("corner", [True, False])
def test_what_decides_is_found_near_and_far(corner):
    task = Segmentation(3)
    found = surroundings(decided_by(corner), picture(), REGION, 1, task.odds, IMAGE)
    assert found.shape == (SIDE, SIDE)
    assert found.dtype == np.float32
    near_corner = found[:6, :6].sum() / max(found.sum(), 1e-9)
    # Pixels that say only their own class are not what the others' class hangs on.
    assert near_corner > 0.5 if corner else found.max() < 1e-4


def test_a_region_that_a_window_hides_whole_is_not_read_there():
    small = np.zeros_like(REGION)
    small[11, 11] = True
    found = surroundings(decided_by(True), picture(), small, 1, Segmentation(3).odds, IMAGE)
    assert np.isfinite(found).all()
    assert found[11, 11] == 0
    assert found[2, 2] > 0
