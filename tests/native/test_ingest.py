"""The compiled kernels do what numpy does: over shapes, kinds of numbers, and what is refused."""

from __future__ import annotations

import os
import threading
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from coflect_widget.native import kernels
from coflect_widget.tasks import Classification, Regression, Task
from coflect_widget.telemetry.store import BatchStats, History, ManyStats, SampleStore

#: With COFLECT_NATIVE=0 both sides are numpy's: what is promised of one holds of the other.
SWITCHED_OFF = os.environ.get("COFLECT_NATIVE") == "0"
#: exp and log are the kernels' own; what comes of them alone is equal to 1e-6, not to the bit.
ROUNDED = {"loss", "loss_fast"}
HARD = [0.0, -0.0, 1.0, -1.0, 1e-42, 88.0, -104.0, 3e38, -3e38, np.inf, -np.inf, np.nan]


def stores(samples: int, classes: int, **settings: Any) -> tuple[SampleStore, SampleStore]:
    """One as it comes and one that numpy writes."""

    def task() -> Task:  # one each: a regression remembers its newest errors
        return Classification(classes) if classes else Regression(**settings)

    ours, numpys = SampleStore(samples, task()), SampleStore(samples, task())
    numpys.kernel = None
    return ours, numpys


def assert_same(ours: SampleStore, numpys: SampleStore) -> None:
    for name, values in numpys.arrays.items():
        found = getattr(ours, name)
        if name in ROUNDED and numpys.task.labelled:
            np.testing.assert_allclose(found, values, rtol=1e-6, atol=1e-6, err_msg=name)
        else:
            np.testing.assert_array_equal(found, values, err_msg=name)
    assert ours.scale == pytest.approx(numpys.scale, rel=1e-6)


def assert_same_stats(ours: BatchStats | ManyStats, numpys: BatchStats | ManyStats) -> None:
    for name, found, expected in zip(numpys._fields, ours, numpys, strict=True):
        assert np.asarray(found).dtype == np.asarray(expected).dtype, name
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6, err_msg=name)


def assert_same_history(ours: History, numpys: History) -> None:
    for name, found, expected in zip(numpys._fields, ours, numpys, strict=True):
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected, err_msg=name)


def test_the_compiled_kernels_are_what_is_tested() -> None:
    assert kernels().used.startswith("numpy" if SWITCHED_OFF else "native "), kernels().why
    assert (SampleStore(1, Classification(2)).kernel is None) == SWITCHED_OFF


