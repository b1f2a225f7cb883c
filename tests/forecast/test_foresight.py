"""The model: never from the future, no worse than where it starts, calibrated by its own past."""

from __future__ import annotations

import numpy as np
import pytest

from coflect_widget.forecast.foresight import FEATURES, Foresight, features
from coflect_widget.forecast.logistic import fit, logistic
from coflect_widget.forecast.ranking import suspects
from coflect_widget.tasks import Classification, Regression
from coflect_widget.telemetry.store import JUDGED, SUSPECT, SampleStore

N, C, HORIZON = 600, 4, 4


class Course:
    """A made-up training: each sample has a hardness that its margins scatter round."""

    def __init__(self, seed: int = 0, shift: float = 0.0) -> None:
        self.rng = np.random.default_rng(seed)
        self.target = self.rng.integers(0, C, N)
        self.ease = self.rng.normal(1.5 + shift, 2.0, N)

    def logits(self, epoch: int) -> np.ndarray:
        z = np.zeros((N, C), np.float32)
        z[np.arange(N), self.target] = self.ease + self.rng.normal(0, 1, N) + 0.05 * epoch
        return z

    def play(self, store: SampleStore, model: Foresight, epochs: range) -> None:
        for epoch in epochs:
            store.update(np.arange(N), self.logits(epoch), self.target, epoch)
            model.update(np.arange(N))
            model.epoch_ended(epoch)


@pytest.fixture
def store() -> SampleStore:
    return SampleStore(N, Classification(C))


def test_scores_are_there_before_there_is_a_past(store: SampleStore) -> None:
    course, model = Course(), Foresight(store, HORIZON)
    store.update(np.arange(100), course.logits(1)[:100], course.target[:100], 1)
    model.update(np.arange(N))
    assert np.isfinite(store.score[:100]).all()
    assert np.isneginf(store.score[100:]).all()
    assert np.corrcoef(store.score[:100], course.ease[:100])[0, 1] < -0.7


def test_nothing_is_learned_before_an_outcome_is_known(store: SampleStore) -> None:
    course, model = Course(), Foresight(store, HORIZON)
    start = model.weights.copy()
    course.play(store, model, range(1, 1 + HORIZON))
    assert np.array_equal(model.weights, start)
    course.play(store, model, range(1 + HORIZON, 2 + HORIZON))
    assert not np.array_equal(model.weights, start)


def test_what_is_learned_is_features_of_then_against_outcomes_of_now(store: SampleStore) -> None:
    course, model = Course(), Foresight(store, HORIZON)
    course.play(store, model, range(1, 2))
    then = features(store, model.panel, store.scale)
    course.play(store, model, range(2, 2 + HORIZON))
    wrong = ~store.correct[model.panel]
    chance = logistic(then @ model.weights)
    assert chance.mean() == pytest.approx(wrong.mean(), abs=0.02)  # the intercept is free


def test_calibrated_where_the_run_is_unlike_the_ones_before() -> None:
    gaps, biases = [], []
    for seed in range(5):
        store, course = SampleStore(N, Classification(C)), Course(seed, shift=-2.0)
        model = Foresight(store, HORIZON)
        course.play(store, model, range(1, 9))
        chance = model.probability(np.arange(N))
        wrong = np.mean([course.logits(12).argmax(1) != course.target for _ in range(20)], axis=0)
        biases.append(chance.mean() - wrong.mean())
        level = np.minimum((chance * 10).astype(int), 9)
        gaps.append(np.abs(np.bincount(level, chance - wrong)).sum() / N)
    assert np.mean(gaps) < 0.07
    assert abs(np.mean(biases)) < 0.03


def test_the_same_epoch_twice_replaces(store: SampleStore) -> None:
    course, model = Course(), Foresight(store, HORIZON)
    course.play(store, model, range(1, 3))
    model.epoch_ended(2)
    assert [past.epoch for past in model._past] == [1, 2]


def test_a_probe_that_is_worse_than_its_class_raises_the_risk(store: SampleStore) -> None:
    course, model = Course(), Foresight(store, HORIZON)
    course.play(store, model, range(1, 4))
    before = store.score.copy()
    rows = np.arange(N)
    logits = course.logits(3)
    logits[np.arange(N), course.target] -= 3.0  # the whole snapshot is worse: says nothing ...
    logits[7, course.target[7]] -= 6.0  # ... but of this one more than of its like
    model.probed(rows, logits)
    assert store.score[7] > before[7] + 0.5
    assert abs(np.median(store.score - before)) < 0.3


