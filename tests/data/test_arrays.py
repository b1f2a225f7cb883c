"""ArrayDataset: what it gives, and what it says about bad input."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from coflect_widget.data.arrays import ArrayDataset

IMAGES = np.zeros((4, 3, 8, 8), np.float32)
LABELS = [0, 1, 1, 0]


def test_map_style() -> None:
    data = ArrayDataset(IMAGES, LABELS, ["cat", "dog"])
    x, y = data[2]
    assert len(data) == 4
    assert (x.shape, x.dtype, int(y)) == ((3, 8, 8), np.float32, 1)
    assert data.images is IMAGES  # not copied
    assert data.labels.dtype == np.int64
    assert "4 images of 3 x 8 x 8" in repr(data)
    with pytest.raises(IndexError):
        data[4]
    assert len(list(data)) == 4  # iteration ends by itself


@pytest.mark.parametrize(
    ("images", "labels", "more", "message"),
    [
        (np.zeros((4, 8, 8)), LABELS, {}, r"images\[:, None\]"),
        (np.zeros((0, 3, 8, 8)), [], {}, "empty"),
        (IMAGES, [0, 1], {}, r"labels has shape \(2,\); expected \(4,\)"),
        (IMAGES, [0, 1, 2, 0], {}, r"labels\[2\] = 2 has no class"),
        (IMAGES, [0, -1, 1, 0], {}, r"labels\[1\] = -1 has no class"),
        (IMAGES, [0, 0.5, 1, 0], {}, "whole numbers"),
        (IMAGES, LABELS, {"boxes": np.zeros((3, 4))}, r"expected \(4, 4\)"),
    ],
)
def test_bad_input(images: Any, labels: Any, more: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ArrayDataset(images, labels, ["cat", "dog"], **more)
