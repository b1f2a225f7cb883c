"""Risk, ranking and reasons from made-up histories."""

from __future__ import annotations

import importlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from coflect_widget.forecast.risk import rank, reasons, risk, severity
from coflect_widget.forecast.store import SampleStore


def history(*margins: float) -> SampleStore:
    """One sample of class 0 out of two, with these margins at successive sightings."""
    store = SampleStore(1, 2)
    for step, margin in enumerate(margins):
        store.update([0], [[margin, 0.0]], [0], step)
    return store


def random_store(n: int = 500, seen: int | None = None, seed: int = 0) -> SampleStore:
    rng = np.random.default_rng(seed)
    store = SampleStore(n, 4)
    for step in range(6):
        rows = np.arange(n if seen is None else seen)
        store.update(rows, 3 * rng.normal(size=(len(rows), 4)), rng.integers(0, 4, len(rows)), step)
    return store


def test_risk_is_in_the_unit_interval_and_unknown_for_the_unseen() -> None:
    store = random_store(500, seen=300)
    scores = risk(store)
    assert scores.dtype == np.float32
    assert ((scores[:300] >= 0) & (scores[:300] <= 1)).all()
    assert np.isnan(scores[300:]).all()


def test_confidently_wrong_is_riskier_than_doubtful_which_is_riskier_than_right() -> None:
    wrong, doubtful, right = (risk(history(m, m, m))[0] for m in (-6.0, 0.1, 6.0))
    assert wrong > doubtful > right


def test_a_falling_margin_is_riskier_than_the_same_margins_rising() -> None:
    assert risk(history(4, 2, 1, 0.5))[0] > risk(history(0.5, 1, 2, 4))[0]


def test_a_rising_loss_is_riskier_than_a_falling_one_with_the_same_averages() -> None:
    store = history(1, 1, 1)
    store.loss_fast[0] = store.loss[0] + 0.2
    rising = risk(store)[0]
    store.loss_fast[0] = store.loss[0] - 0.2
    assert rising > risk(store)[0]


def test_a_negative_custom_loss_is_no_risk() -> None:
    store = SampleStore(1, 2)
    store.update([0], [[5.0, 0.0]], [0], 1, losses=[-3.0])
    assert risk(store)[0] == 0.0


def test_rank_takes_the_riskiest_in_order() -> None:
    store = random_store()
    scores = severity(store)
    top = rank(store, 10)
    assert top.tolist() == np.argsort(-scores, kind="stable")[:10].tolist()


def test_the_order_holds_where_the_risk_is_1_already() -> None:
    store = SampleStore(3, 2)
    store.update([0, 1, 2], [[-20, 0], [-40, 0], [-30, 0]], [0, 0, 0], 1)
    assert (risk(store) == 1).all()
    assert rank(store, 3).tolist() == [1, 2, 0]


def test_rank_leaves_out_the_unseen() -> None:
    store = random_store(500, seen=4)
    assert sorted(rank(store, 10)) == [0, 1, 2, 3]
    assert len(rank(SampleStore(5, 2), 10)) == 0


def test_rank_refuses_nonsense() -> None:
    with pytest.raises(ValueError, match="top = 0"):
        rank(random_store(), 0)


@given(
    npst.arrays(
        np.float32, st.integers(1, 40), elements=st.sampled_from([0, 0.25, 0.5, 1, np.nan])
    ),
    st.integers(1, 50),
)
def test_ties_are_broken_by_index(scores: np.ndarray, top: int) -> None:
    chosen = rank(SampleStore(len(scores), 2), top, scores)
    wanted = [i for i in np.argsort(-scores, kind="stable") if not np.isnan(scores[i])][:top]
    assert chosen.tolist() == wanted


@pytest.mark.parametrize("n", [255, 256, 257, 5000, 100_000])
@pytest.mark.parametrize("levels", [1, 3, 1_000_000])
def test_rank_equals_a_full_sort_at_any_size(n: int, levels: int) -> None:
    rng = np.random.default_rng(n)
    scores = rng.integers(0, levels, n).astype(np.float32)
    scores[rng.random(n) < 0.3] = np.nan
    wanted = np.argsort(-scores, kind="stable")[:20]
    assert rank(SampleStore(n, 2), 20, scores).tolist() == wanted.tolist()


def test_severity_is_the_same_in_one_block_or_many(monkeypatch: pytest.MonkeyPatch) -> None:
    store = random_store(500, seen=300)
    whole = severity(store)
    module = importlib.import_module("coflect_widget.forecast.risk")
    monkeypatch.setattr(module, "_BLOCK", 64)
    assert np.array_equal(severity(store), whole, equal_nan=True)


@pytest.mark.parametrize(
    ("margins", "phrase"),
    [
        ((-3, -3), "rarely seen"),
        ((-1, -1, -1, -4), "never learned"),
        ((1, -8, -8, -8), "confidently wrong"),
        ((1, -1, 1, -1, 1), "flip-flopping"),
        ((1, 1, 1, 1, 1, -0.5), "forgotten"),
        ((3, 2, 1.5, 1, 0.5), "losing confidence"),
        ((0.4, 0.4, 0.4, 0.4), "low confidence"),
    ],
)
def test_reasons(margins: tuple[float, ...], phrase: str) -> None:
    assert reasons(history(*margins), [0]) == [phrase]


def test_reasons_of_nothing() -> None:
    assert reasons(random_store(), []) == []
