"""Rankings by the compiled kernel are those that numpy makes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from coflect_widget.forecast.ranking import rank
from coflect_widget.tasks import Classification
from coflect_widget.telemetry.store import JUDGED, LEFT_OUT, SUSPECT, SampleStore

SCORES = [-5, 0.25, 0.5, 1, -0.0, 0.0, np.nan, np.inf, -np.inf, -3.4028235e38, 1e-45]


def both(store: SampleStore, top: int, **which: bool | None) -> tuple[np.ndarray, np.ndarray]:
    kernel = store.kernel
    ours = rank(store, top, **which)
    store.kernel = None
    numpys = rank(store, top, **which)
    store.kernel = kernel
    return ours, numpys


@settings(deadline=None, max_examples=300)
@given(
    npst.arrays(np.float32, st.integers(1, 600), elements=st.sampled_from(SCORES)),
    st.integers(1, 700),
    st.sampled_from([None, False, True]),
    st.booleans(),
    st.integers(0, 2**32),
)
def test_any_scores_and_flags(
    scores: np.ndarray, top: int, right: bool | None, suspected: bool, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    store = SampleStore(len(scores), Classification(2))
    store.score[:] = scores
    store.flags[:] = rng.choice(
        [0, 0, JUDGED, LEFT_OUT, SUSPECT, SUSPECT | LEFT_OUT, 8], len(scores)
    )
    store.correct[:] = rng.random(len(scores)) < 0.5
    ours, numpys = both(store, top, right=right, suspected=suspected)
    assert ours.dtype == numpys.dtype
    assert ours.tolist() == numpys.tolist()


@pytest.mark.parametrize("samples", [255, 256, 257, 65_537, 300_000])
@pytest.mark.parametrize("levels", [1, 3, 1_000_000])
def test_any_size(samples: int, levels: int) -> None:
    rng = np.random.default_rng(samples)
    store = SampleStore(samples, Classification(2))
    store.score[:] = rng.integers(0, levels, samples)
    ours, numpys = both(store, 20)
    assert ours.tolist() == numpys.tolist()
