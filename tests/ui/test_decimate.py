"""Decimation keeps what a person would see."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from coflect_widget.ui.decimate import decimate


@given(st.integers(0, 5000), st.integers(5, 400), st.integers(0, 99))
def test_extremes_ends_and_order_survive(count, limit, seed):
    rng = np.random.default_rng(seed)
    points = np.stack([np.arange(count, dtype=float), rng.normal(size=count)], axis=1)
    fewer = decimate(points, limit)
    assert len(fewer) <= max(limit, min(count, limit))
    assert (np.diff(fewer[:, 0]) > 0).all()
    if count:
        assert fewer[0].tolist() == points[0].tolist()
        assert fewer[-1].tolist() == points[-1].tolist()
        assert fewer[:, 1].max() == points[:, 1].max()
        assert fewer[:, 1].min() == points[:, 1].min()


def test_nan_is_no_extreme():
    points = np.stack([np.arange(1000.0), np.full(1000, np.nan)], axis=1)
    points[500, 1] = 3.0
    fewer = decimate(points, 20)
    assert len(fewer) <= 20
    assert 3.0 in fewer[:, 1]


@given(st.integers(5, 400), st.integers(0, 2990), st.integers(1, 40))
def test_a_stretch_of_nan_leaves_a_gap(limit, first, length):
    points = np.stack([np.arange(3000.0), np.sin(np.arange(3000.0))], axis=1)
    points[first : first + length, 1] = np.nan
    fewer = decimate(points, limit)
    assert len(fewer) <= limit
    assert (np.diff(fewer[:, 0]) > 0).all()
    gap = fewer[np.isnan(fewer[:, 1]), 0]
    assert len(gap)
    assert ((gap >= first) & (gap < first + length)).all()


def test_a_million_points_fit_a_chart():
    points = np.stack([np.arange(1e6), np.sin(np.arange(1e6))], axis=1)
    assert len(decimate(points, 4000)) <= 4000