@st.composite
def batches(draw: st.DrawFn) -> tuple[int, int, list[tuple[Any, ...]]]:
    classes = draw(st.sampled_from([0, 2, 3, 10, 16, 17, 31, 32, 33, 64, 100, 1000]))
    samples = draw(st.sampled_from([1, 2, 40]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    hard = draw(st.sampled_from([0.0, 0.01, 0.5]))
    made = []
    for step in range(draw(st.integers(1, 5))):
        rows = draw(st.sampled_from([0, 1, 2, 15, 16, 17, 63, 64, 65, 130]))
        logits = draw(st.sampled_from([0.0, 1.0, 30.0])) * rng.normal(size=(rows, classes or 2))
        bad = rng.random(logits.shape) < hard
        logits[bad] = rng.choice(HARD, bad.sum())
        if draw(st.booleans()):
            logits = np.round(logits)  # equal logits: the first of the largest is predicted
        with np.errstate(over="ignore"):
            logits = logits.astype(draw(st.sampled_from(["f2", "f4", "f8", ">f4"])))
        if draw(st.booleans()):
            logits = np.asfortranarray(logits)
        if draw(st.booleans()):
            logits = logits[::-1]
        targets = (
            rng.integers(-1, classes + 1, rows) if hard else rng.integers(0, classes or 1, rows)
        )
        targets = (
            targets.astype(draw(st.sampled_from(["i1", "i4", "i8"]))) if classes < 100 else targets
        )
        if not classes:
            targets = rng.normal(size=(rows, 2)).astype(np.float32)
        indices = rng.integers(0, samples, rows)
        losses = None
        if draw(st.integers(0, 3)) == 0:
            losses = rng.exponential(size=rows)
            losses[rng.random(rows) < hard] = rng.choice([np.nan, np.inf, -np.inf])
        made.append((indices, logits, targets, step, losses))
    return samples, classes, made


@settings(deadline=None, max_examples=300)
@given(batches())
def test_batches_one_by_one(case: tuple[int, int, list[tuple[Any, ...]]]) -> None:
    samples, classes, given_batches = case
    ours, numpys = stores(samples, classes)
    for batch in given_batches:
        assert_same_stats(ours.update(*batch), numpys.update(*batch))
        assert_same(ours, numpys)


@settings(deadline=None, max_examples=200)
@given(batches())
def test_several_batches_at_once(case: tuple[int, int, list[tuple[Any, ...]]]) -> None:
    samples, classes, given_batches = case
    ours, numpys = stores(samples, classes)
    indices, logits, targets, steps, _ = zip(*given_batches, strict=True)
    logits = np.concatenate([part.astype(np.float32) for part in logits])
    targets = np.concatenate(targets)
    for _ in range(2):
        stats, rows, history = ours.update_many(indices, logits, targets, steps)
        expected, of_rows, then = numpys.update_many(indices, logits, targets, steps)
        assert_same_stats(stats, expected)
        np.testing.assert_array_equal(rows, of_rows)
        assert_same_history(history, then)
        assert_same(ours, numpys)


@pytest.mark.parametrize("classes", [2, 33, 1000, 100_000])
def test_few_and_very_many_classes(classes: int) -> None:
    rng = np.random.default_rng(classes)
    ours, numpys = stores(20, classes)
    for step in range(3):
        logits = rng.normal(scale=4, size=(9, classes)).astype(np.float32)
        logits[1] = 0  # all equal
        logits[2, 0], logits[2, -1] = -3e38, 3e38  # further apart than float32 reaches
        logits[3, -1] = np.nan
        logits[4, 0] = np.inf
        logits[5] = -np.inf
        targets = rng.integers(0, classes, 9)
        targets[6:9] = 0, classes - 1, classes
        indices = rng.permutation(20)[:9]
        assert_same_stats(
            ours.update(indices, logits, targets, step),
            numpys.update(indices, logits, targets, step),
        )
        assert_same(ours, numpys)


def test_one_logit_of_a_binary_classifier() -> None:
    ours, numpys = stores(4, 2)
    batch = ([0, 1, 2], [[0.5], [-0.5], [np.nan]], [1, 1, 0], 7)
    assert_same_stats(ours.update(*batch), numpys.update(*batch))
    assert_same(ours, numpys)


def test_counts_stop_where_they_are_full() -> None:
    pair = stores(2, 2)
    for store in pair:
        store.flips[:] = store.forgotten[:] = store.learned[:] = 65_534
        store.streak[:] = [32_766, -32_766]
        store.times_seen[:] = 70_000
        store.first_learned[:] = [1, 0]
        for step, right in enumerate([1, 1, 1, 0, 1, 0, 1]):
            store.update([0, 1], [[1.0, 0.0]] * 2, [1 - right, right], step)
    assert pair[0].flips.max() == 65_535
    assert_same(*pair)


def test_steps_beyond_int32_wrap_as_numpys_do() -> None:
    pair = stores(2, 2)
    for store in pair:
        store.update([0], [[1.0, 0.0]], [0], 2**31 + 5)
    assert_same(*pair)


@settings(deadline=None)
@given(st.lists(st.integers(-3, 6), min_size=1, max_size=6))
@example([0, 1, -1])
@example([2**40, 0, 0])
def test_nothing_is_written_where_an_index_is_outside(indices: list[int]) -> None:
    ours, numpys = stores(4, 3)
    rng = np.random.default_rng(0)
    for store in (ours, numpys):
        store.update([0, 1], [[1.0, 2, 3]] * 2, [0, 2], 1)
    logits, targets = rng.normal(size=(len(indices), 3)), rng.integers(0, 3, len(indices))
    outside = min(indices) < 0 or max(indices) > 3
    for store in (ours, numpys):
        if not outside:
            store.update(indices, logits, targets, 2)
            continue
        with pytest.raises(IndexError, match="the store has samples 0 to 3"):
            store.update(indices, logits, targets, 2)
        many = [np.array([0]), np.array(indices)]
        zeros = np.zeros((len(indices) + 1, 3))
        with pytest.raises(IndexError, match="the store has samples 0 to 3"):
            store.update_many(many, zeros, zeros[:, 0], [1, 2])
    assert_same(ours, numpys)
    assert ours.times_seen.sum() == (2 if outside else 2 + len(set(indices)))


@pytest.mark.parametrize(
    "wrong",
    [
        {"outputs": np.zeros((2, 4))},
        {"outputs": np.zeros((3, 3))},
        {"outputs": np.zeros(2)},
        {"targets": [0]},
        {"targets": [[0], [1]]},
        {"losses": [1.0]},
        {"indices": [[0, 1]]},
    ],
)
def test_nothing_is_written_where_shapes_do_not_fit(wrong: dict[str, Any]) -> None:
    ours, fresh = SampleStore(4, Classification(3)), SampleStore(4, Classification(3))
    batch = {"indices": [0, 1], "outputs": np.zeros((2, 3)), "targets": [0, 1], "step": 1}
    with pytest.raises(ValueError, match=r"shape|belong together|expected one each"):
        ours.update(**{**batch, **wrong})
    assert_same(ours, fresh)


def test_regression_is_told_apart_by_the_same_limit() -> None:
    ours, numpys = stores(50, 0, error_quantile=0.7)
    rng = np.random.default_rng(0)
    for step in range(30):
        indices = rng.integers(0, 50, 16)
        outputs, targets = rng.normal(size=(2, 16, 3)).astype(np.float32)
        outputs[0, 0] = np.nan if step % 3 else 1e30
        assert_same_stats(
            ours.update(indices, outputs, targets, step),
            numpys.update(indices, outputs, targets, step),
        )
    assert isinstance(ours.task, Regression)
    assert isinstance(numpys.task, Regression)
    assert ours.task.recent.threshold == numpys.task.recent.threshold
    assert_same(ours, numpys)


def test_two_threads_at_once_lose_nothing() -> None:
    store = SampleStore(64, Classification(10))
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(64, 10)).astype(np.float32)

    def take(half: int) -> None:
        for step in range(200):
            rows = np.repeat(np.arange(32) + 32 * half, 2)  # each sample twice
            store.update(rows, logits, np.zeros(64, np.int64), step)

    threads = [threading.Thread(target=take, args=(half,)) for half in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (store.times_seen == 200).all()


def test_logits_in_columns_round_no_worse_than_in_rows() -> None:
    rng = np.random.default_rng(1)
    logits = np.round(rng.normal(size=(200, 1000))).astype(np.float32)
    ours, numpys = stores(200, 1000)
    for store in (ours, numpys):
        store.update(np.arange(200), np.asfortranarray(logits), np.zeros(200, np.int64), 1)
    exact = np.log(np.exp(logits.astype(np.float64)).sum(axis=1)) - logits[:, 0]
    for store in (ours, numpys):
        np.testing.assert_allclose(store.loss, exact, rtol=5e-7)
