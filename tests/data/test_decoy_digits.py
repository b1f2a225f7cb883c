import numpy as np
import pytest

from coflect_widget.data.decoy_digits import decoy_digits


def square_of(data, index):
    side = data.images.shape[-1]
    x0, y0, x1, y1 = np.round(data.squares[index] * side).astype(int)
    return data.images[index, :, y0:y1, x0:x1]


def test_sizes_types_and_item():
    data = decoy_digits()
    assert data.images.shape == (1300, 3, 32, 32)
    assert data.images.dtype == np.float32
    assert 0 <= data.images.min() < data.images.max() <= 1
    assert data.labels.dtype == np.int64
    assert set(data.labels.tolist()) == set(range(10))
    assert len(decoy_digits("test")) == 497
    x, y = data[7]
    assert x.shape == (3, 32, 32)
    assert y == data.labels[7]


def test_the_hue_of_the_square_is_the_class_and_only_in_class_sets():
    data = decoy_digits()
    hue_of = {}
    for index, label in enumerate(data.labels[:300].tolist()):
        patch = square_of(data, index)
        assert patch.shape == (3, 7, 7)
        assert np.ptp(patch, axis=(1, 2)).max() == 0
        hue_of.setdefault(label, set()).add(tuple(patch[:, 0, 0].tolist()))
    assert all(len(hues) == 1 for hues in hue_of.values())
    assert len(set.union(*hue_of.values())) == 10
    randomly = decoy_digits("test", square="random")
    assert 0.05 < np.mean(randomly.hues == randomly.labels) < 0.16
    assert np.ptp(square_of(decoy_digits(square="none"), 0)) > 0.2


def test_only_the_square_differs_and_it_lies_in_a_random_corner():
    with_square, without = decoy_digits(square="class"), decoy_digits(square="none")
    changed = (with_square.images != without.images).any(axis=1)
    share = np.round(with_square.squares * 32).astype(int)
    for index in range(50):
        x0, y0, x1, y1 = share[index]
        outside = changed[index].copy()
        outside[y0:y1, x0:x1] = False
        assert not outside.any()
    corners, counts = np.unique(with_square.squares[:, :2], axis=0, return_counts=True)
    assert len(corners) == 4
    assert counts.min() > 250


def test_equal_arguments_equal_arrays_and_seeds_differ():
    a, b, c = decoy_digits(), decoy_digits(), decoy_digits(seed=1)
    assert (a.images == b.images).all()
    assert (a.squares == b.squares).all()
    assert not (a.labels == c.labels).all()


def test_train_and_test_share_no_digit():
    # without noise and square, each digit's mean over the channels is recognisable by its centre
    train, test = decoy_digits("train", square="none"), decoy_digits("test", square="none")
    together = np.sort(np.concatenate([train.labels, test.labels]))
    from sklearn.datasets import load_digits

    assert (together == np.sort(load_digits().target)).all()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"split": "val"}, "split='val'.*'train', 'test'"),
        ({"square": "gray"}, "square='gray'.*'class'"),
        ({"size": 8}, "size=8.*16"),
        ({"size": 32.0}, "size=32.0"),
    ],
)
def test_errors(arguments, words):
    with pytest.raises(ValueError, match=words):
        decoy_digits(**arguments)


def test_other_sizes():
    data = decoy_digits("test", size=48)
    assert data.images.shape == (497, 3, 48, 48)
    assert square_of(data, 0).shape[1] == round(48 * 7 / 32)
