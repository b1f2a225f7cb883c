import numpy as np
import pytest

from coflect_widget.data import signals


def steps(places, length):
    return np.round(places * length).astype(int)


def test_sizes_types_and_item():
    data = signals(30, classes=3, channels=4, length=100)
    assert data.series.shape == (30, 4, 100)
    assert data.series.dtype == np.float32
    assert data.labels.tolist() == [0, 1, 2] * 10
    assert data.classes == ["2 waves", "4 waves", "6 waves"]
    x, y = data[4]
    assert (x == data.series[4]).all()
    assert y == 1
    assert "30 series of 4 x 100" in repr(data)


def test_burst_and_decoy_are_where_it_is_said_and_never_meet():
    hinted, bare = signals(60), signals(60, decoy="none")
    assert (hinted.hints == hinted.labels).all()
    assert (bare.hints == -1).all()
    assert (hinted.bursts == bare.bursts).all()
    changed = hinted.series != bare.series
    assert not changed[:, 1].any()
    for index, (start, stop) in enumerate(steps(hinted.decoys, 128)):
        assert changed[index, 0, start + 1 : stop - 1].any()
        changed[index, 0, start:stop] = False
        first, last = steps(hinted.bursts, 128)[index]
        assert last <= start or stop <= first
        # the number of waves is the class: the waves change their sign twice as often
        burst = bare.series[index, 0, first:last] - bare.series[index, 0, first:last].mean()
        strengths = np.abs(np.fft.rfft(burst))
        assert strengths[2 + 2 * hinted.labels[index]] > strengths[4 - 2 * hinted.labels[index]]
    assert not changed.any()


def test_a_random_decoy_tells_nothing():
    data = signals(400, decoy="random", classes=4)
    assert 0.15 < (data.hints == data.labels).mean() < 0.35


def test_a_sample_is_the_same_whatever_the_number_and_seeds_differ():
    assert (signals(40).series[:10] == signals(10).series).all()
    assert not (signals(10, seed=1).series == signals(10).series).all()


@pytest.mark.parametrize(
    ("wrong", "says"),
    [({"n": 0}, "at least 1 series"), ({"decoy": "some"}, "'class', 'random', 'none'"),
     ({"classes": 5}, "2 to 4"), ({"channels": 0}, "at least 1"), ({"length": 32}, "64 steps"),
     ({"seed": -1}, "0 or more")],
)  # fmt: skip
def test_wrong_arguments_are_named(wrong, says):
    with pytest.raises(ValueError, match=says):
        signals(**wrong)
