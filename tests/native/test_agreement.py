"""Two maps agree as far by the compiled kernel as by numpy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coflect_widget.attribution import consensus


def both(a: np.ndarray, b: np.ndarray) -> tuple[float | None, float | None]:
    # Doubles of the same values are numpy's.
    return consensus.agreement(a, b), consensus.agreement(a.astype("f8"), b.astype("f8"))


@settings(deadline=None, max_examples=300)
@given(
    st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32),
    st.sampled_from(["sparse", "signed", "alike", "opposite", "tiny", "steps", "nan"]),
)  # fmt: skip
def test_any_maps(height: int, width: int, seed: int, kind: str) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.random((2, height, width)).astype(np.float32)
    if kind == "sparse":
        a[rng.random(a.shape) < 0.8] = 0
        b[rng.random(b.shape) < 0.95] = -0.0
    elif kind == "signed":
        a, b = a - 0.5, b - 0.5
    elif kind in ("alike", "opposite"):
        b = a + 0.1 * b if kind == "alike" else -a
    elif kind == "tiny":
        a *= np.float32(1e-41)
    elif kind == "steps":
        a, b = np.round(3 * a), np.round(2 * b)
    elif kind == "nan":
        a[0, 0] = rng.choice([np.nan, np.inf, -np.inf])
    a = a if seed % 2 else np.asfortranarray(a)
    with np.errstate(all="ignore"):
        ours, numpys = both(a, b)
    assert ours == (None if numpys is None else pytest.approx(numpys, abs=1e-6, nan_ok=True))


@pytest.mark.parametrize("side", [32, 224])
def test_maps_as_workers_make_them(side: int) -> None:
    rng = np.random.default_rng(side)
    smooth = np.add.outer(np.arange(side), np.arange(side)).astype(np.float32)
    noisy = smooth + rng.normal(scale=side / 2, size=smooth.shape).astype(np.float32)
    ours, numpys = both(smooth, noisy)
    assert ours == pytest.approx(numpys, abs=1e-6)
    assert ours is not None
    assert 0.3 < ours < 0.99
    assert consensus.agreement(smooth, smooth) == pytest.approx(1, abs=1e-9)
