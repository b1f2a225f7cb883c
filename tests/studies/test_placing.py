"""A region is moved to where it decides most: a map is coarser than what it shows."""

from types import SimpleNamespace

import numpy as np
import pytest

from coflect_widget.modalities import find_modality
from coflect_widget.modalities.image import IMAGE
from coflect_widget.studies.looking import Carrier, Looking

SERIES = find_modality("series")


class Here:
    """A worker in this process."""

    def run(self, function, *given, imports=None):
        return function(*given)


class Needs:
    """A snapshot of a model that names a sample 1 where `enough` units of an artefact are 1."""

    explainer = ""

    def __init__(self, modality, artefact, enough):
        self.modality, self.artefact, self.enough = modality, artefact, enough

    def load(self):
        return self

    def logits(self, inputs):
        units = inputs[:, 0] if inputs.ndim == 4 else inputs
        seen = units[:, self.artefact].sum(1)
        return np.stack([self.enough - 0.5 - seen, np.zeros(len(inputs))], 1).astype(np.float32)


def placed(modality, x, artefact, region, enough):
    """Where the region comes to lie, of a model that needs `enough` units of the artefact."""
    snapshot = Needs(modality, artefact, enough)
    looking = Looking(Here(), modality, None, 1, 0)
    receivers = np.zeros((24, *x.shape), np.float32)
    [found] = looking.placed(snapshot, [Carrier(0, x, 1, region)], receivers, 12)
    return (modality.mask_in(found.region, x) & artefact).sum(), found.region


@pytest.mark.parametrize("corner", [(0, 0), (12, 12), (5, 9), (12, 3)])
@pytest.mark.parametrize("off", [(2, 2), (-2, 2), (0, -1), (3, 0)])
def test_a_square_beside_an_artefact_comes_to_lie_on_it(corner, off):
    x = np.ones((3, 16, 16), np.float32)
    there = np.zeros((16, 16), np.bool_)
    there[corner[0] : corner[0] + 4, corner[1] : corner[1] + 4] = True
    y0, x0 = np.clip(np.add(corner, off), 0, 12) / 16
    square = IMAGE.region({"box": [x0, y0, x0 + 0.25, y0 + 0.25]}, "region", (16, 16))
    covered, region = placed(IMAGE, x, there, square, enough=12)
    assert covered >= 12
    assert IMAGE.mask(region, (16, 16)).sum() == 16


def test_a_stretch_of_all_channels_is_moved_in_time():
    x = np.ones((2, 48), np.float32)
    there = np.zeros((2, 48), np.bool_)
    there[:, 20:24] = True
    stretch = SERIES.region({"box": [22 / 48, 0, 26 / 48, 1]}, "region", (2, 48))
    covered, _ = placed(SERIES, x, there, stretch, enough=8)
    assert covered == 8


def test_where_it_decides_or_nothing_does_it_stays():
    x = np.ones((3, 16, 16), np.float32)
    square = IMAGE.region({"box": [0.25, 0.25, 0.5, 0.5]}, "region", (16, 16))
    for enough in (1, 300):
        assert placed(IMAGE, x, np.ones((16, 16), np.bool_), square, enough)[1] == square
    whole = IMAGE.region({"box": [0, 0, 1, 1]}, "region", (16, 16))
    assert placed(IMAGE, x, np.ones((16, 16), np.bool_), whole, 300)[1] == whole


@pytest.mark.parametrize("low", [(0, 0), (12, 12), (0, 12)])
def test_at_an_edge_it_is_moved_as_far_as_there_is_room(low):
    y, x = np.array(low) / 16
    square = IMAGE.region({"box": [x, y, x + 0.25, y + 0.25]}, "region", (16, 16))
    beside = IMAGE.beside(square, (16, 16), 0.5)
    assert len(set(beside)) == len(beside) == 3  # that have room, and not where it was
    assert square not in beside
    assert all(IMAGE.mask(region, (16, 16)).sum() == 16 for region in beside)


def test_columns_and_words_have_no_neighbours():
    for kind, extent in (("table", (6,)), ("text", (8,))):
        modality = find_modality(kind)
        region = modality.heaviest(np.eye(1, extent[0], 2, dtype=np.float32)[0])
        assert modality.beside(region, extent, 0.5) == []


def test_a_search_goes_on_where_it_came_to():
    rng = np.random.default_rng(0)
    images = rng.normal(0.5, 0.1, (300, 3, 16, 16)).astype(np.float32)
    images[::2, :, 2:7, 2:7] = np.array([1, 0.2, 0])[:, None, None]
    read = [SimpleNamespace(input=x, target=0) for x in images]
    looking = Looking(Here(), IMAGE, read.__getitem__, 300, 0)
    region = IMAGE.region({"box": [2 / 16, 2 / 16, 7 / 16, 7 / 16]}, "region", (16, 16))
    group = [Carrier(0, images[0], 0, region)]
    whole = looking.search(group, 300)
    assert sorted(whole.boxes) == list(range(0, 300, 2))
    some = looking.search(group, 200)
    assert (some.reached, whole.reached) == (200, 300)
    assert 60 < len(some.boxes) < 150
    assert looking.search(group, 300, seconds=-1.0, known=some) == some  # none is lost
    assert looking.search(group, 300, known=some) == whole
