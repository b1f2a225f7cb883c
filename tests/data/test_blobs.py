"""Shapes with a coloured square: what is where, and what the square tells."""

import numpy as np
import pytest

import coflect_widget as coflect


@pytest.mark.parametrize("task", ["segmentation", "multi_label"])
def test_shapes_masks_and_squares_are_where_they_are_said_to_be(task):
    sets = {
        s: coflect.data.blobs(task=task, square=s, count=60) for s in ("class", "random", "none")
    }
    told = sets["class"]
    assert told.images.shape == (60, 3, 32, 32)
    assert 0 <= told.images.min() <= told.images.max() <= 1
    for kind in range(3):
        assert np.array_equal((told.masks == kind + 1).any((1, 2)), told.there[:, kind])
    for other in sets.values():
        assert np.array_equal(other.masks, told.masks)
        assert np.array_equal(other.squares, told.squares)
    plain = sets["none"].images
    grey = (plain == plain[:, :1]).all(1)
    assert grey.all()
    assert plain[:, 0][told.masks > 0].mean() > plain[:, 0][told.masks == 0].mean() + 0.2
    for row, (x0, y0, x1, y1) in enumerate((told.squares * 32).round().astype(int)):
        changed = (told.images[row] != plain[row]).any(0)
        assert changed[y0:y1, x0:x1].all()
        assert changed.sum() == (y1 - y0) * (x1 - x0)
        assert not told.masks[row, y0:y1, x0:x1].any()
    tells = told.there.argmax(1) if task == "segmentation" else told.there[:, 0]
    assert np.array_equal(told.hues, tells)
    assert len({tuple(box) for box in told.squares.tolist()}) == 4
    wanted = told.masks if task == "segmentation" else told.there
    assert np.array_equal(told.labels, wanted)
    assert np.array_equal(told[7][1], wanted[7])
    again = coflect.data.blobs(task=task, count=60)
    assert np.array_equal(again.images, told.images)
    assert not np.array_equal(coflect.data.blobs(task=task, count=60, seed=1).images, told.images)


@pytest.mark.parametrize(
    ("given", "words"),
    [({"task": "masks"}, "task='masks'"), ({"split": "val"}, "split='val'"),
     ({"size": 8}, "size=8"), ({"count": 0}, "count=0"), ({"square": True}, "square=True")],
)  # fmt: skip
def test_what_there_is_not_is_named(given, words):
    with pytest.raises(ValueError, match=words):
        coflect.data.blobs(**given)
