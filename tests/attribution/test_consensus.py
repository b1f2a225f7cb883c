from functools import partial

import numpy as np
import pytest
import torch
from attribution_models import PlainCNN, views
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from coflect_widget.attribution import consensus as rules
from coflect_widget.attribution.consensus import agreement, normalise
from coflect_widget.attribution.methods import ModelExplainer
from coflect_widget.backends.torch.methods import load, structure
from coflect_widget.data import synthetic
from coflect_widget.modalities import IMAGE

consensus = partial(rules.consensus, smooth=IMAGE.smooth)

maps = hnp.arrays(
    np.float32,
    st.tuples(st.integers(4, 24), st.integers(4, 24)),
    elements=st.floats(0, 1, width=32),
)


@settings(deadline=None)
@given(maps)
def test_a_map_agrees_with_itself_unless_it_is_flat(a):
    found = agreement(a, a)
    if np.ptp(a) == 0:
        assert found is None
    else:
        assert found is None or found == pytest.approx(1)


@settings(deadline=None)
@given(maps, st.integers(0, 100))
def test_agreement_is_symmetric_and_bounded(a, seed):
    b = np.random.default_rng(seed).permutation(a.ravel()).reshape(a.shape)
    forth, back = agreement(a, b), agreement(b, a)
    if forth is None:
        assert back is None
    else:
        assert 0 <= forth <= 1
        assert forth == pytest.approx(back)


@pytest.mark.parametrize("sparse", [False, True])
def test_unrelated_maps_hardly_agree(sparse):
    rng = np.random.default_rng(0)
    scores = []
    for _ in range(100):
        a, b = rng.random((2, 32, 32))
        if sparse:  # as ReLU leaves them
            a, b = np.maximum(a - 0.95, 0), np.maximum(b - 0.95, 0)
        scores.append(agreement(a, b))
    assert np.mean(scores) < 0.05


def test_real_maps_that_have_nothing_to_do_with_each_other_hardly_agree():
    torch.manual_seed(0)
    model = PlainCNN()
    explainer = ModelExplainer(load(structure(model)))
    explainer.load_weights(views(model))
    images = synthetic(n=24).images
    found = [
        explainer.explain(x[None], None, ("livecam", "smoothgrad"), 16, 0.15, None, i)
        for i, x in enumerate(images)
    ]
    rng = np.random.default_rng(0)
    for method in ("livecam", "smoothgrad"):
        scores = []
        for i in range(len(found)):
            for j in range(i):
                # What the data set puts in the middle of each picture is a relation too.
                other = np.roll(found[j][method], rng.integers(0, 32, 2), (0, 1))
                scores.append(agreement(found[i][method], other))
        assert np.mean(scores) < 0.1
        itself = [agreement(f[method], f[method] * 3) for f in found]
        assert itself == pytest.approx([1.0] * len(found))


def test_a_flat_map_has_no_agreement_and_opposites_score_zero():
    ramp = np.linspace(0, 1, 64).reshape(8, 8)
    assert agreement(ramp, np.full((8, 8), 0.3)) is None
    assert agreement(ramp, np.zeros((8, 8))) is None
    assert agreement(ramp, 1 - ramp) == 0
    with pytest.raises(ValueError, match="shapes"):
        agreement(ramp, ramp[1:])


def test_agreement_does_not_depend_on_scale():
    a, b = np.random.default_rng(1).random((2, 16, 16)) ** 3
    assert agreement(a, b) == pytest.approx(agreement(a, b * 7))
    assert agreement(a, np.exp(a)) == pytest.approx(1)


@settings(deadline=None)
@given(maps)
def test_normalised_maps_lie_in_0_1_and_reach_1(a):
    found = normalise(a - np.float32(0.25))
    assert found.dtype == np.float32
    assert found.min() >= 0
    assert found.max() == pytest.approx(1) or (found == 0).all()


def test_non_finite_maps_are_refused():
    for bad in (np.nan, np.inf):
        with pytest.raises(FloatingPointError, match="NaN or infinite"):
            normalise(np.array([[0.1, bad]]))


def test_consensus_is_where_both_look():
    a, b = np.zeros((2, 32, 32), np.float32)
    a[:, :16] = 1
    b[:16] = 0.5
    found = consensus(a, b)
    assert found[:8, :16].min() > 0.9
    assert found[24:].max() < 0.01
    assert found[:, 16:].max() == 0
    assert found.max() == pytest.approx(1)


def test_consensus_does_not_hang_on_a_single_pixel_of_smoothgrad():
    camera = np.zeros((32, 32), np.float32)
    camera[8:16, 8:16] = 1
    grain = np.random.default_rng(0).random((32, 32)).astype(np.float32) * 0.2
    grain[8:16, 8:16] += 0.3
    lone = grain.copy()
    lone[30, 30] = 1
    assert agreement(consensus(camera, grain), consensus(camera, lone)) > 0.95


@settings(deadline=None)
@given(maps)
def test_consensus_lies_in_0_1_and_in_livecam(a):
    b = np.random.default_rng(0).random(a.shape, dtype=np.float32)
    found = consensus(a, b)
    assert found.dtype == np.float32
    assert found.min() >= 0
    assert found.max() <= 1
    assert (found[a == 0] == 0).all()
    assert consensus(a, np.zeros_like(a)).max() == 0


def test_the_box_is_tight_round_the_strongest_region():
    a = np.zeros((32, 64), np.float32)
    a[8:16, 32:48] = 1
    a[28:30, 2:4] = 1  # smaller, and apart
    x0, y0, x1, y1 = IMAGE.focus(a)
    assert (x0, y0, x1, y1) == pytest.approx((0.5, 0.25, 0.75, 0.5), abs=1 / 32)


@settings(deadline=None)
@given(maps)
def test_a_box_lies_in_the_picture(a):
    box = IMAGE.focus(a)
    if box is not None:
        x0, y0, x1, y1 = box
        assert 0 <= x0 < x1 <= 1
        assert 0 <= y0 < y1 <= 1


def test_a_flat_map_has_no_box():
    assert IMAGE.focus(np.zeros((8, 8), np.float32)) is None
    assert IMAGE.focus(np.ones((8, 8), np.float32)) is None
