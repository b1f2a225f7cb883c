"""Ranking, suspects and reasons from made-up scores and histories."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from coflect_widget.forecast.ranking import (
    count_suspects,
    forgotten,
    is_suspected,
    rank,
    reasons,
    suspects,
)
from coflect_widget.tasks import Classification
from coflect_widget.telemetry.store import JUDGED, LEFT_OUT, SUSPECT, SampleStore


def history(*margins: float) -> SampleStore:
    """One sample of class 0 out of two, with these margins at successive sightings."""
    store = SampleStore(1, Classification(2))
    for step, margin in enumerate(margins):
        store.update([0], [[margin, 0.0]], [0], step)
    return store


def random_store(n: int = 500, seen: int | None = None, seed: int = 0) -> SampleStore:
    rng = np.random.default_rng(seed)
    store = SampleStore(n, Classification(4))
    for step in range(6):
        rows = np.arange(n if seen is None else seen)
        store.update(rows, 3 * rng.normal(size=(len(rows), 4)), rng.integers(0, 4, len(rows)), step)
    return store


def scored(scores: list[float] | np.ndarray) -> SampleStore:
    store = SampleStore(len(scores), Classification(2))
    store.score[:] = scores
    return store


def test_rank_takes_the_riskiest_in_order() -> None:
    store = random_store()
    store.score[:] = np.random.default_rng(1).normal(size=500)
    assert rank(store, 10).tolist() == np.argsort(-store.score, kind="stable")[:10].tolist()


def test_rank_leaves_out_the_unseen() -> None:
    store = random_store(500, seen=4)
    store.score[:4] = [0.5, -30.0, 2.0, 1.0]
    assert rank(store, 10).tolist() == [2, 3, 0, 1]
    assert len(rank(SampleStore(5, Classification(2)), 10)) == 0


def test_rank_leaves_out_suspects_only_where_asked_to_and_those_a_person_left_out() -> None:
    store = scored([1, 2, 3, 4, 5])
    store.flags[4] = SUSPECT
    store.flags[3] = LEFT_OUT
    store.flags[2] = JUDGED
    assert rank(store, 10).tolist() == [4, 2, 1, 0]
    assert rank(store, 10, suspected=False).tolist() == [2, 1, 0]
    store.flags[1] = 8  # of a memory of before, which hid such samples
    assert rank(store, 10, suspected=False).tolist() == [2, 1, 0]


def test_samples_that_are_right_now_and_those_that_are_wrong_are_ranked_apart() -> None:
    store = scored([1, 2, 3, 4])
    store.correct[[0, 2]] = True
    assert rank(store, 10, right=True).tolist() == [2, 0]
    assert rank(store, 10, right=False).tolist() == [3, 1]


def test_suspects_come_in_order_of_doubt() -> None:
    store = SampleStore(5, Classification(2))
    store.times_seen[:] = 3
    store.doubt[:] = [0.8, 0.9, 2.0, 0.1, 0.9]
    store.flags[[0, 1, 2, 4]] = SUSPECT
    store.flags[2] |= LEFT_OUT
    assert suspects(store, 10).tolist() == [1, 4, 0]
    assert is_suspected(store, np.arange(5)).tolist() == [True, True, False, False, True]
    assert suspects(store, 1).tolist() == [1]
    store.error[:] = [0.9, 0.9, 0.9, 0, 0.1]  # most are wrong: no label tells anything yet
    assert suspects(store, 10).tolist() == []
    assert count_suspects(store) == 0


def test_forgotten_samples_come_by_how_often_and_all_of_them_are_counted() -> None:
    store = scored([1, 2, 3, 4, 5, 6])
    store.forgotten[:] = [1, 3, 0, 3, 2, 5]
    store.correct[4] = True  # right again
    store.flags[5] = LEFT_OUT
    rows, count = forgotten(store, 2)
    assert (rows.tolist(), count) == ([3, 1], 3)
    assert forgotten(store, 10)[0].tolist() == [3, 1, 0]


def test_rank_refuses_nonsense() -> None:
    with pytest.raises(ValueError, match="top = 0"):
        rank(random_store(), 0)


@given(
    npst.arrays(
        np.float32, st.integers(1, 40), elements=st.sampled_from([-5, 0.25, 0.5, 1, -np.inf])
    ),
    st.integers(1, 50),
)
def test_ties_are_broken_by_index(scores: np.ndarray, top: int) -> None:
    chosen = rank(scored(scores), top)
    wanted = [i for i in np.argsort(-scores, kind="stable") if np.isfinite(scores[i])][:top]
    assert chosen.tolist() == wanted


@pytest.mark.parametrize("n", [65_535, 65_536, 65_537, 300_000])
@pytest.mark.parametrize("levels", [1, 3, 1_000_000])
def test_rank_equals_a_full_sort_at_any_size(n: int, levels: int) -> None:
    rng = np.random.default_rng(n)
    scores = rng.integers(0, levels, n).astype(np.float32)
    scores[rng.random(n) < 0.3] = -np.inf
    wanted = np.argsort(-scores, kind="stable")[:20]
    assert rank(scored(scores), 20).tolist() == wanted.tolist()


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
