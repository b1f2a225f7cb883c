"""A region is moved to where it decides most: a map is coarser than what it shows."""

import numpy as np
import pytest

from coflect_widget.modalities import find_modality
from coflect_widget.modalities.image import IMAGE
from coflect_widget.studies.looking import Carrier, Looking

SERIES = find_modality("series")


class Overlaps(Looking):
    """Looks at a model that what is marked decides as far as it covers a sample's artefact."""

    def __init__(self, modality, artefacts):
        self._modality, self._artefacts, self._closed = modality, artefacts, False

    def pulls(self, snapshot, donors, receivers, each, places):
        del snapshot, receivers, each, places
        return np.array([self.covered(one) for one in donors], np.float32)

    def covered(self, one):
        artefact = self._artefacts[one.index]
        return (self._modality.mask_in(one.region, one.x) & artefact).sum() / artefact.sum()


@pytest.mark.parametrize("corner", [(0, 0), (12, 12), (5, 9), (12, 3)])
@pytest.mark.parametrize("off", [(2, 2), (-2, 3), (0, -1), (3, 0)])
def test_a_square_beside_an_artefact_comes_to_lie_on_it(corner, off):
    x = np.zeros((3, 16, 16), np.float32)
    there = np.zeros((16, 16), np.bool_)
    there[corner[0] : corner[0] + 4, corner[1] : corner[1] + 4] = True
    y0, x0 = np.clip(np.add(corner, off), 0, 12) / 16
    square = IMAGE.region({"box": [x0, y0, x0 + 0.25, y0 + 0.25]}, "region", (16, 16))
    looking = Overlaps(IMAGE, [there])
    [found] = looking.placed(None, [Carrier(0, x, 1, square)], None, 12)
    assert looking.covered(found) == 1
    assert IMAGE.mask(found.region, (16, 16)).sum() == 16


def test_a_stretch_of_all_channels_is_moved_in_time():
    x = np.zeros((2, 48), np.float32)
    there = np.zeros((2, 48), np.bool_)
    there[:, 20:24] = True
    stretch = SERIES.region({"box": [22 / 48, 0, 26 / 48, 1]}, "region", (2, 48))
    looking = Overlaps(SERIES, [there])
    [found] = looking.placed(None, [Carrier(0, x, 1, stretch)], None, 12)
    assert looking.covered(found) == 1


def test_where_it_decides_most_it_stays():
    x = np.zeros((3, 16, 16), np.float32)
    square = IMAGE.region({"box": [0.25, 0.25, 0.5, 0.5]}, "region", (16, 16))
    looking = Overlaps(IMAGE, [np.ones((16, 16), np.bool_)])
    [found] = looking.placed(None, [Carrier(0, x, 1, square)], None, 12)
    assert found.region == square


@pytest.mark.parametrize("low", [(0, 0), (12, 12), (0, 12)])
def test_at_an_edge_it_is_moved_as_far_as_there_is_room(low):
    y, x = np.array(low) / 16
    square = IMAGE.region({"box": [x, y, x + 0.25, y + 0.25]}, "region", (16, 16))
    beside = IMAGE.beside(square, (16, 16), 0.5)
    assert len(beside) == 8
    assert all(IMAGE.mask(region, (16, 16)).sum() == 16 for region in beside)
    assert len(set(beside)) == 4  # three that have room, and where it was


def test_columns_and_words_have_no_neighbours():
    for kind, extent in (("table", (6,)), ("text", (8,))):
        modality = find_modality(kind)
        region = modality.heaviest(np.eye(1, extent[0], 2, dtype=np.float32)[0])
        assert modality.beside(region, extent, 0.5) == []
