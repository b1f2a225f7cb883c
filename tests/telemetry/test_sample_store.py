"""The store: right numbers, hard inputs, and small enough."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from coflect_widget.tasks import Classification
from coflect_widget.telemetry.store import FAST, SLOW, SampleStore

Z_RIGHT = np.array([[3.0, 0.0, -1.0]], np.float32)  # predicts class 0
Z_WRONG = np.array([[0.0, 2.0, -1.0]], np.float32)  # predicts class 1


def reference_loss(logits: np.ndarray, target: int) -> float:
    wide = logits.astype(np.float64)
    wide -= wide.max()
    return float(np.log(np.exp(wide).sum()) - wide[target])


def test_first_sighting_is_taken_whole() -> None:
    store = SampleStore(5, Classification(3))
    stats = store.update([2], Z_RIGHT, [0], step=7)
    assert store.loss[2] == pytest.approx(reference_loss(Z_RIGHT[0], 0), rel=1e-5)
    assert store.loss_fast[2] == store.loss[2]
    assert store.margin[2] == pytest.approx(3.0)
    assert (store.predicted[2], store.target[2], store.last_seen[2]) == (0, 0, 7)
    assert store.correct[2]
    assert store.seen.tolist() == [False, False, True, False, False]
    assert stats.rows == 1
    assert stats.accuracy == 1.0
    assert stats.loss == pytest.approx(float(store.loss[2]))


def test_averages_flips_and_forgetting_over_sightings() -> None:
    store = SampleStore(1, Classification(3))
    right, wrong = reference_loss(Z_RIGHT[0], 0), reference_loss(Z_WRONG[0], 0)
    for step, logits in enumerate([Z_RIGHT, Z_WRONG, Z_WRONG, Z_RIGHT]):
        store.update([0], logits, [0], step)
    slow = fast = right
    error = 0.0
    for loss, miss in [(wrong, 1), (wrong, 1), (right, 0)]:
        slow += SLOW * (loss - slow)
        fast += FAST * (loss - fast)
        error += SLOW * (miss - error)
    assert store.loss[0] == pytest.approx(slow, rel=1e-5)
    assert store.loss_fast[0] == pytest.approx(fast, rel=1e-5)
    assert store.error[0] == pytest.approx(error, rel=1e-5)
    assert (store.flips[0], store.forgotten[0], store.learned[0]) == (2, 1, 2)
    assert store.times_seen[0] == 4


def test_streaks_go_up_while_right_and_down_while_wrong() -> None:
    store = SampleStore(1, Classification(3))
    found = []
    for step, right in enumerate([0, 0, 1, 1, 1, 0, 0, 1]):
        store.update([0], Z_RIGHT if right else Z_WRONG, [0], step)
        found.append(int(store.streak[0]))
    assert found == [-1, -2, 1, 2, 3, -1, -2, 1]
    most = np.iinfo(np.int16).max
    for last, logits, stops in ((most, Z_RIGHT, most), (-most, Z_WRONG, -most)):
        store.streak[0] = last - np.sign(last)
        for step in range(3):
            store.update([0], logits, [0], step)
        assert store.streak[0] == stops


def test_margin_is_signed() -> None:
    store = SampleStore(2, Classification(2))
    store.update([0, 1], [[5.0, -5.0], [5.0, -5.0]], [0, 1], 1)
    assert store.margin.tolist() == [10.0, -10.0]


def test_last_row_of_a_repeated_index_wins_and_counts_once() -> None:
    store = SampleStore(4, Classification(3))
    logits = np.concatenate([Z_WRONG, Z_RIGHT, Z_WRONG, Z_RIGHT])
    stats = store.update([3, 1, 1, 3], logits, [0, 0, 0, 0], 1)
    assert store.correct[[1, 3]].tolist() == [False, True]
    assert store.times_seen[[1, 3]].tolist() == [1, 1]
    assert stats.rows == 4
    assert stats.accuracy == 0.5


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_non_finite_rows_are_counted_and_change_nothing(bad: float) -> None:
    store = SampleStore(3, Classification(3))
    logits = np.concatenate([Z_RIGHT, Z_RIGHT, Z_RIGHT])
    logits[1, 2] = bad
    stats = store.update([0, 1, 2], logits, [0, 0, 0], 1)
    assert stats.non_finite == 1
    assert stats.rows == 2
    assert store.times_seen.tolist() == [1, 0, 1]
    assert np.isfinite(store.loss).all()


def test_unlabelled_rows_are_ignored_and_counted() -> None:
    store = SampleStore(3, Classification(3))
    logits = np.concatenate([Z_RIGHT, Z_RIGHT, Z_RIGHT])
    stats = store.update([0, 1, 2], logits, [0, -100, 3], 1)
    assert (stats.rows, stats.unlabelled, stats.non_finite) == (1, 2, 0)
    assert store.times_seen.tolist() == [1, 0, 0]


def test_a_batch_without_a_usable_row() -> None:
    store = SampleStore(3, Classification(3))
    stats = store.update([0], [[np.nan, 0, 0]], [0], 1)
    assert stats.rows == 0
    assert np.isnan(stats.loss)
    empty = store.update(np.empty(0), np.empty((0, 3)), np.empty(0), 1)
    assert empty.rows == 0
    assert not store.seen.any()


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_widths_of_float(dtype: type) -> None:
    store = SampleStore(1, Classification(3))
    store.update([0], Z_WRONG.astype(dtype), [0], 1)
    assert store.loss[0] == pytest.approx(reference_loss(Z_WRONG[0], 0), rel=1e-3)


def test_huge_logits_neither_overflow_nor_become_nan() -> None:
    store = SampleStore(2, Classification(2))
    with np.errstate(all="raise", under="ignore"):
        stats = store.update([0, 1], [[3e38, -3e38], [1000.0, -1000.0]], [1, 1], 1)
        store.update([0, 1], [[-3e38, 3e38], [1000.0, -1000.0]], [1, 1], 2)
    assert np.isfinite(store.loss).all()
    assert np.isfinite(store.margin).all()
    assert store.loss[1] == pytest.approx(2000.0)
    assert stats.non_finite == 0


def test_one_logit_of_a_binary_classifier() -> None:
    one, two = SampleStore(2, Classification(2)), SampleStore(2, Classification(2))
    one.update([0, 1], [[2.0], [-1.0]], [1, 1], 1)
    two.update([0, 1], [[0.0, 2.0], [0.0, -1.0]], [1, 1], 1)
    assert np.array_equal(one.loss, two.loss)
    assert one.predicted.tolist() == [1, 0]


def test_thousand_classes() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(64, 1000)).astype(np.float32)
    targets = rng.integers(0, 1000, 64)
    store = SampleStore(64, Classification(1000))
    store.update(np.arange(64), logits, targets, 1)
    wanted = [reference_loss(z, y) for z, y in zip(logits, targets, strict=True)]
    assert store.loss == pytest.approx(np.array(wanted), rel=1e-4)
    assert np.array_equal(store.predicted, logits.argmax(axis=1))


def test_custom_losses_take_the_place_of_cross_entropy() -> None:
    store = SampleStore(2, Classification(3))
    logits = np.concatenate([Z_RIGHT, Z_WRONG])
    stats = store.update([0, 1], logits, [0, 0], 1, losses=[4.0, np.nan])
    assert store.loss[0] == 4.0
    assert stats.loss == 4.0
    assert stats.non_finite == 1


@pytest.mark.parametrize(
    ("indices", "logits", "targets", "error"),
    [
        ([0], np.zeros((1, 2)), [0], ValueError),
        ([0, 1], np.zeros((1, 3)), [0, 1], ValueError),
        ([0], np.zeros((1, 3)), [0, 1], ValueError),
        ([-1], np.zeros((1, 3)), [0], IndexError),
        ([5], np.zeros((1, 3)), [0], IndexError),
    ],
)
def test_what_does_not_fit_is_refused_and_changes_nothing(
    indices: list[int], logits: np.ndarray, targets: list[int], error: type[Exception]
) -> None:
    store = SampleStore(5, Classification(3))
    with pytest.raises(error):
        store.update(indices, logits, targets, 1)
    assert not store.seen.any()


def test_at_most_64_bytes_a_sample() -> None:
    assert SampleStore(1000, Classification(10)).nbytes <= 64 * 1000


def test_counts_stop_at_their_largest_value() -> None:
    store = SampleStore(1, Classification(3))
    store.update([0], Z_RIGHT, [0], 1)
    store.flips[0] = store.forgotten[0] = np.iinfo(np.uint16).max
    store.update([0], Z_WRONG, [0], 2)
    assert store.flips[0] == store.forgotten[0] == np.iinfo(np.uint16).max


@given(
    npst.arrays(
        np.float32, (6, 4), elements=st.floats(-(2.0**100), 2.0**100, width=32, allow_nan=False)
    ),
    st.lists(st.integers(0, 3), min_size=6, max_size=6),
    st.lists(st.integers(0, 2), min_size=6, max_size=6),
)
def test_one_batch_equals_the_same_rows_with_duplicates_removed(
    logits: np.ndarray, targets: list[int], indices: list[int]
) -> None:
    whole, single = SampleStore(3, Classification(4)), SampleStore(3, Classification(4))
    whole.update(indices, logits, targets, 1)
    for index in set(indices):
        row = max(k for k, i in enumerate(indices) if i == index)
        single.update([index], logits[[row]], [targets[row]], 1)
    for name, values in whole.arrays.items():
        assert np.array_equal(values, getattr(single, name)), name
    assert (whole.loss >= 0).all()
    # Right means a margin that is not negative, and wrong one that is not positive.
    seen = whole.seen
    assert (whole.margin[seen & whole.correct] >= 0).all()
    assert (whole.margin[seen & ~whole.correct] <= 0).all()


@pytest.mark.parametrize("usable", [False, True])
@pytest.mark.parametrize("repeats", [False, True])
def test_many_batches_at_once_are_the_same_as_one_after_the_other(repeats, usable):
    rng = np.random.default_rng(3)
    order = rng.integers(0, 60, 60) if repeats else rng.permutation(60)
    batches = []
    for step, rows in enumerate(np.array_split(order, 7), start=1):
        logits = rng.normal(size=(len(rows), 4)).astype(np.float32)
        targets = rng.integers(0 if usable else -1, 4, len(rows))  # some without a label
        logits[0, 0] = np.nan if step == 3 and not usable else 0
        batches.append((rows, logits, targets, step))
    one, many = SampleStore(60, Classification(4)), SampleStore(60, Classification(4))
    for _ in range(2):
        expected = [one.update(*batch) for batch in batches]
        indices, logits, targets, steps = zip(*batches, strict=True)
        stats, rows, history = many.update_many(
            indices, np.concatenate(logits), np.concatenate(targets), steps
        )
        found = [*zip(*stats, strict=True)]
        assert found == [pytest.approx(stats, rel=1e-6, nan_ok=True) for stats in expected]
        np.testing.assert_array_equal(rows, order)
        for name, values in history._asdict().items():
            np.testing.assert_array_equal(values, getattr(one, name)[order], err_msg=name)
    for name, values in one.arrays.items():
        np.testing.assert_array_equal(values, getattr(many, name), err_msg=name)
