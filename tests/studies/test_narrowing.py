"""A region is made narrower where that keeps its pull, so that the same artefact looks the same."""

import numpy as np
import pytest

from coflect_widget.modalities import find_modality
from coflect_widget.modalities.image import IMAGE
from coflect_widget.studies.looking import Carrier, Looking
from coflect_widget.studies.pulls import alike

SIDE, PATCH = 32, 6


def on_backgrounds(seed):
    """Eight coloured pictures (3, 32, 32), each with a patch in a corner, and maps of the patch."""
    rng = np.random.default_rng(seed)
    images = np.repeat(np.repeat(rng.random((8, 3, 8, 8), dtype=np.float32), 4, 2), 4, 3)
    maps = np.zeros((8, SIDE, SIDE), np.float32)
    for image, values in zip(images, maps, strict=True):
        y, x = rng.choice([0, SIDE - PATCH], 2)
        image[:, y : y + PATCH, x : x + PATCH] = np.array([1, 0.2, 0.2])[:, None, None]
        values[y : y + PATCH, x : x + PATCH] = 1
    return images, maps


@pytest.mark.parametrize("seed", range(4))
def test_one_patch_on_many_backgrounds_is_the_same_in_its_narrower_regions(seed):
    images, maps = on_backgrounds(seed)
    wide = [IMAGE.heaviest(values) for values in maps]
    narrow = [IMAGE.narrower(*both) for both in zip(maps, wide, strict=True)]
    for values, outer, inner in zip(maps, wide, narrow, strict=True):
        within = IMAGE.mask(inner, (SIDE, SIDE))
        assert not (within & ~IMAGE.mask(outer, (SIDE, SIDE))).any()
        assert within.sum() == PATCH**2 == values[within].sum()
    found = [alike(IMAGE, (images, r), (images, r), images).mean() for r in (wide, narrow)]
    assert found[0] < 0.5
    assert found[1] == 1


def test_a_square_of_few_pixels_and_other_kinds_have_no_narrower_region():
    small = np.eye(16, dtype=np.float32)
    assert IMAGE.narrower(small, IMAGE.heaviest(small)) is None
    for kind, values in (("series", np.eye(1, 48, 20)), ("table", np.eye(1, 6, 2)[0])):
        modality = find_modality(kind)
        assert modality.narrower(values, modality.heaviest(values)) is None


class Told(Looking):
    """Looks at a model whose pulls are given, by region."""

    def __init__(self, pulls):
        self.given = pulls

    def pulls(self, snapshot, donors, receivers, each, places, at=None):
        del snapshot, receivers, each, places, at
        return np.array([self.given[one.index, one.region] for one in donors], np.float32)


def test_the_narrower_region_stands_where_it_keeps_the_pull():
    pulls = {
        (0, "wide"): 0.9, (0, "narrow"): 0.8,  # kept
        (1, "wide"): 0.9, (1, "narrow"): 0.6,  # a third of it is lost
        (2, "wide"): 0.45, (2, "narrow"): 0.39,  # it would no longer decide
        (3, "wide"): 0.3, (3, "narrow"): 0.9,  # it does not decide
        (4, "wide"): 0.5,  # of a kind without
        (5, "wide"): np.nan,
    }  # fmt: skip
    looked = [
        Carrier(k, np.zeros(1), 0, "wide", "narrow" if (k, "narrow") in pulls else None)
        for k in range(6)
    ]
    found = Told(pulls).strong(None, looked, None, 12, None, 0.4)
    assert [(one.index, one.region) for one in found] == [
        (0, "narrow"), (1, "wide"), (2, "wide"), (4, "wide"),
    ]  # fmt: skip