def test_a_probe_of_unseen_or_broken_rows_changes_nothing(store: SampleStore) -> None:
    model = Foresight(store, HORIZON)
    model.probed(np.array([3]), np.zeros((1, C), np.float32))
    course = Course()
    course.play(store, model, range(1, 2))
    model.probed(np.array([3]), np.full((1, C), np.nan, np.float32))
    assert store.probed_at.max() == 0


def test_the_shortlist_holds_those_at_risk_and_open_cases_once_each(store: SampleStore) -> None:
    course, model = Course(), Foresight(store, HORIZON)
    course.play(store, model, range(1, 4))
    chosen = model.shortlist(100)
    assert len(chosen) == len(set(chosen.tolist())) == 100
    some, at_risk, opened = chosen[:25], chosen[25:75], chosen[75:]
    assert store.correct[at_risk].all()
    others = np.setdiff1d(np.flatnonzero(store.correct), np.concatenate([some, at_risk]))
    assert store.score[at_risk].min() >= store.score[others].max()
    openness = np.abs(store.score)
    assert np.median(openness[opened]) < np.quantile(openness, 0.2)
    few = SampleStore(N, Classification(C))
    course.play(few, Foresight(few, HORIZON), range(1, 2))
    few.correct[:] = False  # nothing is at risk: the rest are open cases
    assert len(set(Foresight(few, HORIZON).shortlist(100).tolist())) == 100


def test_flipped_labels_are_suspected_and_a_judged_one_is_not(store: SampleStore) -> None:
    course, model = Course(), Foresight(store, HORIZON)
    course.ease[:] = np.abs(course.ease) + 1
    course.ease[:30] = 0
    for epoch in range(1, 7):
        logits = course.logits(epoch)
        logits[np.arange(30), (course.target[:30] + 1) % C] = 4.0
        store.update(np.arange(N), logits, course.target, epoch)
        model.update(np.arange(N))
        if epoch < 3:
            assert not (store.flags & SUSPECT).any()
    found = suspects(store, N)
    assert set(range(30)) <= set(found.tolist())
    assert len(found) < 40
    store.flags[5] |= JUDGED
    model.update(np.arange(N))
    assert 5 not in suspects(store, N)
    assert not store.flags[5] & SUSPECT


def test_without_classes_large_errors_are_the_failures() -> None:
    rng = np.random.default_rng(0)
    store = SampleStore(N, Regression(0.9))
    model = Foresight(store, HORIZON)
    wanted = rng.normal(size=N)
    noise = np.where(np.arange(N) < 60, 3.0, 0.1)
    for epoch in range(1, 8):
        store.update(np.arange(N), wanted + noise * rng.normal(size=N), wanted, epoch)
        model.update(np.arange(N))
        model.epoch_ended(epoch)
    assert (~store.correct).mean() == pytest.approx(0.1, abs=0.04)
    assert (np.argsort(-store.score)[:50] < 60).mean() > 0.9
    chance = model.probability(np.arange(N))
    assert chance[:60].mean() > 0.6
    assert chance[60:].mean() < 0.1
    right, wrong = (model.probability(np.arange(N), right=known) for known in (True, False))
    assert (right < wrong).all()


def test_fit_finds_the_weights_and_leans_where_it_knows_nothing() -> None:
    rng = np.random.default_rng(0)
    x = np.stack([np.ones(20_000), rng.normal(size=20_000)], axis=1)
    y = rng.random(20_000) < logistic(x @ np.array([-1.0, 2.0]))
    free = fit(x, y, np.zeros(2), np.ones(2))
    assert free == pytest.approx([-1.0, 2.0], abs=0.1)
    held = fit(x, y, np.array([0.0, 5.0]), np.array([1e9, 1e9]))
    assert held == pytest.approx([0.0, 5.0], abs=1e-3)


def test_fit_survives_what_can_be_told_apart_completely() -> None:
    x = np.stack([np.ones(100), np.linspace(-50, 50, 100)], axis=1)
    weights = fit(x, x[:, 1] > 0, np.zeros(2), np.full(2, 1e-3))
    assert np.isfinite(weights).all()


def test_features_have_their_names(store: SampleStore) -> None:
    assert features(store, np.arange(3), store.scale).shape == (3, len(FEATURES))
