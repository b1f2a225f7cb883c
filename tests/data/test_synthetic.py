"""Synthetic shapes: deterministic by index, boxes that hold, labels that show."""

from __future__ import annotations

import numpy as np
import pytest

from coflect_widget.data.synthetic import synthetic


def test_a_sample_is_the_same_whatever_n_is() -> None:
    few, many = synthetic(n=5, seed=3), synthetic(n=40, seed=3)
    assert np.array_equal(few.images, many.images[:5])
    assert few.boxes is not None
    assert many.boxes is not None
    assert np.array_equal(few.boxes, many.boxes[:5])
    assert np.array_equal(few.labels, many.labels[:5])


def test_another_seed_and_another_index_give_another_picture() -> None:
    one, two = synthetic(n=12, seed=0), synthetic(n=12, seed=1)
    assert not np.array_equal(one.images, two.images)
    assert not np.array_equal(one.images[0], one.images[4])


def test_shapes_and_ranges() -> None:
    data = synthetic(n=80, classes=8, size=24)
    assert data.images.shape == (80, 3, 24, 24)
    assert data.images.min() >= 0
    assert data.images.max() <= 1
    assert np.bincount(data.labels).tolist() == [10] * 8
    assert len(data.classes) == 8
    assert data.boxes is not None
    assert (data.boxes >= 0).all()
    assert (data.boxes <= 1).all()
    assert (data.boxes[:, :2] + 0.1 < data.boxes[:, 2:]).all()


def test_the_box_holds_the_shape() -> None:
    # The ground is one tint in stripes; how far a pixel's hue is from the picture's rim tells
    # the shape apart, noise and all.
    data = synthetic(n=200)
    assert data.boxes is not None
    inside, outside = [], []
    for image, box in zip(data.images, data.boxes, strict=True):
        ground = np.median(image.reshape(3, -1), axis=1)
        distance = np.linalg.norm(image - ground[:, None, None], axis=0)
        x0, y0, x1, y1 = np.rint(box * 32).astype(int)
        mask = np.zeros((32, 32), bool)
        mask[y0:y1, x0:x1] = True
        inside.append(distance[mask].mean())
        outside.append(distance[~mask].mean())
    assert np.mean(np.array(inside) > 1.3 * np.array(outside)) > 0.95


def test_colour_does_not_give_the_class_away() -> None:
    data = synthetic(n=2000, size=16)
    colours = data.images.mean(axis=(2, 3))  # (N, 3)
    train, test = slice(0, 1500), slice(1500, 2000)
    # Least squares on mean colour against one-hot labels should stay near chance, 0.25.
    design = np.c_[colours, colours**2, np.ones(len(colours))]
    weights, *_ = np.linalg.lstsq(design[train], np.eye(4)[data.labels[train]], rcond=None)
    accuracy = np.mean((design[test] @ weights).argmax(1) == data.labels[test])
    assert accuracy < 0.35


@pytest.mark.parametrize(
    "wrong", [{"n": 0}, {"classes": 1}, {"classes": 9}, {"size": 8}, {"seed": -1}]
)
def test_bad_input(wrong: dict[str, int]) -> None:
    (name,) = wrong
    with pytest.raises(ValueError, match=f"^{name} = "):
        synthetic(**{"n": 4, **wrong})
